// The predictions of a network on the map, its decision boundary, and the training points.
import { line } from "./chart.js";
import { SPAN } from "./clouds.js";
import { logitOf } from "./network.js";
import { between, mark, rgb } from "./plate.js";

const GRID = 56;

/** Return the logits on a grid of (GRID + 1) x (GRID + 1) positions, starting at the upper left. */
function logitGrid(network) {
  const hidden = new Float64Array(network.units);
  const logits = new Float64Array((GRID + 1) ** 2);
  for (let row = 0; row <= GRID; row++) {
    for (let column = 0; column <= GRID; column++) {
      const [a, b] = [SPAN * ((2 * column) / GRID - 1), SPAN * (1 - (2 * row) / GRID)];
      logits[row * (GRID + 1) + column] = logitOf(network, a, b, hidden);
    }
  }
  return logits;
}

/** Return segments of the line where the logit is 0 (marching squares), in grid coordinates: [[x, y], [x, y]] each. */
export function boundaryOf(logits, grid = GRID) {
  const segments = [];
  for (let row = 0; row < grid; row++) {
    for (let column = 0; column < grid; column++) {
      const at = row * (grid + 1) + column;
      const corners = [logits[at], logits[at + 1], logits[at + grid + 2], logits[at + grid + 1]]; // clockwise
      const places = [[column, row], [column + 1, row], [column + 1, row + 1], [column, row + 1]];
      const crossings = [];
      for (let side = 0; side < 4; side++) {
        const [one, two] = [corners[side], corners[(side + 1) % 4]];
        if (one > 0 === two > 0) continue;
        const [from, to] = [places[side], places[(side + 1) % 4]];
        const share = one / (one - two);
        crossings.push([from[0] + share * (to[0] - from[0]), from[1] + share * (to[1] - from[1])]);
      }
      for (let first = 0; first + 1 < crossings.length; first += 2) segments.push([crossings[first], crossings[first + 1]]);
    }
  }
  return segments;
}

/** Legend of the map, for `key`. */
export const MARKS = [
  { mark: "circle", color: "green", text: "healthy" },
  { mark: "triangle", color: "orange", text: "diseased" },
  { mark: "ring", color: "ink", text: "hollow: misclassified" },
];

/** Draw the map of a network and its training points; hollow marks are misclassified points. */
export function drawBoundary(pen, side, colors, network, points, { cursor = null } = {}) {
  const logits = logitGrid(network);
  const [paper, zero, one] = [rgb(colors.card), rgb(colors.green), rgb(colors.orange)];
  const image = new ImageData(GRID, GRID);
  for (let row = 0; row < GRID; row++) {
    for (let column = 0; column < GRID; column++) {
      const at = row * (GRID + 1) + column;
      const logit = (logits[at] + logits[at + 1] + logits[at + GRID + 1] + logits[at + GRID + 2]) / 4;
      const certainty = Math.abs(2 / (1 + Math.exp(-logit)) - 1);
      image.data.set([...between(paper, logit > 0 ? one : zero, 0.08 + 0.3 * certainty), 255], 4 * (row * GRID + column));
    }
  }
  const small = new OffscreenCanvas(GRID, GRID);
  small.getContext("2d").putImageData(image, 0, 0);
  pen.imageSmoothingEnabled = true;
  pen.drawImage(small, 0, 0, side, side);
  pen.strokeStyle = colors.ink;
  pen.lineWidth = 2;
  for (const segment of boundaryOf(logits)) line(pen, segment.map(([x, y]) => [(x / GRID) * side, (y / GRID) * side]));
  const place = (a, b) => [((a / SPAN + 1) / 2) * side, ((1 - b / SPAN) / 2) * side];
  const size = side < 250 ? (points.count > 150 ? 2 : 3) : points.count > 150 ? 3.2 : 4.6;
  const hidden = new Float64Array(network.units);
  for (let index = 0; index < points.count; index++) {
    const kind = points.y[index];
    const color = kind ? colors.orange : colors.green;
    const [a, b] = [points.x[2 * index], points.x[2 * index + 1]];
    const wrong = logitOf(network, a, b, hidden) > 0 !== (kind === 1);
    const look = { fill: wrong ? colors.card : color, stroke: colors.ink, width: wrong ? 1.8 : 0.9 };
    mark(pen, kind ? "triangle" : "circle", ...place(a, b), size, look);
  }
  if (cursor) {
    mark(pen, "cross", ...place(...cursor), 7, { stroke: colors.card, width: 5 });
    mark(pen, "cross", ...place(...cursor), 7, { stroke: colors.vermilion, width: 2.2 });
  }
}
