// The answer for one image: what it is called, how sure, what else it may be, where the network looked, what is near.

import { breakable, fill, find, make, sign } from "./dom.js";
import { Overlay, decodeMap } from "./heat.js";
import { drawn } from "./image.js";
import { count, familiaritySentence, sentence, setSentence, share, thresholdSentence } from "./words.js";

const SHOWN = 5;     // classes that are listed before the fold
const SAME = 0.05;   // a distance below it is the same image; others are tens away
const REACH = 2;     // times the limit, where the scale of likeness ends
let strength = 0.5;  // of the map; stays as the reader left it

/**
 * Fills the section with one item. `place` is [position, number] among all, `act` has previous, next, close, again.
 * Returns the heading, for the focus.
 */
export function showAnswer(section, item, model, place, act) {
  const [position, all] = place;
  const answer = item.answer;
  const title = make("h2", { id: "answer-title", tabindex: "-1" }, titleOf(item));
  const walk = all > 1 && make("nav", { class: "walk", "aria-label": "Images" },
    make("button", { type: "button", "aria-label": "Previous image", click: act.previous, disabled: position === 1 }, "←"),
    make("span", { class: "muted" }, `${count(position)} of ${count(all)}`),
    make("button", { type: "button", "aria-label": "Next image", click: act.next, disabled: position === all }, "→"),
    make("button", { type: "button", click: act.close }, "Close"));
  const pixels = answer && answer.width ? ` · ${count(answer.width)} × ${count(answer.height)} pixels` : "";
  section.className = answer?.familiar === false ? "doubtful" : item.state;
  section.dataset.item = item.id;
  fill(section,
    make("div", { class: "from" }, make("p", { class: "muted small" }, breakable(item.name), pixels), walk || null),
    make("div", { class: "verdict" }, answer?.familiar === false ? unlike(answer, model) : null, title, answer ? sentences(answer, model) : trouble(item, act)),
    item.state === "failed" ? null : make("figure", { class: "image" }, make("div", { class: "ground" })),
    answer ? make("div", { class: "evidence" }, probabilities(answer, model), likeness(answer), nearest(answer), notes(answer)) : null);
  section.hidden = false;
  showImage(section, item, model);
  return title;
}

function titleOf(item) {
  if (item.answer) {
    return [breakable(item.answer.label ?? "no label"), " ", make("span", { class: "sure" }, share(item.answer.confidence))];
  }
  return { failed: "No answer", stopped: "Canceled", waiting: "Waiting …", sent: "Looking …" }[item.state];
}

function unlike(answer, model) {
  return [
    make("div", { class: "note warn" },
      make("p", {}, sign("warns"), " ", make("b", {}, "Unlike anything I was trained on. "), familiaritySentence(false, answer.unfamiliarity))),
    make("p", { class: "eyebrow" }, `If it were one of my ${count(model.classes.length)} classes`),
  ];
}

function trouble(item, act) {
  if (item.state !== "failed" && item.state !== "stopped") return null;
  return [
    item.problem ? make("p", { class: "note stop" }, sign("stops"), " ", make("b", {}, sentence(item.problem)), item.fix ? ` ${sentence(item.fix)}` : null) : null,
    item.again || item.state === "stopped" ? make("p", {}, make("button", { type: "button", click: act.again }, "Try again")) : null,
  ];
}

function sentences(answer, model) {
  const calibrated = answer.familiar === false ? "is calibrated for images like the training images only" : model.calibrated ? "" : "is not calibrated";
  return [
    make("p", { class: "small muted kind" }, calibrated ? `probability of this class; it ${calibrated}` : "calibrated probability of this class"),
    ...[setSentence(answer, model.classes.length, model.coverage), thresholdSentence(model.threshold, answer)]
      .filter(Boolean).map((each) => make("p", { class: "says" }, each)),
  ];
}

