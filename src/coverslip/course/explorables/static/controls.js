// Controls that show and change one shared value each; they also follow changes made in Python.
import { make } from "./stage.js";
import { format } from "./numbers.js";

let controls = 0; // for unique ids, also across several explorables in one notebook
const serial = `cx${Math.random().toString(36).slice(2, 8)}`;

/** Return the stops of a number's slider. */
export function stopsOf({ low, high, stops, step }) {
  if (stops) return stops;
  const count = Math.round((high - low) / step);
  return Array.from({ length: count + 1 }, (_, index) => Number((low + index * step).toFixed(6)));
}

/** Create a slider over the stops of an option. `show(value)` formats the value; `ends` labels the two ends. */
export function slider(stage, name, { label, show = (value) => format(value), ends = null }) {
  const stops = stopsOf(EXPLORABLE.options[name]);
  const id = `${serial}-${controls++}`;
  const output = make("output", { for: id });
  const input = make("input", {
    id,
    type: "range",
    min: 0,
    max: stops.length - 1,
    step: 1,
    "data-option": name,
    oninput: () => stage.set({ [name]: stops[Number(input.value)] }),
  });
  const update = () => {
    const value = stage.get(name);
    let near = 0;
    stops.forEach((stop, index) => {
      if (Math.abs(stop - value) < Math.abs(stops[near] - value)) near = index;
    });
    input.value = near;
    input.style.setProperty("--done", `${(100 * near) / (stops.length - 1)}%`);
    output.textContent = show(value);
    input.setAttribute("aria-valuetext", show(value));
  };
  update();
  stage.on([name], update);
  const parts = [make("label", { for: id }, label), output, input];
  const words = (ends ?? []).map((end) => make("span", {}, end));
  if (ends) parts.push(make("span", { class: "cx-ends", "aria-hidden": "true" }, ...words));
  return make("div", { class: "cx-slider" }, ...parts);
}

/** Create radio buttons in the form of pills; arrow keys move between them. */
export function pills(stage, name, { label }) {
  const group = `${serial}-${controls++}`;
  const { names } = EXPLORABLE.options[name];
  const inputs = Object.keys(names).map((value) => {
    const onchange = () => stage.set({ [name]: value });
    return make("input", { type: "radio", name: group, value, "data-option": name, onchange });
  });
  const update = () => inputs.forEach((input) => (input.checked = input.value === stage.get(name)));
  update();
  stage.on([name], update);
  const boxes = inputs.map((input) => make("label", {}, input, make("span", {}, names[input.value])));
  return make("fieldset", { class: "cx-pills" }, make("legend", {}, label), make("div", {}, ...boxes));
}

/** Create a drop-down list, for longer lists. */
export function list(stage, name, { label }) {
  const id = `${serial}-${controls++}`;
  const choices = Object.entries(EXPLORABLE.options[name].names).map(([value, text]) => make("option", { value }, text));
  const onchange = () => stage.set({ [name]: input.value });
  const input = make("select", { id, "data-option": name, onchange }, ...choices);
  const update = () => (input.value = stage.get(name));
  update();
  stage.on([name], update);
  return make("div", { class: "cx-list" }, make("label", { for: id }, label), input);
}

/** Create a row of buttons from { Run: () => ..., Step: ... }; row.button("Run") is one of them. */
export function buttons(actions) {
  const all = Object.entries(actions).map(([name, onclick], index) => {
    const action = name.toLowerCase().replaceAll(" ", "-");
    return make("button", { type: "button", class: index ? "" : "cx-main", "data-action": action, onclick }, name);
  });
  const row = make("div", { class: "cx-buttons" }, ...all);
  row.button = (name) => all[Object.keys(actions).indexOf(name)];
  return row;
}

/** Create a legend. Each item: { mark: one of the shapes below, color: name of a CSS variable, text }. */
export function key(...items) {
  const shapes = {
    line: '<path d="M1 6H21" stroke-width="2.4"/>',
    dashed: '<path d="M1 6H21" stroke-width="2.4" stroke-dasharray="5 3"/>',
    thin: '<path d="M1 6H21" stroke-width="1.2"/>',
    circle: '<circle cx="11" cy="6" r="4.2" fill="currentColor" stroke="none"/>',
    triangle: '<path d="M11 1.2 16 10.2H6Z" fill="currentColor" stroke="none"/>',
    ring: '<circle cx="11" cy="6" r="3.8" stroke-width="1.6"/>',
    square: '<rect x="7" y="2" width="8" height="8" stroke-width="1.8"/>',
    patch: '<rect x="5" y="1" width="12" height="10" rx="2" fill="currentColor" stroke="none"/>',
    cross: '<path d="M7 2 15 10M15 2 7 10" stroke-width="2"/>',
    hatch: '<path d="M3 11 9 1M8 11 14 1M13 11 19 1" stroke-width="1.2"/>',
  };
  return make(
    "ul",
    { class: "cx-key" },
    ...items.map(({ mark, color, text }) => {
      const item = make("li", {}, text);
      item.insertAdjacentHTML(
        "afterbegin",
        `<svg viewBox="0 0 22 12" width="22" height="12" aria-hidden="true" style="color:var(--${color})" fill="none"` +
          ` stroke="currentColor">${shapes[mark]}</svg>`,
      );
      return item;
    }),
  );
}
