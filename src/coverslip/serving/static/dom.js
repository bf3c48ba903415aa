// Elements are created from text, never from markup, so that no file name or label can become code.

const withoutEmpty = (children) => children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);

/** make("p", { class: "note", hidden: true, click: act }, "text", child, null) -> element; null and false are ignored. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...withoutEmpty(children));
  return element;
}

/** A name with line break opportunities after _ - . and / */
export function breakable(name) {
  const parts = String(name).split(/(?<=[_\-./])(?=[^_\-./])/);
  return make("span", { class: "name" }, parts.map((part, at) => (at ? [document.createElement("wbr"), part] : part)));
}

/** Replaces the content of an element. */
export function fill(element, ...children) {
  element.replaceChildren(...withoutEmpty(children));
  return element;
}

export const find = (id) => document.getElementById(id);

let timer = 0;
/** Announces a sentence to screen readers, after the current announcement. */
export function announce(sentence) {
  const status = find("status");
  status.textContent = "";
  clearTimeout(timer);
  timer = setTimeout(() => { status.textContent = sentence; }, 60); // without the delay, a repeated sentence is not announced again
}

/** An icon that does not depend on color: a triangle for a warning, a crossed octagon for an error, a ring for success. */
export function sign(kind) {
  const paths = {
    warning: [["body", "M8 1.300L15.400 14.600H0.600z"], ["cut", "M8 6v4.200M8 12v0.700"]],
    error: [["body", "M5 1h6l4 4v6l-4 4H5l-4-4V5z"], ["cut", "M5.500 5.500l5 5M10.500 5.500l-5 5"]],
    success: [["ring", "M1.400 8a6.600 6.600 0 1 0 13.200 0a6.600 6.600 0 1 0 -13.200 0"], ["stroke", "M5 8.300l2.200 2.200L11.200 5.800"]],
  };
  const namespace = "http://www.w3.org/2000/svg";
  const icon = document.createElementNS(namespace, "svg");
  icon.setAttribute("class", `sign ${kind}`);
  icon.setAttribute("viewBox", "0 0 16 16");
  icon.setAttribute("aria-hidden", "true");
  for (const [name, line] of paths[kind]) {
    const path = document.createElementNS(namespace, "path");
    path.setAttribute("class", name);
    path.setAttribute("d", line);
    icon.append(path);
  }
  return icon;
}
