// The prediction for one image: class, probability, prediction set, heat map, and the nearest training images.

import { breakable, fill, find, make, sign } from "./dom.js";
import { Overlay, decodeMap } from "./heat.js";
import { decode } from "./image.js";
import { guarantee, kindOf, number } from "./kinds.js";
import { count, familiaritySentence, sentence, share, thresholdSentence } from "./words.js";

const SHOWN = 5;       // classes that are listed before the rest is folded
const IDENTICAL = 0.05; // an identical image has a smaller distance; all others are far above it
const SCALE_END = 2;   // end of the familiarity scale, in multiples of the threshold
let opacity = 0.5;     // of the map; kept from one image to the next

/**
 * Fills the section with one item. `place` is [position, number] among all items, `act` has previous, next, close, again.
 * Returns the heading, for the focus.
 */
export function showAnswer(section, item, model, place, act) {
  const [position, all] = place;
  const answer = item.answer;
  const title = make("h2", { id: "answer-title", tabindex: "-1" }, titleOf(item, model));
  const navigation = all > 1 && make("nav", { class: "navigation", "aria-label": "Images" },
    make("button", { type: "button", "aria-label": "Previous image", click: act.previous, disabled: position === 1 }, "←"),
    make("span", { class: "muted" }, `${count(position)} of ${count(all)}`),
    make("button", { type: "button", "aria-label": "Next image", click: act.next, disabled: position === all }, "→"),
    make("button", { type: "button", click: act.close }, "Close"));
  const pixels = answer && answer.width ? ` · ${count(answer.width)} × ${count(answer.height)} pixels` : "";
  section.className = answer?.familiar === false ? "unfamiliar" : item.state;
  section.dataset.item = item.id;
  fill(section,
    make("div", { class: "source" }, make("p", { class: "muted small" }, breakable(item.name), pixels), navigation || null),
    make("div", { class: "prediction" }, answer?.familiar === false ? unfamiliarWarning(answer, model) : null, title, answer ? sentences(answer, model) : problem(item, act)),
    item.state === "failed" ? null : make("figure", { class: "image" }, make("div", { class: "ground" })),
    answer ? make("div", { class: "evidence" }, probabilities(answer, model), values(answer, model), familiarity(answer), nearest(answer), notes(answer)) : null);
  section.hidden = false;
  showImage(section, item, model);
  return title;
}

function titleOf(item, model) {
  if (item.answer) {
    return kindOf(model).heading(item.answer);
  }
  return { failed: "No prediction", stopped: "Canceled", waiting: "Waiting …", sent: "Predicting …" }[item.state];
}

function unfamiliarWarning(answer, model) {
  return [
    make("div", { class: "note warn" },
      make("p", {}, sign("warning"), " ", make("b", {}, "This image is unlike the training images. "), familiaritySentence(false, answer.unfamiliarity))),
    make("p", { class: "eyebrow" }, kindOf(model).unfamiliar(model)),
  ];
}

function problem(item, act) {
  if (item.state !== "failed" && item.state !== "stopped") return null;
  return [
    item.problem ? make("p", { class: "note stop" }, sign("error"), " ", make("b", {}, sentence(item.problem)), item.fix ? ` ${sentence(item.fix)}` : null) : null,
    item.retryable || item.state === "stopped" ? make("p", {}, make("button", { type: "button", click: act.again }, "Try again")) : null,
  ];
}

function sentences(answer, model) {
  const statements = [guarantee(answer, model), thresholdSentence(model.threshold, answer)]
    .filter(Boolean).map((text) => make("p", { class: "statement" }, text));
  if (model.task === "regression" || model.task === "multilabel") return statements;
  const kind = !model.calibrated
    ? "probability of this class, not calibrated"
    : answer.familiar === false ? "probability of this class, calibrated only for images like the training images" : "calibrated probability of this class";
  return [
    make("p", { class: "small muted kind" }, kind),
    ...statements,
  ];
}

