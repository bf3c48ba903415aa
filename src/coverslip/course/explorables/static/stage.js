// The basis of every explorable: heading and suggestions, values shared with Python, light or dark theme, and the clock.
// bundle.py puts EXPLORABLE (name, title, opening, suggestions, options) before this module when it joins the modules.

/** Create an element with attributes and children: make("p", { class: "cx-state" }, "text", child). */
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

/** Create a figure with a caption above its content; `subtitle` is shown smaller. */
export function figure(title, subtitle, ...content) {
  return make("figure", {}, make("figcaption", {}, `${title} `, make("small", {}, subtitle)), ...content);
}

function isDark() {
  const { body } = document;
  if (body.dataset.jpThemeLight) return body.dataset.jpThemeLight === "false"; // JupyterLab
  if (/vscode-(dark|high-contrast)/.test(body.className)) return true;
  if (body.classList.contains("vscode-light")) return false;
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

// the theme's colors that canvases use
const COLORS = [
  ...["paper", "card", "ink", "muted", "axis", "line", "accent", "accent-soft"],
  ...["blue", "vermilion", "green", "orange", "hill", "valley"],
];

export class Stage {
  constructor(model, el) {
    this.model = model;
    this.ending = new AbortController(); // removes every listener and observer
    this.painters = new Set(); // functions that redraw a canvas after a change of theme
    this.root = make("section", { class: "cx", "aria-label": EXPLORABLE.title });
    // without this attribute on the focused element JupyterLab handles the keys: arrows leave the cell, D D deletes it
    this.root.addEventListener("focusin", ({ target }) => target.setAttribute("data-lm-suppress-shortcuts", "true"));
    this.body = make("div", { class: "cx-body" });
    this.shown = make("p", { class: "cx-state", "aria-hidden": "true" });
    this.announced = make("p", { class: "cx-heard", role: "status" });
    this.root.append(this.heading(), this.body, this.announced);
    el.replaceChildren(this.root);
    this.calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.watchTheme();
  }

  heading() {
    const cards = EXPLORABLE.suggestions.map(({ text, set }, index) =>
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
      make("h3", {}, EXPLORABLE.title),
      make("p", { class: "cx-opening" }, EXPLORABLE.opening),
      make("ol", { class: "cx-try", "aria-label": "Try this" }, ...cards),
    );
  }

  /** Lay out the areas of an explorable: side by side on a wide page, one below the other on a phone. */
  layOut({ shape = "", main, buttons = "", controls, side = "" }) {
    const area = (name, ...content) => make("div", { class: `cx-${name}` }, ...content.flat());
    this.body.className = `cx-body ${shape}`;
    this.body.append(area("main", main), area("run", buttons), this.shown, area("controls", controls), area("side", side));
  }

  /** Apply all settings of a suggestion at once and restart the explorable. */
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
    const observer = new MutationObserver(update);
    observer.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "class"] });
    this.signal.addEventListener("abort", () => observer.disconnect());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", update, { signal: this.signal });
    // in a notebook the style sheet may be loaded after the element
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

  /** Change shared values and send them to Python; listeners registered with `on` are called. */
  set(values) {
    for (const [name, value] of Object.entries(values)) this.model.set(name, value);
    this.model.save_changes();
  }

  /** Listen to changes of shared values, made by a control here or by a cell in the notebook. */
  on(names, listener) {
    for (const name of names) {
      this.model.on(`change:${name}`, listener);
      this.signal.addEventListener("abort", () => this.model.off(`change:${name}`, listener));
    }
  }

  /** Send results to Python: at most four times a second while running, immediately with `atOnce`. */
  share(values, atOnce = false) {
    for (const [name, value] of Object.entries(values)) this.model.set(name, value);
    const now = performance.now();
    if (atOnce || now - (this.shared ?? -Infinity) > 250) {
      this.shared = now;
      this.model.save_changes();
    }
  }

  /** Show the current state in words; screen readers announce it once it stops changing, or every four seconds. */
  say(text) {
    if (text === this.shown.textContent) return;
    this.shown.textContent = text;
    clearTimeout(this.announcing);
    const wait = performance.now() - (this.announcedAt ?? -Infinity) > 4000 ? 0 : 700;
    const announce = () => {
      this.announcedAt = performance.now();
      this.announced.textContent = text;
    };
    if (wait) this.announcing = setTimeout(announce, wait);
    else announce();
  }

  close() {
    clearTimeout(this.announcing);
    this.ending.abort();
    this.root.remove();
  }
}

/** Return the module of a notebook widget: render() shows an explorable and returns a function that removes it. */
export function moduleOf(Kind) {
  return {
    render({ model, el }) {
      const explorable = new Kind(model, el);
      return () => explorable.stage.close();
    },
  };
}

/**
 * Calls `tick(seconds)` in every frame while it runs, or four times a second if reduced motion is preferred. It pauses
 * while the explorable is not visible, and stops when `tick` returns false.
 */
export class Clock {
  constructor(stage, tick, changed = () => {}) {
    Object.assign(this, { stage, tick, changed, running: false, visible: true, last: null, frame: 0 });
    const observer = new IntersectionObserver(([entry]) => {
      this.visible = entry.isIntersecting;
      this.last = null;
      if (this.running && this.visible) this.requestFrame();
    });
    observer.observe(stage.root);
    stage.signal.addEventListener("abort", () => {
      observer.disconnect();
      this.stop();
    });
  }

  requestFrame() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame((now) => this.onFrame(now));
  }

  onFrame(now) {
    if (!this.running || !this.visible) return;
    const interval = this.stage.calm ? 250 : 0;
    const elapsed = this.last === null ? 16 : now - this.last;
    if (elapsed >= interval) {
      this.last = now;
      if (this.tick(Math.min(elapsed, 300) / 1000) === false) return this.stop();
    }
    this.requestFrame();
  }

  start() {
    if (this.running) return;
    this.running = true;
    this.last = null;
    this.changed(true);
    this.requestFrame();
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
