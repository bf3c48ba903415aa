// Decode the first page of a TIFF as written by microscopes and ImageJ: strips or tiles, 8, 16 or 32 bits, integers or
// floating point, uncompressed or with deflate, LZW or PackBits. For display only; the server decodes the file itself.

const MOST_PIXELS = 1e8;
const TAGS = { 256: "width", 257: "height", 258: "bits", 259: "compression", 262: "photometric", 273: "offsets", 277: "channels",
  278: "rows", 279: "lengths", 284: "planar", 317: "predictor", 320: "palette", 322: "tileWidth", 323: "tileHeight", 324: "tileOffsets",
  325: "tileLengths", 339: "format" };
const SIZES = { 1: 1, 3: 2, 4: 4 };

/**
 * Returns { pixels: RGBA, width, height, bits, channels }; an image larger than `side` is subsampled.
 * Throws an error for unsupported TIFF variants.
 */
export async function readTiff(buffer, side = 1024) {
  const view = new DataView(buffer);
  const little = view.getUint8(0) === 0x49;
  const page = readDirectory(view, little);
  const { width, height, channels } = page;
  const tiled = page.tileOffsets !== null;
  const block = tiled ? [page.tileWidth, page.tileHeight] : [width, Math.min(page.rows, height)];
  const offsets = tiled ? page.tileOffsets : page.offsets, lengths = tiled ? page.tileLengths : page.lengths;
  const bytes = page.bits / 8, across = Math.ceil(width / block[0]), down = Math.ceil(height / block[1]);
  const planes = page.planar === 2 ? channels : 1, inside = planes > 1 ? 1 : channels;

  const step = Math.max(1, Math.floor(Math.max(width, height) / side));
  const size = [Math.ceil(width / step), Math.ceil(height / step)];
  const shown = channels >= 3 ? 3 : 1;
  const values = new Float32Array(size[0] * size[1] * shown);
  for (let plane = 0; plane < (planes > 1 ? shown : 1); plane += 1) {
    for (let row = 0; row < down; row += 1) {
      for (let column = 0; column < across; column += 1) {
        const number = (plane * down + row) * across + column;
        const tall = tiled ? block[1] : Math.min(block[1], height - row * block[1]);
        const raw = new Uint8Array(buffer, offsets[number], lengths[number]);
        const data = await unpack(raw, page.compression, block[0] * tall * inside * bytes);
        const read = reader(data, page, little);
        if (page.predictor === 2) undoDifferences(data, page.bits, little, block[0], tall, inside);
        const [top, left] = [row * block[1], column * block[0]];
        for (let y = Math.ceil(top / step) * step; y < Math.min(top + tall, height); y += step) {
          for (let x = Math.ceil(left / step) * step; x < Math.min(left + block[0], width); x += step) {
            const from = ((y - top) * block[0] + (x - left)) * inside, to = ((y / step) * size[0] + x / step) * shown;
            if (planes > 1) values[to + plane] = read(from);
            else for (let c = 0; c < shown; c += 1) values[to + c] = read(from + c);
          }
        }
      }
    }
  }
  return { pixels: toBytes(values, shown, page), width: size[0], height: size[1], bits: page.bits, channels };
}

function readDirectory(view, little) {
  const short = (at) => view.getUint16(at, little), long = (at) => view.getUint32(at, little);
  const page = { bits: 1, compression: 1, channels: 1, planar: 1, predictor: 1, format: 1, photometric: 1, tileOffsets: null };
  const start = long(4);
  for (let entry = 0; entry < short(start); entry += 1) {
    const at = start + 2 + entry * 12;
    const name = TAGS[short(at)], each = SIZES[short(at + 2)], number = long(at + 4);
    if (!name || !each) continue;
    const from = number * each <= 4 ? at + 8 : long(at + 8);
    const all = Array.from({ length: number }, (_, i) => (each === 1 ? view.getUint8(from + i) : each === 2 ? short(from + 2 * i) : long(from + 4 * i)));
    page[name] = ["offsets", "lengths", "tileOffsets", "tileLengths", "palette"].includes(name) ? all : all[0];
  }
  page.rows ??= page.height;
  const known = [8, 16, 32].includes(page.bits) && [1, 5, 8, 32773, 32946].includes(page.compression) && page.predictor < 3;
  if (!known || page.photometric > 3 || !(page.width * page.height <= MOST_PIXELS)) throw new Error("unsupported TIFF variant");
  return page;
}

