// Seeded random numbers, and formatting of numbers.

/** Return a generator of uniform numbers in [0, 1): mulberry32, with 32 bits of state. */
export function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** Draw a number from the standard normal distribution (Box and Muller 1958). */
export function normal(random) {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** Return 0 .. count - 1 in random order (Fisher and Yates). */
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

/** Format with up to `digits` significant digits, a true minus sign and no exponent: 0.05, −12, 1,500. */
export function format(value, digits = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const text = value.toLocaleString("en-US", { maximumSignificantDigits: digits, useGrouping: true });
  return text === "-0" ? "0" : text.replace("-", "−");
}

/** Format with a fixed number of decimals, so that a changing number keeps its width. */
export function fixed(value, decimals = 2) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const text = value.toFixed(decimals);
  return Number(text) === 0 ? (0).toFixed(decimals) : text.replace("-", "−");
}
