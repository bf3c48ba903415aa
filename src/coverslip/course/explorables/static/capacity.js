// Capacity and overfitting in two dimensions, with a network trained in the page.
import { drawBoundary, MARKS } from "./boundary.js";
import { axes, caption, inside, line } from "./chart.js";
import { cloud, SPAN } from "./clouds.js";
import { key, list, slider } from "./controls.js";
import { evaluate, newNetwork, train } from "./network.js";
import { clamp, fixed, seeded, format } from "./numbers.js";
import { mark, Plate } from "./plate.js";
import { Running } from "./running.js";
import { figure, make, moduleOf } from "./stage.js";

const EPOCHS = 1500;
const EVERY = 5; // epochs between two evaluations
const SIZES = [0, 1, 2, 4, 8, 16, 32, 64]; // numbers of hidden units for "Try all sizes"
const VALIDATION_POINTS = 400;
const percent = (share) => `${format(100 * share, 3)} %`;

class Capacity extends Running {
  constructor(model, el) {
    super(model, el, {
      "Try all sizes": () => this.trySizes(),
      "New points": () => this.stage.set({ seed: (this.stage.get("seed") + 1) % 10000 }),
    });
    const { stage } = this;
    this.cursor = [0, 0];
    this.added = []; // points added by the learner
    this.map = new Plate(stage, {
      label:
        "Map of two features with training points and the decision boundary. " +
        "Arrow keys move a cross; Enter adds a circle there, Space a triangle.",
      draw: (pen, side) => this.drawMap(pen, side),
      point: (x, y, event) => event.type === "pointerdown" && this.place(x, y, event.shiftKey),
      keys: (right, down) => {
        this.cursor = [this.cursor[0] + 0.05 * right, this.cursor[1] - 0.05 * down].map((at) => clamp(at, -SPAN, SPAN));
        this.showCursor = true;
        this.map.redraw();
      },
      act: (event) => this.add(this.cursor, event.key === " " ? 1 : 0),
    });
    this.map.canvas.addEventListener("blur", () => {
      this.showCursor = false;
      this.map.redraw();
    });
    const tall = (width) => clamp(width * 0.52, 175, 225);
    this.curve = new Plate(stage, {
      label: "Chart: loss on training and validation points by epoch",
      ratio: tall,
      draw: (...all) => this.drawCurve(...all),
    });
    this.sizes = new Plate(stage, {
      label: "Chart: final loss of networks of different sizes",
      ratio: tall,
      draw: (...all) => this.drawSizes(...all),
    });
    this.numbers = make("div", { class: "cx-numbers" });
    stage.layOut({
      main: figure(
        "Two features of each leaf, two classes",
        "",
        this.map.element,
        key(...MARKS),
        make("p", { class: "cx-hint" }, "Click to add a healthy point, Shift + click to add a diseased point."),
      ),
      buttons: this.buttons,
      controls: [
        slider(stage, "units", {
          label: "Hidden units",
          show: (value) => (value === 0 ? "0, a straight line" : `${value}`),
          ends: ["low capacity", "high capacity"],
        }),
        slider(stage, "points", { label: "Training points" }),
        slider(stage, "noise", { label: "Noise", show: (value) => fixed(value, 1) }),
        list(stage, "data", { label: "Shape" }),
      ],
      side: [
        this.numbers,
        figure(
          "Loss by epoch",
          "",
          this.curve.element,
          key(
            { mark: "line", color: "blue", text: "training points" },
            { mark: "dashed", color: "vermilion", text: `${VALIDATION_POINTS} validation points` },
          ),
        ),
        figure("Final loss", "of each size you have trained", this.sizes.element),
      ],
    });
    stage.on(["data", "points", "noise", "seed"], () => {
      this.added = [];
      this.ends = new Map();
      this.trying = [];
      this.restart();
    });
    stage.on(["units"], () => this.restart());
    this.ends = new Map(); // units -> final losses on the current points
    this.trying = [];
    this.restart();
  }

  restart() {
    this.clock.stop();
    const { stage } = this;
    const [data, points, noise, seed] = ["data", "points", "noise", "seed"].map((name) => stage.get(name));
    this.points = withAdded(cloud(data, points, noise, 3 * seed + 1), this.added);
    this.validation = cloud(data, VALIDATION_POINTS, noise, 3 * seed + 2);
    this.network = newNetwork(stage.get("units"), seeded(3 * seed + 3), 1.5);
    this.curves = { epoch: [], train: [], validation: [] };
    this.best = { epoch: 0, loss: Infinity };
    this.note();
    this.report(true);
  }

