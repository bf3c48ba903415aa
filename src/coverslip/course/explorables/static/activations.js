// Activation functions and their slopes at inputs that can be moved.
import { ACTIVATIONS, FLAT, inputsAbout } from "./activation.js";
import { axes, caption, inside, line } from "./chart.js";
import { key, list, slider } from "./controls.js";
import { clamp, fixed, format } from "./numbers.js";
import { mark, Plate } from "./plate.js";
import { figure, make, moduleOf, Stage } from "./stage.js";

const FAR = 6; // inputs from −6 to 6
const LAYERS = 10;
const FAINTEST = 1e-9; // a smaller gradient counts as zero

class Activations {
  constructor(model, el) {
    this.stage = new Stage(model, el);
    const { stage } = this;
    this.curves = new Plate(stage, {
      label: "Chart: the function at the top, its slope below. Drag or use the arrow keys to move the inputs.",
      ratio: (width) => clamp(width * 0.92, 330, 440),
      draw: (pen, width, height) => this.draw(pen, width, height),
      point: (x) => this.moveTo(((x - this.left) / (this.curves.width - 10 - this.left)) * 2 * FAR - FAR),
      keys: (right, down) => this.moveTo(stage.get("input") + 0.1 * (right - down)),
    });
    this.layers = new Plate(stage, {
      label: "Chart: fraction of the gradient that is left after 1 to 10 layers",
      ratio: (width) => clamp(width * 0.6, 210, 270),
      draw: (pen, width, height) => this.drawLayers(pen, width, height),
    });
    this.numbers = make("div", { class: "cx-numbers" });
    this.formula = make("small", {});
    this.keys = make("div", {});
    stage.layOut({
      main: figure("Output", this.formula, this.curves.element, this.keys),
      controls: [
        list(stage, "function", { label: "Function" }),
        list(stage, "compare", { label: "Compare with" }),
        slider(stage, "input", { label: "Input", show: (value) => fixed(value, 1) }),
        slider(stage, "spread", { label: "Spread of 40 images", show: (value) => fixed(value, 1) }),
      ],
      side: [
        this.numbers,
        figure("Fraction of the gradient left", "after several layers with this slope", this.layers.element),
      ],
    });
    stage.on(["function", "compare", "input", "spread"], () => this.update());
    this.left = 40;
    this.update();
  }

  moveTo(value) {
    this.stage.set({ input: Number(clamp(value, -FAR, FAR).toFixed(1)) });
  }

  get other() {
    const { stage } = this;
    const name = stage.get("compare");
    return name === "none" || name === stage.get("function") ? null : ACTIVATIONS[name];
  }

  update() {
    const { stage } = this;
    this.chosen = ACTIVATIONS[stage.get("function")];
    const { chosen } = this;
    const at = stage.get("input");
    const [output, slope] = [chosen.value(at), chosen.slope(at)];
    this.inputs = inputsAbout(at, stage.get("spread"));
    const silent = this.inputs.filter((each) => Math.abs(chosen.slope(each)) < FLAT).length;
    this.formula.textContent = `${chosen.label}: ${chosen.formula}`;
    const show = (name, value) => make("span", {}, name, make("b", {}, value));
    this.numbers.replaceChildren(
      show("input", fixed(at, 1)),
      show("output", fixed(output)),
      show("slope", this.slopeText(slope)),
      show(`images below ${FLAT}`, `${silent} of 40`),
    );
    const items = [{ mark: "line", color: "blue", text: chosen.label }];
    if (this.other) items.push({ mark: "dashed", color: "vermilion", text: this.other.label });
    items.push({ mark: "circle", color: "ink", text: "one image" });
    items.push({ mark: "hatch", color: "axis", text: `slope below ${FLAT}` });
    this.keys.replaceChildren(key(...items));
    stage.share({ output, slope, silent }, true);
    stage.say(this.sentence(at, output, slope, silent));
    this.curves.redraw();
    this.layers.redraw();
  }

  slopeText(slope) {
    return Math.abs(slope) < 0.001 && slope !== 0 ? "below 0.001" : fixed(slope, 3);
  }

