// Convolution as in convolutional layers: the kernel is not flipped (in mathematics, a cross-correlation).
// Images and kernels are rows of numbers.

/** Return the number of positions of a kernel along one side; a remainder smaller than a stride is ignored. */
export function outputSize(size, kernelSize, stride, padding) {
  return Math.max(0, Math.floor((size + 2 * padding - kernelSize) / stride) + 1);
}

/** Return the products at one position of the output, row by row, and their sum. Pixels outside the image are 0. */
export function productsAt(image, kernel, row, column, stride, padding) {
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

/** Return the whole output. */
export function convolve(image, kernel, stride = 1, padding = 0) {
  const rows = outputSize(image.length, kernel.length, stride, padding);
  const columns = outputSize(image[0].length, kernel[0].length, stride, padding);
  return Array.from({ length: rows }, (_, row) =>
    Array.from({ length: columns }, (_, column) => productsAt(image, kernel, row, column, stride, padding).sum),
  );
}