/** Bars with numbers, the most probable first; a tick marks what is in the set, a line the threshold. */
function probabilities(answer, model) {
  const ranked = Object.entries(answer.probabilities ?? {}).sort(([, a], [, b]) => b - a);
  if (!ranked.length) return null;
  const inside = new Set(answer.familiar === false ? [] : answer.set); // of a stranger nothing was promised
  const some = Math.max(SHOWN, ranked.findLastIndex(([name]) => inside.has(name)) + 1);
  const cut = ranked.length > some + 1 ? some : ranked.length;
  const row = ([name, value]) => {
    const bar = make("span", { class: "length" });
    bar.style.width = `${100 * value}%`;
    const limit = model.threshold?.class_name === name && make("span", { class: "limit" });
    if (limit) limit.style.left = `${100 * model.threshold.value}%`;
    const said = name === answer.label;
    return make("li", { class: said ? "said" : inside.has(name) ? "possible" : null },
      make("span", {}, breakable(name), inside.has(name) ? make("span", { class: "tick", title: "in the set" }, " ✓", make("span", { class: "unseen" }, " in the set")) : null),
      make("span", { class: "track", "aria-hidden": "true" }, bar, limit || null),
      make("span", { class: "n" }, share(value)));
  };
  const rest = ranked.slice(cut);
  const legend = [inside.size ? "✓ in the set of likely classes" : null, model.threshold ? `the line at ${share(model.threshold.value)} is the limit for ${model.threshold.class_name}` : null].filter(Boolean);
  return [
    make("h3", {}, "Probabilities"),
    make("ol", { class: "bars" }, ranked.slice(0, cut).map(row)),
    rest.length ? make("details", {},
      make("summary", {}, `${rest.length} others, together ${share(rest.reduce((sum, [, value]) => sum + value, 0))}`),
      make("ol", { class: "bars", start: cut + 1 }, rest.map(row))) : null,
    legend.length ? make("p", { class: "small muted" }, `${legend.join("; ")}.`) : null,
  ];
}

/** A scale from 0 to twice the limit, and where this image lies. */
function likeness(answer) {
  if (answer.familiar === null || answer.familiar === undefined || answer.unfamiliarity === null) return null;
  const ratio = answer.unfamiliarity;
  const dot = make("span", { class: ratio > REACH ? "dot beyond" : "dot" });
  dot.style.left = `${(100 * Math.min(ratio, REACH)) / REACH}%`;
  return [
    make("h3", {}, "Likeness to the training images"),
    make("div", { class: "scale", "aria-hidden": "true" }, make("span", { class: "axis" }), make("span", { class: "strange" }), dot,
      make("span", { class: "at" }, "the same"), make("span", { class: "at half" }, "limit"), make("span", { class: "at end" }, "unlike")),
    answer.familiar ? make("p", { class: "small muted" }, familiaritySentence(true, ratio)) : make("p", { class: "unseen" }, `Unlike: ${ratio.toFixed(1)} times the limit.`),
  ];
}

function nearest(answer) {
  if (!answer.nearest?.length) return null;
  const same = (answer.nearest[0].distance ?? 1) < SAME;
  const pictured = answer.nearest.some((each) => each.thumbnail?.startsWith("data:image/"));
  return [
    make("h3", {}, "Nearest training images"),
    make("ol", { class: pictured ? "near pictured" : "near" }, answer.nearest.map((each) => make("li", {},
      each.thumbnail?.startsWith("data:image/") ? make("img", { src: each.thumbnail, alt: `A training image of ${each.label}` }) : null,
      make("span", {}, breakable(each.label)),
      each.distance === null || each.distance === undefined ? null : make("span", { class: "interval" }, `distance ${each.distance.toFixed(2)}`)))),
    same ? make("p", { class: "note warn" }, sign("warns"), " The nearest is this very image: the model was trained on it, so this answer shows nothing.") : null,
  ];
}

function notes(answer) {
  return answer.notes?.length ? [make("h3", {}, "Notes"), make("ul", { class: "small" }, answer.notes.map((each) => make("li", {}, sentence(each))))] : null;
}