async function unpack(raw, compression, length) {
  if (compression === 1) return raw.slice();
  if (compression === 5) return unpackLzw(raw, length);
  if (compression === 32773) return unpackBits(raw, length);
  const stream = new Blob([raw]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function unpackBits(raw, length) {
  const out = new Uint8Array(length);
  for (let at = 0, to = 0; at < raw.length && to < length; ) {
    const head = (raw[at++] << 24) >> 24;
    if (head >= 0) { out.set(raw.subarray(at, at + head + 1).subarray(0, length - to), to); at += head + 1; to += head + 1; }
    else if (head > -128) { out.fill(raw[at++], to, to + 1 - head); to += 1 - head; }
  }
  return out;
}

/** LZW as used in TIFF: most significant bit first; the code width increases one code early. */
function unpackLzw(raw, length) {
  const CLEAR = 256, END = 257;
  const out = new Uint8Array(length);
  const starts = new Uint32Array(4097), lengths = new Uint32Array(4097); // a word is a range of the output written so far
  let next = 258, wide = 9, old = -1, to = 0, bits = 0, have = 0, at = 0;
  while (to < length) {
    while (have < wide) {
      if (at >= raw.length) return out;
      bits = ((bits << 8) | raw[at++]) & 0xffffff;
      have += 8;
    }
    const code = (bits >> (have - wide)) & ((1 << wide) - 1);
    have -= wide;
    if (code === END) return out;
    if (code === CLEAR) { next = 258; wide = 9; old = -1; continue; }
    const from = to;
    const word = (one) => (one < 256 ? [one, 1] : [starts[one], lengths[one]]);
    const put = (one) => {
      const [start, long] = word(one);
      if (one < 256) out[to++] = start;
      else for (let i = 0; i < long && to < length; i += 1) out[to++] = out[start + i];
    };
    if (code < next && (code < 256 || code > END)) put(code);
    else if (old >= 0 && code === next) { put(old); out[to++] = out[from]; }
    else throw new Error("invalid LZW data");
    if (old >= 0 && next < 4097) { // the previous word plus one byte
      lengths[next] = word(old)[1] + 1;
      starts[next] = from - word(old)[1];
      next += 1;
    }
    old = code;
    wide = next >= 2047 ? 12 : next >= 1023 ? 11 : next >= 511 ? 10 : 9;
  }
  return out;
}

function undoDifferences(data, bits, little, width, height, channels) {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const row = width * channels;
  for (let y = 0; y < height; y += 1) {
    for (let x = channels; x < row; x += 1) {
      const at = y * row + x, before = at - channels;
      if (bits === 8) data[at] += data[before];
      else if (bits === 16) view.setUint16(2 * at, view.getUint16(2 * at, little) + view.getUint16(2 * before, little), little);
      else view.setUint32(4 * at, view.getUint32(4 * at, little) + view.getUint32(4 * before, little), little);
    }
  }
}

function reader(data, { bits, format }, little) {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  if (bits === 8) return format === 2 ? (at) => view.getInt8(at) : (at) => data[at];
  if (bits === 16) return format === 2 ? (at) => view.getInt16(2 * at, little) : (at) => view.getUint16(2 * at, little);
  if (format === 3) return (at) => view.getFloat32(4 * at, little);
  return format === 2 ? (at) => view.getInt32(4 * at, little) : (at) => view.getUint32(4 * at, little);
}

/** Values to RGBA: contrast is stretched above 8 bits, palettes are applied, white-is-zero images are inverted. */
function toBytes(values, shown, { bits, photometric, palette }) {
  const pixels = new Uint8ClampedArray((values.length / shown) * 4);
  let low = 0, high = 255;
  if (bits > 8) {
    const sorted = values.filter((_, at) => at % Math.ceil(values.length / 50000) === 0 && Number.isFinite(values[at])).sort();
    low = sorted[Math.floor(sorted.length * 0.003)] ?? 0;
    high = sorted[Math.ceil(sorted.length * 0.997) - 1] ?? 1;
    if (high <= low) high = low + 1;
  }
  for (let at = 0; at < values.length / shown; at += 1) {
    for (let c = 0; c < 3; c += 1) {
      const value = values[at * shown + (shown === 3 ? c : 0)];
      let level = ((value - low) / (high - low)) * 255;
      if (photometric === 0) level = 255 - level;
      if (photometric === 3 && palette) level = palette[value + (c * palette.length) / 3] / 257;
      pixels[at * 4 + c] = level;
    }
    pixels[at * 4 + 3] = 255;
  }
  return pixels;
}
