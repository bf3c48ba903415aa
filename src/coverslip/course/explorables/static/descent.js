// Gradient descent on a clickable map of a loss surface.
import { axes, caption, inside, line } from "./chart.js";
import { key, list, slider, stopsOf } from "./controls.js";
import { clamp, fixed, format } from "./numbers.js";
import { mark, Plate } from "./plate.js";
import { relief } from "./relief.js";
import { Running } from "./running.js";
import { figure, moduleOf } from "./stage.js";
import { EXAMPLES, REACH, goodLearningRates, startWalk, stepDown, sweepLearningRates } from "./surfaces.js";

const MAX_STEPS = 300; // of one walk
const STEPS_PER_SECOND = 12;
const SWEEP = 50; // steps of each walk in the chart of all learning rates

const batchName = (size) =>
  size === 1 ? "1, stochastic" : size === EXAMPLES ? `all ${EXAMPLES}, batch` : `${size}, mini-batch`;

class Descent extends Running {
  constructor(model, el) {
    super(model, el);
    const { stage } = this;
    this.rates = stopsOf(EXPLORABLE.options.learning_rate);
    this.previous = null; // the previous walk, shown for comparison
    this.map = new Plate(stage, {
      label:
        "Map of the loss over two weights. Click or use the arrow keys to choose the start; Enter runs and pauses.",
      draw: (pen, side) => this.drawMap(pen, side),
      point: (x, y) => this.moveTo((x / this.map.width) * 2 * REACH - REACH, REACH - (y / this.map.height) * 2 * REACH),
      keys: (right, down) => {
        const [x, y] = stage.get("start");
        this.moveTo(x + 0.1 * right, y - 0.1 * down);
      },
      act: () => this.clock.toggle(),
    });
    this.curve = new Plate(stage, {
      label: "Chart: loss after each step",
      ratio: (width) => clamp(width * 0.5, 170, 215),
      draw: (pen, width, height) => this.drawCurve(pen, width, height),
    });
    this.sweep = new Plate(stage, {
      label: `Chart: loss after ${SWEEP} steps for each learning rate`,
      ratio: (width) => clamp(width * 0.5, 170, 215),
      draw: (pen, width, height) => this.drawSweep(pen, width, height),
    });
    stage.layOut({
      main: figure(
        "Loss over two weights",
        "green is low",
        this.map.element,
        key(
          { mark: "square", color: "ink", text: "start" },
          { mark: "circle", color: "vermilion", text: "current position" },
          { mark: "cross", color: "ink", text: "minimum" },
          { mark: "dashed", color: "muted", text: "previous walk" },
        ),
      ),
      buttons: this.buttons,
      controls: [
        slider(stage, "learning_rate", { label: "Learning rate", ends: ["small steps", "large steps"] }),
        slider(stage, "batch_size", { label: "Batch size", show: batchName, ends: ["noisy, fast", "exact, slow"] }),
        list(stage, "surface", { label: "Surface" }),
      ],
      side: [
        figure("Loss after each step", "", this.curve.element),
        figure(`Loss after ${SWEEP} steps`, "for each learning rate", this.sweep.element),
      ],
    });
    stage.on(["surface", "start", "seed"], () => this.restart());
    stage.on(["learning_rate", "batch_size"], () => this.continueWalk());
    stage.painters.add(() => (this.image = null));
    stage.restart = () => {
      this.previous = null;
      this.restart();
    };
    this.restart();
  }

  moveTo(x, y) {
    this.clock.stop();
    const start = [x, y].map((value) => Number(clamp(value, -REACH, REACH).toFixed(2)));
    this.stage.set({ start });
  }

  /** Go back to the start; the walk so far stays visible as a dashed line. */
  restart() {
    this.clock.stop();
    const { stage } = this;
    if (this.walk && this.walk.path.length > 5 && this.walk.name === stage.get("surface")) this.previous = this.walk;
    if (this.previous && this.previous.name !== stage.get("surface")) this.previous = null;
    if (this.walk?.name !== stage.get("surface")) this.image = null;
    this.walk = startWalk(stage.get("surface"), stage.get("start"), stage.get("seed"));
    this.walk.name = stage.get("surface");
    this.rateLearningRates();
    this.report(true);
  }

  /** The learning rate or the batch size was changed: continue the walk with it. */
  continueWalk() {
    this.rateLearningRates();
    this.report(true);
  }

  /** Find the range of good learning rates, and whether the current one is too small, right or too large. */
  rateLearningRates() {
    const { stage, walk } = this;
    const batch = stage.get("batch_size");
    this.ends = sweepLearningRates(walk.name, stage.get("start"), this.rates, batch, stage.get("seed"), SWEEP);
    this.right = goodLearningRates(this.ends, walk.losses[0]);
    const lr = stage.get("learning_rate");
    const [end] = sweepLearningRates(walk.name, stage.get("start"), [lr], batch, stage.get("seed"), SWEEP);
    this.currentEnd = end;
    this.verdict = "";
    if (this.right) {
      const [first, last] = this.right;
      const at = (index) => this.rates[index] * 1.0001;
      this.verdict = lr < this.rates[first] / 1.0001 ? "too small" : lr > at(last) ? "too large" : "right";
    }
  }