/** Bars with numbers, the most probable first; a tick marks classes in the prediction set, a line the threshold. */
function probabilities(answer, model) {
  const ranked = Object.entries(answer.probabilities ?? {}).sort(([, a], [, b]) => b - a);
  if (!ranked.length) return null;
  const inSet = new Set(answer.familiar === false ? [] : answer.set); // the coverage is not valid for unfamiliar images
  const listed = Math.max(SHOWN, ranked.findLastIndex(([name]) => inSet.has(name)) + 1);
  const cut = ranked.length > listed + 1 ? listed : ranked.length;
  const row = ([name, value]) => {
    const bar = make("span", { class: "length" });
    bar.style.width = `${100 * value}%`;
    const limit = model.thresholds?.[name] ?? (model.threshold?.class_name === name ? model.threshold.value : null);
    const threshold = limit !== null && make("span", { class: "threshold" });
    if (threshold) threshold.style.left = `${100 * limit}%`;
    return make("li", { class: name === answer.label || answer.labels?.includes(name) ? "predicted" : inSet.has(name) ? "in-set" : null },
      make("span", {}, breakable(name), inSet.has(name) ? make("span", { class: "tick", title: "in the prediction set" }, " ✓", make("span", { class: "visually-hidden" }, " in the prediction set")) : null),
      make("span", { class: "track", "aria-hidden": "true" }, bar, threshold || null),
      make("span", { class: "n" }, share(value)));
  };
  const rest = ranked.slice(cut);
  const legend = [inSet.size ? "✓ in the prediction set" : null, model.thresholds ? "line: threshold of the label" : null, model.threshold ? `line at ${share(model.threshold.value)}: decision threshold for ${model.threshold.class_name}` : null].filter(Boolean);
  return [
    make("h3", {}, "Probabilities"),
    make("ol", { class: "bars" }, ranked.slice(0, cut).map(row)),
    rest.length ? make("details", {},
      make("summary", {}, model.thresholds ? `${rest.length} other labels` : `${rest.length} other classes, ${share(rest.reduce((sum, [, value]) => sum + value, 0))} in total`),
      make("ol", { class: "bars", start: cut + 1 }, rest.map(row))) : null,
    legend.length ? make("p", { class: "small muted" }, `${legend.join("; ")}.`) : null,
  ];
}

/** Each value with its interval on a line over the training values. */
function values(answer, model) {
  if (!answer.values?.length) return null;
  return answer.values.map((one, at) => {
    const { low: first, high: last } = model.targets[at] ?? {};
    const ends = [first, last, one.low, one.high, one.value].filter((end) => end !== null && end !== undefined);
    const [least, most] = [Math.min(...ends), Math.max(...ends)];
    const place = (value) => (most > least ? (100 * (value - least)) / (most - least) : 50);
    const dot = make("span", { class: "dot" }), range = make("span", { class: "range" });
    dot.style.left = `${place(one.value)}%`;
    if (one.low !== null && one.low !== undefined) Object.assign(range.style, { left: `${place(one.low)}%`, width: `${place(one.high) - place(one.low)}%` });
    return [
      make("h3", {}, breakable(one.name)),
      make("div", { class: "ruler", "aria-hidden": "true" }, make("span", { class: "axis" }), range, dot, [least, most].map((value, end) => {
        const tick = make("span", { class: "below" }, number(value));
        tick.style.left = `${100 * end}%`;
        return tick;
      })),
      one.outside ? make("p", { class: "small muted" }, `The value lies outside the training values, ${number(first)} to ${number(last)}.`) : null,
    ];
  });
}

/** A scale from 0 to twice the threshold with the position of this image. */
function familiarity(answer) {
  if (answer.familiar === null || answer.familiar === undefined || answer.unfamiliarity === null) return null;
  const ratio = answer.unfamiliarity;
  const dot = make("span", { class: ratio > SCALE_END ? "dot beyond" : "dot" });
  dot.style.left = `${(100 * Math.min(ratio, SCALE_END)) / SCALE_END}%`;
  return [
    make("h3", {}, "Distance from the training images"),
    make("div", { class: "scale", "aria-hidden": "true" }, make("span", { class: "axis" }), make("span", { class: "unlike" }), dot,
      make("span", { class: "at" }, "identical"), make("span", { class: "at half" }, "threshold"), make("span", { class: "at end" }, "unlike")),
    answer.familiar ? make("p", { class: "small muted" }, familiaritySentence(true, ratio)) : make("p", { class: "visually-hidden" }, `Unlike the training images: ${ratio.toFixed(1)} times the threshold.`),
  ];
}

