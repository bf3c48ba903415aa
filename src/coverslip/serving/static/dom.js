// Elements are made of text, never of markup: no name from outside can become code.

const present = (children) => children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);

/** make("p", { class: "note", hidden: true, click: act }, "text", child, null) -> element; null and false are left out. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...present(children));
  return element;
}

/** A long name with places where it may break: after _ - . / and between words. */
export function breakable(name) {
  const parts = String(name).split(/(?<=[_\-./])(?=[^_\-./])/);
  return make("span", { class: "name" }, parts.map((part, at) => (at ? [document.createElement("wbr"), part] : part)));
}

/** Replaces the content of an element. */
export function fill(element, ...children) {
  element.replaceChildren(...present(children));
  return element;
}

export const find = (id) => document.getElementById(id);

let said = 0;
/** Reads a sentence out to those who listen to the page, after what is being read. */
export function announce(sentence) {
  const status = find("status");
  status.textContent = "";
  clearTimeout(said);
  said = setTimeout(() => { status.textContent = sentence; }, 60); // else the same sentence twice is not heard twice
}

/** A sign that needs no color: a triangle for a warning, a crossed octagon for an error, a ring for a note. */
export function sign(kind) {
  const paths = {
    warns: [["body", "M8 1.300L15.400 14.600H0.600z"], ["cut", "M8 6v4.200M8 12v0.700"]],
    stops: [["body", "M5 1h6l4 4v6l-4 4H5l-4-4V5z"], ["cut", "M5.500 5.500l5 5M10.500 5.500l-5 5"]],
    fits: [["ring", "M1.400 8a6.600 6.600 0 1 0 13.200 0a6.600 6.600 0 1 0 -13.200 0"], ["stroke", "M5 8.300l2.200 2.200L11.200 5.800"]],
  };
  const space = "http://www.w3.org/2000/svg";
  const drawn = document.createElementNS(space, "svg");
  drawn.setAttribute("class", `sign ${kind}`);
  drawn.setAttribute("viewBox", "0 0 16 16");
  drawn.setAttribute("aria-hidden", "true");
  for (const [name, line] of paths[kind]) {
    const path = document.createElementNS(space, "path");
    path.setAttribute("class", name);
    path.setAttribute("d", line);
    drawn.append(path);
  }
  return drawn;
}