  place(x, y, second) {
    this.add([((2 * x) / this.map.width - 1) * SPAN, (1 - (2 * y) / this.map.height) * SPAN], second ? 1 : 0);
  }

  /** Add a training point; training continues from the current weights. */
  add(place, kind) {
    this.added.push([...place, kind]);
    this.points = withAdded(this.points, [[...place, kind]]);
    this.ends = new Map();
    this.map.redraw();
    this.report(true);
  }

  note() {
    const train = evaluate(this.network, this.points);
    const validation = evaluate(this.network, this.validation);
    this.current = { train, validation };
    this.curves.epoch.push(this.network.steps);
    this.curves.train.push(train.loss);
    this.curves.validation.push(validation.loss);
    if (validation.loss < this.best.loss) this.best = { epoch: this.network.steps, loss: validation.loss };
  }

  finished() {
    return this.network.steps >= EPOCHS;
  }

  single() {
    this.clock.stop();
    this.epochs(EVERY);
    this.report(true);
  }

  /** Train every size to the end, one after the other, and fill the chart of sizes. */
  trySizes() {
    this.clock.stop();
    this.trying = SIZES.filter((size) => !this.ends.has(size));
    this.nextSize();
    if (this.trying.length || !this.finished()) this.clock.start();
  }

  nextSize() {
    const [units] = this.trying;
    if (units === undefined) return false;
    const { trying } = this;
    if (units === this.stage.get("units")) this.restart();
    else this.stage.set({ units });
    this.trying = trying.slice(1);
    return true;
  }

  epochs(count) {
    for (let done = 0; done < count && !this.finished(); done++) {
      train(this.network, this.points);
      if (this.network.steps % EVERY === 0) this.note();
    }
    if (this.finished()) this.ends.set(this.network.units, [this.current.train.loss, this.current.validation.loss]);
  }

  /** Train slowly at first, when most happens, then faster; at most about 10 ms per frame. */
  advance(seconds) {
    const pace = (60 + 1.2 * this.network.steps) * (this.trying.length ? 4 : 1);
    this.owed = Math.min(this.owed + seconds * pace, 200);
    const until = performance.now() + (this.stage.calm ? 120 : 10);
    while (this.owed >= EVERY && performance.now() < until && !this.finished()) {
      this.epochs(EVERY);
      this.owed -= EVERY;
    }
    this.report(false);
    if (!this.finished()) return true;
    if (!this.trying.length) return false;
    setTimeout(() => {
      if (this.stage.signal.aborted || !this.trying.length) return;
      this.nextSize();
      this.clock.start();
    });
    return false;
  }

  report(atOnce) {
    const { stage, network, current, best } = this;
    stage.share(
      {
        epoch: network.steps,
        train_loss: current.train.loss,
        validation_loss: current.validation.loss,
        train_accuracy: current.train.accuracy,
        validation_accuracy: current.validation.accuracy,
        best_epoch: best.epoch,
        parameters: network.all.length,
      },
      atOnce,
    );
    const show = (name, value) => make("span", {}, name, make("b", {}, value));
    this.numbers.replaceChildren(
      show("epoch", format(network.steps, 4)),
      show("parameters", `${network.all.length}`),
      show("training accuracy", percent(current.train.accuracy)),
      show("validation accuracy", percent(current.validation.accuracy)),
    );
    stage.say(this.sentence());
    for (const plate of [this.map, this.curve, this.sizes]) plate.redraw();
  }

  sentence() {
    const { network, current, best, stage } = this;
    const units = stage.get("units");
    const count = `${units} hidden ${units === 1 ? "unit" : "units"}, ${network.all.length} parameters`;
    const size = units === 0 ? "No hidden units: the boundary is a straight line" : count;
    if (network.steps === 0) return `${size}. Not trained yet.`;
    const losses = `training loss ${fixed(current.train.loss)}, validation loss ${fixed(current.validation.loss)}`;
    const start = `${size}. Epoch ${format(network.steps, 4)}: ${losses}.`;
    return network.steps < 100 ? start : `${start} ${this.meaning(current.train, current.validation, best)}`;
  }

