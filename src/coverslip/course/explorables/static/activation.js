// Activation functions with their slopes (derivatives). The page shows `formula`.

/** Error function with an absolute error below 1.5e-7 (Abramowitz and Stegun 1964, 7.1.26). */
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const tail = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return Math.sign(x) * (1 - tail * Math.exp(-x * x));
}

const sigmoid = (x) => 1 / (1 + Math.exp(-x));
const normalCdf = (x) => (1 + erf(x / Math.SQRT2)) / 2; // fraction of a normal distribution below x

export const ACTIVATIONS = {
  sigmoid: { label: "Sigmoid", formula: "1 / (1 + e⁻ˣ)", value: sigmoid, slope: (x) => sigmoid(x) * (1 - sigmoid(x)) },
  tanh: { label: "Tanh", formula: "(eˣ − e⁻ˣ) / (eˣ + e⁻ˣ)", value: Math.tanh, slope: (x) => 1 - Math.tanh(x) ** 2 },
  relu: { label: "ReLU", formula: "x if x > 0, else 0", value: (x) => Math.max(0, x), slope: (x) => (x > 0 ? 1 : 0) },
  leaky_relu: {
    label: "Leaky ReLU",
    formula: "x if x > 0, else 0.1 x",
    value: (x) => (x > 0 ? x : 0.1 * x),
    slope: (x) => (x > 0 ? 1 : 0.1),
  },
  elu: {
    label: "ELU",
    formula: "x if x > 0, else eˣ − 1",
    value: (x) => (x > 0 ? x : Math.expm1(x)),
    slope: (x) => (x > 0 ? 1 : Math.exp(x)),
  },
  gelu: {
    label: "GELU",
    formula: "x × fraction of a normal distribution below x",
    value: (x) => x * normalCdf(x),
    slope: (x) => normalCdf(x) + (x * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI),
  },
  softplus: {
    label: "Softplus",
    formula: "ln(1 + eˣ)",
    value: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
    slope: sigmoid,
  },
  linear: { label: "None (linear)", formula: "x", value: (x) => x, slope: () => 1 },
};

/** A slope below this value lets almost no gradient through. */
export const FLAT = 0.05;

/** Return a unit's inputs for the images of a batch: evenly spaced quantiles of a normal distribution around `middle`. */
export function inputsAbout(middle, spread, count = 40) {
  return Array.from({ length: count }, (_, index) => {
    const share = (index + 0.5) / count;
    return middle + spread * 4.91 * (share ** 0.14 - (1 - share) ** 0.14); // Tukey's lambda: within 0.02 of the normal
  });
}
