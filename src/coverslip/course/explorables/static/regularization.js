// Two equal networks on the same points; one is held back by L2 and dropout.
import { drawBoundary, MARKS } from "./boundary.js";
import { axes, caption, inside, line } from "./chart.js";
import { cloud } from "./clouds.js";
import { key, list, slider } from "./controls.js";
import { dropped, judged, newNetwork, strengths, train, weightsOf } from "./network.js";
import { clamp, fixed, seeded, written } from "./numbers.js";
import { Plate } from "./plate.js";
import { Running } from "./running.js";
import { figure, make, moduleOf } from "./stage.js";

const UNITS = 32;
const EPOCHS = 1500;
const EVERY = 5;
const OTHERS = 400;
const WIDEST = 6; // weights beyond ±6 count into the last bars
const BINS = 31;

const TITLES = { free: "Left free", held: "Held back" };
const rootMeanSquare = (values) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);

class Regularization extends Running {
  constructor(model, el) {
    super(model, el, { "Other points": () => this.stage.set({ seed: (this.stage.get("seed") + 1) % 10000 }) });
    const { stage } = this;
    const plate = (label, ratio, draw) => new Plate(stage, { label, ratio, draw });
    const low = (width) => clamp(width * 0.36, 92, 116);
    this.sides = ["free", "held"].map((name) => ({
      name,
      map: plate(`Map: boundary of the network ${TITLES[name].toLowerCase()}`, 1, (...all) => this.drawMap(...all, name)),
      bars: plate(`Chart: how strongly each of ${UNITS} units acts`, low, (...all) => this.drawBars(...all, name)),
      weights: plate("Chart: how many weights of each size", low, (...all) => this.drawWeights(...all, name)),
      words: make("small", {}),
    }));
    const tall = (width) => clamp(width * 0.6, 170, 220);
    this.curve = plate("Chart: loss of both networks, epoch by epoch", tall, (...all) => this.drawCurve(...all));
    const column = ({ name, map, bars, weights, words }) =>
      make(
        "div",
        { class: "cx-stack" },
        figure(TITLES[name], words, map.element),
        figure("", `Strength of ${UNITS} units`, bars.element),
        figure("", "Weights by size", weights.element),
      );
    stage.lay({
      shape: "cx-columns",
      main: [
        make("div", { class: "cx-pair" }, ...this.sides.map(column)),
        key(...MARKS),
      ],
      buttons: this.buttons,
      controls: [
        slider(stage, "l2", {
          label: "L2, price of weights",
          show: (value) => (value === 0 ? "none" : written(value)),
          ends: ["free", "held tightly"],
        }),
        slider(stage, "dropout", {
          label: "Dropout, units left out",
          show: (value) => (value === 0 ? "none" : fixed(value, 1)),
        }),
        slider(stage, "points", { label: "Training points" }),
        slider(stage, "noise", { label: "Noise", show: (value) => fixed(value, 1) }),
        list(stage, "data", { label: "Shape" }),
      ],
      side: figure(
        "Loss, epoch by epoch",
        "",
        this.curve.element,
        key(
          { mark: "line", color: "blue", text: "held back, validation" },
          { mark: "dashed", color: "vermilion", text: "left free, validation" },
          { mark: "thin", color: "muted", text: "thin: the same on training points" },
        ),
      ),
    });
    stage.on(["data", "points", "noise", "seed"], () => this.restart());
    stage.on(["l2", "dropout"], () => this.report(true)); // from here on: the weights can be seen to shrink
    this.restart();
  }

  restart() {
    this.clock.stop();
    const { stage } = this;
    const [data, points, noise, seed] = ["data", "points", "noise", "seed"].map((name) => stage.get(name));
    this.points = cloud(data, points, noise, 3 * seed + 1);
    this.others = cloud(data, OTHERS, noise, 3 * seed + 2);
    this.random = seeded(3 * seed + 4);
    this.free = newNetwork(UNITS, seeded(3 * seed + 3), 1.5);
    this.held = newNetwork(UNITS, seeded(3 * seed + 3), 1.5);
    this.out = null; // units left out just now, for the bars
    this.curves = { epoch: [], free: [], held: [], freeTrain: [], heldTrain: [] };
    this.note();
    this.report(true);
  }