  meaning(train, validation, best) {
    const gap = validation.loss - train.loss;
    if (validation.loss > 1.25 * best.loss && validation.loss - best.loss > 0.05)
      return `Overfitting: the validation loss was lowest at epoch ${best.epoch} (${fixed(best.loss)}) and has risen since.`;
    if (train.accuracy < 0.9 && gap < 0.12 && this.network.steps > 400)
      return "Both losses are equally high: the network is too simple for this shape, or the rest is noise.";
    if (gap > 0.12) return `A gap of ${fixed(gap)}: some of what the network learned is true for the training points only.`;
    return "Training and validation loss are about equal.";
  }

  drawMap(pen, side) {
    const cursor = this.showCursor ? this.cursor : null;
    drawBoundary(pen, side, this.stage.colors, this.network, this.points, { cursor });
  }

  drawCurve(pen, width, height) {
    const { colors } = this.stage;
    const { curves, best } = this;
    const box = { left: 40, top: 12, right: width - 8, bottom: height - 38 };
    const most = Math.max(0.8, Math.min(2.5, Math.max(...curves.validation) * 1.05));
    const epochs = { from: 0, to: Math.max(100, curves.epoch.at(-1)), label: "epochs" };
    const chart = axes(pen, colors, box, epochs, { from: 0, to: most });
    const trace = (values) => values.map((value, index) => [chart.x(curves.epoch[index]), chart.y(value)]);
    inside(pen, { ...box, right: width, bottom: box.bottom + 3 }, () => {
      pen.lineWidth = 2.2;
      pen.strokeStyle = colors.blue;
      line(pen, trace(curves.train));
      pen.strokeStyle = colors.vermilion;
      pen.setLineDash([6, 4]);
      line(pen, trace(curves.validation));
      pen.setLineDash([]);
    });
    if (best.epoch > 0 && this.network.steps >= 100) {
      const [x, y] = [chart.x(best.epoch), chart.y(Math.min(best.loss, most))];
      mark(pen, "circle", x, y, 5, { stroke: colors.vermilion, fill: colors.card, width: 2 });
      const right = x < (box.left + box.right) / 2;
      const align = right ? "left" : "right";
      caption(pen, colors, `best at epoch ${best.epoch}`, right ? x + 9 : x - 9, Math.max(y - 13, box.top + 6), { align });
    }
  }

  drawSizes(pen, width, height) {
    const { colors } = this.stage;
    const box = { left: 40, top: 12, right: width - 8, bottom: height - 38 };
    const place = (units) => Math.log2(units + 1);
    const results = [...this.ends].sort(([one], [two]) => one - two);
    const most = Math.max(0.8, ...results.map(([, [, loss]]) => Math.min(loss, 4) * 1.05));
    const words = Object.fromEntries(SIZES.map((size) => [place(size).toFixed(3), `${size}`]));
    const write = (value) => words[value.toFixed(3)];
    const sizes = { from: -0.2, to: place(64) + 0.2, ticks: SIZES.map(place), write, label: "hidden units" };
    const chart = axes(pen, colors, box, sizes, { from: 0, to: most });
    if (!results.length) {
      const [x, y] = [(box.left + box.right) / 2, (box.top + box.bottom) / 2];
      caption(pen, colors, "No training has finished yet", x, y, { align: "center", color: colors.muted });
    }
    const lines = [[0, colors.blue, "circle", []], [1, colors.vermilion, "triangle", [6, 4]]];
    lines.forEach(([which, color, shape, dash]) => {
      const pixels = results.map(([units, losses]) => [chart.x(place(units)), chart.y(Math.min(losses[which], most))]);
      pen.strokeStyle = color;
      pen.lineWidth = 1.8;
      pen.setLineDash(dash);
      line(pen, pixels);
      pen.setLineDash([]);
      for (const [x, y] of pixels) mark(pen, shape, x, y, 4.5, { fill: color, stroke: colors.card, width: 1 });
    });
  }
}

/** Return the points of a cloud with additional points. */
function withAdded(points, added) {
  const x = Float64Array.from([...points.x, ...added.flatMap(([a, b]) => [a, b])]);
  const y = Uint8Array.from([...points.y, ...added.map(([, , kind]) => kind)]);
  return { x, y, count: points.count + added.length };
}

export default moduleOf(Capacity);
