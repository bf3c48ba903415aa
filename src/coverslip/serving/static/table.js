// A table of images with sorting and filters. ARIA roles are explicit, because on phones the rows are shown as cards.

import { breakable, fill, make, sign } from "./dom.js";
import { thumbnail } from "./image.js";
import { kindOf } from "./kinds.js";
import { count, sentence } from "./words.js";

const SIDE = 72;     // pixels of a thumbnail, about twice its size on the page
const PAGE_SIZE = 100; // rows that are shown at first, and added on demand
const STATES = { waiting: "waiting", sent: "predicting …", stopped: "canceled" };

/** [heading, sort key]; items without a value are last in either direction. */
function columnsOf(model) {
  const kind = kindOf(model);
  const own = kind.columns(model).map((title, at) => [title, (item) => (item.answer ? kind.keys[at](item.answer) ?? null : null)]);
  return [["Image", (item) => item.name], ...own, ["Familiarity", (item) => item.answer?.unfamiliarity ?? null]];
}

/** Whether the item needs a check: an uncertain prediction, unlike the training images, or no answer. */
const needsCheck = (model) => ({ answer, state }) =>
  state === "failed" || Boolean(answer && (answer.familiar === false || kindOf(model).uncertain(answer)));

const filtersOf = (model) => ({ all: ["All", () => true], check: ["To check", needsCheck(model)], failed: ["Failed", ({ state }) => state === "failed"] });

export class Table {
  /** `open(item)` is called when a row is selected. */
  constructor(place, filter, { open, model }) {
    Object.assign(this, { place, filter, open, model, columns: columnsOf(model), filters: filtersOf(model), items: [], rows: new Map(), sort: null, only: "all", shown: PAGE_SIZE, current: null });
    this.watch = new IntersectionObserver((entries) => {
      for (const entry of entries) if (entry.isIntersecting) { this.watch.unobserve(entry.target); this.draw(entry.target); }
    }, { rootMargin: "200px" });
  }

