"""A kernel slid over a small image: the arithmetic of a convolution, by hand and as a drawing."""

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
CELL, GAP = 0.36, 0.62  # inches of a number's square, and between two grids
SIGNS = ("#fbdcb4", "#fffefb", "#cfe6d9")  # of answers below 0, of 0, above 0

LIGHT_AND_DARK: FloatArray = np.tile([10.0, 10.0, 10.0, 0.0, 0.0, 0.0], (6, 1))
"""6 x 6: a light half and a dark one, with an upright edge between them."""
VERTICAL_EDGE: FloatArray = np.tile([1.0, 0.0, -1.0], (3, 1))
"""3 x 3: answers where it is lighter to the left than to the right."""
for _fixed in (LIGHT_AND_DARK, VERTICAL_EDGE):
    _fixed.setflags(write=False)


def side_after(side: int, kernel: int, *, stride: int = 1, padding: int = 0) -> int:
    """How many places a kernel finds along one side of an image.

    Args:
        side: pixels of the image.
        kernel: pixels of the kernel.
        stride: pixels from one place to the next, 1 or more.
        padding: pixels added at both ends, 0 or more.

    Raises:
        UserError: the kernel is larger than the image, or a number is out of its range.

    >>> side_after(6, 3), side_after(6, 3, stride=2, padding=1), side_after(6, 3, padding=1)
    (4, 3, 6)
    """
    if min(side, kernel, stride) < 1 or padding < 0:
        raise UserError(
            f"side={side}, kernel={kernel}, stride={stride}, padding={padding} cannot be",
            "side, kernel and stride are 1 or more, padding 0 or more",
        )
    if kernel > side + 2 * padding:
        raise UserError(
            f"a kernel of {kernel} does not fit into {side} pixels with a padding of {padding}", "add padding"
        )
    return (side + 2 * padding - kernel) // stride + 1


def slide(image: npt.ArrayLike, kernel: npt.ArrayLike, *, stride: int = 1, padding: int = 0) -> FloatArray:
    """Slide a kernel over an image; at each place multiply what lies on one another, and add up.

    The kernel is not turned round, as in every library of networks; strictly that is a cross-correlation.

    Args:
        image: (H, W) numbers.
        kernel: (h, w) numbers.
        stride: pixels from one place to the next.
        padding: zeros added on all four sides.

    Returns:
        (H', W'), see `side_after`.

    Raises:
        UserError: one of the two is no table of numbers, or the kernel does not fit.

    >>> slide(LIGHT_AND_DARK, VERTICAL_EDGE).astype(int).tolist()[0]
    [0, 30, 30, 0]
    """
    shown, weights = (np.asarray(each, float) for each in (image, kernel))
    if shown.ndim != 2 or weights.ndim != 2:
        raise UserError(
            f"an image of shape {shown.shape} and a kernel of shape {weights.shape} are no tables of numbers",
            "give rows of numbers: one color of an image at a time",
        )
    rows, columns = (
        side_after(there, here, stride=stride, padding=padding)
        for there, here in zip(shown.shape, weights.shape, strict=True)
    )
    framed = np.pad(shown, padding)
    windows = np.lib.stride_tricks.sliding_window_view(framed, weights.shape)[::stride, ::stride]
    return np.asarray((windows[:rows, :columns] * weights).sum(axis=(-2, -1)))


