// Images as cells: numbers on a background that is lighter for larger numbers, or pixels without numbers.
import { clamp, format } from "./numbers.js";
import { between, rgb } from "./plate.js";

/** Return the background of a number, [r, g, b]: lighter for larger numbers (share from 0 to 1), but always readable. */
export function background({ colors, dark }, share) {
  const light = clamp(share, 0, 1);
  return between(rgb(colors.card), rgb(colors.axis), 0.55 * (dark ? light : 1 - light));
}

/** Draw a number in its cell; x and y are in cells. */
export function drawNumber(pen, colors, value, x, y, cell, color) {
  pen.strokeStyle = colors.line;
  pen.lineWidth = 1;
  pen.strokeRect(x * cell + 0.5, y * cell + 0.5, cell - 1, cell - 1);
  const text = format(value, cell < 30 ? 2 : 3);
  const size = clamp(Math.min(cell * 0.36, (cell * 1.5) / Math.max(2, text.length)), 8, 20);
  pen.font = pen.font.replace(/[\d.]+px/, `${size}px`);
  pen.fillStyle = color;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.fillText(text, (x + 0.5) * cell, (y + 0.5) * cell);
}

/** Draw an image as colored pixels without seams; only those in `visited`, if given. `fill`: value -> [r, g, b]. */
export function drawPixels(pen, rows, from, cell, fill, visited = null) {
  const image = new ImageData(rows[0].length, rows.length);
  rows.forEach((values, row) =>
    values.forEach((value, column) => {
      if (!visited || visited[row][column]) image.data.set([...fill(value), 255], 4 * (row * values.length + column));
    }),
  );
  const small = new OffscreenCanvas(image.width, image.height);
  small.getContext("2d").putImageData(image, 0, 0);
  pen.imageSmoothingEnabled = false;
  pen.drawImage(small, from, from, image.width * cell, image.height * cell);
}

/** Draw diagonal lines, which mark the padding. */
export function drawHatch(pen, colors, width, height) {
  pen.save();
  pen.beginPath();
  pen.rect(0, 0, width, height);
  pen.clip();
  pen.strokeStyle = colors.line;
  pen.lineWidth = 1;
  pen.beginPath();
  for (let at = -height; at < width; at += 7) {
    pen.moveTo(at, height);
    pen.lineTo(at + height, 0);
  }
  pen.stroke();
  pen.restore();
}