  sentence(at, output, slope, silent) {
    const name = this.chosen.label;
    const start = `At input ${fixed(at, 1)} the output is ${fixed(output)} and the slope is ${this.slopeText(slope)}.`;
    return `${start} ${this.meaning(name, slope, silent)}`;
  }

  meaning(name, slope, silent) {
    if (silent === 40 && slope === 0)
      return "Dead: for all 40 images the slope is exactly 0. No gradient reaches this unit, so it cannot change.";
    if (silent === 40) return "Saturated: for all 40 images the curve is flat, and the unit learns almost nothing from them.";
    if (silent > 0) {
      const others = silent === 39 ? "one" : `the other ${40 - silent}`;
      return `${silent} of 40 images are where the curve is flat; the unit learns from ${others}.`;
    }
    if (name === "None (linear)")
      return "A linear unit learns from every image, but several linear layers are no more than one linear layer.";
    const left = Math.abs(slope) ** LAYERS;
    const share = left > 0.99 ? "all" : this.shareText(left);
    const join = left < 0.01 ? ", but" : ", and";
    return `The unit learns from all 40 images${join} after ten layers with this slope ${share} of the gradient is left.`;
  }

  shareText(share) {
    if (share < FAINTEST) return "almost nothing";
    return share >= 0.01 ? `${format(100 * share, 2)} %` : `1 part in ${format(1 / share, 2)}`;
  }

  draw(pen, width, height) {
    const { stage, chosen, other, left } = this;
    const { colors } = stage;
    const split = Math.round(height * 0.56);
    const upper = { left, top: 12, right: width - 10, bottom: split - 24 };
    const lower = { left, top: split + 26, right: width - 10, bottom: height - 36 };
    const values = [chosen, other].filter(Boolean);
    const bounded = values.every(({ value }) => value(FAR) <= 1.01);
    const range = bounded ? { from: -1.2, to: 1.2, ticks: [-1, 0, 1] } : { from: -2, to: 6, ticks: [-2, 0, 2, 4, 6] };
    const across = { from: -FAR, to: FAR, ticks: [-6, -4, -2, 0, 2, 4, 6] };
    this.shadeFlat(pen, upper, lower);
    const above = axes(pen, colors, upper, { ...across, write: () => "" }, range);
    const slopes = axes(pen, colors, lower, { ...across, label: "input" }, { from: -0.2, to: 1.25, ticks: [0, 0.5, 1] });
    pen.textAlign = "left";
    pen.textBaseline = "alphabetic";
    pen.fillStyle = colors.ink;
    pen.font = `600 13px ${getComputedStyle(stage.root).fontFamily}`;
    pen.fillText("Slope", 0, lower.top - 12);
    pen.font = `11.5px ${getComputedStyle(stage.root).fontFamily}`;
    const steps = Array.from({ length: 481 }, (_, index) => -FAR + index / 40);
    for (const [chart, what] of [[above, "value"], [slopes, "slope"]]) {
      inside(pen, chart.box, () => {
        const trace = (each, color, dash) => {
          pen.strokeStyle = color;
          pen.lineWidth = 2.4;
          pen.setLineDash(dash);
          const [left, right] = [each.slope(-1e-9), each.slope(1e-9)].map((slope) => [chart.x(0), chart.y(slope)]);
          const jumps = what === "slope" && Math.abs(left[1] - right[1]) > 1; // draw a gap where the slope is discontinuous
          line(
            pen,
            steps.flatMap((x) => (x === 0 && jumps ? [left, null, right] : [[chart.x(x), chart.y(each[what](x))]])),
          );
          pen.setLineDash([]);
        };
        if (other) trace(other, colors.vermilion, [6, 4]);
        trace(chosen, colors.blue, []);
      });
    }
    this.drawMarks(pen, above, slopes);
  }

