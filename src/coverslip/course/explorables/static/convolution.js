// A kernel on an image, as convolutional layers do it: the kernel is not turned (in mathematics, a cross-correlation).
// Images and kernels are rows of numbers.

/** How many places a kernel has along one side; a rest that does not fill a stride is left out. */
export function placesAlong(size, kernelSize, stride, padding) {
  return Math.max(0, Math.floor((size + 2 * padding - kernelSize) / stride) + 1);
}

/** The products at one place of the new image, row by row, and their sum. Outside of the image is 0. */
export function placeOf(image, kernel, row, column, stride, padding) {
  let sum = 0;
  const terms = kernel.map((weights, down) =>
    weights.map((weight, right) => {
      const [y, x] = [row * stride + down - padding, column * stride + right - padding];
      const outside = y < 0 || x < 0 || y >= image.length || x >= image[0].length;
      const pixel = outside ? 0 : image[y][x];
      sum += pixel * weight;
      return { pixel, weight, outside };
    }),
  );
  return { terms, sum };
}

/** The whole new image. */
export function convolved(image, kernel, stride = 1, padding = 0) {
  const rows = placesAlong(image.length, kernel.length, stride, padding);
  const columns = placesAlong(image[0].length, kernel[0].length, stride, padding);
  return Array.from({ length: rows }, (_, row) =>
    Array.from({ length: columns }, (_, column) => placeOf(image, kernel, row, column, stride, padding).sum),
  );
}