def pool(image: npt.ArrayLike, side: int = 2) -> FloatArray:
    """The largest number of each square of ``side`` x ``side``; what is left over at the end is dropped.

    >>> pool([[1, 5, 0, 2], [3, 4, 7, 1]]).tolist()
    [[5.0, 7.0]]
    """
    shown = np.asarray(image, float)
    rows, columns = (length // side for length in shown.shape)
    squares = shown[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return np.asarray(squares.max(axis=(1, 3)))


def sum_figure(
    image: npt.ArrayLike,
    kernel: npt.ArrayLike,
    *,
    stride: int = 1,
    padding: int = 0,
    place: tuple[int, int] = (0, 0),
) -> Figure:
    """An image, a kernel and what comes of them, as tables of numbers; one place is framed and its sum spelled out.

    Args:
        image: (H, W).
        kernel: (h, w).
        stride: pixels from one place to the next.
        padding: zeros added on all sides; they are drawn in grey.
        place: row and column of the answer that is spelled out.
    """
    answer = slide(image, kernel, stride=stride, padding=padding)
    weights = np.asarray(kernel, float)
    framed = np.pad(np.asarray(image, float), padding)
    top, left = place[0] * stride, place[1] * stride
    window = framed[top : top + weights.shape[0], left : left + weights.shape[1]]
    terms = " + ".join(f"{_factor(one)}·{_factor(other)}" for one, other in zip(window.flat, weights.flat, strict=True))
    grids = [("the image", framed), ("the kernel", weights), ("the answer", answer)]
    tall = max(len(grid) for _, grid in grids)
    breadth = 0.4 + sum(grid.shape[1] * CELL for _, grid in grids) + 2 * GAP
    breadth, length = max(breadth, 0.055 * len(terms)), tall * CELL + 1.0
    with style():
        figure = new_figure(figsize=(breadth, length))
        at = 0.2
        for number, (name, grid) in enumerate(grids):
            rows, columns = grid.shape
            bottom = 0.55 + (tall - rows) * CELL / 2
            box = at / breadth, bottom / length, columns * CELL / breadth, rows * CELL / length
            ax = figure.add_axes(box)
            _draw_numbers(ax, grid, ("light", "", "sign")[number], border=padding if number == 0 else 0)
            around = f" and a border of {padding}" if number == 0 and padding else ""
            ax.set_title(
                f"{name}, {rows - 2 * padding * (not number)} × {columns - 2 * padding * (not number)}{around}",
                fontsize=8.5,
                loc="left",
            )
            if number == 0:
                _frame(ax, left, top, *weights.shape[::-1])
            if number == 2:
                _frame(ax, place[1], place[0], 1, 1)
            if number < 2:
                sign = ("*", "=")[number]
                middle = (0.55 + tall * CELL / 2) / length
                across = (at + columns * CELL + GAP / 2) / breadth
                figure.text(across, middle, sign, size=15, color=MUTED, ha="center", va="center")
            at += columns * CELL + GAP
        said = f"{terms} = {_text(float(answer[place]))}"
        figure.text(0.2 / breadth, 0.16 / length, said, color=INK, size=7.5)
        return figure


def maps_figure(images: Sequence[npt.ArrayLike], names: Sequence[str]) -> Figure:
    """Answers to several kernels side by side, in grey; each from its own least to its own largest number.

    Args:
        images: (H, W) numbers each, or (H, W, 3) uint8 for an image in color.
        names: one each.
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
    """Shaded by how light a pixel is, by the sign of an answer, or not."""
    from matplotlib.colors import ListedColormap

    rows, columns = grid.shape
    ax.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5))
    if shade == "light":
        reach = max(float(np.abs(grid).max()), 1e-9)
        ax.imshow(grid, cmap="Greys_r", vmin=-2 * reach, vmax=reach, aspect="auto")
    if shade == "sign":
        ax.imshow(np.sign(grid), cmap=ListedColormap(SIGNS), vmin=-1, vmax=1, aspect="auto")
    for row, column in np.ndindex(rows, columns):
        edge = border and not (border <= row < rows - border and border <= column < columns - border)
        look: dict[str, Any] = {"color": MUTED, "style": "italic"} if edge else {"color": INK}
        ax.text(column, row, _text(float(grid[row, column])), ha="center", va="center", fontsize=8.5, **look)
    ax.set(xticks=np.arange(columns + 1) - 0.5, yticks=np.arange(rows + 1) - 0.5, xticklabels=[], yticklabels=[])
    ax.tick_params(length=0)
    ax.grid(True, color=AXIS, linewidth=0.5)
    for spine in ax.spines.values():
        spine.set(visible=True, color=AXIS)


def _frame(ax: Axes, left: int, top: int, wide: int, tall: int) -> None:
    from matplotlib.patches import Rectangle

    ax.add_patch(
        Rectangle((left - 0.5, top - 0.5), wide, tall, fill=False, edgecolor=ACCENT, linewidth=2.4, clip_on=False)
    )


def _factor(value: float) -> str:
    return f"({_text(value)})" if value < 0 else _text(value)


def _text(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")