  shadeFlat(pen, upper, lower) {
    const { colors } = this.stage;
    const x = (value) => upper.left + ((value + FAR) / (2 * FAR)) * (upper.right - upper.left);
    const flat = [];
    for (let at = -FAR; at < FAR - 1e-9; at += 0.05) {
      if (Math.abs(this.chosen.slope(at + 0.025)) >= FLAT) continue;
      const last = flat.at(-1);
      if (last && at - last[1] < 0.01) last[1] = at + 0.05;
      else flat.push([at, at + 0.05]);
    }
    for (const [from, to] of flat) {
      const box = { left: x(from), right: x(to), top: upper.top, bottom: lower.bottom };
      inside(pen, box, () => {
        pen.strokeStyle = colors.line;
        pen.lineWidth = 1;
        const tall = box.bottom - box.top;
        for (let start = Math.floor((box.left - tall) / 8) * 8; start < box.right; start += 8) {
          line(pen, [[start, box.bottom], [start + tall, box.top]]);
        }
      });
    }
  }

  drawMarks(pen, above, slopes) {
    const { stage, chosen } = this;
    const { colors } = stage;
    const at = stage.get("input");
    const [value, slope] = [chosen.value(at), chosen.slope(at)];
    const x = above.x(at);
    pen.strokeStyle = colors.muted;
    pen.lineWidth = 1;
    pen.setLineDash([2, 3]);
    line(pen, [[x, above.box.top], [x, slopes.box.bottom]]);
    pen.setLineDash([]);
    for (const input of this.inputs) {
      if (Math.abs(input) > FAR) continue;
      const silent = Math.abs(chosen.slope(input)) < FLAT;
      for (const [chart, y] of [[above, chosen.value(input)], [slopes, chosen.slope(input)]]) {
        const look = silent ? { fill: colors.card, stroke: colors.ink, width: 1.2 } : { fill: colors.ink };
        mark(pen, "circle", chart.x(input), chart.y(y), 2.6, look);
      }
    }
    inside(pen, above.box, () => {
      pen.strokeStyle = colors.ink;
      pen.lineWidth = 2;
      const reach = 1.3;
      line(pen, [-reach, reach].map((away) => [above.x(at + away), above.y(value + away * slope)]));
    });
    for (const y of [above.y(value), slopes.y(slope)]) {
      mark(pen, "circle", x, y, 7, { fill: colors.vermilion, stroke: colors.card, width: 2.5 });
    }
    const rightward = at < 3;
    const [text, align] = [`slope ${this.slopeText(slope)}`, rightward ? "left" : "right"];
    caption(pen, colors, text, x + (rightward ? 13 : -13), slopes.y(slope) - 14, { align, bold: true });
  }

  drawLayers(pen, width, height) {
    const { stage, chosen, other } = this;
    const { colors } = stage;
    const box = { left: 62, top: 12, right: width - 8, bottom: height - 38 };
    const powers = [0, -3, -6, -9];
    const words = { 0: "all", "-3": "1 / 1,000", "-6": "1 / 10⁶", "-9": "≈ 0" };
    const write = (value) => words[Math.round(Math.log10(value))];
    const chart = axes(
      pen,
      colors,
      box,
      { from: 0.4, to: LAYERS + 0.6, ticks: [1, 2, 4, 6, 8, 10], label: "layers" },
      { from: FAINTEST, to: 1.6, log: true, ticks: powers.map((power) => 10 ** power), write },
    );
    const bar = ((box.right - box.left) / LAYERS) * (other ? 0.36 : 0.62);
    const bars = (each, offset, color, dashed) => {
      const slope = Math.abs(each.slope(stage.get("input")));
      for (let layer = 1; layer <= LAYERS; layer++) {
        const share = slope ** layer;
        const x = chart.x(layer) + offset - bar / 2;
        if (share < FAINTEST) {
          mark(pen, "cross", x + bar / 2, box.bottom - 7, 3, { stroke: color, width: 1.6 });
          continue;
        }
        const top = chart.y(Math.min(share, 1.6));
        pen.fillStyle = pen.strokeStyle = color;
        pen.lineWidth = 1.5;
        if (dashed) pen.strokeRect(x + 0.75, top + 0.75, bar - 1.5, Math.max(1, box.bottom - top - 0.75));
        else pen.fillRect(x, top, bar, Math.max(1.5, box.bottom - top));
      }
    };
    bars(chosen, other ? -bar * 0.58 : 0, colors.blue, false);
    if (other) bars(other, bar * 0.58, colors.vermilion, true);
  }
}

export default moduleOf(Activations);
