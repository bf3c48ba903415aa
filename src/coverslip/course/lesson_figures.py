"""Figures of the first lessons: an image as numbers, a threshold between two classes, activation functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import UserError
from coverslip.evidence.intervals import clopper_pearson_interval, format_interval
from coverslip.evidence.support import proportion_score
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
    """Draw an image and the numbers of a small window of it in each of its three color channels.

    Args:
        image: uint8 (H, W, 3).
        row: row of the window's first pixel, counted from the top.
        column: column of the window's first pixel, counted from the left.
        side: side of the window in pixels, 2 to 12.

    Raises:
        UserError: `image` is not a color image, or the window is not inside the image.
    """
    if image.ndim != 3 or image.shape[-1] != 3 or image.dtype != np.uint8:
        raise UserError(f"this is an array of {image.dtype} with shape {image.shape}", "give one image, such as x[0]")
    height, width = image.shape[:2]
    if not (2 <= side <= 12 and 0 <= row <= height - side and 0 <= column <= width - side):
        raise UserError(
            f"a window of {side} pixels at row {row}, column {column} is not inside the image",
            "move the window, or make it smaller",
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
        for ax, (name, colors), channel in zip(axes[1:], CHANNELS, range(3), strict=True):
            values = window[..., channel]
            # The range is wider than 0 to 255, so that the numbers stay readable on the darkest and lightest cells.
            ax.imshow(values, cmap=colors, vmin=-60, vmax=315)
            for (y, x), value in np.ndenumerate(values):
                ink = "white" if value < 120 else INK
                ax.text(x, y, int(value), ha="center", va="center", color=ink, fontsize=6.5)
            ax.set_title(f"{name} ({channel})", pad=5)
            ax.set(xticks=[0, side - 1], yticks=[0, side - 1])
            ax.set_xticklabels([column, column + side - 1])
            ax.set_yticklabels([row, row + side - 1])
        return figure


def threshold_figure(
    values: npt.NDArray[np.floating], y: npt.NDArray[np.integer], names: Sequence[str], threshold: float
) -> Figure:
    """Draw one number per image as a dot, one row per class, with a decision threshold.

    Args:
        values: one number per image, shape (N,).
        y: integer class ids, shape (N,), 0 or 1.
        names: names of the two classes.
        threshold: images at or above it are predicted as class 0.
    """
    jitter = np.random.default_rng(0).uniform(-0.28, 0.28, len(values))
    with style():
        figure = new_figure(figsize=(7.4, 2.2), layout="constrained")
        ax = figure.subplots()
        for number, name in enumerate(names[:2]):
            rows = y == number
            marks: dict[str, Any] = {"color": OKABE_ITO[number], "marker": MARKERS[number]}
            ax.scatter(values[rows], number + jitter[rows], s=11, alpha=0.65, linewidths=0, label=name, **marks)
        ax.axvline(threshold, color=INK, linewidth=1.6)
        ax.text(threshold, -0.62, f"  predicted: {names[0]} →", ha="left", va="center", fontsize=8, color=MUTED)
        ax.set(yticks=[0, 1], ylim=(1.5, -0.9), xlabel="measured value")
        ax.set_yticklabels(names[:2])
        ax.spines["left"].set_visible(False)
        ax.tick_params(axis="y", length=0)
        return figure


def interval_figure(
    accuracy: float = 0.9, counts: Sequence[int] = (10, 20, 50, 100, 200, 500, 1000), level: float = 0.95
) -> Figure:
    """Draw the same accuracy on test sets of increasing size, each with its exact confidence interval.

    Args:
        accuracy: fraction of correct predictions, 0 to 1.
        counts: numbers of test images.
        level: confidence level of the intervals.
    """
    with style():
        figure = new_figure(figsize=(6.4, 2.7), layout="constrained")
        ax = figure.subplots()
        for x, count in enumerate(counts):
            correct = round(accuracy * count)
            low, high = clopper_pearson_interval(correct, count, level)
            ax.plot([x] * 2, [low, high], color=ACCENT, linewidth=4, alpha=0.5, solid_capstyle="butt")
            ax.plot([x], [correct / count], "o", color=ACCENT, markersize=7)
            ax.text(x, low - 0.025, f"{low:.2f}", ha="center", va="top", fontsize=7.5, color=MUTED)
            ax.text(x, high + 0.02, f"{high:.2f}", ha="center", va="bottom", fontsize=7.5, color=MUTED)
        ax.set_xticks(range(len(counts)), [f"{round(accuracy * count):,}\nof {count:,}" for count in counts])
        ax.set(ylim=(0.4, 1.08), ylabel="accuracy", xlabel="correct predictions")
        ax.grid(axis="y", color=LINE)
        return figure


def interval(correct: int, tested: int, level: float = 0.95) -> tuple[float, float]:
    """Return the exact (Clopper-Pearson) confidence interval of an accuracy on independent images.

    Args:
        correct: number of correct predictions, 0 to ``tested``.
        tested: number of test images, 1 or more.
        level: confidence level of the interval.

    Returns:
        Lower and upper limit, rounded to four decimals.

    Raises:
        UserError: the counts are impossible.

    >>> [round(end, 3) for end in interval(9, 10)]
    [0.555, 0.998]
    """
    if not 0 <= correct <= tested or tested < 1:
        raise UserError(
            f"{correct} correct of {tested} predictions is impossible", "give the correct ones first: interval(9, 10)"
        )
    low, high = clopper_pearson_interval(int(correct), int(tested), level)
    return round(float(low), 4), round(float(high), 4)


def accuracy_text(correct: npt.ArrayLike, groups: Sequence[str]) -> str:
    """Return the accuracy with its 95 % confidence interval over groups, as text.

    Args:
        correct: bool (N,), True where the prediction is correct.
        groups: group of each image, length N.

    >>> accuracy_text([True] * 30 + [False] * 10, [str(row // 2) for row in range(40)])
    '0.750 [0.510, 0.896] (40 images of 20 groups)'
    """
    hits = np.asarray(correct, bool)
    codes = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)[1]
    sizes = np.bincount(codes).astype(np.float64)
    score = proportion_score(np.bincount(codes, hits).astype(np.float64), sizes, 0.95, grouped=len(sizes) < len(hits))
    return f"{format_interval(score)} ({len(hits):,} images of {len(sizes):,} groups)"


def activation_figure(functions: Mapping[str, Callable[[Any], Any]], reach: float = 4.0) -> Figure:
    """Draw activation functions with their slopes, one panel per function.

    Args:
        functions: name -> function of a tensor, such as ``torch.relu``; slopes are computed by PyTorch's autograd.
        reach: the input axis goes from -reach to reach.
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
    """Draw the mean image of all images and of each class.

    Args:
        x: images, uint8 (N, H, W, 3).
        y: integer class ids, shape (N,).
        names: class names.
    """
    means = [("all", x.mean(axis=0))] + [(name, x[y == number].mean(axis=0)) for number, name in enumerate(names)]
    with style():
        figure = new_figure(figsize=(2.1 * len(means), 2.3), layout="constrained", facecolor=CARD)
        for ax, (name, image) in zip(figure.subplots(1, len(means), squeeze=False)[0], means, strict=True):
            ax.imshow(image / 255)
            ax.set(xticks=[], yticks=[])
            ax.set_title(name, pad=5)
        return figure