  /** Rebuilds the table after a change of items, order or filter. */
  render(items) {
    this.items = items;
    this.rows.clear();
    this.watch.disconnect();
    this.ordered = this.order(items.filter(this.filters[this.only][1]));
    this.drawFilter();
    const heads = this.columns.map(([title], at) => {
      const direction = this.sort?.[0] === at ? (this.sort[1] ? "ascending" : "descending") : "none";
      return make("th", { role: "columnheader", scope: "col", "aria-sort": direction, class: `c${at}` },
        make("button", { type: "button", "data-column": at, click: () => this.sortBy(at) }, title));
    });
    const body = make("tbody", { role: "rowgroup" }, this.ordered.slice(0, this.shown).map((item) => this.row(item)));
    const hidden = this.ordered.length - this.shown;
    const empty = this.ordered.length ? null : make("p", { class: "muted" }, "No images.");
    fill(this.place,
      make("table", { role: "table", "aria-labelledby": "list-title", class: "answers" }, make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, heads)), body),
      empty,
      hidden > 0 ? make("p", {}, make("button", { type: "button", click: () => this.more() }, `Show ${count(Math.min(hidden, PAGE_SIZE))} of ${count(hidden)} more`)) : null);
  }

  /** Rebuilds the row of one item in place. */
  update(item) {
    const old = this.rows.get(item.id);
    if (!old) return;
    const focused = old.contains(document.activeElement);
    const thumb = old.querySelector("canvas");
    const row = this.row(item, thumb);
    old.replaceWith(row);
    if (focused) row.querySelector("button").focus({ preventScroll: true });
  }

  mark(item) {
    this.current = item?.id ?? null;
    for (const [id, row] of this.rows) {
      if (id === this.current) row.setAttribute("aria-current", "true"); else row.removeAttribute("aria-current");
    }
  }

  focus(item) { this.rows.get(item.id)?.querySelector("button")?.focus(); }

  sortBy(column) {
    const [at, up] = this.sort ?? [];
    this.sort = at !== column ? [column, true] : up ? [column, false] : null; // a third click restores the original order
    this.render(this.items);
    this.place.querySelector(`[data-column="${column}"]`).focus({ preventScroll: true });
  }

  order(items) {
    if (!this.sort) return items;
    const [column, up] = this.sort;
    const key = this.columns[column][1];
    const compare = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true }));
    return [...items].sort((one, two) => {
      const [a, b] = [key(one), key(two)];
      return a === null || b === null ? (a === null) - (b === null) : compare(a, b) * (up ? 1 : -1);
    });
  }

  more() {
    const first = this.shown;
    this.shown += PAGE_SIZE;
    this.render(this.items);
    this.focus(this.ordered[first]);
  }

  drawFilter() {
    const counts = Object.entries(this.filters).map(([name, [title, matches]]) => [name, title, this.items.filter(matches).length]);
    if (counts.find(([name]) => name === this.only)[2] === 0) this.only = "all";
    const focused = this.filter.contains(document.activeElement);
    fill(this.filter, this.filter.querySelector("legend"), counts.filter(([name, , number]) => name === "all" || number).map(([name, title, number]) => make("label", {},
      make("input", { type: "radio", name: "filter", value: name, checked: name === this.only, change: () => { this.only = name; this.shown = PAGE_SIZE; this.render(this.items); } }),
      make("span", {}, `${title} ${count(number)}`))));
    if (focused) this.filter.querySelector(":checked").focus();
  }

  row(item, thumb = null) {
    const { answer } = item;
    const cell = (at, ...content) => make("td", { role: "cell", class: `c${at}` }, content);
    const place = make("span", { class: "thumb", "aria-hidden": "true" }, thumb);
    const name = make("th", { role: "rowheader", scope: "row", class: "c0" }, make("div", { class: "image-cell" }, place, make("button", { type: "button", class: "open", click: () => this.open(item) }, breakable(item.name))));
    const cells = answer
      ? [
          ...kindOf(this.model).cells(answer).map((content, at) => cell(at + 1, content)),
          cell(4, answer.familiar === false ? make("span", { class: "flag" }, sign("warning"), " unfamiliar") : answer.familiar ? make("span", { class: "muted" }, "familiar") : "–"),
        ]
      : [make("td", { role: "cell", class: "wide", colspan: "4" }, item.state === "failed"
          ? make("span", { class: "failed" }, sign("error"), " ", sentence(item.problem), item.fix ? make("span", { class: "muted" }, ` ${sentence(item.fix)}`) : null)
          : make("span", { class: "muted" }, STATES[item.state]))];
    const row = make("tr", { role: "row", class: answer?.familiar === false ? "answered unfamiliar" : item.state, "data-item": item.id, "aria-current": item.id === this.current ? "true" : null, click: (event) => { if (!event.target.closest("button") && !String(getSelection())) this.open(item); } }, name, cells);
    row.item = item;
    this.rows.set(item.id, row);
    if (answer && !thumb) this.watch.observe(row); // thumbnails only of images that the server could decode
    return row;
  }

  /** Draws the thumbnail of a visible row; thumbnails are drawn one after another. */
  draw(row) {
    this.drawing = (this.drawing ?? Promise.resolve()).then(async () => {
      if (!row.isConnected) return;
      row.item.thumb ??= await thumbnail(row.item.file, SIDE).catch(() => null) ?? "none";
      if (row.item.thumb !== "none") row.querySelector(".thumb").replaceChildren(row.item.thumb);
      else row.querySelector(".thumb").classList.add("none");
    });
  }
}

/** Predicted classes of familiar images, and all other outcomes: [["12 rust", "9 healthy"], ["2 unlike the training images", "1 failed"]]. */
function tally(items, model) {
  const labels = new Map();
  for (const { answer } of items) {
    if (!answer || answer.familiar === false) continue;
    for (const name of kindOf(model).tallied(answer)) labels.set(name, (labels.get(name) ?? 0) + 1);
  }
  const ranked = [...labels].sort(([, a], [, b]) => b - a);
  const predicted = ranked.slice(0, 6).map(([name, number]) => `${count(number)} ${name}`);
  if (ranked.length > 6) predicted.push(`${count(ranked.slice(6).reduce((sum, [, number]) => sum + number, 0))} of other classes`);
  const number = (matches) => items.filter(matches).length;
  const exceptions = [
    [number(({ answer }) => answer?.familiar === false), "unlike the training images"],
    [number(({ state }) => state === "failed"), "failed"],
    [number(({ state }) => state === "stopped"), "canceled"],
  ].filter(([total]) => total).map(([total, outcome]) => `${count(total)} ${outcome}`);
  return [predicted, exceptions];
}

/** The same as text, for screen readers. */
export const summaryOf = (items, model) => tally(items, model).map((part) => part.join(", ")).filter(Boolean).join("; ");

/** The same as lists, for display. */
export const summaryLists = (items, model) => tally(items, model).filter((part) => part.length).map((part, at) => make("ul", { class: at ? "tally exceptions" : "tally" }, part.map((entry) => {
  const [number, ...words] = entry.split(" ");
  return make("li", {}, make("b", {}, number), " ", breakable(words.join(" ")));
})));
