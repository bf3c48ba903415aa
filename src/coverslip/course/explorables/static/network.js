// A network with one hidden layer: two features -> units (tanh) -> one logit; above 0 the prediction is class 1. With 0
// units the logit is a linear function of the features: the boundary is a straight line. One flat array holds all weights.
import { normal } from "./numbers.js";

/** Create a network. Layout of `all`: units x 2 weights, units biases, units (or 2) output weights, one bias. */
export function newNetwork(units, random, size = 1) {
  const outgoing = units || 2;
  const all = new Float64Array(3 * units + outgoing + 1);
  for (let at = 0; at < 2 * units; at++) all[at] = size * normal(random);
  for (let at = 2 * units; at < 3 * units; at++) all[at] = size * normal(random);
  for (let at = 3 * units; at < 3 * units + outgoing; at++) all[at] = normal(random) / Math.sqrt(outgoing);
  return { units, outgoing, all, first: new Float64Array(all.length), second: new Float64Array(all.length), steps: 0 };
}

/** Is this element of `all` a weight? Biases have no L2 penalty. */
export function isWeight(network, at) {
  const out = 3 * network.units;
  return at < 2 * network.units || (at >= out && at < out + network.outgoing);
}

/** Compute the hidden activations into `hidden`, return the logit. `kept`: a factor per unit (dropout), or null. */
export function logitOf(network, a, b, hidden, kept = null) {
  const { units, all } = network;
  const out = 3 * units;
  if (units === 0) return all[0] * a + all[1] * b + all[2];
  let logit = all[out + units];
  for (let unit = 0; unit < units; unit++) {
    hidden[unit] = Math.tanh(all[2 * unit] * a + all[2 * unit + 1] * b + all[2 * units + unit]);
    logit += all[out + unit] * hidden[unit] * (kept ? kept[unit] : 1);
  }
  return logit;
}

/** Return cross-entropy (nats) and accuracy on some points, without dropout and penalty. */
export function evaluate(network, points) {
  const hidden = new Float64Array(network.units);
  let [loss, correct] = [0, 0];
  for (let index = 0; index < points.count; index++) {
    const logit = logitOf(network, points.x[2 * index], points.x[2 * index + 1], hidden);
    loss += Math.max(logit, 0) - logit * points.y[index] + Math.log1p(Math.exp(-Math.abs(logit)));
    correct += (logit > 0 ? 1 : 0) === points.y[index] ? 1 : 0;
  }
  return { loss: loss / points.count, accuracy: correct / points.count };
}

/** Return a dropout mask, a factor per point and unit: 1 / (1 - rate) or 0, so that the expected sum is unchanged. */
export function dropoutMask(units, count, rate, random) {
  const kept = new Float64Array(units * count);
  for (let at = 0; at < kept.length; at++) kept[at] = random() < rate ? 0 : 1 / (1 - rate);
  return kept;
}

/** Return the gradient of mean loss + l2 / 2 x (sum of squared weights). `kept` as returned by `dropoutMask`, or null. */
export function gradientOf(network, points, l2 = 0, kept = null) {
  const { units, all } = network;
  const out = 3 * units;
  const gradient = new Float64Array(all.length);
  const hidden = new Float64Array(units);
  for (let index = 0; index < points.count; index++) {
    const [a, b] = [points.x[2 * index], points.x[2 * index + 1]];
    const mask = kept ? kept.subarray(index * units, (index + 1) * units) : null;
    const logit = logitOf(network, a, b, hidden, mask);
    const error = (1 / (1 + Math.exp(-logit)) - points.y[index]) / points.count;
    if (units === 0) {
      gradient[0] += error * a;
      gradient[1] += error * b;
      gradient[2] += error;
      continue;
    }
    gradient[out + units] += error;
    for (let unit = 0; unit < units; unit++) {
      const factor = mask ? mask[unit] : 1;
      gradient[out + unit] += error * hidden[unit] * factor;
      const back = error * all[out + unit] * factor * (1 - hidden[unit] * hidden[unit]);
      gradient[2 * unit] += back * a;
      gradient[2 * unit + 1] += back * b;
      gradient[2 * units + unit] += back;
    }
  }
  if (l2 > 0) for (let at = 0; at < all.length; at++) if (isWeight(network, at)) gradient[at] += l2 * all[at];
  return gradient;
}

/** Do one step of Adam (Kingma and Ba 2015) on all points; the network is changed in place. */
export function train(network, points, { lr = 0.03, l2 = 0, kept = null } = {}) {
  const { all, first, second } = network;
  const gradient = gradientOf(network, points, l2, kept);
  network.steps++;
  const [bias1, bias2] = [1 - 0.9 ** network.steps, 1 - 0.999 ** network.steps]; // bias correction
  for (let at = 0; at < all.length; at++) {
    first[at] = 0.9 * first[at] + 0.1 * gradient[at];
    second[at] = 0.999 * second[at] + 0.001 * gradient[at] * gradient[at];
    all[at] -= (lr * (first[at] / bias1)) / (Math.sqrt(second[at] / bias2) + 1e-8);
  }
  return network;
}

/** Return the strength of each unit: the standard deviation, over the points, of its contribution to the logit. */
export function unitStrengths(network, points) {
  const { units, all } = network;
  const hidden = new Float64Array(units);
  const [sum, squares] = [new Float64Array(units), new Float64Array(units)];
  for (let index = 0; index < points.count; index++) {
    logitOf(network, points.x[2 * index], points.x[2 * index + 1], hidden);
    for (let unit = 0; unit < units; unit++) {
      const contribution = hidden[unit] * all[3 * units + unit];
      sum[unit] += contribution / points.count;
      squares[unit] += (contribution * contribution) / points.count;
    }
  }
  return Array.from(sum, (mean, unit) => Math.sqrt(Math.max(0, squares[unit] - mean * mean)));
}

/** Return the weights without the biases. */
export function weightsOf(network) {
  return Array.from(network.all).filter((_, at) => isWeight(network, at));
}