function nearest(answer) {
  if (!answer.nearest?.length) return null;
  const identical = (answer.nearest[0].distance ?? 1) < IDENTICAL;
  const hasThumbnail = (neighbor) => neighbor.thumbnail?.startsWith("data:image/");
  return [
    make("h3", {}, "Nearest training images"),
    make("ol", { class: answer.nearest.some(hasThumbnail) ? "neighbors with-thumbnails" : "neighbors" }, answer.nearest.map((neighbor) => make("li", {},
      hasThumbnail(neighbor) ? make("img", { src: neighbor.thumbnail, alt: `Training image: ${neighbor.label}` }) : null,
      make("span", {}, breakable(neighbor.label)),
      neighbor.distance === null || neighbor.distance === undefined ? null : make("span", { class: "interval" }, `distance ${neighbor.distance.toFixed(2)}`)))),
    identical ? make("p", { class: "note warn" }, sign("warning"), " The nearest training image is this image. The model was trained on it, so this prediction is not a test of the model.") : null,
  ];
}

function notes(answer) {
  return answer.notes?.length ? [make("h3", {}, "Notes"), make("ul", { class: "small" }, answer.notes.map((note) => make("li", {}, sentence(note))))] : null;
}

/** Draws the image and, when it is available, the map over it. Is called again when the map has arrived. */
export async function showImage(section, item, model) {
  const figure = section.querySelector("figure.image");
  if (!figure || section.dataset.item !== String(item.id)) return;
  item.image ??= decode(item.file);
  const result = await item.image;
  if (section.dataset.item !== String(item.id) || !figure.isConnected) return; // another item was opened meanwhile
  const map = item.answer?.map ?? null;
  const remarks = [];
  const canvas = make("canvas", { role: "img", "aria-label": item.name });
  let image = result?.canvas;
  if (!image) {
    const suffix = /\.([a-z0-9]{2,5})$/i.exec(item.name)?.[1];
    remarks.push(`This browser cannot display ${suffix ? `.${suffix.toLowerCase()} files` : "this file format"}.${item.answer ? " The model has read the image." : ""}`);
    image = blank(item.answer);
  } else if (result.note) remarks.push(result.note);
  const overlay = new Overlay(image, map && decodeMap(map));
  const pending = model?.maps && item.answer && !map && item.mapState !== "failed";
  const caption = make("figcaption", {}, remarks.map((remark) => make("p", {}, remark)), map ? aboutMap(map) : null,
    pending ? make("p", { class: "muted" }, "Computing the map …") : null,
    item.mapState === "failed" ? make("p", {}, sentence(`No map: ${item.mapProblem}`)) : null);
  const paint = () => overlay.paint(canvas, map ? opacity : 0);
  fill(figure, make("div", { class: "ground" }, canvas), map ? slider(paint, canvas, item, map) : null, caption);
  paint();
}

function aboutMap(map) {
  return [
    make("p", {}, "Evidence for ", make("b", {}, breakable(map.class)), ` (${map.layer ? `${map.method}, ${map.layer}` : map.method}). The line marks half of the maximum.`),
    make("p", { class: "reliability" }, map.trust),
  ];
}

function slider(paint, canvas, item, map) {
  const value = make("output", { for: "opacity" });
  const input = make("input", { id: "opacity", type: "range", min: "0", max: "100", step: "5", value: String(Math.round(opacity * 100)) });
  const update = () => {
    opacity = Number(input.value) / 100;
    value.textContent = `${input.value} %`;
    canvas.setAttribute("aria-label", opacity ? `${item.name} with the map for ${map.class}` : item.name);
  };
  let frame = 0;
  input.addEventListener("input", () => {
    update();
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(paint);
  });
  update();
  return make("div", { class: "slider" }, make("label", { for: "opacity" }, "Map"), input, value, make("span", { class: "heat-scale", "aria-hidden": "true" }, make("span", {}, "low"), make("i", {}), make("span", {}, "high")));
}

/** A grey area with the shape of the image, for files that the browser cannot display. */
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

/** The text for screen readers when an answer arrives. */
export function spoken(item, model) {
  const { answer } = item;
  if (!answer) return `${item.name}: ${sentence(item.problem || "no prediction")} ${sentence(item.fix)}`;
  const warning = answer.familiar === false ? "This image is unlike the training images. " : "";
  return `${warning}${item.name}: ${kindOf(model).spoken(answer, model)}`;
}

export const answerSection = () => find("answer");