/** The image, and over it the map once it is there. May be called again when the map has come. */
export async function showImage(section, item, model) {
  const figure = section.querySelector("figure.image");
  if (!figure || section.dataset.item !== String(item.id)) return;
  item.image ??= drawn(item.file);
  const found = await item.image;
  if (section.dataset.item !== String(item.id) || !figure.isConnected) return; // another one is shown by now
  const map = item.answer?.map ?? null;
  const told = [];
  const canvas = make("canvas", { role: "img", "aria-label": item.name });
  let image = found?.canvas;
  if (!image) {
    const kind = /\.([a-z0-9]{2,5})$/i.exec(item.name)?.[1];
    told.push(`This browser cannot draw ${kind ? `.${kind.toLowerCase()} files` : "this kind of file"}${item.answer ? "; the model has read it" : ""}.`);
    image = blank(item.answer);
  } else if (found.note) told.push(found.note);
  const overlay = new Overlay(image, map && decodeMap(map));
  const wanted = model?.maps && item.answer && !map && item.mapState !== "failed";
  const caption = make("figcaption", {}, told.map((each) => make("p", {}, each)), map ? aboutMap(map) : null,
    wanted ? make("p", { class: "muted" }, "The map is on its way …") : null,
    item.mapState === "failed" ? make("p", {}, sentence(`There is no map: ${item.mapProblem}`)) : null);
  const paint = () => overlay.paint(canvas, map ? strength : 0);
  fill(figure, make("div", { class: "ground" }, canvas), map ? slider(paint, canvas, item, map) : null, caption);
  paint();
}

function aboutMap(map) {
  return [
    make("p", {}, "Where the network found what speaks for ", make("b", {}, breakable(map.class)), ` (${map.method}, ${map.layer}). The line goes round half of the greatest heat.`),
    make("p", { class: "trust" }, map.trust),
  ];
}

function slider(paint, canvas, item, map) {
  const value = make("output", { for: "strength" });
  const input = make("input", { id: "strength", type: "range", min: "0", max: "100", step: "5", value: String(Math.round(strength * 100)) });
  const tell = () => {
    strength = Number(input.value) / 100;
    value.textContent = `${input.value} %`;
    canvas.setAttribute("aria-label", strength ? `${item.name} with the map for ${map.class} over it` : item.name);
  };
  let drawing = 0;
  input.addEventListener("input", () => {
    tell();
    cancelAnimationFrame(drawing);
    drawing = requestAnimationFrame(paint);
  });
  tell();
  return make("div", { class: "slider" }, make("label", { for: "strength" }, "Map"), input, value, make("span", { class: "heat-scale", "aria-hidden": "true" }, make("span", {}, "little"), make("i", {}), make("span", {}, "much")));
}

/** An even ground of the image's shape, where the image itself cannot be drawn. */
function blank(answer) {
  const [width, height] = answer?.width ? [answer.width, answer.height] : [4, 3];
  const canvas = document.createElement("canvas");
  const factor = 512 / Math.max(width, height);
  Object.assign(canvas, { width: Math.max(1, Math.round(width * factor)), height: Math.max(1, Math.round(height * factor)) });
  const context = canvas.getContext("2d");
  context.fillStyle = "#8b938c";
  context.fillRect(0, 0, canvas.width, canvas.height);
  return canvas;
}

/** What is read out when an answer comes. */
export function spoken(item, model) {
  const { answer } = item;
  if (!answer) return `${item.name}: ${sentence(item.problem || "no answer")} ${sentence(item.fix)}`;
  const unlikeIt = answer.familiar === false ? "Unlike anything I was trained on. " : "";
  return `${unlikeIt}${item.name}: ${answer.label}, probability ${share(answer.confidence, 2)}. ${setSentence(answer, model.classes.length, model.coverage) ?? ""}`;
}

export const answerSection = () => find("answer");
