// Loss surfaces over two weights, and gradient descent on them. The loss is a mean over EXAMPLES: each example adds a
// tilt, and all tilts sum to 0. The gradient of a batch is the full gradient plus the mean tilt of its examples.
import { normal, seeded, shuffled } from "./numbers.js";

export const EXAMPLES = 64;
export const REACH = 3; // the map shows −3 to 3 of both weights
const LOST = 30; // a walk farther away than this has diverged

const TURN = 0.45; // the ravine runs at this angle (radians)
const ALONG = [Math.cos(TURN), Math.sin(TURN)];

/** Return a function of x with two minima at ±2, and its derivative. */
function wells(x) {
  return [(x * x - 4) ** 2 / 16, (x * (x * x - 4)) / 4];
}

// name -> loss(x, y), gradient(x, y) -> [dx, dy], tilt: standard deviation of the examples' tilts, lowest: [x, y]
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

/** Return the tilt of each example: EXAMPLES pairs that sum to 0. */
export function tiltsOf(surface, seed) {
  const random = seeded(seed + 1000);
  const tilts = Array.from({ length: EXAMPLES }, () => [normal(random), normal(random)]);
  for (const axis of [0, 1]) {
    const mean = tilts.reduce((sum, tilt) => sum + tilt[axis], 0) / EXAMPLES;
    for (const tilt of tilts) tilt[axis] = (tilt[axis] - mean) * surface.tilt;
  }
  return tilts;
}

/** Return the gradient at a point for the examples of one batch; with all examples it is the gradient of the surface. */
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

/** Start a walk: `at` is its position, `path` all its positions, `losses` the loss at each of them, `batch` the last batch. */
export function startWalk(name, start, seed) {
  const surface = SURFACES[name];
  return {
    surface,
    tilts: tiltsOf(surface, seed),
    random: seeded(seed),
    queue: [], // examples of this epoch that were not used yet
    batch: [],
    at: [...start],
    path: [[...start]],
    losses: [surface.loss(...start)],
    examplesUsed: 0,
    lost: false,
  };
}

/** Do one step of gradient descent with the next `batchSize` examples of the shuffled epoch: at − lr × gradient. */
export function stepDown(walk, lr, batchSize) {
  if (walk.lost) return walk;
  if (walk.queue.length === 0) walk.queue = shuffled(EXAMPLES, walk.random);
  walk.batch = walk.queue.splice(0, batchSize);
  walk.examplesUsed += walk.batch.length;
  const [dx, dy] = batchGradient(walk.surface, walk.tilts, walk.batch, walk.at);
  walk.at = [walk.at[0] - lr * dx, walk.at[1] - lr * dy];
  walk.path.push(walk.at);
  walk.losses.push(walk.surface.loss(...walk.at));
  walk.lost = !(Math.hypot(...walk.at) < LOST);
  return walk;
}

/**
 * Return the loss after `steps` steps for each learning rate, averaged over eight walks if batches are random; Infinity if
 * one of the walks diverged.
 */
export function sweepLearningRates(name, start, learningRates, batchSize, seed, steps = 50) {
  const repeats = batchSize < EXAMPLES ? 8 : 1;
  return learningRates.map((lr) => {
    let sum = 0;
    for (let repeat = 0; repeat < repeats; repeat++) {
      const walk = startWalk(name, start, seed + repeat);
      for (let step = 0; step < steps && !walk.lost; step++) stepDown(walk, lr, batchSize);
      sum += walk.lost ? Infinity : walk.losses.at(-1);
    }
    return sum / repeats;
  });
}

/** Return the range [first, last] of learning rates that reach at least 90 % of the best decrease; null if none helps. */
export function goodLearningRates(ends, startLoss) {
  const best = Math.min(...ends);
  if (!(startLoss - best > 0.02)) return null;
  const good = ends.map((end) => end <= best + 0.1 * (startLoss - best));
  let first = ends.indexOf(best);
  let last = first;
  while (first > 0 && good[first - 1]) first--;
  while (last < ends.length - 1 && good[last + 1]) last++;
  return [first, last];
}
