// Random points of two classes in two dimensions.
import { normal, seeded } from "./numbers.js";

export const SPAN = 1.6; // the map shows −1.6 to 1.6 of both features

const SHAPES = {
  moons(label, random) {
    const angle = Math.PI * random();
    return label === 0
      ? [Math.cos(angle) * 0.85 - 0.4, Math.sin(angle) * 0.85 - 0.25]
      : [0.4 - Math.cos(angle) * 0.85, 0.25 - Math.sin(angle) * 0.85];
  },
  rings(label, random) {
    const angle = 2 * Math.PI * random();
    const radius = label === 0 ? 0.45 * Math.sqrt(random()) : 0.95 + 0.15 * random();
    return [radius * Math.cos(angle), radius * Math.sin(angle)];
  },
  corners(label, random) {
    const [x, y] = [random() * 1.1 + 0.08, random() * 1.1 + 0.08];
    const right = random() < 0.5;
    return [right ? x : -x, (right === (label === 0)) ? y : -y];
  },
};

/**
 * Return `count` points of a shape. `noise` from 0 to 1 adds Gaussian noise (standard deviation 0.03 to 0.33) and flips
 * up to a tenth of the labels.
 * @returns {{x: Float64Array, y: Uint8Array, count: number}} x holds pairs; y is 0 or 1, half of each before the noise
 */
export function cloud(shape, count, noise, seed) {
  const random = seeded(seed);
  const scatter = 0.03 + 0.3 * noise;
  const x = new Float64Array(2 * count);
  const y = new Uint8Array(count);
  for (let index = 0; index < count; index++) {
    const label = index % 2;
    const [a, b] = SHAPES[shape](label, random);
    x[2 * index] = a + scatter * normal(random);
    x[2 * index + 1] = b + scatter * normal(random);
    y[index] = random() < 0.1 * noise ? 1 - label : label;
  }
  return { x, y, count };
}
