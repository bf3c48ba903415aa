// Seeded random numbers, and numbers as people read them.

/** Uniform numbers in [0, 1) from a seed: mulberry32, 32 bits of state. */
export function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** One draw of a normal distribution with mean 0 and standard deviation 1 (Box and Muller 1958). */
export function normal(random) {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** 0 .. count - 1 in random order (Fisher and Yates). */
export function shuffled(count, random) {
  const order = Array.from({ length: count }, (_, index) => index);
  for (let last = count - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [order[last], order[other]] = [order[other], order[last]];
  }
  return order;
}

export function clamp(value, low, high) {
  return Math.min(high, Math.max(low, value));
}

/** Up to `digits` significant digits, a real minus sign, no exponent: 0.05, −12, 1,500. */
export function written(value, digits = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const shown = value.toLocaleString("en-US", { maximumSignificantDigits: digits, useGrouping: true });
  return shown === "-0" ? "0" : shown.replace("-", "−");
}

/** A fixed number of decimals, so that a running number does not jump about. */
export function fixed(value, decimals = 2) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const shown = value.toFixed(decimals);
  return Number(shown) === 0 ? (0).toFixed(decimals) : shown.replace("-", "−");
}
