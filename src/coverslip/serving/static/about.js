// What the model is, what it was tested on, and what it cannot do: said before anybody asks it anything.

import { breakable, fill, find, make, sign } from "./dom.js";
import { count, counted, day, interval, odds, sample, sentence, share, size } from "./words.js";

/** The head of the page and the panel at its foot, from GET /v1/model. */
export function showModel(model, withToken) {
  document.title = `${model.name} – Coverslip`;
  find("name").textContent = model.name;
  const classes = model.classes.length;
  const what = classes <= 3 ? ["Names an image ", ...either(model.classes), ". "] : ["Names an image as one of ", make("a", { href: "#classes" }, `${count(classes)} classes`), ". "];
  fill(find("lead"), what, tested(model));
  find("about").hidden = false;
  find("kept").hidden = !model.keeps;
  find("promise").textContent = model.keeps
    ? "This server keeps the images that are sent to it, and the answers. The page asks no other computer for anything."
    : "Images and answers stay in this window until it is closed: this page keeps nothing and asks no other computer for anything.";
  fill(find("facts"), warnings(model), ruler(model.score), facts(model), cannot(model), byHand(withToken));
}

const either = (classes) => classes.flatMap((name, at) => [at === 0 ? "as " : at === classes.length - 1 ? " or " : ", ", make("b", {}, breakable(name))]);

function tested({ score, tested_on: on }) {
  if (!score || !on) return "It was not tested, or its test was not kept: nobody knows how often it is right.";
  const number = [make("strong", {}, share(score.value)), " ", make("span", { class: "interval" }, interval(score))];
  const which = `${sample(on)}${known(on.seen)}`;
  if (score.name === "accuracy") return [`Of ${which}, it named a share of `, number, " correctly."];
  return [`On ${which}, its ${score.name.replaceAll("_", " ")} was `, number, "."];
}

/** Whether the images of the test were new to the model; where nobody can tell, no word of it. */
function known(seen) {
  if (seen === 0) return " it had not seen";
  return seen > 0 ? ` (it was trained on ${count(seen)} of them)` : "";
}

/** The score on a line from 0 to 1, as at the head of a report. */
function ruler(score) {
  if (!score || score.low === null || score.low === undefined || score.value < 0) return null;
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
    make("figcaption", {}, `The range ${interval(score)} is a ${level} % interval: by so many test images, the true share could well be any number in it.`));
}

function warnings(model) {
  if (!model.warnings?.length) return null;
  return make("div", { class: "note warn" }, model.warnings.map((each) => make("p", {}, sign("warns"), " ", sentence(each))));
}

function facts(model) {
  const { threshold, limits } = model;
  const rows = [
    ["Classes", make("span", { id: "classes" }, model.classes.map((name, at) => [at ? " " : null, make("span", { class: "one" }, breakable(name), at < model.classes.length - 1 ? "," : null)]))],
    ["Network", model.network],
    ["Trained on", model.trained_on?.images > 0 && [sample(model.trained_on), model.trained_on.name ? [" of ", breakable(model.trained_on.name)] : null]],
    ["Tested on", model.tested_on ? sample(model.tested_on) : "nothing that was kept"],
    model.score && [capital(model.score.name.replaceAll("_", " ")), [share(model.score.value), " ", make("span", { class: "interval" }, interval(model.score))]],
    ["Probabilities", model.calibrated ? "calibrated: of the answers given with 0.9, about 9 in 10 are right on images like those it was tested on" : "not calibrated: a probability of 0.9 may not be right 9 times in 10"],
    model.coverage && ["Sets of classes", `made to hold the true class ${odds(model.coverage)}, for each class`],
    threshold && ["Limit", limit(threshold)],
    model.familiarity && ["Nearest images", model.examples ? "shown as small images" : "named by their class; the images themselves are not part of this model"],
    limits && ["Takes", [limits.pixels && `images of up to ${count(limits.pixels / 1e6)} million pixels`, limits.bytes && `${size(limits.bytes)}`, limits.images && `${counted(limits.images, "image")} a request (this page sends more in portions)`].filter(Boolean).join(", ")],
    model.date && ["Made", [day(model.date), model.program ? ` with ${model.program}` : null]],
    ["Licence", model.licence || "none stated"],
  ];
  return make("dl", { class: "facts" }, rows.filter((row) => row && row[1]).map(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
}

const MEASURED = {
  test: ["In its test", ""],
  fit: ["On the very images that it was set with,", " Expect less of new images: the test has no such numbers."],
  validation: ["On validation images, which trained nothing,", " The test has no such numbers."],
};

/** From where on the class is said, what that finds and spares, and on which images that was measured. */
function limit(threshold) {
  const said = [make("b", {}, breakable(threshold.class_name)), ` is said from a probability of ${share(threshold.value)} up. `];
  const { sensitivity, specificity, measured_on: on } = threshold;
  if (!MEASURED[on]) return [said, "What that finds was not measured."];
  const of = (score) => [share(score.value, 2), " ", make("span", { class: "interval" }, interval(score, 2))];
  const [where, warning] = MEASURED[on];
  const images = sensitivity.images || specificity.images ? `, on ${count(sensitivity.images ?? 0)} and ${counted(specificity.images ?? 0, "image")}` : "";
  return [
    said, `${where} it found a share of `, of(sensitivity), " of those that are (sensitivity), and left ", of(specificity),
    " of the others alone (specificity)", `${images}.${warning}`,
  ];
}

function cannot(model) {
  const said = [
    "It names one of its classes, whatever the image shows.",
    model.familiarity
      ? "It flags images of another kind as unlike its training images; a new disease on a plant that it knows may pass as familiar."
      : "It cannot tell an image that is unlike its training images.",
    "Images from another camera, place or season may be harder than those it was tested on.",
    model.maps ? "A map shows where the network looked, not why; beside each stands how far it can be trusted." : null,
  ];
  return [make("h3", {}, "What it cannot do"), make("ul", {}, said.filter(Boolean).map((each) => make("li", {}, each)))];
}

function byHand(withToken) {
  const address = new URL("v1/predict", document.baseURI).href;
  const line = `curl ${withToken ? '-H "Authorization: Bearer TOKEN" ' : ""}-F files=@leaf.jpg ${address}`;
  const code = make("code", { id: "curl", tabindex: "0" }, line);
  const button = make("button", { type: "button" }, "Copy");
  button.addEventListener("click", async () => {
    button.textContent = (await copy(line, code)) ? "Copied" : "Select and copy it by hand";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  return [
    make("h3", {}, "Without this page"),
    make("p", {}, "The same answers for a program, as JSON, or as CSV with ", make("code", {}, "?format=csv"), "; repeat ", make("code", {}, "-F"), " for more images. Everything it understands is in ", make("a", { href: "openapi.json" }, "openapi.json"), "."),
    make("div", { class: "curl" }, make("pre", {}, code), button),
  ];
}

/** The clipboard is closed to pages that came without TLS from another machine; then a selection is copied. */
async function copy(text, element) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    getSelection().selectAllChildren(element);
    return document.execCommand("copy");
  }
}

const capital = (word) => word.charAt(0).toUpperCase() + word.slice(1);
