// Many images in a table that can be sorted and filtered. Roles are written out, since a phone shows rows as cards.

import { breakable, fill, make, sign } from "./dom.js";
import { thumbnail } from "./image.js";
import { count, sentence, share } from "./words.js";

const SIDE = 72;     // pixels of a thumbnail, drawn at half of that or so
const PORTION = 100; // rows that are shown, and added at a press
const STATES = { waiting: "waiting", sent: "sent …", stopped: "canceled" };

/** heading -> what is sorted by; what is missing stays at the end either way. */
const COLUMNS = [
  ["Image", (item) => item.name],
  ["Label", (item) => item.answer?.label ?? null],
  ["Probability", (item) => item.answer?.confidence ?? null],
  ["May also be", (item) => (item.answer?.set ? item.answer.set.length : null)],
  ["Likeness", (item) => item.answer?.unfamiliarity ?? null],
];

/** Whether somebody should look at it: more than one class is plausible, it is unlike, or there is no answer. */
export const doubtful = ({ answer, state }) =>
  state === "failed" || Boolean(answer && (answer.familiar === false || (answer.set && answer.set.length !== 1)));

const FILTERS = { all: ["All", () => true], look: ["Worth a look", doubtful], failed: ["Not read", ({ state }) => state === "failed"] };

export class Table {
  /** `open(item)` is called when a row is pressed. */
  constructor(place, filter, { open, model }) {
    Object.assign(this, { place, filter, open, model, items: [], rows: new Map(), sort: null, only: "all", shown: PORTION, current: null });
    this.watch = new IntersectionObserver((seen) => {
      for (const each of seen) if (each.isIntersecting) { this.watch.unobserve(each.target); this.draw(each.target); }
    }, { rootMargin: "200px" });
  }

