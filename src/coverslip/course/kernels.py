"""Convolution and pooling of small arrays by hand, and figures that show the arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import UserError
from coverslip.figures.style import ACCENT, AXIS, INK, MUTED, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FloatArray = npt.NDArray[np.float64]
CELL, GAP = 0.36, 0.62  # inches: side of one number's square, and space between two grids
SIGN_COLORS = ("#fbdcb4", "#fffefb", "#cfe6d9")  # outputs below 0, equal to 0, above 0

LIGHT_AND_DARK: FloatArray = np.tile([10.0, 10.0, 10.0, 0.0, 0.0, 0.0], (6, 1))
"""A 6 x 6 image: a light half and a dark half with a vertical edge between them."""
VERTICAL_EDGE: FloatArray = np.tile([1.0, 0.0, -1.0], (3, 1))
"""A 3 x 3 kernel whose output is positive where the image is lighter on the left than on the right."""
for _constant in (LIGHT_AND_DARK, VERTICAL_EDGE):
    _constant.setflags(write=False)


def output_size(side: int, kernel: int, *, stride: int = 1, padding: int = 0) -> int:
    """Return the output size of a convolution along one side of an image.

    Args:
        side: size of the image in pixels.
        kernel: size of the kernel in pixels.
        stride: step between neighboring positions in pixels, 1 or more.
        padding: pixels added at each end, 0 or more.

    Raises:
        UserError: the kernel is larger than the padded image, or a value is out of range.

    >>> output_size(6, 3), output_size(6, 3, stride=2, padding=1), output_size(6, 3, padding=1)
    (4, 3, 6)
    """
    if min(side, kernel, stride) < 1 or padding < 0:
        raise UserError(
            f"side={side}, kernel={kernel}, stride={stride}, padding={padding} is not possible",
            "give side, kernel and stride of 1 or more, and padding of 0 or more",
        )
    if kernel > side + 2 * padding:
        raise UserError(
            f"a kernel of {kernel} does not fit into {side} pixels with a padding of {padding}",
            "add padding, or use a smaller kernel",
        )
    return (side + 2 * padding - kernel) // stride + 1


def slide_kernel(image: npt.ArrayLike, kernel: npt.ArrayLike, *, stride: int = 1, padding: int = 0) -> FloatArray:
    """Convolve an image with a kernel, as deep learning libraries do.

    At each position the kernel and the image below it are multiplied element by element and summed. The kernel is not
    flipped, so that the operation is, strictly speaking, a cross-correlation.

    Args:
        image: numbers, shape (H, W).
        kernel: numbers, shape (h, w).
        stride: step between neighboring positions in pixels.
        padding: zeros added on all four sides.

    Returns:
        The output, shape (H', W'); see `output_size`.

    Raises:
        UserError: the image or the kernel is not two-dimensional, or the kernel does not fit.

    >>> slide_kernel(LIGHT_AND_DARK, VERTICAL_EDGE).astype(int).tolist()[0]
    [0, 30, 30, 0]
    """
    pixels, weights = np.asarray(image, float), np.asarray(kernel, float)
    if pixels.ndim != 2 or weights.ndim != 2:
        raise UserError(
            f"the image has shape {pixels.shape} and the kernel {weights.shape}; both need two dimensions",
            "give rows of numbers: one color channel at a time",
        )
    rows, columns = (
        output_size(image_side, kernel_side, stride=stride, padding=padding)
        for image_side, kernel_side in zip(pixels.shape, weights.shape, strict=True)
    )
    padded = np.pad(pixels, padding)
    windows = np.lib.stride_tricks.sliding_window_view(padded, weights.shape)[::stride, ::stride]
    return np.asarray((windows[:rows, :columns] * weights).sum(axis=(-2, -1)))


def pool(image: npt.ArrayLike, side: int = 2) -> FloatArray:
    """Return the maximum of each square of ``side`` x ``side`` pixels; incomplete squares at the end are dropped.

    >>> pool([[1, 5, 0, 2], [3, 4, 7, 1]]).tolist()
    [[5.0, 7.0]]
    """
    pixels = np.asarray(image, float)
    rows, columns = (length // side for length in pixels.shape)
    squares = pixels[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return np.asarray(squares.max(axis=(1, 3)))


def convolution_figure(
    image: npt.ArrayLike,
    kernel: npt.ArrayLike,
    *,
    stride: int = 1,
    padding: int = 0,
    position: tuple[int, int] = (0, 0),
) -> Figure:
    """Draw an image, a kernel and their output as tables of numbers, and write out the sum at one position.

    Args:
        image: numbers, shape (H, W).
        kernel: numbers, shape (h, w).
        stride: step between neighboring positions in pixels.
        padding: zeros added on all sides; they are drawn in grey.
        position: (row, column) of the output value whose sum is written out; it is framed.
    """
    output = slide_kernel(image, kernel, stride=stride, padding=padding)
    weights = np.asarray(kernel, float)
    padded = np.pad(np.asarray(image, float), padding)
    top, left = position[0] * stride, position[1] * stride
    window = padded[top : top + weights.shape[0], left : left + weights.shape[1]]
    terms = " + ".join(
        f"{_factor(pixel)}·{_factor(weight)}" for pixel, weight in zip(window.flat, weights.flat, strict=True)
    )
    grids = [("image", padded), ("kernel", weights), ("output", output)]
    most_rows = max(len(grid) for _, grid in grids)
    width = 0.4 + sum(grid.shape[1] * CELL for _, grid in grids) + 2 * GAP
    width, height = max(width, 0.055 * len(terms)), most_rows * CELL + 1.0
    with style():
        figure = new_figure(figsize=(width, height))
        x = 0.2
        for number, (name, grid) in enumerate(grids):
            rows, columns = grid.shape
            bottom = 0.55 + (most_rows - rows) * CELL / 2
            box = x / width, bottom / height, columns * CELL / width, rows * CELL / height
            ax = figure.add_axes(box)
            _draw_numbers(ax, grid, ("brightness", "", "sign")[number], border=padding if number == 0 else 0)
            border = f", padding {padding}" if number == 0 and padding else ""
            ax.set_title(
                f"{name}, {rows - 2 * padding * (not number)} × {columns - 2 * padding * (not number)}{border}",
                fontsize=8.5,
                loc="left",
            )
            if number == 0:
                _frame(ax, left, top, *weights.shape[::-1])
            if number == 2:
                _frame(ax, position[1], position[0], 1, 1)
            if number < 2:
                sign = ("*", "=")[number]
                y_sign = (0.55 + most_rows * CELL / 2) / height
                x_sign = (x + columns * CELL + GAP / 2) / width
                figure.text(x_sign, y_sign, sign, size=15, color=MUTED, ha="center", va="center")
            x += columns * CELL + GAP
        equation = f"{terms} = {_text(float(output[position]))}"
        figure.text(0.2 / width, 0.16 / height, equation, color=INK, size=7.5)
        return figure


def maps_figure(images: Sequence[npt.ArrayLike], names: Sequence[str]) -> Figure:
    """Draw images or feature maps side by side in grey, each scaled from its own minimum to its own maximum.

    Args:
        images: one array per panel: numbers of shape (H, W), or a color image, uint8 (H, W, 3).
        names: titles of the panels.
    """
    side = 1.7
    with style():
        figure = new_figure(figsize=(len(images) * (side + 0.1) + 0.1, side + 0.4))
        for number, (image, name) in enumerate(zip(images, names, strict=True)):
            ax = figure.add_subplot(1, len(images), number + 1)
            ax.imshow(np.asarray(image), cmap="gray", interpolation="nearest")
            ax.set(xticks=[], yticks=[])
            ax.set_title(name, fontsize=8.5, loc="left")
        figure.subplots_adjust(left=0.01, right=0.99, bottom=0.02, top=0.86, wspace=0.05)
        return figure


def _draw_numbers(ax: Axes, grid: FloatArray, shade: str, *, border: int) -> None:
    """Draw a grid of numbers on cells shaded by "brightness" or by "sign", or unshaded ("")."""
    from matplotlib.colors import ListedColormap

    rows, columns = grid.shape
    ax.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5))
    if shade == "brightness":
        largest = max(float(np.abs(grid).max()), 1e-9)
        # The range starts far below the darkest pixel, so that black text stays readable on every cell.
        ax.imshow(grid, cmap="Greys_r", vmin=-2 * largest, vmax=largest, aspect="auto")
    if shade == "sign":
        ax.imshow(np.sign(grid), cmap=ListedColormap(SIGN_COLORS), vmin=-1, vmax=1, aspect="auto")
    for row, column in np.ndindex(rows, columns):
        in_border = border and not (border <= row < rows - border and border <= column < columns - border)
        font: dict[str, Any] = {"color": MUTED, "style": "italic"} if in_border else {"color": INK}
        ax.text(column, row, _text(float(grid[row, column])), ha="center", va="center", fontsize=8.5, **font)
    ax.set(xticks=np.arange(columns + 1) - 0.5, yticks=np.arange(rows + 1) - 0.5, xticklabels=[], yticklabels=[])
    ax.tick_params(length=0)
    ax.grid(True, color=AXIS, linewidth=0.5)
    for spine in ax.spines.values():
        spine.set(visible=True, color=AXIS)


def _frame(ax: Axes, left: int, top: int, columns: int, rows: int) -> None:
    from matplotlib.patches import Rectangle

    ax.add_patch(
        Rectangle((left - 0.5, top - 0.5), columns, rows, fill=False, edgecolor=ACCENT, linewidth=2.4, clip_on=False)
    )


def _factor(value: float) -> str:
    """Return a number as text, in parentheses where it is negative."""
    return f"({_text(value)})" if value < 0 else _text(value)


def _text(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")
