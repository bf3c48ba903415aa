"""Small figures of the first lessons: an image as numbers, a cut between two classes, activation functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import UserError
from coverslip.evidence.basis import proportion
from coverslip.evidence.intervals import clopper_pearson, format_interval
from coverslip.figures.style import (
    ACCENT,
    AXIS,
    CARD,
    DASHES,
    INK,
    LINE,
    MARKERS,
    MUTED,
    OKABE_ITO,
    VERMILION,
    new_figure,
    style,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CHANNELS = (("red", "Reds_r"), ("green", "Greens_r"), ("blue", "Blues_r"))


def numbers_figure(image: npt.NDArray[np.uint8], row: int, column: int, side: int = 8) -> Figure:
    """An image, one small window of it as numbers, and its three planes of color.

    Args:
        image: uint8 (H, W, 3).
        row: of the window's first pixel, from the top.
        column: likewise, from the left.
        side: pixels of the window, 2 to 12.

    Raises:
        UserError: no color image, or a window that is not inside it.
    """
    if image.ndim != 3 or image.shape[-1] != 3 or image.dtype != np.uint8:
        raise UserError(f"this is {image.dtype} of shape {image.shape}", "give one image, such as x[0]")
    height, width = image.shape[:2]
    if not (2 <= side <= 12 and 0 <= row <= height - side and 0 <= column <= width - side):
        raise UserError(
            f"no window of {side} pixels begins at row {row}, column {column}", "move it, or make it smaller"
        )
    window = image[row : row + side, column : column + side]
    with style():
        figure = new_figure(figsize=(9.6, 3.0), layout="constrained")
        axes = figure.subplots(1, 4)
        axes[0].imshow(image)
        box: dict[str, Any] = {"fill": False, "edgecolor": VERMILION, "linewidth": 1.8}
        from matplotlib.patches import Rectangle

        axes[0].add_patch(Rectangle((column - 0.5, row - 0.5), side, side, **box))
        axes[0].set_title(f"{height} x {width} pixels", pad=5)
        axes[0].set(xlabel="column", ylabel="row")
        for ax, (name, colors), plane in zip(axes[1:], CHANNELS, range(3), strict=True):
            shown = window[..., plane]
            ax.imshow(shown, cmap=colors, vmin=-60, vmax=315)
            for (down, across), value in np.ndenumerate(shown):
                ink = "white" if value < 120 else INK
                ax.text(across, down, int(value), ha="center", va="center", color=ink, fontsize=6.5)
            ax.set_title(f"{name} ({plane})", pad=5)
            ax.set(xticks=[0, side - 1], yticks=[0, side - 1])
            ax.set_xticklabels([column, column + side - 1])
            ax.set_yticklabels([row, row + side - 1])
        return figure


def cut_figure(
    values: npt.NDArray[np.floating], y: npt.NDArray[np.integer], names: Sequence[str], cut: float
) -> Figure:
    """One number an image, a dot each, in a row a class, and a cut between them.

    Args:
        values: (N,).
        y: (N,), 0 or 1.
        names: of the two classes.
        cut: at or above it the learner says class 0.
    """
    heights = np.random.default_rng(0).uniform(-0.28, 0.28, len(values))
    with style():
        figure = new_figure(figsize=(7.4, 2.2), layout="constrained")
        ax = figure.subplots()
        for number, name in enumerate(names[:2]):
            rows = y == number
            look: dict[str, Any] = {"color": OKABE_ITO[number], "marker": MARKERS[number]}
            ax.scatter(values[rows], number + heights[rows], s=11, alpha=0.65, linewidths=0, label=name, **look)
        ax.axvline(cut, color=INK, linewidth=1.6)
        ax.text(cut, -0.62, f"  from here on: {names[0]}", ha="left", va="center", fontsize=8, color=MUTED)
        ax.set(yticks=[0, 1], ylim=(1.5, -0.9), xlabel="the number")
        ax.set_yticklabels(names[:2])
        ax.spines["left"].set_visible(False)
        ax.tick_params(axis="y", length=0)
        return figure


def luck_figure(
    share: float = 0.9, counts: Sequence[int] = (10, 20, 50, 100, 200, 500, 1000), level: float = 0.95
) -> Figure:
    """The same share of right answers on more and more images, with the exact interval of each.

    Args:
        share: 0 to 1.
        counts: of images.
        level: of the intervals.
    """
    with style():
        figure = new_figure(figsize=(6.4, 2.7), layout="constrained")
        ax = figure.subplots()
        for place, count in enumerate(counts):
            hits = round(share * count)
            low, high = clopper_pearson(hits, count, level)
            ax.plot([place] * 2, [low, high], color=ACCENT, linewidth=4, alpha=0.5, solid_capstyle="butt")
            ax.plot([place], [hits / count], "o", color=ACCENT, markersize=7)
            ax.text(place, low - 0.025, f"{low:.2f}", ha="center", va="top", fontsize=7.5, color=MUTED)
            ax.text(place, high + 0.02, f"{high:.2f}", ha="center", va="bottom", fontsize=7.5, color=MUTED)
        ax.set_xticks(range(len(counts)), [f"{round(share * each):,}\nof {each:,}" for each in counts])
        ax.set(ylim=(0.4, 1.08), ylabel="share that is right", xlabel="right answers")
        ax.grid(axis="y", color=LINE)
        return figure


def interval(right: int, tested: int, level: float = 0.95) -> tuple[float, float]:
    """Both ends of the exact interval of a share of right answers, for images that are independent of each other.

    Args:
        right: right answers, 0 to ``tested``.
        tested: images, 1 or more.
        level: of the interval.

    Raises:
        UserError: numbers that cannot be.

    >>> [round(end, 3) for end in interval(9, 10)]
    [0.555, 0.998]
    """
    if not 0 <= right <= tested or tested < 1:
        raise UserError(f"{right} right answers of {tested} cannot be", "give the right ones first: interval(9, 10)")
    low, high = clopper_pearson(int(right), int(tested), level)
    return round(float(low), 4), round(float(high), 4)


def share_right(right: npt.ArrayLike, groups: Sequence[str]) -> str:
    """The share of right answers with its 95 % interval over groups, in words.

    Args:
        right: bool (N,).
        groups: N names of what each image is of.

    >>> share_right([True] * 30 + [False] * 10, [str(row // 2) for row in range(40)])
    '0.750 [0.510, 0.896] (40 images of 20 groups)'
    """
    hits = np.asarray(right, bool)
    codes = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)[1]
    counts = np.bincount(codes).astype(np.float64)
    score = proportion(np.bincount(codes, hits).astype(np.float64), counts, 0.95, grouped=len(counts) < len(hits))
    return f"{format_interval(score)} ({len(hits):,} images of {len(counts):,} groups)"


def activation_figure(functions: Mapping[str, Callable[[Any], Any]], reach: float = 4.0) -> Figure:
    """Functions of one number, a panel each: what comes out, and the slope that learning sees.

    Args:
        functions: name -> a function of a tensor, such as ``torch.relu``; slopes are PyTorch's own gradients.
        reach: from -reach to reach.
    """
    import torch

    inputs = torch.linspace(-reach, reach, 401, requires_grad=True)
    count = len(functions)
    with style():
        figure = new_figure(figsize=(0.5 + 1.85 * count, 2.5), layout="constrained")
        axes = figure.subplots(1, count, sharey=True, squeeze=False)[0]
        for ax, (name, function) in zip(axes, functions.items(), strict=True):
            outputs = function(inputs)
            (slope,) = torch.autograd.grad(outputs.sum(), inputs, allow_unused=True)
            x = inputs.detach().numpy()
            ax.axhline(0, color=AXIS, linewidth=0.7)
            ax.axvline(0, color=AXIS, linewidth=0.7)
            ax.plot(x, outputs.detach().numpy(), color=OKABE_ITO[0], linewidth=2, label="output")
            ax.plot(x, slope.numpy(), color=OKABE_ITO[1], linestyle=DASHES[1], label="slope")
            ax.set_title(name, pad=5)
            ax.set(ylim=(-1.5, 3), xlabel="input")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper right", ncol=2)
        return figure


def average_figure(x: npt.NDArray[np.uint8], y: npt.NDArray[np.integer], names: Sequence[str]) -> Figure:
    """The average image of all, and of each class.

    Args:
        x: uint8 (N, H, W, 3).
        y: (N,).
        names: of the classes.
    """
    shown = [("all", x.mean(axis=0))] + [(name, x[y == number].mean(axis=0)) for number, name in enumerate(names)]
    with style():
        figure = new_figure(figsize=(2.1 * len(shown), 2.3), layout="constrained", facecolor=CARD)
        for ax, (name, image) in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
            ax.imshow(image / 255)
            ax.set(xticks=[], yticks=[])
            ax.set_title(name, pad=5)
        return figure