  /** Makes the table anew: after new images, another order, another filter. */
  render(items) {
    this.items = items;
    this.rows.clear();
    this.watch.disconnect();
    this.ordered = this.order(items.filter(FILTERS[this.only][1]));
    this.drawFilter();
    const heads = COLUMNS.map(([title], at) => {
      const direction = this.sort?.[0] === at ? (this.sort[1] ? "ascending" : "descending") : "none";
      return make("th", { role: "columnheader", scope: "col", "aria-sort": direction, class: `c${at}` },
        make("button", { type: "button", "data-column": at, click: () => this.sortBy(at) }, title));
    });
    const body = make("tbody", { role: "rowgroup" }, this.ordered.slice(0, this.shown).map((item) => this.row(item)));
    const left = this.ordered.length - this.shown;
    const empty = this.ordered.length ? null : make("p", { class: "muted" }, "None of them.");
    fill(this.place,
      make("table", { role: "table", "aria-labelledby": "list-title", class: "answers" }, make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, heads)), body),
      empty,
      left > 0 ? make("p", {}, make("button", { type: "button", click: () => this.more() }, `Show ${count(Math.min(left, PORTION))} more of ${count(left)}`)) : null);
  }

  /** One image has changed: its row alone is made anew, where it is. */
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
    this.sort = at !== column ? [column, true] : up ? [column, false] : null; // the third press gives the order they came in
    this.render(this.items);
    this.place.querySelector(`[data-column="${column}"]`).focus({ preventScroll: true });
  }

  order(items) {
    if (!this.sort) return items;
    const [column, up] = this.sort;
    const key = COLUMNS[column][1];
    const compare = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true }));
    return [...items].sort((one, two) => {
      const [a, b] = [key(one), key(two)];
      return a === null || b === null ? (a === null) - (b === null) : compare(a, b) * (up ? 1 : -1);
    });
  }

  more() {
    const first = this.shown;
    this.shown += PORTION;
    this.render(this.items);
    this.focus(this.ordered[first]);
  }

  drawFilter() {
    const counts = Object.entries(FILTERS).map(([name, [title, fits]]) => [name, title, this.items.filter(fits).length]);
    if (counts.find(([name]) => name === this.only)[2] === 0) this.only = "all";
    const focused = this.filter.contains(document.activeElement);
    fill(this.filter, this.filter.querySelector("legend"), counts.filter(([name, , number]) => name === "all" || number).map(([name, title, number]) => make("label", {},
      make("input", { type: "radio", name: "filter", value: name, checked: name === this.only, change: () => { this.only = name; this.shown = PORTION; this.render(this.items); } }),
      make("span", {}, `${title} ${count(number)}`))));
    if (focused) this.filter.querySelector(":checked").focus();
  }

  row(item, thumb = null) {
    const { answer } = item;
    const cell = (at, ...content) => make("td", { role: "cell", class: `c${at}` }, content);
    const others = answer?.set?.filter((name) => name !== answer.label) ?? [];
    const place = make("span", { class: "thumb", "aria-hidden": "true" }, thumb);
    const name = make("th", { role: "rowheader", scope: "row", class: "c0" }, make("div", { class: "who" }, place, make("button", { type: "button", class: "open", click: () => this.open(item) }, breakable(item.name))));
    const cells = answer
      ? [
          cell(1, make("b", {}, breakable(answer.label ?? "–"))),
          cell(2, bar(answer.confidence), share(answer.confidence)),
          cell(3, answer.set && answer.familiar !== false ? (others.length ? others.map((each, at) => [at ? ", " : null, breakable(each)]) : make("span", { class: "muted" }, answer.set.length ? "nothing else" : "no class fits")) : make("span", { class: "muted" }, "–")),
          cell(4, answer.familiar === false ? make("span", { class: "flag" }, sign("warns"), " unlike") : answer.familiar ? make("span", { class: "muted" }, "like") : "–"),
        ]
      : [make("td", { role: "cell", class: "wide", colspan: "4" }, item.state === "failed"
          ? make("span", { class: "failed" }, sign("stops"), " ", sentence(item.problem), item.fix ? make("span", { class: "muted" }, ` ${sentence(item.fix)}`) : null)
          : make("span", { class: "muted" }, STATES[item.state]))];
    const row = make("tr", { role: "row", class: answer?.familiar === false ? "answered strange" : item.state, "data-item": item.id, "aria-current": item.id === this.current ? "true" : null, click: (event) => { if (!event.target.closest("button") && !String(getSelection())) this.open(item); } }, name, cells);
    row.item = item;
    this.rows.set(item.id, row);
    if (answer && !thumb) this.watch.observe(row); // only what the server could read is drawn
    return row;
  }

  /** Thumbnails are drawn one after another, and only of rows that are seen. */
  draw(row) {
    this.drawing = (this.drawing ?? Promise.resolve()).then(async () => {
      if (!row.isConnected) return;
      row.item.thumb ??= await thumbnail(row.item.file, SIDE).catch(() => null) ?? "none";
      if (row.item.thumb !== "none") row.querySelector(".thumb").replaceChildren(row.item.thumb);
      else row.querySelector(".thumb").classList.add("none");
    });
  }
}

function bar(value) {
  const length = make("span", { class: "length" });
  length.style.width = `${100 * (value ?? 0)}%`;
  return make("span", { class: "track", "aria-hidden": "true" }, length);
}

/** What was said of images that are like the training images, and what else there is: ["12 rust", "9 healthy"], ["2 unlike the training images", "1 not read"] */
function tally(items) {
  const labels = new Map();
  for (const { answer } of items) if (answer && answer.familiar !== false) labels.set(answer.label, (labels.get(answer.label) ?? 0) + 1);
  const ranked = [...labels].sort(([, a], [, b]) => b - a);
  const named = ranked.slice(0, 6).map(([name, number]) => `${count(number)} ${name}`);
  if (ranked.length > 6) named.push(`${count(ranked.slice(6).reduce((sum, [, number]) => sum + number, 0))} of other classes`);
  const of = (fits) => items.filter(fits).length;
  const asides = [
    [of(({ answer }) => answer?.familiar === false), "unlike the training images"],
    [of(({ state }) => state === "failed"), "not read"],
    [of(({ state }) => state === "stopped"), "canceled"],
  ].filter(([number]) => number).map(([number, words]) => `${count(number)} ${words}`);
  return [named, asides];
}

/** The same as a sentence to be heard. */
export const summaryOf = (items) => tally(items).map((part) => part.join(", ")).filter(Boolean).join("; ");

/** And as lists to be seen. */
export const summaryLists = (items) => tally(items).filter((part) => part.length).map((part, at) => make("ul", { class: at ? "tally asides" : "tally" }, part.map((each) => {
  const [number, ...words] = each.split(" ");
  return make("li", {}, make("b", {}, number), " ", breakable(words.join(" ")));
})));
