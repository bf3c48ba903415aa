// A kernel that is dragged over an image, with the arithmetic of each position written out.
import { drawHatch, drawNumber, drawPixels, background } from "./cells.js";
import { convolve, productsAt, outputSize } from "./convolution.js";
import { key, pills, slider } from "./controls.js";
import { leafImage } from "./leaf.js";
import { clamp, format } from "./numbers.js";
import { between, Plate, rgb } from "./plate.js";
import { Running } from "./running.js";
import { figure, make, moduleOf } from "./stage.js";

const NINTH = 1 / 9;
const PRESETS = {
  "Vertical edge": [[1, 0, -1], [1, 0, -1], [1, 0, -1]],
  "Horizontal edge": [[1, 1, 1], [0, 0, 0], [-1, -1, -1]],
  Outline: [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]],
  Blur: [[NINTH, NINTH, NINTH], [NINTH, NINTH, NINTH], [NINTH, NINTH, NINTH]],
  Sharpen: [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
  Identity: [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
};
const plural = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;
const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

class Kernel extends Running {
  constructor(model, el) {
    super(model, el);
    const { stage } = this;
    this.leaf = leafImage();
    const drag = {
      point: (x, y) => this.dragTo(x, y),
      release: () => this.report(true),
      keys: (right, down) => this.walk(right, down),
      act: () => this.clock.toggle(),
    };
    this.input = new Plate(stage, {
      label: "The image with the kernel on it. Drag the kernel or move it with the arrow keys; Enter runs and pauses.",
      draw: (pen, side) => this.drawInput(pen, side),
      ...drag,
    });
    this.result = new Plate(stage, {
      label: "The output, one number for each position of the kernel",
      draw: (pen, side) => this.drawOutput(pen, side),
      ...drag,
      point: (x, y) => this.pick(x, y),
    });
    this.sizes = make("small", {});
    this.outputSizes = make("small", {});
    this.sum = make("div", { class: "cx-sum", "aria-hidden": "true" });
    this.formula = make("p", { class: "cx-hint" });
    this.legend = make("div", {});
    stage.layOut({
      shape: "cx-broad",
      main: make(
        "div",
        { class: "cx-pair" },
        figure("Image", this.sizes, this.input.element),
        figure("Output", this.outputSizes, this.result.element, this.legend),
      ),
      buttons: this.buttons,
      controls: [
        pills(stage, "image", { label: "Image" }),
        slider(stage, "stride", { label: "Stride", show: (value) => plural(value, "pixel") }),
        slider(stage, "padding", {
          label: "Padding",
          show: (value) => (value === 0 ? "none" : `${plural(value, "row")} of zeros`),
        }),
      ],
      side: [figure("At this position", "", this.sum, this.formula), this.weightsEditor()],
    });
    stage.on(["image", "numbers", "weights", "stride", "padding"], () => this.restart());
    stage.on(["position"], () => this.visit());
    this.restart();
  }

  weightsEditor() {
    const { stage } = this;
    const cells = [0, 1, 2].flatMap((row) =>
      [0, 1, 2].map((column) =>
        make("input", {
          type: "number",
          step: "any",
          "aria-label": `Kernel, row ${row + 1}, column ${column + 1}`,
          onchange: (event) => {
            const value = clamp(Number(event.target.value) || 0, -999, 999);
            const weights = stage.get("weights").map((each) => [...each]);
            weights[row][column] = value;
            stage.set({ weights });
            this.showWeights();
          },
        }),
      ),
    );
    this.cells = cells;
    const presets = Object.entries(PRESETS).map(([name, weights]) => make("option", { value: name }, name));
    const choose = ({ target }) => PRESETS[target.value] && stage.set({ weights: PRESETS[target.value] });
    this.preset = make(
      "select",
      { "aria-label": "Predefined kernel", onchange: choose },
      ...presets,
      make("option", { value: "" }, "Your own"),
    );
    return make(
      "fieldset",
      {},
      make("legend", {}, "Kernel (type your own numbers)"),
      make("div", { class: "cx-weights" }, ...cells),
      make("div", { class: "cx-preset" }, this.preset),
    );
  }

  showWeights() {
    const weights = this.stage.get("weights");
    this.cells.forEach((cell, at) => {
      const value = weights[Math.floor(at / 3)][at % 3];
      cell.value = Number(value.toFixed(3));
      cell.className = value > 0 ? "plus" : value < 0 ? "minus" : "";
    });
    this.preset.value = Object.keys(PRESETS).find((name) => same(PRESETS[name], weights)) ?? "";
  }

  get image() {
    return this.stage.get("image") === "leaf" ? this.leaf : this.stage.get("numbers");
  }

  /** Start again with a new image, kernel, stride or padding: the kernel is at the first position, the output empty. */
  restart() {
    this.clock.stop();
    const { stage, image } = this;
    const [stride, padding] = [stage.get("stride"), stage.get("padding")];
    this.rows = outputSize(image.length, 3, stride, padding);
    this.columns = outputSize(image[0].length, 3, stride, padding);
    this.output = convolve(image, stage.get("weights"), stride, padding);
    this.visited = Array.from({ length: this.rows }, () => new Uint8Array(this.columns));
    this.count = 0;
    this.last = null;
    this.showWeights();
    this.sizes.textContent = `${image.length} × ${image[0].length}`;
    this.outputSizes.textContent = `${this.rows} × ${this.columns}`;
    const wide = image[0].length;
    const rounded = (wide + 2 * padding - 3) % stride ? ", rounded down" : "";
    const size = `(${wide} + 2 × ${padding} − 3) / ${stride} + 1 = ${this.columns}`;
    this.formula.textContent = `Output size: ${size}${rounded}.`;
    this.legend.replaceChildren(
      this.signed()
        ? key({ mark: "patch", color: "blue", text: "below 0" }, { mark: "patch", color: "vermilion", text: "above 0" })
        : key({ mark: "patch", color: "axis", text: "light is large" }),
    );
    if (same(stage.get("position"), [0, 0])) this.visit(true);
    else stage.set({ position: [0, 0] });
  }

  /** Are positive and negative outputs to be expected, since the weights sum to 0 or less? */
  signed() {
    return this.total() < 1e-9;
  }

  total() {
    return this.stage.get("weights").flat().reduce((sum, weight) => sum + weight, 0);
  }

  get position() {
    const [row, column] = this.stage.get("position");
    return [clamp(row, 0, this.rows - 1), clamp(column, 0, this.columns - 1)];
  }

  /** Fill in the output at the kernel's position, and at all positions that a quick drag skipped. */
  visit(atOnce = false) {
    const [row, column] = this.position;
    const from = this.dragging && this.last ? this.last : [row, column];
    const moves = Math.max(Math.abs(row - from[0]), Math.abs(column - from[1]), 1);
    for (let move = 0; move <= moves; move++) {
      const [y, x] = [row, column].map((to, axis) => Math.round(from[axis] + ((to - from[axis]) * move) / moves));
      if (!this.visited[y][x]) {
        this.visited[y][x] = 1;
        this.count++;
      }
    }
    this.last = [row, column];
    this.report(atOnce);
  }

  moveTo(row, column) {
    this.stage.model.set("position", [clamp(row, 0, this.rows - 1), clamp(column, 0, this.columns - 1)]);
  }

  dragTo(x, y) {
    this.clock.stop();
    const { cell } = this.layout(this.input.width);
    const stride = this.stage.get("stride");
    this.dragging = true;
    this.moveTo(Math.round((y / cell - 1.5) / stride), Math.round((x / cell - 1.5) / stride));
    this.dragging = false;
  }

  /** A click on the output moves the kernel to the position that the number comes from. */
  pick(x, y) {
    this.clock.stop();
    const cell = this.resultCell(this.result.width);
    this.moveTo(Math.floor(y / cell), Math.floor(x / cell));
  }

  walk(right, down) {
    this.clock.stop();
    const [row, column] = this.position;
    this.dragging = true;
    this.moveTo(row + down, column + right);
    this.dragging = false;
    this.report(true);
  }

  next() {
    const [row, column] = this.position;
    if (column + 1 < this.columns) this.moveTo(row, column + 1);
    else if (row + 1 < this.rows) this.moveTo(row + 1, 0);
    else return false;
    return true;
  }

  single() {
    this.clock.stop();
    if (!this.next()) this.moveTo(0, 0);
    this.report(true);
  }

  finished() {
    const [row, column] = this.position;
    return row === this.rows - 1 && column === this.columns - 1;
  }

  /** Visit three positions per second of a small image, so that the sum can be read; a whole leaf takes eight seconds. */
  advance(seconds) {
    this.owed += seconds * Math.max(3, (this.rows * this.columns) / 8);
    let more = true;
    for (; this.owed >= 1 && more; this.owed--) more = this.next();
    return more;
  }

  report(atOnce) {
    const { stage } = this;
    const [row, column] = this.position;
    const [weights, stride, padding] = ["weights", "stride", "padding"].map((name) => stage.get(name));
    const { terms, sum } = productsAt(this.image, weights, row, column, stride, padding);
    const filled = () => this.output.map((values, y) => values.map((value, x) => (this.visited[y][x] ? value : null)));
    const output = this.rows * this.columns <= 256 ? filled() : []; // a large output is not sent to Python
    stage.share({ response: sum, size: [this.rows, this.columns], output, visited: this.count }, atOnce);
    this.writeSum(terms, sum);
    stage.say(this.sentence(terms.flat(), sum));
    this.input.redraw();
    this.result.redraw();
  }

  sentence(terms, sum) {
    const [row, column] = this.position;
    const total = this.rows * this.columns;
    const outside = terms.filter((term) => term.outside).length;
    const done =
      this.count === total
        ? `The output is complete: ${format(total, 6)} numbers.`
        : `${format(this.count, 6)} of ${format(total, 6)} positions done.`;
    return [
      `Row ${row + 1}, column ${column + 1}: the sum of the nine products is ${format(sum, 4)}.`,
      this.signed() ? this.reason(terms, sum) : this.brightness(),
      outside ? `${outside} of the nine pixels are padding and count as 0.` : "",
      done,
    ]
      .filter(Boolean)
      .join(" ");
  }

  brightness() {
    const total = this.total();
    const times = Math.abs(total - 1) < 1e-9 ? "as bright as" : `${format(total)} times as bright as`;
    return `The sum of the weights is ${format(total)}: where all pixels are equal, the output is ${times} the image.`;
  }

  reason(terms, sum) {
    if (Math.abs(sum) > 1e-9)
      return `Here the pixels with ${sum > 0 ? "positive" : "negative"} weights are brighter.`;
    const nonzero = terms.some(({ pixel, weight }) => Math.abs(pixel * weight) > 1e-9);
    return nonzero ? "Here positive and negative products cancel, so the output is 0." : "Here every product is 0.";
  }

  writeSum(terms, sum) {
    const rows = terms.map((row, down) =>
      make(
        "div",
        {},
        make("span", {}, down ? "+" : ""),
        ...row.map(({ pixel, weight, outside }, right) =>
          make(
            "span",
            { class: outside ? "outside" : "" },
            `${format(pixel, 4)} × `,
            make("span", { class: weight > 0 ? "plus" : weight < 0 ? "minus" : "" }, format(weight, 2)),
            right < 2 ? " +" : "",
          ),
        ),
      ),
    );
    this.sum.replaceChildren(...rows, make("div", { class: "total" }, `= ${format(sum, 4)}`));
  }

  layout(side) {
    const padding = this.stage.get("padding");
    const across = Math.max(this.image.length, this.image[0].length) + 2 * padding;
    return { cell: side / across, padding };
  }

  /** Cells of numbers are as large as those of the image, which shows that the output is smaller; a leaf fills the canvas. */
  resultCell(side) {
    return this.stage.get("image") === "numbers" ? this.layout(side).cell : side / Math.max(this.rows, this.columns);
  }

  drawInput(pen, side) {
    const { image, stage } = this;
    const { colors } = stage;
    const { cell, padding } = this.layout(side);
    const rows = image.length + 2 * padding;
    const columns = image[0].length + 2 * padding;
    const numbers = stage.get("image") === "numbers";
    const highest = Math.max(1e-9, ...image.flat().map(Math.abs));
    pen.fillStyle = colors.paper;
    pen.fillRect(0, 0, columns * cell, rows * cell);
    if (padding) drawHatch(pen, colors, columns * cell, rows * cell);
    if (!numbers) drawPixels(pen, image, padding * cell, cell, (value) => [value, value, value]);
    for (let y = 0; y < rows; y++) {
      for (let x = 0; x < columns; x++) {
        const [row, column] = [y - padding, x - padding];
        const outside = row < 0 || column < 0 || row >= image.length || column >= image[0].length;
        const value = outside ? 0 : image[row][column];
        if (!numbers) continue;
        if (!outside) {
          pen.fillStyle = `rgb(${background(stage, value / highest).map(Math.round).join(",")})`;
          pen.fillRect(x * cell, y * cell, cell, cell);
        }
        drawNumber(pen, colors, value, x, y, cell, outside ? colors.muted : colors.ink);
      }
    }
    const stride = stage.get("stride");
    const [row, column] = this.position;
    const [left, top] = [column * stride * cell, row * stride * cell];
    if (numbers) this.weightsInCorners(pen, left, top, cell, colors);
    pen.lineWidth = 5;
    pen.strokeStyle = colors.card;
    const edge = 1.5;
    pen.strokeRect(left + edge, top + edge, 3 * cell - 2 * edge, 3 * cell - 2 * edge);
    pen.lineWidth = 3;
    pen.strokeStyle = colors.vermilion;
    pen.strokeRect(left + edge, top + edge, 3 * cell - 2 * edge, 3 * cell - 2 * edge);
  }

  /** Draw the kernel's weights, small, in the corner of each cell below the kernel. */
  weightsInCorners(pen, left, top, cell, colors) {
    if (cell < 34) return;
    pen.textAlign = "right";
    pen.textBaseline = "bottom";
    pen.font = pen.font.replace(/[\d.]+px/, `${clamp(cell * 0.2, 9, 12)}px`);
    this.stage.get("weights").forEach((weights, down) =>
      weights.forEach((weight, right) => {
        pen.fillStyle = weight > 0 ? colors.vermilion : weight < 0 ? colors.blue : colors.muted;
        pen.fillText(`×${format(weight, 2)}`, left + (right + 1) * cell - 5, top + (down + 1) * cell - 4);
      }),
    );
  }

  drawOutput(pen, side) {
    const { stage, rows, columns, output } = this;
    const { colors } = stage;
    const cell = this.resultCell(side);
    const numbers = stage.get("image") === "numbers";
    const brightest = numbers ? Math.max(1e-9, ...this.image.flat().map(Math.abs)) : 255;
    const signed = this.signed();
    const most = signed ? Math.max(1e-9, ...output.flat().map(Math.abs)) * (numbers ? 1 : 0.6) : brightest * this.total();
    const neutral = rgb(colors.card);
    pen.fillStyle = colors.paper;
    pen.fillRect(0, 0, columns * cell, rows * cell);
    const [above, below] = [rgb(colors.vermilion), rgb(colors.blue)];
    const fill = (value) => {
      const share = clamp(value / most, -1, 1);
      if (signed) return between(neutral, share > 0 ? above : below, Math.abs(share) * (numbers ? 0.45 : 1));
      return numbers ? background(stage, share) : [255, 255, 255].map((white) => white * Math.max(0, share));
    };
    if (!numbers) drawPixels(pen, output, 0, cell, fill, this.visited);
    for (let at = 0; numbers && at < rows * columns; at++) {
      const [row, column] = [Math.floor(at / columns), at % columns];
      if (this.visited[row][column]) {
        pen.fillStyle = `rgb(${fill(output[row][column]).map(Math.round).join(",")})`;
        pen.fillRect(column * cell, row * cell, cell, cell);
        drawNumber(pen, colors, output[row][column], column, row, cell, colors.ink);
      } else {
        pen.strokeStyle = colors.line;
        pen.lineWidth = 1;
        pen.strokeRect(column * cell + 0.5, row * cell + 0.5, cell - 1, cell - 1);
      }
    }
    const [row, column] = this.position;
    pen.lineWidth = cell > 14 ? 3 : 2;
    pen.strokeStyle = colors.vermilion;
    const grow = cell > 14 ? -1.5 : 2;
    pen.strokeRect(column * cell - grow, row * cell - grow, cell + 2 * grow, cell + 2 * grow);
  }
}

export default moduleOf(Kernel);