  finished() {
    const { path, lost } = this.walk;
    if (lost || path.length > MAX_STEPS) return true;
    const [from, to] = path.slice(-2);
    const still = path.length > 2 && Math.hypot(to[0] - from[0], to[1] - from[1]) < 2e-4;
    return still && this.stage.get("batch_size") === EXAMPLES;
  }

  single() {
    this.clock.stop();
    if (this.walk.lost) return;
    this.step();
    this.report(true);
  }

  step() {
    stepDown(this.walk, this.stage.get("learning_rate"), this.stage.get("batch_size"));
  }

  advance(seconds) {
    this.owed += seconds * STEPS_PER_SECOND;
    if (this.owed < 1) return true;
    for (; this.owed >= 1 && !this.finished(); this.owed--) this.step();
    this.report(false);
    return !this.finished();
  }

  report(atOnce) {
    const { walk, stage } = this;
    const steps = walk.path.length - 1;
    const loss = walk.losses[steps];
    this.buttons.button("Step").disabled = walk.lost;
    stage.share(
      {
        position: walk.at.map((value) => (Number.isFinite(value) ? value : 0)),
        steps,
        loss: walk.lost ? null : loss,
        verdict: this.verdict,
      },
      atOnce,
    );
    stage.say(this.sentence(steps, loss));
    for (const plate of [this.map, this.curve, this.sweep]) plate.redraw();
  }

  sentence(steps, loss) {
    const { walk, verdict, stage } = this;
    const lr = format(stage.get("learning_rate"));
    const [end, best] = [fixed(this.currentEnd), fixed(Math.min(...this.ends))];
    const advice = {
      "": "From here no learning rate gets far: the surface is nearly flat, or the batches are too noisy.",
      "too small": `Learning rate ${lr} is too small: ${SWEEP} steps end at loss ${end}, the best rate reaches ${best}.`,
      right: `Learning rate ${lr} is about right: ${SWEEP} steps end at loss ${end}.`,
      "too large": `Learning rate ${lr} is too large: the steps overshoot the valley.`,
    }[verdict];
    if (walk.lost) return `Diverged after ${steps} steps: each step overshot more than the one before. ${advice}`;
    const [x, y] = walk.at.map((value) => fixed(value));
    const position = `weights ${x} and ${y}, loss ${fixed(loss)}`;
    if (steps === 0) return `Start: ${position}. ${advice}`;
    const used = `${format(walk.examplesUsed, 6)} examples used`;
    let arrival = "";
    if (this.finished() && steps < MAX_STEPS) {
      const [lowX, lowY] = walk.surface.lowest;
      const low = walk.surface.loss(lowX, lowY);
      const stuck = "The walk has stopped where the slope is 0, but this is not the minimum. ";
      arrival = loss > low + 0.02 ? stuck : "The walk has reached the minimum. ";
    }
    const start = fixed(walk.losses[0]);
    return `Step ${steps}: ${position} (${start} at the start); ${used}. ${arrival}${advice}`;
  }

  drawMap(pen, side) {
    const { stage, walk, map } = this;
    const { colors } = stage;
    const dots = Math.round(side * map.dots);
    if (!this.image || this.image.side !== dots || this.image.name !== walk.name) {
      const canvas = new OffscreenCanvas(dots, dots);
      canvas.getContext("2d").putImageData(relief(walk.surface, dots, colors), 0, 0);
      this.image = { canvas, side: dots, name: walk.name };
    }
    pen.drawImage(this.image.canvas, 0, 0, side, side);
    const pixel = ([x, y]) => [((x + REACH) / (2 * REACH)) * side, ((REACH - y) / (2 * REACH)) * side];
    const draw = (path, color, width, dash = []) => {
      pen.setLineDash(dash);
      pen.strokeStyle = color;
      pen.lineWidth = width;
      line(pen, path.map((place) => pixel(place).map((value) => clamp(value, -4 * side, 5 * side))));
      pen.setLineDash([]);
    };
    if (this.previous) draw(this.previous.path, colors.muted, 1.4, [5, 4]);
    mark(pen, "cross", ...pixel(walk.surface.lowest), 5, { stroke: colors.card, width: 5 });
    mark(pen, "cross", ...pixel(walk.surface.lowest), 5, { stroke: colors.ink, width: 2 });
    draw(walk.path, colors.card, 4.5);
    draw(walk.path, colors.ink, 1.8);
    const small = walk.path.length > 60 ? 1.7 : 2.4;
    for (const place of walk.path) mark(pen, "circle", ...pixel(place), small, { fill: colors.ink });
    mark(pen, "square", ...pixel(walk.path[0]), 5.5, { fill: colors.card, stroke: colors.ink, width: 2 });
    const [x, y] = pixel(walk.at).map((value) => clamp(value, 9, side - 9));
    mark(pen, "circle", x, y, 7.5, { fill: colors.vermilion, stroke: colors.card, width: 2.5 });
    if (walk.lost) {
      const above = y < side / 2 ? y + 22 : y - 22;
      caption(pen, colors, "outside the map", clamp(x, 60, side - 60), above, { align: "center", bold: true });
    }
    pen.save();
    pen.globalAlpha = 0.9;
    caption(pen, colors, "weight 1 →", side - 10, side - 14, { align: "right", color: colors.muted });
    pen.translate(14, 10);
    pen.rotate(-Math.PI / 2);
    caption(pen, colors, "weight 2 →", 0, 0, { align: "right", color: colors.muted });
    pen.restore();
  }

