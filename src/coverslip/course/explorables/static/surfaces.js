// Surfaces over two weights, and the walk downhill. A loss is a mean over EXAMPLES: each tilts the surface its own way,
// and all tilts together cancel. So the gradient of a batch is the true one plus the mean tilt of the examples in it.
import { normal, seeded, shuffled } from "./numbers.js";

export const EXAMPLES = 64;
export const REACH = 3; // the map shows −3 to 3 of both weights
const LOST = 30; // beyond this a walk counts as lost

const TURN = 0.45; // the ravine runs at this angle (radians)
const ALONG = [Math.cos(TURN), Math.sin(TURN)];

/** Two wells at ±2 along a line, and its slope. */
function wells(x) {
  return [(x * x - 4) ** 2 / 16, (x * (x * x - 4)) / 4];
}

// name -> loss(x, y), gradient(x, y) -> [dx, dy], tilt: how strongly single examples disagree, lowest: [x, y]
export const SURFACES = {
  bowl: {
    tilt: 1,
    lowest: [0, 0],
    loss: (x, y) => (x * x + y * y) / 2,
    gradient: (x, y) => [x, y],
  },
  ravine: {
    tilt: 1.5,
    lowest: [0, 0],
    loss(x, y) {
      const along = ALONG[0] * x + ALONG[1] * y;
      const across = ALONG[0] * y - ALONG[1] * x;
      return (0.25 * along * along + 8 * across * across) / 2;
    },
    gradient(x, y) {
      const along = 0.25 * (ALONG[0] * x + ALONG[1] * y);
      const across = 8 * (ALONG[0] * y - ALONG[1] * x);
      return [ALONG[0] * along - ALONG[1] * across, ALONG[1] * along + ALONG[0] * across];
    },
  },
  saddle: {
    tilt: 1,
    lowest: [2, 0],
    loss: (x, y) => wells(x)[0] + (y * y) / 2,
    gradient: (x, y) => [wells(x)[1], y],
  },
  valleys: {
    tilt: 1.6,
    lowest: [-2.1149, 0],
    loss: (x, y) => wells(x)[0] + 0.25 * x + (y * y) / 2 + 0.5147536,
    gradient: (x, y) => [wells(x)[1] + 0.25, y],
  },
  dents: {
    tilt: 2.5,
    lowest: [0, 0],
    loss: (x, y) => 0.2 * (x * x + y * y) + 0.4 * (2 - Math.cos(3 * x) - Math.cos(3 * y)),
    gradient: (x, y) => [0.4 * x + 1.2 * Math.sin(3 * x), 0.4 * y + 1.2 * Math.sin(3 * y)],
  },
};

/** How each example tilts a surface: EXAMPLES pairs that sum to 0. */
export function tiltsOf(surface, seed) {
  const random = seeded(seed + 1000);
  const tilts = Array.from({ length: EXAMPLES }, () => [normal(random), normal(random)]);
  for (const axis of [0, 1]) {
    const mean = tilts.reduce((sum, tilt) => sum + tilt[axis], 0) / EXAMPLES;
    for (const tilt of tilts) tilt[axis] = (tilt[axis] - mean) * surface.tilt;
  }
  return tilts;
}

/** The gradient at a point, as the examples of one batch see it. With all examples it is the surface's own. */
export function batchGradient(surface, tilts, batch, [x, y]) {
  const [dx, dy] = surface.gradient(x, y);
  let [pullX, pullY] = [0, 0];
  if (batch.length < EXAMPLES) {
    for (const example of batch) {
      pullX += tilts[example][0] / batch.length;
      pullY += tilts[example][1] / batch.length;
    }
  }
  return [dx + pullX, dy + pullY];
}

/** A walk: `at` is where it is, `path` where it was, `losses` of all examples after each step, `batch` the last one. */
export function startWalk(name, start, seed) {
  const surface = SURFACES[name];
  return {
    surface,
    tilts: tiltsOf(surface, seed),
    random: seeded(seed),
    waiting: [], // examples of this epoch not yet used
    batch: [],
    at: [...start],
    path: [[...start]],
    losses: [surface.loss(...start)],
    seen: 0, // examples looked at so far
    lost: false,
  };
}

/** One step of gradient descent: the next `batchSize` examples of the shuffled epoch, then at − rate × gradient. */
export function stepDown(walk, rate, batchSize) {
  if (walk.lost) return walk;
  if (walk.waiting.length === 0) walk.waiting = shuffled(EXAMPLES, walk.random);
  walk.batch = walk.waiting.splice(0, batchSize);
  walk.seen += walk.batch.length;
  const [dx, dy] = batchGradient(walk.surface, walk.tilts, walk.batch, walk.at);
  walk.at = [walk.at[0] - rate * dx, walk.at[1] - rate * dy];
  walk.path.push(walk.at);
  walk.losses.push(walk.surface.loss(...walk.at));
  walk.lost = !(Math.hypot(...walk.at) < LOST);
  return walk;
}

/** Loss after `steps` steps at each rate, the mean of eight walks where batches differ; Infinity where a walk was lost. */
export function sweepRates(name, start, rates, batchSize, seed, steps = 50) {
  const repeats = batchSize < EXAMPLES ? 8 : 1;
  return rates.map((rate) => {
    let sum = 0;
    for (let repeat = 0; repeat < repeats; repeat++) {
      const walk = startWalk(name, start, seed + repeat);
      for (let step = 0; step < steps && !walk.lost; step++) stepDown(walk, rate, batchSize);
      sum += walk.lost ? Infinity : walk.losses.at(-1);
    }
    return sum / repeats;
  });
}

/** The rates that get within a tenth of the way to the best: [first, last] index, or null where none gets anywhere. */
export function rightRates(ends, startLoss) {
  const best = Math.min(...ends);
  if (!(startLoss - best > 0.02)) return null;
  const good = ends.map((end) => end <= best + 0.1 * (startLoss - best));
  let first = ends.indexOf(best);
  let last = first;
  while (first > 0 && good[first - 1]) first--;
  while (last < ends.length - 1 && good[last + 1]) last++;
  return [first, last];
}
