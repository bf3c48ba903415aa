// Numbers and sentences. Nothing in this file changes the page.

const MAX_NAMES = 6; // names in a list before "and 3 others"

/** 0.93 -> "0.930"; a value that would be rounded to 0 or 1 becomes "<0.001" or ">0.999". */
export function share(value, digits = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const least = 10 ** -digits;
  if (value > 0 && value < least / 2) return `<${least.toFixed(digits)}`;
  if (value < 1 && value > 1 - least / 2) return `>${(1 - least).toFixed(digits)}`;
  return value.toFixed(digits);
}

/** 10000 -> "10,000". */
export const count = (number) => new Intl.NumberFormat("en").format(number);

/** (3, "image") -> "3 images". */
export const counted = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

/** 2500000 -> "2.5 MB". */
export function size(bytes) {
  if (bytes < 1000) return counted(bytes, "byte");
  const units = ["kB", "MB", "GB"];
  let value = bytes / 1000, at = 0;
  while (value >= 1000 && at < units.length - 1) { value /= 1000; at += 1; }
  return `${value >= 10 || Number.isInteger(value) ? Math.round(value) : value.toFixed(1)} ${units[at]}`;
}

/** 0.9 -> "9 of 10 images", 0.95 -> "19 of 20 images", 0.87 -> "87 of 100 images". */
export function frequency(value) {
  for (const total of [10, 20, 100]) {
    const times = value * total;
    if (Math.abs(times - Math.round(times)) < 1e-6) return `${Math.round(times)} of ${total} images`;
  }
  return `a fraction of ${share(value)} of the images`;
}

/** ["a", "b", "c"] -> "a, b and c"; a long list ends in "and 4 others". */
export function listed(names, most = MAX_NAMES) {
  const shown = names.length > most + 1 ? names.slice(0, most) : names;
  const rest = names.length - shown.length;
  const all = rest ? [...shown, `${count(rest)} others`] : shown;
  return all.length < 2 ? all.join("") : `${all.slice(0, -1).join(", ")} and ${all.at(-1)}`;
}

/**
 * The prediction set in a sentence; null without a set. `classes` is the number of classes. The coverage of a set is
 * not valid for images that are not familiar.
 */
export function setSentence({ set, familiar }, classes, coverage) {
  if (!set) return null;
  if (familiar === false) return "No prediction set is shown: its coverage is valid only for images like the training images.";
  if (set.length === 0) return "The prediction set is empty: the image is unlike the training images of every class.";
  const guarantee = coverage ? ` Prediction sets contain the true class for ${frequency(coverage)}.` : "";
  if (set.length === 1) return `The prediction set contains only ${set[0]}.${guarantee}`;
  if (set.length === classes) return `The prediction is uncertain: the prediction set contains all ${classes} classes.${guarantee}`;
  return `The prediction set contains ${listed(set)}.${guarantee}`;
}

/** Familiarity in a sentence; null if unknown. `ratio` is the distance from the training images divided by the threshold. */
export function familiaritySentence(familiar, ratio) {
  if (familiar === null || familiar === undefined) return null;
  const known = ratio !== null && ratio !== undefined;
  if (familiar) return `The image is like the training images${known ? `: its distance is ${share(ratio, 2)} of the threshold` : ""}.`;
  const distance = known ? `Its distance from them is ${share(ratio, ratio < 10 ? 1 : 0)} times the threshold. ` : "";
  return `${distance}The model predicts one of its classes for any image. This prediction may be meaningless.`;
}

/** The effect of the decision threshold on this answer; null without a threshold. */
export function thresholdSentence(threshold, answer) {
  const positive = threshold && answer.probabilities?.[threshold.class_name];
  if (positive === undefined || positive === null) return null;
  const predicted = positive >= threshold.value ? threshold.class_name : answer.label;
  return (
    `${threshold.class_name} is predicted if its probability is at least ${share(threshold.value)}. ` +
    `Here its probability is ${share(positive)}, so ${predicted} is predicted.`
  );
}

/** A message of the server as a sentence: with a capital letter (but not in a file name) and a full stop. */
export function sentence(text) {
  const first = /^[a-z]+(?=[\s,;:]|$)/.test(text) ? text.charAt(0).toUpperCase() + text.slice(1) : text;
  return !first || /[.!?]$/.test(first) ? first : `${first}.`;
}

/** "[0.851, 0.956]" of a score; an empty string without an interval. */
export const interval = (score, digits = 3) =>
  score.low === null || score.low === undefined ? "" : `[${share(score.low, digits)}, ${share(score.high, digits)}]`;

/** { images: 450, groups: 251 } -> "450 images (251 groups)". */
export const sample = (of, noun = "image") =>
  `${counted(of.images, noun)}${of.groups ? ` (${counted(of.groups, "group")})` : ""}`;

/** "mean_recall" -> "Mean recall". */
export const title = (name) => `${name.charAt(0).toUpperCase()}${name.slice(1).replaceAll("_", " ")}`;

/** An ISO time -> "23 November 2026"; other text is returned unchanged. */
export function day(iso) {
  const date = new Date(iso);
  return Number.isNaN(date.getTime()) ? String(iso) : date.toLocaleDateString("en-GB", { day: "numeric", month: "long", year: "numeric" });
}
