// A surface as a map.
import { clamp } from "./numbers.js";
import { between, rgb } from "./plate.js";
import { REACH } from "./surfaces.js";

const LEVELS = 14;

/** The map as an image: bands of height, with a fine line where one ends. Scaled by the root, to show a valley's floor. */
export function relief(surface, side, colors) {
  const image = new ImageData(side, side);
  const corners = [-REACH, REACH].flatMap((x) => [-REACH, REACH].map((y) => surface.loss(x, y)));
  const top = Math.max(...corners);
  const [low, high, ink] = [rgb(colors.valley), rgb(colors.hill), rgb(colors.accent)];
  for (let row = 0; row < side; row++) {
    const y = REACH - ((row + 0.5) * 2 * REACH) / side;
    for (let column = 0; column < side; column++) {
      const x = -REACH + ((column + 0.5) * 2 * REACH) / side;
      const loss = Math.max(surface.loss(x, y), 0);
      const level = LEVELS * Math.sqrt(loss / top);
      const [dx, dy] = surface.gradient(x, y);
      const steep = loss > 0 ? (LEVELS * Math.hypot(dx, dy)) / (2 * Math.sqrt(loss * top)) : 0; // levels a unit of weight
      const perPixel = (steep * 2 * REACH) / side;
      const away = Math.abs(level - Math.round(level)) / Math.max(perPixel, 1e-9);
      const stroke = Math.round(level) >= 1 ? 0.38 * clamp(1.4 - away, 0, 1) : 0;
      const band = between(low, high, clamp((Math.floor(level) + 0.5) / LEVELS, 0, 1));
      image.data.set([...between(band, ink, stroke), 255], 4 * (row * side + column));
    }
  }
  return image;
}
