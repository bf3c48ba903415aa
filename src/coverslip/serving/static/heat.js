// A heat map over an image, as in the reports: the image in grey, heat from dark violet to yellow with increasing
// brightness, and a contour at half of the maximum, which is visible without color.

const COLORS = [ // inferno from 0.15 to 0.98, as in figures/overlay.py
  [43, 11, 87], [66, 10, 104], [87, 16, 110], [109, 24, 110], [130, 32, 108], [151, 39, 102], [173, 48, 93], [192, 58, 81],
  [210, 70, 68], [225, 86, 53], [238, 106, 36], [246, 128, 19], [251, 151, 6], [252, 178, 22], [249, 203, 53], [243, 229, 93],
  [245, 249, 146],
];
const COVER = 0.82, HALF = 0.5; // opacity of the maximum; level of the contour

/** 0 to 1 -> [red, green, blue], 0 to 255. */
export function heatColor(value) {
  const place = Math.min(Math.max(value, 0), 1) * (COLORS.length - 1);
  const low = Math.min(Math.floor(place), COLORS.length - 2), part = place - low;
  return COLORS[low].map((each, c) => each + (COLORS[low + 1][c] - each) * part);
}
const TABLE = Float32Array.from({ length: 256 * 3 }, (_, at) => heatColor(Math.floor(at / 3) / 255)[at % 3]);

/** The map of a response -> { values: 0 to 1, row by row, height, width }. */
export function decodeMap({ values, height, width }) {
  const bytes = Uint8Array.from(atob(values), (letter) => letter.charCodeAt(0));
  if (bytes.length !== height * width) throw new Error("the map has a wrong size");
  return { values: Float32Array.from(bytes, (each) => each / 255), height, width };
}

/** Bilinear interpolation, (h, w) -> (H, W). */
function upsample({ values, height, width }, tall, wide) {
  const out = new Float32Array(tall * wide);
  const places = (long, short) => Array.from({ length: long }, (_, at) => {
    const place = Math.min(Math.max(((at + 0.5) * short) / long - 0.5, 0), short - 1);
    const low = Math.min(Math.floor(place), Math.max(short - 2, 0));
    return [low, Math.min(low + 1, short - 1), place - low];
  });
  const columns = places(wide, width);
  places(tall, height).forEach(([top, bottom, down], y) => {
    columns.forEach(([left, right, across], x) => {
      const upper = values[top * width + left] * (1 - across) + values[top * width + right] * across;
      const lower = values[bottom * width + left] * (1 - across) + values[bottom * width + right] * across;
      out[y * wide + x] = upper * (1 - down) + lower * down;
    });
  });
  return out;
}

/** An image and its map, prepared for repeated painting while a slider moves. */
export class Overlay {
  /** `image`: a canvas; `map`: the result of `decodeMap`, or null. */
  constructor(image, map) {
    const [wide, tall] = [image.width, image.height];
    Object.assign(this, { wide, tall });
    this.image = image.getContext("2d").getImageData(0, 0, wide, tall).data;
    this.heat = map && upsample(map, tall, wide);
    this.line = map && outline(this.heat, wide, tall, Math.max(1, Math.round(Math.max(wide, tall) / 400)));
  }

  /** `opacity` 0 shows only the image, 1 the map over the grey image. */
  paint(canvas, opacity) {
    const { wide, tall, image, heat, line } = this;
    if (canvas.width !== wide || canvas.height !== tall) Object.assign(canvas, { width: wide, height: tall });
    const painted = new ImageData(wide, tall);
    const { data } = painted;
    data.set(image);
    for (let at = 0, to = 0; heat && opacity > 0 && at < heat.length; at += 1, to += 4) {
      const grey = 55 + 0.76 * (0.299 * image[to] + 0.587 * image[to + 1] + 0.114 * image[to + 2]);
      const cover = COVER * heat[at] ** 0.7, color = Math.round(heat[at] * 255) * 3;
      for (let c = 0; c < 3; c += 1) {
        const over = line[at] === 2 ? 255 : line[at] === 1 ? 40 : grey * (1 - cover) + TABLE[color + c] * cover;
        data[to + c] = image[to + c] * (1 - opacity) + over * opacity;
      }
    }
    canvas.getContext("2d").putImageData(painted, 0, 0);
  }
}

/** 2 on the inner edge of the area above half of the maximum (drawn white), 1 just outside of it (dark), 0 elsewhere. */
function outline(heat, wide, tall, thick) {
  const line = new Uint8Array(heat.length);
  const hot = (x, y) => heat[Math.min(Math.max(y, 0), tall - 1) * wide + Math.min(Math.max(x, 0), wide - 1)] >= HALF;
  for (let y = 0; y < tall; y += 1) {
    for (let x = 0; x < wide; x += 1) {
      const here = hot(x, y), reach = here ? thick : 1;
      const other = hot(x - reach, y) !== here || hot(x + reach, y) !== here || hot(x, y - reach) !== here || hot(x, y + reach) !== here;
      if (other) line[y * wide + x] = here ? 2 : 1;
    }
  }
  return line;
}
