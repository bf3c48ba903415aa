// Two identical networks on the same points; one is regularized with L2 and dropout.
import { drawBoundary, MARKS } from "./boundary.js";
import { axes, caption, inside, line } from "./chart.js";
import { cloud } from "./clouds.js";
import { key, list, slider } from "./controls.js";
import { dropoutMask, evaluate, newNetwork, unitStrengths, train, weightsOf } from "./network.js";
import { clamp, fixed, seeded, format } from "./numbers.js";
import { Plate } from "./plate.js";
import { Running } from "./running.js";
import { figure, make, moduleOf } from "./stage.js";

const UNITS = 32;
const EPOCHS = 1500;
const EVERY = 5; // epochs between two evaluations
const VALIDATION_POINTS = 400; // validation points
const WIDEST = 6; // weights beyond ±6 are counted in the outermost bars
const BINS = 31;

const TITLES = { free: "Unregularized", held: "Regularized" };
const rootMeanSquare = (values) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);

class Regularization extends Running {
  constructor(model, el) {
    super(model, el, { "New points": () => this.stage.set({ seed: (this.stage.get("seed") + 1) % 10000 }) });
    const { stage } = this;
    const plate = (label, ratio, draw) => new Plate(stage, { label, ratio, draw });
    const low = (width) => clamp(width * 0.36, 92, 116);
    this.sides = ["free", "held"].map((name) => ({
      name,
      map: plate(`Map: decision boundary of the ${TITLES[name].toLowerCase()} network`, 1, (...all) => this.drawMap(...all, name)),
      bars: plate(`Chart: strength of each of ${UNITS} units`, low, (...all) => this.drawBars(...all, name)),
      weights: plate("Chart: histogram of the weights", low, (...all) => this.drawWeights(...all, name)),
      words: make("small", {}),
    }));
    const tall = (width) => clamp(width * 0.6, 170, 220);
    this.curve = plate("Chart: loss of both networks by epoch", tall, (...all) => this.drawCurve(...all));
    const column = ({ name, map, bars, weights, words }) =>
      make(
        "div",
        { class: "cx-stack" },
        figure(TITLES[name], words, map.element),
        figure("", `Strength of ${UNITS} units`, bars.element),
        figure("", "Histogram of the weights", weights.element),
      );
    stage.layOut({
      shape: "cx-columns",
      main: [
        make("div", { class: "cx-pair" }, ...this.sides.map(column)),
        key(...MARKS),
      ],
      buttons: this.buttons,
      controls: [
        slider(stage, "l2", {
          label: "L2 penalty",
          show: (value) => (value === 0 ? "none" : format(value)),
          ends: ["none", "strong"],
        }),
        slider(stage, "dropout", {
          label: "Dropout rate",
          show: (value) => (value === 0 ? "none" : fixed(value, 1)),
        }),
        slider(stage, "points", { label: "Training points" }),
        slider(stage, "noise", { label: "Noise", show: (value) => fixed(value, 1) }),
        list(stage, "data", { label: "Shape" }),
      ],
      side: figure(
        "Loss by epoch",
        "",
        this.curve.element,
        key(
          { mark: "line", color: "blue", text: "regularized, validation" },
          { mark: "dashed", color: "vermilion", text: "unregularized, validation" },
          { mark: "thin", color: "muted", text: "thin lines: training points" },
        ),
      ),
    });
    stage.on(["data", "points", "noise", "seed"], () => this.restart());
    stage.on(["l2", "dropout"], () => this.report(true)); // no restart, so that the weights can be seen to shrink
    this.restart();
  }

  restart() {
    this.clock.stop();
    const { stage } = this;
    const [data, points, noise, seed] = ["data", "points", "noise", "seed"].map((name) => stage.get(name));
    this.points = cloud(data, points, noise, 3 * seed + 1);
    this.validation = cloud(data, VALIDATION_POINTS, noise, 3 * seed + 2);
    this.random = seeded(3 * seed + 4);
    this.free = newNetwork(UNITS, seeded(3 * seed + 3), 1.5);
    this.held = newNetwork(UNITS, seeded(3 * seed + 3), 1.5);
    this.out = null; // units dropped in the last step, for the bars
    this.curves = { epoch: [], free: [], held: [], freeTrain: [], heldTrain: [] };
    this.note();
    this.report(true);
  }

  note() {
    this.current = { free: evaluate(this.free, this.validation), held: evaluate(this.held, this.validation) };
    this.curves.epoch.push(this.free.steps);
    for (const name of ["free", "held"]) {
      this.curves[name].push(this.current[name].loss);
      this.curves[`${name}Train`].push(evaluate(this[name], this.points).loss);
    }
  }

  epochs(count) {
    const { stage, points } = this;
    const [l2, rate] = [stage.get("l2"), stage.get("dropout")];
    for (let done = 0; done < count && !this.finished(); done++) {
      train(this.free, points);
      const kept = rate > 0 ? dropoutMask(UNITS, points.count, rate, this.random) : null;
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

  /** Show the units dropped for the first point; updated twice a second, since faster would flicker. */
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
    const { stage, current } = this;
    const size = { free: rootMeanSquare(weightsOf(this.free)), held: rootMeanSquare(weightsOf(this.held)) };
    this.size = size;
    stage.share(
      {
        epoch: this.free.steps,
        weight_size: size.held,
        weight_size_free: size.free,
        validation_loss: current.held.loss,
        validation_loss_free: current.free.loss,
        validation_accuracy: current.held.accuracy,
        validation_accuracy_free: current.free.accuracy,
      },
      atOnce,
    );
    for (const { name, words } of this.sides) {
      words.textContent = `validation accuracy ${format(100 * current[name].accuracy, 3)} %`;
    }
    // the same scale on both sides, so that they can be compared
    this.strength = { free: unitStrengths(this.free, this.points), held: unitStrengths(this.held, this.points) };
    this.top = Math.max(1, ...this.strength.free, ...this.strength.held) * 1.1;
    stage.say(this.sentence());
    for (const { map, bars, weights } of this.sides) [map, bars, weights].forEach((plate) => plate.redraw());
    this.curve.redraw();
  }

  sentence() {
    const { stage, current, size, free } = this;
    const [l2, dropout] = [stage.get("l2"), stage.get("dropout")];
    const both = [l2 > 0 ? `L2 ${format(l2)}` : "", dropout > 0 ? `dropout ${fixed(dropout, 1)}` : ""];
    const means = both.filter(Boolean).join(" and ");
    if (!means) return "L2 and dropout are 0: both networks are identical. Increase one of them.";
    if (free.steps === 0) return `Ready: two networks with ${UNITS} hidden units, ${means} on the right.`;
    const weights = `a typical weight is ${fixed(size.held)} instead of ${fixed(size.free)}`;
    const losses = `the validation loss is ${fixed(current.held.loss)} instead of ${fixed(current.free.loss)}`;
    const start = `Epoch ${format(free.steps, 4)}, ${means}: ${weights}, ${losses}.`;
    return free.steps < 300 ? start : `${start} ${this.meaning(current.free.loss - current.held.loss, current.held)}`;
  }

  meaning(gain, held) {
    if (held.loss > 0.6 && held.accuracy < 0.75) return "Too strong: the network can hardly follow any shape.";
    if (gain > 0.15) return "Regularization helps here: the boundary fits new points better.";
    if (gain < -0.05) return "Regularization makes the network worse here.";
    return "Regularization makes little difference here.";
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