  note() {
    this.now = { free: judged(this.free, this.others), held: judged(this.held, this.others) };
    this.curves.epoch.push(this.free.steps);
    for (const name of ["free", "held"]) {
      this.curves[name].push(this.now[name].loss);
      this.curves[`${name}Train`].push(judged(this[name], this.points).loss);
    }
  }

  epochs(count) {
    const { stage, points } = this;
    const [l2, rate] = [stage.get("l2"), stage.get("dropout")];
    for (let done = 0; done < count && !this.finished(); done++) {
      train(this.free, points);
      const kept = rate > 0 ? dropped(UNITS, points.count, rate, this.random) : null;
      train(this.held, points, { l2, kept });
      this.mask = kept;
      if (this.free.steps % EVERY === 0) this.note();
    }
  }

  finished() {
    return this.free.steps >= EPOCHS;
  }

  single() {
    this.clock.stop();
    this.epochs(EVERY);
    this.showDropped(true);
    this.report(true);
  }

  advance(seconds) {
    this.owed = Math.min(this.owed + seconds * (60 + 0.6 * this.free.steps), 100);
    const until = performance.now() + (this.stage.calm ? 120 : 10);
    while (this.owed >= EVERY && performance.now() < until && !this.finished()) {
      this.epochs(EVERY);
      this.owed -= EVERY;
    }
    this.showDropped(false);
    this.report(false);
    return !this.finished();
  }

  /** Which units the first point was shown without, changed twice a second: faster would flicker. */
  showDropped(atOnce) {
    const now = performance.now();
    if (!atOnce && (this.stage.calm || now - (this.masked ?? -Infinity) < 500)) return;
    this.masked = now;
    this.out = this.mask ? Array.from(this.mask.subarray(0, UNITS), (factor) => factor === 0) : null;
  }

  showRunning(running) {
    if (!running) this.out = null;
    super.showRunning(running);
  }

  report(atOnce) {
    const { stage, now } = this;
    const size = { free: rootMeanSquare(weightsOf(this.free)), held: rootMeanSquare(weightsOf(this.held)) };
    this.size = size;
    stage.share(
      {
        epoch: this.free.steps,
        weight_size: size.held,
        weight_size_free: size.free,
        validation_loss: now.held.loss,
        validation_loss_free: now.free.loss,
        validation_accuracy: now.held.accuracy,
        validation_accuracy_free: now.free.accuracy,
      },
      atOnce,
    );
    for (const { name, words } of this.sides) {
      words.textContent = `${written(100 * now[name].accuracy, 3)} % of ${OTHERS} other points`;
    }
    // one scale for both sides, so that they can be compared
    this.strength = { free: strengths(this.free, this.points), held: strengths(this.held, this.points) };
    this.top = Math.max(1, ...this.strength.free, ...this.strength.held) * 1.1;
    stage.say(this.sentence());
    for (const { map, bars, weights } of this.sides) [map, bars, weights].forEach((plate) => plate.redraw());
    this.curve.redraw();
  }

  sentence() {
    const { stage, now, size, free } = this;
    const [l2, dropout] = [stage.get("l2"), stage.get("dropout")];
    const both = [l2 > 0 ? `L2 ${written(l2)}` : "", dropout > 0 ? `dropout ${fixed(dropout, 1)}` : ""];
    const means = both.filter(Boolean).join(" and ");
    if (!means) return "Neither L2 nor dropout: both networks are the same. Raise one of them.";
    if (free.steps === 0) return `Ready: ${UNITS} hidden units each, ${means} on the right.`;
    const weights = `a typical weight is ${fixed(size.held)} instead of ${fixed(size.free)}`;
    const losses = `the loss on other points ${fixed(now.held.loss)} instead of ${fixed(now.free.loss)}`;
    const start = `Epoch ${written(free.steps, 4)}, ${means}: ${weights}, ${losses}.`;
    return free.steps < 300 ? start : `${start} ${this.meaning(now.free.loss - now.held.loss, now.held)}`;
  }

