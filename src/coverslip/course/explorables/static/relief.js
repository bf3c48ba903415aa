// A loss surface as a contour map.
import { clamp } from "./numbers.js";
import { between, rgb } from "./plate.js";
import { REACH } from "./surfaces.js";

const LEVELS = 14;

/** Render the map: bands of equal loss with a thin line between them, on a square-root scale that shows the valley floor. */
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
      const slope = loss > 0 ? (LEVELS * Math.hypot(dx, dy)) / (2 * Math.sqrt(loss * top)) : 0; // levels per unit of weight
      const perPixel = (slope * 2 * REACH) / side;
      const distance = Math.abs(level - Math.round(level)) / Math.max(perPixel, 1e-9); // to the next line, in pixels
      const stroke = Math.round(level) >= 1 ? 0.38 * clamp(1.4 - distance, 0, 1) : 0;
      const band = between(low, high, clamp((Math.floor(level) + 0.5) / LEVELS, 0, 1));
      image.data.set([...between(band, ink, stroke), 255], 4 * (row * side + column));
    }
  }
  return image;
}
