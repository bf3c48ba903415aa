// Numbers and sentences. Nothing here touches the page.

const FEW = 6; // classes of a set that are named before "and 3 more"

/** 0.93 -> "0.930"; what would be rounded to 0 or 1 without being it is said so. */
export function share(value, digits = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const least = 10 ** -digits;
  if (value > 0 && value < least / 2) return `<${least.toFixed(digits)}`;
  if (value < 1 && value > 1 - least / 2) return `>${(1 - least).toFixed(digits)}`;
  return value.toFixed(digits);
}

/** Ten thousand -> "10,000". */
export const count = (number) => new Intl.NumberFormat("en").format(number);

/** (3, "image") -> "3 images". */
export const counted = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

/** Bytes as people say them. */
export function size(bytes) {
  if (bytes < 1000) return counted(bytes, "byte");
  const units = ["kB", "MB", "GB"];
  let value = bytes / 1000, at = 0;
  while (value >= 1000 && at < units.length - 1) { value /= 1000; at += 1; }
  return `${value >= 10 || Number.isInteger(value) ? Math.round(value) : value.toFixed(1)} ${units[at]}`;
}

/** 0.9 -> "9 times in 10", 0.95 -> "19 times in 20", 0.87 -> "87 times in 100". */
export function odds(value) {
  for (const of of [10, 20, 100]) {
    const times = value * of;
    if (Math.abs(times - Math.round(times)) < 1e-6) return `${Math.round(times)} times in ${of}`;
  }
  return `in a share of ${share(value)}`;
}

/** ["a", "b", "c"] -> "a, b or c"; a long list ends in "or 4 others". */
export function listed(names, word = "or", most = FEW) {
  const shown = names.length > most + 1 ? names.slice(0, most) : names;
  const rest = names.length - shown.length;
  const all = rest ? [...shown, `${count(rest)} others`] : shown;
  return all.length < 2 ? all.join("") : `${all.slice(0, -1).join(", ")} ${word} ${all.at(-1)}`;
}

/**
 * What the set of classes means, in a sentence; null where there is no set. `classes` is how many there are in all;
 * of images that are not familiar nothing was ever promised.
 */
export function setSentence({ set, familiar }, classes, coverage) {
  if (!set) return null;
  if (familiar === false) return "What else it may be cannot be said of such an image.";
  if (set.length === 0) return "No class fits it well: it is unlike the images of each.";
  const promise = coverage ? ` Such sets hold the true class ${odds(coverage)}.` : "";
  if (set.length === 1) return `The set of likely classes holds ${set[0]} alone.${promise}`;
  if (set.length === classes) return `The model cannot tell: the set of likely classes holds all ${classes}.${promise}`;
  return `It may be ${listed(set)}: these are the set of likely classes.${promise}`;
}

/** How like the training images it is; null where the model cannot say. `share` 1 is the limit. */
export function familiaritySentence(familiar, ratio) {
  if (familiar === null || familiar === undefined) return null;
  const known = ratio !== null && ratio !== undefined;
  if (familiar) return `Like the images I was trained on${known ? `: ${share(ratio, 2)} of what is allowed` : ""}.`;
  const times = known ? `Its unlikeness is ${share(ratio, ratio < 10 ? 1 : 0)} times what is allowed. ` : "";
  return `${times}I name one of my classes whatever an image shows, so my answer to this one may mean nothing.`;
}

/** What the threshold did in this answer of two classes; null where there is none. */
export function thresholdSentence(threshold, answer) {
  const positive = threshold && answer.probabilities?.[threshold.class_name];
  if (positive === undefined || positive === null) return null;
  const reached = positive >= threshold.value;
  return (
    `${threshold.class_name} is said from a probability of ${share(threshold.value)} up; ` +
    `here it is ${share(positive)}, ${reached ? "so it is said" : `so ${answer.label} is said`}.`
  );
}

/** The server's words as a sentence: a capital first (but not of a file's name) and a stop at the end. */
export function sentence(text) {
  const first = /^[a-z]+(?=[\s,;:]|$)/.test(text) ? text.charAt(0).toUpperCase() + text.slice(1) : text;
  return !first || /[.!?]$/.test(first) ? first : `${first}.`;
}

/** "0.918 [0.851, 0.956]" of a score with its interval, or without one where there is none. */
export const interval = (score, digits = 3) =>
  score.low === null || score.low === undefined ? "" : `[${share(score.low, digits)}, ${share(score.high, digits)}]`;

/** { images: 450, groups: 251 } -> "450 images (251 groups)". */
export const sample = (of) =>
  `${counted(of.images, "image")}${of.groups ? ` (${counted(of.groups, "group")})` : ""}`;

/** An ISO time -> "23 November 2026"; what is no time stays as it is. */
export function day(iso) {
  const date = new Date(iso);
  return Number.isNaN(date.getTime()) ? String(iso) : date.toLocaleDateString("en-GB", { day: "numeric", month: "long", year: "numeric" });
}
