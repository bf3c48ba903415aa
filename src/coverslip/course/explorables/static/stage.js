// What every piece stands on: its heading and suggestions, the values it shares with Python, light or dark, the clock.
// PIECE (name, title, opening, suggestions, options) is put before this module when the modules are joined (bundle.py).

/** An element with attributes and children: make("p", { class: "cx-state" }, "text", child). */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** An image or chart under its title; `more` is the quiet part of the title. */
export function figure(title, more, ...content) {
  return make("figure", {}, make("figcaption", {}, `${title} `, make("small", {}, more)), ...content);
}

function isDark() {
  const { body } = document;
  if (body.dataset.jpThemeLight) return body.dataset.jpThemeLight === "false"; // JupyterLab
  if (/vscode-(dark|high-contrast)/.test(body.className)) return true;
  if (body.classList.contains("vscode-light")) return false;
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

// those that canvases are drawn with
const COLORS = [
  ...["paper", "card", "ink", "muted", "axis", "line", "accent", "accent-soft"],
  ...["blue", "vermilion", "green", "orange", "hill", "valley"],
];

export class Stage {
  constructor(model, el) {
    this.model = model;
    this.ending = new AbortController(); // ends every listener and observer
    this.painters = new Set(); // redraw everything, after a change of theme
    this.root = make("section", { class: "cx", "aria-label": PIECE.title });
    // else JupyterLab takes the keys (arrows leave the cell, D D deletes it); it looks at the element that has the focus
    this.root.addEventListener("focusin", ({ target }) => target.setAttribute("data-lm-suppress-shortcuts", "true"));
    this.body = make("div", { class: "cx-body" });
    this.shown = make("p", { class: "cx-state", "aria-hidden": "true" });
    this.heard = make("p", { class: "cx-heard", role: "status" });
    this.root.append(this.heading(), this.body, this.heard);
    el.replaceChildren(this.root);
    this.calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.watchTheme();
  }

  heading() {
    const cards = PIECE.suggestions.map(({ text, set }, index) =>
      make(
        "li",
        {},
        make(
          "button",
          { type: "button", onclick: () => this.setUp(set) },
          make("span", {}, make("b", {}, `${index + 1}`), ` ${text} `, make("u", {}, "Set up")),
        ),
      ),
    );
    return make(
      "header",
      {},
      make("h3", {}, PIECE.title),
      make("p", { class: "cx-opening" }, PIECE.opening),
      make("ol", { class: "cx-try", "aria-label": "Try this" }, ...cards),
    );
  }

  /** The parts of a piece in their places: beside each other on a wide page, below each other on a phone. */
  lay({ shape = "", main, buttons = "", controls, side = "" }) {
    const area = (name, ...content) => make("div", { class: `cx-${name}` }, ...content.flat());
    this.body.className = `cx-body ${shape}`;
    this.body.append(area("main", main), area("run", buttons), this.shown, area("controls", controls), area("side", side));
  }

  /** A suggestion's settings, all at once; the piece starts afresh with them. */
  setUp(values) {
    this.set(values);
    this.restart?.();
  }

  watchTheme() {
    const update = () => {
      this.dark = isDark();
      this.root.dataset.theme = this.dark ? "dark" : "light";
      const style = getComputedStyle(this.root);
      this.colors = {};
      for (const name of COLORS) {
        const key = name.replace(/-(.)/, (_, letter) => letter.toUpperCase());
        this.colors[key] = style.getPropertyValue(`--${name}`).trim();
      }
      this.paint();
    };
    update();
    const watcher = new MutationObserver(update);
    watcher.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "class"] });
    this.signal.addEventListener("abort", () => watcher.disconnect());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", update, { signal: this.signal });
    // in a notebook the style sheet may arrive after the element
    requestAnimationFrame(update);
  }

  get signal() {
    return this.ending.signal;
  }

  paint() {
    for (const painter of this.painters) painter();
  }

  get(name) {
    return this.model.get(name);
  }

  /** Change shared values and tell Python; listeners of `on` hear of it. */
  set(values) {
    for (const [name, value] of Object.entries(values)) this.model.set(name, value);
    this.model.save_changes();
  }

  /** Listen to shared values, whoever changes them: a control here, or a cell in the notebook. */
  on(names, listener) {
    for (const name of names) {
      this.model.on(`change:${name}`, listener);
      this.signal.addEventListener("abort", () => this.model.off(`change:${name}`, listener));
    }
  }

  /** Tell Python where things stand: at most four times a second while something runs, and at once at rest. */
  share(values, atOnce = false) {
    for (const [name, value] of Object.entries(values)) this.model.set(name, value);
    const now = performance.now();
    if (atOnce || now - (this.shared ?? -Infinity) > 250) {
      this.shared = now;
      this.model.save_changes();
    }
  }

  /** One sentence on how things stand: seen at once, read aloud when it has stood still or every four seconds. */
  say(text) {
    if (text === this.shown.textContent) return;
    this.shown.textContent = text;
    clearTimeout(this.saying);
    const wait = performance.now() - (this.said ?? -Infinity) > 4000 ? 0 : 700;
    const speak = () => {
      this.said = performance.now();
      this.heard.textContent = text;
    };
    if (wait) this.saying = setTimeout(speak, wait);
    else speak();
  }

  close() {
    clearTimeout(this.saying);
    this.ending.abort();
    this.root.remove();
  }
}

/** A piece as a notebook's widget takes it: render() shows it and returns how to take it away. */
export function moduleOf(Kind) {
  return {
    render({ model, el }) {
      const piece = new Kind(model, el);
      return () => piece.stage.close();
    },
  };
}

/**
 * A clock: `tick(seconds)` every frame while it runs, or four times a second for those who want less motion. It rests
 * while the piece is out of sight. `tick` returns false to stop.
 */
export class Clock {
  constructor(stage, tick, changed = () => {}) {
    Object.assign(this, { stage, tick, changed, running: false, seen: true, last: null, frame: 0 });
    const watcher = new IntersectionObserver(([entry]) => {
      this.seen = entry.isIntersecting;
      this.last = null;
      if (this.running && this.seen) this.ask();
    });
    watcher.observe(stage.root);
    stage.signal.addEventListener("abort", () => {
      watcher.disconnect();
      this.stop();
    });
  }

  ask() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame((now) => this.turn(now));
  }

  turn(now) {
    if (!this.running || !this.seen) return;
    const pause = this.stage.calm ? 250 : 0;
    const passed = this.last === null ? 16 : now - this.last;
    if (passed >= pause) {
      this.last = now;
      if (this.tick(Math.min(passed, 300) / 1000) === false) return this.stop();
    }
    this.ask();
  }

  start() {
    if (this.running) return;
    this.running = true;
    this.last = null;
    this.changed(true);
    this.ask();
  }

  stop() {
    if (!this.running) return;
    this.running = false;
    cancelAnimationFrame(this.frame);
    this.changed(false);
  }

  toggle() {
    if (this.running) this.stop();
    else this.start();
  }
}