  meaning(gain, held) {
    if (held.loss > 0.6 && held.accuracy < 0.75) return "Too much: held this tightly, the network hardly follows any shape.";
    if (gain > 0.15) return "Holding back helps here: the boundary fits points it has not seen better.";
    if (gain < -0.05) return "Here it costs more than it brings.";
    return "It makes little difference here.";
  }

  drawMap(pen, side, height, name) {
    drawBoundary(pen, side, this.stage.colors, this[name], this.points);
  }

  drawBars(pen, width, height, name) {
    const { colors } = this.stage;
    const box = { left: 30, top: 8, right: width - 4, bottom: height - 8 };
    const chart = axes(pen, colors, box, { from: -0.5, to: UNITS - 0.5, ticks: [] }, { from: 0, to: this.top });
    const step = (box.right - box.left) / UNITS;
    this.strength[name].forEach((strength, unit) => {
      const out = name === "held" && this.out?.[unit];
      const x = chart.x(unit) - step * 0.38;
      const y = chart.y(strength);
      pen.fillStyle = pen.strokeStyle = name === "held" ? colors.blue : colors.vermilion;
      pen.lineWidth = 1;
      if (out) pen.strokeRect(x + 0.5, y + 0.5, Math.max(1, step * 0.76 - 1), Math.max(0.5, box.bottom - y - 0.5));
      else pen.fillRect(x, y, step * 0.76, Math.max(1, box.bottom - y));
    });
  }

  drawWeights(pen, width, height, name) {
    const { colors } = this.stage;
    const box = { left: 30, top: 8, right: width - 4, bottom: height - 22 };
    const counts = new Array(BINS).fill(0);
    const weights = weightsOf(this[name]);
    for (const weight of weights) counts[clamp(Math.floor(((weight + WIDEST) / (2 * WIDEST)) * BINS), 0, BINS - 1)]++;
    const most = weights.length * 0.4;
    const across = { from: -WIDEST, to: WIDEST, ticks: [-6, -3, 0, 3, 6] };
    const chart = axes(pen, colors, box, across, { from: 0, to: most, ticks: [0, 15, 30] });
    const step = (box.right - box.left) / BINS;
    pen.fillStyle = name === "held" ? colors.blue : colors.vermilion;
    counts.forEach((count, bin) => {
      const y = Math.max(chart.y(count), box.top);
      if (count) pen.fillRect(box.left + bin * step + 0.5, y, step - 1, box.bottom - y);
    });
    caption(pen, colors, `typical ${fixed(this.size[name])}`, box.right - 2, box.top + 8, { align: "right" });
  }

  drawCurve(pen, width, height) {
    const { colors } = this.stage;
    const { curves } = this;
    const box = { left: 40, top: 12, right: width - 8, bottom: height - 38 };
    const most = Math.max(0.9, Math.min(2, Math.max(...curves.free, ...curves.held) * 1.05));
    const epochs = { from: 0, to: Math.max(100, curves.epoch.at(-1)), label: "epochs" };
    const chart = axes(pen, colors, box, epochs, { from: 0, to: most });
    const trace = (values, color, thick, dash) => {
      pen.strokeStyle = color;
      pen.lineWidth = thick;
      pen.setLineDash(dash);
      line(pen, values.map((value, index) => [chart.x(curves.epoch[index]), chart.y(value)]));
      pen.setLineDash([]);
    };
    inside(pen, { ...box, right: width, bottom: box.bottom + 3 }, () => {
      trace(curves.freeTrain, colors.vermilion, 1.1, [6, 4]);
      trace(curves.heldTrain, colors.blue, 1.1, []);
      trace(curves.free, colors.vermilion, 2.3, [6, 4]);
      trace(curves.held, colors.blue, 2.3, []);
    });
  }
}

export default moduleOf(Regularization);