  drawCurve(pen, width, height) {
    const { walk, stage, previous } = this;
    const { colors } = stage;
    const box = { left: 40, top: 12, right: width - 8, bottom: height - 38 };
    const start = walk.losses[0];
    const highest = Math.max(start, ...walk.losses.filter((loss) => loss < 3 * start));
    const steps = Math.max(20, walk.losses.length - 1, previous ? Math.min(previous.losses.length - 1, MAX_STEPS) : 0);
    const range = { from: 0, to: Math.max(highest * 1.08, 0.2) };
    const chart = axes(pen, colors, box, { from: 0, to: steps, label: "steps" }, range);
    const points = (losses) => losses.map((loss, step) => [chart.x(step), Math.max(chart.y(loss), -2000)]);
    inside(pen, { ...box, top: 0, bottom: box.bottom + 4, right: width }, () => {
      pen.lineWidth = 1.4;
      pen.strokeStyle = colors.muted;
      pen.setLineDash([5, 4]);
      if (previous) line(pen, points(previous.losses));
      pen.setLineDash([]);
      pen.lineWidth = 2;
      pen.strokeStyle = colors.ink;
      line(pen, points(walk.losses));
      const last = points(walk.losses).at(-1);
      mark(pen, "circle", last[0], Math.max(last[1], 6), 5, { fill: colors.vermilion, stroke: colors.card, width: 2 });
    });
  }

  drawSweep(pen, width, height) {
    const { stage, rates, ends, right, walk } = this;
    const { colors } = stage;
    const box = { left: 40, top: 30, right: width - 8, bottom: height - 38 };
    const top = Math.max(walk.losses[0] * 1.15, 0.2);
    const chart = axes(
      pen,
      colors,
      box,
      { from: rates[0], to: rates.at(-1), log: true, ticks: [0.001, 0.01, 0.1, 1], label: "learning rate" },
      { from: 0, to: top },
    );
    if (right) {
      const edge = (index) => chart.x(Math.sqrt(rates[index] * rates[index + 1]));
      const from = right[0] > 0 ? edge(right[0] - 1) : box.left;
      const to = right[1] < rates.length - 1 ? edge(right[1]) : box.right;
      pen.fillStyle = colors.accentSoft;
      pen.fillRect(from, box.top - 22, to - from, box.bottom - box.top + 22);
      pen.font = pen.font.replace("11.5px", "11px");
      const words = [
        ["too small", (box.left + from) / 2, from - box.left],
        ["right", (from + to) / 2, to - from],
        ["too large", (to + box.right) / 2, box.right - to],
      ];
      for (const [word, x, room] of words) {
        if (room < pen.measureText(word).width - 6) continue;
        pen.textAlign = "center";
        pen.textBaseline = "middle";
        pen.fillStyle = word === "right" ? colors.accent : colors.muted;
        pen.fillText(word, clamp(x, box.left + 24, box.right - 24), box.top - 11);
      }
    }
    const y = (end) => (end > top ? box.top - 2 : chart.y(end));
    inside(pen, { ...box, top: box.top - 4, bottom: box.bottom + 4 }, () => {
      pen.lineWidth = 2;
      pen.strokeStyle = colors.blue;
      line(pen, rates.map((lr, index) => [chart.x(lr), y(ends[index])]));
    });
    const x = chart.x(clamp(stage.get("learning_rate"), rates[0], rates.at(-1)));
    pen.strokeStyle = colors.vermilion;
    pen.lineWidth = 1.5;
    line(pen, [[x, box.top - 20], [x, box.bottom]]);
    mark(pen, "circle", x, Math.max(y(this.currentEnd), box.top), 5, { fill: colors.vermilion, stroke: colors.card, width: 2 });
  }
}

export default moduleOf(Descent);
