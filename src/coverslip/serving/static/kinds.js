// What the answers of each task say: heading, table cells, CSV columns and summary. The task is that of the model.

import { breakable, make } from "./dom.js";
import { count, listed, setSentence, share } from "./words.js";

const SEPARATOR = " | "; // between class names in one cell
const NO_LABEL = "none";
const DIGITS = 4;        // significant digits of a value

/** 0.123456 -> "0.1235". */
export const number = (value) => (value === null || value === undefined ? "–" : String(Number(value.toPrecision(DIGITS))));

const intervalOf = ({ low, high }) => (low === null || low === undefined ? "" : `[${number(low)}, ${number(high)}]`);
const labelText = (labels) => (labels?.length ? labels.join(", ") : "no label");
const valueText = (values, many) => values.map((one) => (many ? `${one.name} ${number(one.value)}` : number(one.value))).join(", ");
const dash = () => make("span", { class: "muted" }, "–");

export function bar(value) {
  const length = make("span", { class: "length" });
  length.style.width = `${100 * (value ?? 0)}%`;
  return make("span", { class: "track", "aria-hidden": "true" }, length);
}

/** Names of a set that are not predicted, for a cell of the table; the set of an unfamiliar image is not shown. */
function others(answer, predicted, noun) {
  if (!answer.set || answer.familiar === false) return dash();
  const rest = answer.set.filter((name) => !predicted.includes(name));
  if (rest.length) return rest.map((name, at) => [at ? ", " : null, breakable(name)]);
  return make("span", { class: "muted" }, answer.set.length ? `no other ${noun}` : "empty set");
}

const CLASSES = {
  lead: ({ classes }) => (classes.length <= 3
    ? ["Classifies an image as ", classes.flatMap((name, at) => [at === 0 ? "" : at === classes.length - 1 ? " or " : ", ", make("b", {}, breakable(name))]), ". "]
    : ["Classifies an image as one of ", make("a", { href: "#classes" }, `${count(classes.length)} classes`), ". "]),
  columns: () => ["Predicted class", "Probability", "Also in the set"],
  keys: [(answer) => answer.label, (answer) => answer.confidence, (answer) => answer.set?.length ?? null],
  cells: (answer) => [make("b", {}, breakable(answer.label ?? "–")), [bar(answer.confidence), share(answer.confidence)], others(answer, [answer.label], "class")],
  heading: (answer) => [breakable(answer.label ?? "no prediction"), " ", make("span", { class: "confidence" }, share(answer.confidence))],
  spoken: (answer, model) => `${answer.label}, probability ${share(answer.confidence, 2)}. ${setSentence(answer, model.classes.length, model.coverage) ?? ""}`,
  uncertain: (answer) => Boolean(answer.set && answer.set.length !== 1),
  tallied: (answer) => [answer.label],
  unfamiliar: (model) => `Most probable of the ${count(model.classes.length)} classes, unreliable for this image`,
  head: (model) => ["predicted", "confidence", ...model.classes.map((name) => `p:${name}`), "set"],
  row: (answer, model) => [answer?.label, answer?.confidence, ...model.classes.map((name) => answer?.probabilities?.[name]), answer?.set?.join(SEPARATOR)],
};

const LABELS = {
  lead: (model) => ["Finds any of ", make("a", { href: "#classes" }, `${count(model.classes.length)} labels`), " in an image, or none. "],
  columns: () => ["Predicted labels", "Highest probability", "Also in the set"],
  keys: [(answer) => labelText(answer.labels), (answer) => Math.max(...Object.values(answer.probabilities ?? { "": 0 })), (answer) => answer.set?.length ?? null],
  cells: (answer) => {
    const highest = Math.max(...Object.values(answer.probabilities ?? { "": 0 }));
    return [make("b", {}, breakable(labelText(answer.labels))), [bar(highest), share(highest)], others(answer, answer.labels ?? [], "label")];
  },
  heading: (answer) => [breakable(labelText(answer.labels))],
  spoken: (answer) => `${labelText(answer.labels)}.`,
  uncertain: (answer) => Boolean(answer.set?.some((name) => !answer.labels?.includes(name))),
  tallied: (answer) => (answer.labels?.length ? answer.labels : ["without label"]),
  unfamiliar: () => "Predicted labels, unreliable for this image",
  head: (model) => ["predicted", ...model.classes.map((name) => `p:${name}`), "set"],
  row: (answer, model) => [answer?.labels && (answer.labels.join(";") || NO_LABEL), ...model.classes.map((name) => answer?.probabilities?.[name]), answer?.set && (answer.set.join(";") || NO_LABEL)],
};

const VALUES = {
  lead: (model) => ["Predicts ", model.targets.map(({ name }, at) => [at ? ", " : null, make("b", {}, breakable(name))]), " of an image. "],
  columns: (model) => [model.targets.length > 1 ? "Predicted values" : `Predicted ${model.targets[0]?.name ?? "value"}`, "Prediction interval", "Range"],
  keys: [(answer) => answer.values?.[0]?.value ?? null, (answer) => (intervalOf(answer.values?.[0] ?? {}) ? answer.values[0].high - answer.values[0].low : null), (answer) => (answer.values?.some(({ outside }) => outside) ? 1 : 0)],
  cells: (answer) => {
    const values = answer.values ?? [];
    return [
      make("b", {}, breakable(valueText(values, values.length > 1))),
      values.map(intervalOf).filter(Boolean).join(", ") || dash(),
      values.some(({ outside }) => outside) ? "outside the training values" : make("span", { class: "muted" }, "within the training values"),
    ];
  },
  heading: ({ values }) => [breakable(valueText(values ?? [], (values ?? []).length > 1)), " ", make("span", { class: "confidence" }, (values ?? []).map(intervalOf).filter(Boolean).join(", "))],
  spoken: ({ values }) => `${(values ?? []).map((one) => `${one.name} ${number(one.value)} ${intervalOf(one)}`).join(", ")}.`,
  uncertain: (answer) => Boolean(answer.values?.some(({ outside }) => outside)),
  tallied: (answer) => [answer.values?.some(({ outside }) => outside) ? "outside the training values" : "within the training values"],
  unfamiliar: () => "Predicted value, unreliable for this image",
  head: ({ targets }) => targets.flatMap(({ name }) => ["predicted", "low", "high"].map((part) => (targets.length > 1 ? `${part}:${name}` : part))),
  row: (answer, { targets }) => targets.flatMap((_, at) => ["value", "low", "high"].map((part) => answer?.values?.[at]?.[part])),
};

const KINDS = { classification: CLASSES, ordinal: CLASSES, multilabel: LABELS, regression: VALUES };

/** The kind of answers of a model; models of earlier versions are classifiers. */
export const kindOf = (model) => KINDS[model?.task ?? "classification"];

/** What the set, or the interval, of an answer says; null without one. */
export function guarantee(answer, model) {
  if (model.task === "regression") {
    if (!model.coverage || !answer.values?.some((one) => intervalOf(one))) return null;
    if (answer.familiar === false) return "The interval is valid only for images like the training images.";
    return `The interval contains the true value for ${Math.round(100 * model.coverage)} % of such images.`;
  }
  if (model.task === "multilabel") {
    if (!answer.set || answer.familiar === false) return null;
    const share = model.coverage ? ` On average, sets contain ${Math.round(100 * model.coverage)} % of the true labels of an image.` : "";
    return `${answer.set.length ? `These labels cannot be excluded: ${listed(answer.set)}.` : "All labels can be excluded."}${share}`;
  }
  return setSentence(answer, model.classes.length, model.coverage);
}
