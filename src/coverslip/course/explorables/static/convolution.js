// A kernel on a picture, as convolutional layers do it: the kernel is not turned (in mathematics, a cross-correlation).
// Pictures and kernels are rows of numbers.

/** How many places a kernel has along one side; a rest that does not fill a stride is left out. */
export function placesAlong(size, kernelSize, stride, padding) {
  return Math.max(0, Math.floor((size + 2 * padding - kernelSize) / stride) + 1);
}

/** The products at one place of the new picture, row by row, and their sum. Outside of the picture is 0. */
export function placeOf(picture, kernel, row, column, stride, padding) {
  let sum = 0;
  const terms = kernel.map((weights, down) =>
    weights.map((weight, right) => {
      const [y, x] = [row * stride + down - padding, column * stride + right - padding];
      const outside = y < 0 || x < 0 || y >= picture.length || x >= picture[0].length;
      const pixel = outside ? 0 : picture[y][x];
      sum += pixel * weight;
      return { pixel, weight, outside };
    }),
  );
  return { terms, sum };
}

/** The whole new picture. */
export function convolved(picture, kernel, stride = 1, padding = 0) {
  const rows = placesAlong(picture.length, kernel.length, stride, padding);
  const columns = placesAlong(picture[0].length, kernel[0].length, stride, padding);
  return Array.from({ length: rows }, (_, row) =>
    Array.from({ length: columns }, (_, column) => placeOf(picture, kernel, row, column, stride, padding).sum),
  );
}
