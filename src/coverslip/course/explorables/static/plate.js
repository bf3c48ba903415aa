// A high-resolution canvas with a fixed aspect ratio that redraws itself and handles the pointer and the arrow keys.
import { make } from "./stage.js";

export class Plate {
  /**
   * @param stage the explorable's Stage
   * @param options label: description for screen readers; ratio: height / width, or the height as a function of the
   *   width; draw(pen, width, height) in CSS pixels; point(x, y, event): the pointer was pressed or dragged; release():
   *   the pointer was released; keys(right, down, event): arrow keys as steps, ten with Shift; act(event): Enter or Space
   */
  constructor(stage, { label, ratio = 1, draw, point, keys, act, release }) {
    Object.assign(this, { stage, ratio, draw, width: 0, height: 0, frame: 0 });
    const active = point || keys;
    const role = active ? "application" : "img";
    this.canvas = make("canvas", { role, "aria-label": label, tabindex: active ? 0 : null });
    this.element = make("div", { class: active ? "cx-plate cx-active" : "cx-plate" }, this.canvas);
    const watcher = new ResizeObserver(() => this.measure());
    watcher.observe(this.element);
    stage.painters.add(() => this.redraw());
    stage.signal.addEventListener("abort", () => {
      watcher.disconnect();
      cancelAnimationFrame(this.frame);
    });
    if (point) this.follow(point, release);
    if (keys || act) this.listen(keys, act);
  }

  measure() {
    const width = Math.floor(this.element.clientWidth);
    if (!width) return;
    const height = Math.round(typeof this.ratio === "function" ? this.ratio(width) : width * this.ratio);
    const dots = Math.min(3, window.devicePixelRatio || 1);
    if (width === this.width && height === this.height && dots === this.dots) return;
    Object.assign(this, { width, height, dots });
    this.canvas.width = Math.round(width * dots);
    this.canvas.height = Math.round(height * dots);
    this.canvas.style.height = `${height}px`;
    this.paint();
  }

  redraw() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.paint());
  }

  paint() {
    if (!this.width || !this.stage.colors) return;
    const pen = this.canvas.getContext("2d");
    pen.setTransform(this.dots, 0, 0, this.dots, 0, 0);
    pen.clearRect(0, 0, this.width, this.height);
    pen.font = `11.5px ${getComputedStyle(this.stage.root).fontFamily}`;
    pen.lineJoin = pen.lineCap = "round";
    this.draw(pen, this.width, this.height);
  }

  follow(point, release) {
    const at = (event) => {
      const box = this.canvas.getBoundingClientRect();
      const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
      point(x * this.width, y * this.height, event);
    };
    this.canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      this.canvas.setPointerCapture(event.pointerId);
      this.held = event.pointerId;
      at(event);
    });
    this.canvas.addEventListener("pointermove", (event) => this.held === event.pointerId && at(event));
    for (const end of ["pointerup", "pointercancel"]) {
      this.canvas.addEventListener(end, (event) => {
        if (this.held === event.pointerId) release?.();
        this.held = null;
      });
    }
  }

  listen(keys, act) {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    this.canvas.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const step = steps[event.key];
      if (step && keys) {
        event.preventDefault();
        const times = event.shiftKey ? 10 : 1;
        keys(step[0] * times, step[1] * times, event);
      } else if (act && (event.key === "Enter" || event.key === " ")) {
        event.preventDefault();
        act(event);
      }
    });
  }
}

/** Draw a mark; marks differ in shape as well as in color. */
export function mark(pen, shape, x, y, size, { fill = null, stroke = null, width = 1.5 } = {}) {
  pen.beginPath();
  if (shape === "circle") pen.arc(x, y, size, 0, 2 * Math.PI);
  else if (shape === "triangle") {
    pen.moveTo(x, y - 1.2 * size);
    pen.lineTo(x + 1.1 * size, y + 0.8 * size);
    pen.lineTo(x - 1.1 * size, y + 0.8 * size);
    pen.closePath();
  } else if (shape === "square") pen.rect(x - size, y - size, 2 * size, 2 * size);
  else if (shape === "cross") {
    pen.moveTo(x - size, y - size);
    pen.lineTo(x + size, y + size);
    pen.moveTo(x + size, y - size);
    pen.lineTo(x - size, y + size);
  }
  if (fill) {
    pen.fillStyle = fill;
    pen.fill();
  }
  if (stroke) {
    pen.strokeStyle = stroke;
    pen.lineWidth = width;
    pen.stroke();
  }
}

/** "#rrggbb" -> [r, g, b]. */
export function rgb(color) {
  return [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
}

/** Interpolate between two colors, as [r, g, b]. */
export function between(from, to, share) {
  return from.map((value, at) => value + (to[at] - value) * share);
}
