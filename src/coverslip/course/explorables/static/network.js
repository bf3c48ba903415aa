// A network of one hidden layer: two measurements -> units (tanh) -> one score; above 0 is class 1. Without units the
// measurements go to the score directly, so that the boundary is a straight line. All weights stand in one flat array.
import { normal } from "./numbers.js";

/** A new network. Layout of `all`: units x 2 weights, units biases, units (or 2) outgoing weights, one bias. */
export function newNetwork(units, random, size = 1) {
  const outgoing = units || 2;
  const all = new Float64Array(3 * units + outgoing + 1);
  for (let at = 0; at < 2 * units; at++) all[at] = size * normal(random);
  for (let at = 2 * units; at < 3 * units; at++) all[at] = size * normal(random);
  for (let at = 3 * units; at < 3 * units + outgoing; at++) all[at] = normal(random) / Math.sqrt(outgoing);
  return { units, outgoing, all, first: new Float64Array(all.length), second: new Float64Array(all.length), steps: 0 };
}

/** Is this place of `all` a weight? Biases are not punished by L2. */
export function isWeight(network, at) {
  const out = 3 * network.units;
  return at < 2 * network.units || (at >= out && at < out + network.outgoing);
}

/** What the hidden units make of a point, into `hidden`; returns the score. `kept`: a factor a unit (dropout), or null. */
export function scoreOf(network, a, b, hidden, kept = null) {
  const { units, all } = network;
  const out = 3 * units;
  if (units === 0) return all[0] * a + all[1] * b + all[2];
  let score = all[out + units];
  for (let unit = 0; unit < units; unit++) {
    hidden[unit] = Math.tanh(all[2 * unit] * a + all[2 * unit + 1] * b + all[2 * units + unit]);
    score += all[out + unit] * hidden[unit] * (kept ? kept[unit] : 1);
  }
  return score;
}

/** Loss (cross-entropy, nats) and share of points on their side of the boundary; no dropout, no penalty. */
export function judged(network, points) {
  const hidden = new Float64Array(network.units);
  let [loss, right] = [0, 0];
  for (let index = 0; index < points.count; index++) {
    const score = scoreOf(network, points.x[2 * index], points.x[2 * index + 1], hidden);
    loss += Math.max(score, 0) - score * points.y[index] + Math.log1p(Math.exp(-Math.abs(score)));
    right += (score > 0 ? 1 : 0) === points.y[index] ? 1 : 0;
  }
  return { loss: loss / points.count, accuracy: right / points.count };
}

/** Which units are kept, point by point: 1 / (1 - rate) or 0, so that the expected sum stays. */
export function dropped(units, count, rate, random) {
  const kept = new Float64Array(units * count);
  for (let at = 0; at < kept.length; at++) kept[at] = random() < rate ? 0 : 1 / (1 - rate);
  return kept;
}

/** The gradient of mean loss + l2 / 2 x (sum of squared weights). `kept` as from `dropped`, or null. */
export function gradientOf(network, points, l2 = 0, kept = null) {
  const { units, all } = network;
  const out = 3 * units;
  const slope = new Float64Array(all.length);
  const hidden = new Float64Array(units);
  for (let index = 0; index < points.count; index++) {
    const [a, b] = [points.x[2 * index], points.x[2 * index + 1]];
    const mask = kept ? kept.subarray(index * units, (index + 1) * units) : null;
    const score = scoreOf(network, a, b, hidden, mask);
    const error = (1 / (1 + Math.exp(-score)) - points.y[index]) / points.count;
    if (units === 0) {
      slope[0] += error * a;
      slope[1] += error * b;
      slope[2] += error;
      continue;
    }
    slope[out + units] += error;
    for (let unit = 0; unit < units; unit++) {
      const factor = mask ? mask[unit] : 1;
      slope[out + unit] += error * hidden[unit] * factor;
      const back = error * all[out + unit] * factor * (1 - hidden[unit] * hidden[unit]);
      slope[2 * unit] += back * a;
      slope[2 * unit + 1] += back * b;
      slope[2 * units + unit] += back;
    }
  }
  if (l2 > 0) for (let at = 0; at < all.length; at++) if (isWeight(network, at)) slope[at] += l2 * all[at];
  return slope;
}

/** One step of Adam (Kingma and Ba 2015) on all points; the network is changed in place. */
export function train(network, points, { rate = 0.03, l2 = 0, kept = null } = {}) {
  const { all, first, second } = network;
  const slope = gradientOf(network, points, l2, kept);
  network.steps++;
  const [warm1, warm2] = [1 - 0.9 ** network.steps, 1 - 0.999 ** network.steps];
  for (let at = 0; at < all.length; at++) {
    first[at] = 0.9 * first[at] + 0.1 * slope[at];
    second[at] = 0.999 * second[at] + 0.001 * slope[at] * slope[at];
    all[at] -= (rate * (first[at] / warm1)) / (Math.sqrt(second[at] / warm2) + 1e-8);
  }
  return network;
}

/** How much each unit moves the score over the points: the standard deviation of what it adds. */
export function strengths(network, points) {
  const { units, all } = network;
  const hidden = new Float64Array(units);
  const [sum, squares] = [new Float64Array(units), new Float64Array(units)];
  for (let index = 0; index < points.count; index++) {
    scoreOf(network, points.x[2 * index], points.x[2 * index + 1], hidden);
    for (let unit = 0; unit < units; unit++) {
      const adds = hidden[unit] * all[3 * units + unit];
      sum[unit] += adds / points.count;
      squares[unit] += (adds * adds) / points.count;
    }
  }
  return Array.from(sum, (mean, unit) => Math.sqrt(Math.max(0, squares[unit] - mean * mean)));
}

/** Weights only, no biases. */
export function weightsOf(network) {
  return Array.from(network.all).filter((_, at) => isWeight(network, at));
}
