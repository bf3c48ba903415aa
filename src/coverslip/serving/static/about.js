// The description of the model: its classes, test result and limitations.

import { breakable, fill, find, make, sign } from "./dom.js";
import { kindOf, number } from "./kinds.js";
import { count, counted, day, frequency, interval, sample, sentence, share, size, title } from "./words.js";

/** Fills the head of the page and the panel at its end, from GET /v1/model. */
export function showModel(model, withToken) {
  document.title = `${model.name} – Coverslip`;
  find("name").textContent = model.name;
  fill(find("lead"), kindOf(model).lead(model), testResult(model));
  find("about").hidden = false;
  find("storage-notice").hidden = !model.keeps;
  find("privacy").textContent = model.keeps
    ? "This server stores the images that are sent to it, and the answers. The page contacts no other server."
    : "Images and answers stay in this window until it is closed. This page stores nothing and contacts no other server.";
  fill(find("facts"), warnings(model), ruler(model.score), facts(model), limitations(model), programs(withToken));
}

function testResult({ score, tested_on: on }) {
  if (!score || !on) return "This model was not tested, or its test result is missing: its accuracy is unknown.";
  const value = [make("strong", {}, share(score.value)), " ", make("span", { class: "interval" }, interval(score))];
  return [`${score.title || title(score.name)}: `, value, ` on ${sample(on, "test image")}${novelty(on.seen)}.`];
}

/** Whether the model was trained on the test images; an empty string if unknown. */
function novelty(seen) {
  if (seen === 0) return " not used for training";
  return seen > 0 ? `; the model was trained on ${count(seen)} of them` : "";
}

/** The score with its confidence interval on a line from 0 to 1, as in the reports. */
function ruler(score) {
  if (!score || score.low === null || score.low === undefined || score.value < 0 || !(score.high <= 1) || score.name === "mae") return null;
  const range = make("span", { class: "range" }), dot = make("span", { class: "dot" });
  range.style.left = `${100 * score.low}%`;
  range.style.width = `${100 * (score.high - score.low)}%`;
  dot.style.left = `${100 * score.value}%`;
  const level = Math.round(100 * (score.level ?? 0.95));
  return make("figure", {},
    make("div", { class: "ruler", "aria-hidden": "true" }, make("span", { class: "axis" }), range, dot, ["0", "0.5", "1"].map((at) => {
      const tick = make("span", { class: "below" }, at);
      tick.style.left = `${100 * Number(at)}%`;
      return tick;
    })),
    make("figcaption", {}, `${interval(score)} is the ${level} % confidence interval: the values that are plausible given this number of test images.`));
}

function warnings(model) {
  if (!model.warnings?.length) return null;
  return make("div", { class: "note warn" }, model.warnings.map((warning) => make("p", {}, sign("warning"), " ", sentence(warning))));
}

const NAMES = { ordinal: "Classes, lowest first", multilabel: "Labels" };

function coverageOf({ task, coverage }) {
  if (task === "regression") return ["Prediction intervals", `contain the true value for ${frequency(coverage)}`];
  if (task === "multilabel") return ["Sets of labels", `contain ${Math.round(100 * coverage)} % of the true labels of an image on average`];
  return ["Prediction sets", `contain the true class for ${frequency(coverage)} of each class`];
}

