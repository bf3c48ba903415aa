// Decode a file to a canvas: with the browser, or with the TIFF reader of tiff.js.

import { readTiff } from "./tiff.js";

const MIN_SIDE = 512, MAX_SIDE = 1024; // pixels of the longer side: smaller is coarse, larger is slow
const CUT = 0.003;              // fraction of the pixels clipped at each end when contrast is stretched

/**
 * Returns { canvas, note }: the image with `least` to `most` pixels on its longer side, and a note on how it is displayed;
 * null if the file cannot be decoded.
 */
export async function decode(file, { least = MIN_SIDE, most = MAX_SIDE } = {}) {
  const head = new Uint8Array(await file.slice(0, 32).arrayBuffer().catch(() => new ArrayBuffer(32))); // the file may have been deleted
  const start = String.fromCharCode(...head.slice(0, 4));
  if (start === "II*\0" || start === "MM\0*") return await fromTiff(file, least, most);
  let bitmap;
  try { bitmap = await createImageBitmap(file); } catch { return null; }
  const canvas = scaled(bitmap, bitmap.width, bitmap.height, least, most);
  bitmap.close();
  const deep = start === "\x89PNG" && head[24] === 16;
  if (!deep || !stretch(canvas)) return { canvas, note: "" };
  return { canvas, note: "16 bits: displayed with stretched contrast. The model received the original values." };
}

async function fromTiff(file, least, most) {
  let read;
  try { read = await readTiff(await file.arrayBuffer(), most); } catch { return null; }
  const plain = document.createElement("canvas");
  plain.width = read.width;
  plain.height = read.height;
  plain.getContext("2d").putImageData(new ImageData(read.pixels, read.width, read.height), 0, 0);
  const remarks = [];
  if (read.bits > 8) remarks.push(`${read.bits} bits: displayed with stretched contrast`);
  if (read.channels === 2 || read.channels > 4) remarks.push(`${read.channels} channels: only the first ${read.channels === 2 ? "is" : "three are"} displayed`);
  const note = remarks.length ? `${remarks.join("; ")}. The model received the original values.` : "";
  return { canvas: scaled(plain, read.width, read.height, least, most), note };
}

function scaled(source, width, height, least, most) {
  const longer = Math.max(width, height);
  const factor = longer > most ? most / longer : longer < least ? least / longer : 1;
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * factor));
  canvas.height = Math.max(1, Math.round(height * factor));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, canvas.width, canvas.height);
  return canvas;
}

/** Stretches the contrast to the full range; returns false if the image fills the range already. */
function stretch(canvas) {
  const context = canvas.getContext("2d");
  const image = context.getImageData(0, 0, canvas.width, canvas.height);
  const { data } = image;
  const counts = new Uint32Array(256);
  for (let at = 0; at < data.length; at += 4) for (let c = 0; c < 3; c += 1) counts[data[at + c]] += 1;
  const [low, high] = ends(counts, (data.length / 4) * 3);
  if (high - low > 200 || high <= low) return false;
  const table = Uint8ClampedArray.from({ length: 256 }, (_, value) => ((value - low) / (high - low)) * 255);
  for (let at = 0; at < data.length; at += 4) for (let c = 0; c < 3; c += 1) data[at + c] = table[data[at + c]];
  context.putImageData(image, 0, 0);
  return true;
}

/** The values below and above which a fraction `CUT` of the samples lies. */
function ends(counts, all) {
  let low = 0, high = counts.length - 1;
  for (let below = counts[low]; below < all * CUT && low < high; ) below += counts[++low];
  for (let above = counts[high]; above < all * CUT && high > low; ) above += counts[--high];
  return [low, high];
}

/** The central square of an image on a small canvas; null if the file cannot be decoded. */
export async function thumbnail(file, side) {
  const result = await decode(file, { least: 1, most: side * 3 });
  if (!result) return null;
  const { width, height } = result.canvas;
  const edge = Math.min(width, height);
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = side;
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(result.canvas, (width - edge) / 2, (height - edge) / 2, edge, edge, 0, 0, side, side);
  return canvas;
}