function facts(model) {
  const { threshold, limits } = model;
  const rows = [
    model.classes.length && [NAMES[model.task] ?? "Classes", make("span", { id: "classes" }, model.classes.map((name, at) => [at ? " " : null, make("span", { class: "class-name" }, breakable(name), at < model.classes.length - 1 ? "," : null)]))],
    model.targets?.length && ["Values in training", model.targets.map(({ name, low, high }, at) => [at ? "; " : null, breakable(name), low === null ? null : ` from ${number(low)} to ${number(high)}`])],
    ["Network", model.network],
    ["Trained on", model.trained_on?.images > 0 && [sample(model.trained_on), model.trained_on.name ? [" of ", breakable(model.trained_on.name)] : null]],
    ["Tested on", model.tested_on ? sample(model.tested_on) : "no test result available"],
    model.score && [model.score.title || title(model.score.name), [share(model.score.value), " ", make("span", { class: "interval" }, interval(model.score))]],
    model.task !== "regression" && ["Probabilities", model.calibrated ? "calibrated: of the predictions with a probability of 0.9, about 9 of 10 are correct for images like the test images" : "not calibrated: of the predictions with a probability of 0.9, fewer than 9 of 10 may be correct"],
    model.coverage && coverageOf(model),
    model.thresholds && ["Thresholds", Object.entries(model.thresholds).map(([name, value], at) => [at ? ", " : null, breakable(name), ` ${number(value)}`])],
    threshold && ["Decision threshold", operatingPoint(threshold)],
    model.familiarity && ["Nearest training images", model.examples ? "shown as thumbnails" : model.task && !model.classes.length ? "shown by value only; the images are not part of this model" : "shown by class only; the images are not part of this model"],
    limits && ["Limits", [limits.pixels && `${count(limits.pixels / 1e6)} million pixels per image`, limits.bytes && `${size(limits.bytes)} per request`, limits.images && `${counted(limits.images, "image")} per request (this page sends larger selections in several requests)`].filter(Boolean).join(", ")],
    model.date && ["Created", [day(model.date), model.program ? `, ${model.program}` : null]],
    ["Licence", model.licence || "not stated"],
  ];
  return make("dl", { class: "facts" }, rows.filter((row) => row && row[1]).map(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
}

const MEASURED_ON = {
  test: ["On the test set", ""],
  fit: ["On the images that were used to choose the threshold", " These values are too optimistic: expect lower values for new images. The threshold was not evaluated on the test set."],
  validation: ["On validation images that were not used for training", " The threshold was not evaluated on the test set."],
};

/** The decision threshold, its sensitivity and specificity, and the images on which they were measured. */
function operatingPoint(threshold) {
  const rule = [make("b", {}, breakable(threshold.class_name)), ` is predicted if its probability is at least ${share(threshold.value)}. `];
  const { sensitivity, specificity, measured_on: on } = threshold;
  if (!MEASURED_ON[on]) return [rule, "Sensitivity and specificity were not measured."];
  const [where, warning] = MEASURED_ON[on];
  const shown = (score) => [share(score.value, 2), " ", make("span", { class: "interval" }, interval(score, 2)), score.images ? ` (n = ${count(score.images)})` : null];
  return [rule, `${where}: sensitivity `, shown(sensitivity), ", specificity ", shown(specificity), `.${warning}`];
}

const LIMITS = {
  multilabel: "The model knows only its own labels, whatever else the image shows.",
  regression: "The model predicts a value for any image, whatever it shows.",
};

function limitations(model) {
  const sentences = [
    LIMITS[model.task] ?? "The model always predicts one of its classes, whatever the image shows.",
    model.familiarity
      ? "It flags images that are unlike its training images. An unknown disease on a known plant can still look familiar."
      : "It cannot detect images that are unlike its training images.",
    "Errors can be larger for images from another camera, place or season than those of the test set.",
    model.maps ? "A heat map shows where the network found evidence, not why. The reliability of the maps is stated next to each map." : null,
  ];
  return [make("h3", {}, "Limitations"), make("ul", {}, sentences.filter(Boolean).map((text) => make("li", {}, text)))];
}

function programs(withToken) {
  const address = new URL("v1/predict", document.baseURI).href;
  const line = `curl ${withToken ? '-H "Authorization: Bearer TOKEN" ' : ""}-F files=@leaf.jpg ${address}`;
  const code = make("code", { id: "curl", tabindex: "0" }, line);
  const button = make("button", { type: "button" }, "Copy");
  button.addEventListener("click", async () => {
    button.textContent = (await copy(line, code)) ? "Copied" : "Not copied: select the text";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  return [
    make("h3", {}, "Use from a program"),
    make("p", {}, "The REST API returns the same predictions as JSON, or as CSV with ", make("code", {}, "?format=csv"), ". Repeat ", make("code", {}, "-F"), " to send more images. The API is described in ", make("a", { href: "openapi.json" }, "openapi.json"), "."),
    make("div", { class: "curl" }, make("pre", {}, code), button),
  ];
}

/** Browsers block the clipboard for pages without TLS from another machine; there, a selection is copied instead. */
async function copy(text, element) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    getSelection().selectAllChildren(element);
    return document.execCommand("copy");
  }
}
