"""Figures of a sweep: scores by value with intervals, and curves by value."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from coverslip.evidence.intervals import Score
from coverslip.figures.style import ACCENT, AXIS, BLUE, CARD, DASHES, LINE, MUTED, VERMILION, new_figure, style

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL_WIDTH, PANEL_HEIGHT, COLUMNS = 1.6, 1.45, 6  # inches of one panel of curves, and panels in a row


class SweepPoint(NamedTuple):
    """One value of a setting with its two accuracies; None if training diverged."""

    value: Any
    train: Score | None
    held_out: Score | None


def draw_scores(name: str, points: Sequence[SweepPoint], chance: float) -> Figure:
    """Draw accuracy by value: open squares for the training images, filled circles for the held-out images.

    Args:
        name: name of the setting.
        points: one point per value, drawn evenly spaced in the given order.
        chance: accuracy of guessing, drawn as a dashed line.

    Returns:
        A figure with one axes; bars are confidence intervals, crosses mark values whose training diverged.
    """
    with style():
        figure = new_figure(figsize=(max(4.4, 1.3 + 0.62 * len(points)), 3.3), layout="constrained")
        ax = figure.subplots()
        ax.axhline(chance, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), label="guessing")
        trained = [x for x, point in enumerate(points) if point.train is not None and point.held_out is not None]
        held_out = [points[x].held_out for x in trained]
        ax.plot(
            trained,
            [score_value(points[x].train) for x in trained],
            color=BLUE,
            marker="s",
            markerfacecolor=CARD,
            label="training",
        )
        values = [score_value(score) for score in held_out]
        ax.plot(trained, values, color=VERMILION, marker="o", linestyle=DASHES[1], label="held out, 95 % CI")
        for x, score in zip(trained, held_out, strict=True):
            if score is not None and score["low"] is not None and score["high"] is not None:
                ax.plot([x] * 2, [score["low"], score["high"]], color=VERMILION, linewidth=3.2, alpha=0.4)
        diverged = [x for x in range(len(points)) if x not in trained]
        if diverged:
            crosses: dict[str, Any] = {"color": AXIS, "markersize": 8, "linestyle": "none", "label": "diverged"}
            ax.plot(diverged, [chance] * len(diverged), "x", **crosses)
        ax.set_xticks(range(len(points)), [show(point.value) for point in points])
        ax.set(ylim=(-0.02, 1.03), xlim=(-0.5, len(points) - 0.5), xlabel=name, ylabel="accuracy")
        ax.grid(axis="y", color=LINE)
        ax.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncol=4, columnspacing=1.4, handlelength=2.2)
        return figure


def draw_curves(name: str, frames: Mapping[Any, pl.DataFrame], chance: float) -> Figure:
    """Draw the loss by epoch, one panel per value, all on one scale.

    Args:
        name: name of the setting.
        frames: value -> table with one row per epoch and the columns epoch, train_loss and validation_loss; empty if
            training diverged.
        chance: loss of guessing, drawn as a dashed line.
    """
    rows = math.ceil(len(frames) / COLUMNS)
    columns = math.ceil(len(frames) / rows)
    top = 1.35 * chance
    with style():
        size = 0.7 + columns * PANEL_WIDTH, 0.55 + rows * PANEL_HEIGHT
        figure = new_figure(figsize=size, layout="constrained")
        axes = figure.subplots(rows, columns, sharex=False, sharey=True, squeeze=False).ravel()
        for unused in axes[len(frames) :]:
            figure.delaxes(unused)
        for panel, (ax, (value, frame)) in enumerate(zip(axes, frames.items(), strict=False)):
            ax.set_title(f"{name} {show(value)}", fontsize=8.5, pad=4)
            ax.axhline(chance, color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)), label="guessing")
            ax.set_ylim(0, top)
            ax.grid(axis="y", color=LINE)
            if (
                frame.height == 0
                or "train_loss" not in frame.columns
                or frame["train_loss"].null_count() == frame.height
            ):
                ax.text(0.5, 0.4, "diverged", transform=ax.transAxes, ha="center", color=MUTED)
            else:
                _draw_lines(ax, frame, top)
            if panel % columns == 0:
                ax.set_ylabel("loss")
            if panel + columns >= len(frames):
                ax.set_xlabel("epoch")
        legends = [ax.get_legend_handles_labels() for ax in axes]
        # The panel of a diverged training has no curves: take the legend of the first panel that has some.
        handles, labels = next((legend for legend in legends if len(legend[1]) > 1), legends[0])
        figure.legend(handles, labels, loc="outside upper left", ncol=3, columnspacing=1.4, handlelength=2.2)
        return figure


def show(value: Any) -> str:
    """Return a value of a setting as text, very small and very large numbers as powers of ten.

    An integer 0 is shown as "all", since ``batch_size=0`` means all images in one batch.

    >>> [show(value) for value in (1e-05, 0.001, 32, "relu", 0)]
    ['1e-5', '0.001', '32', 'relu', 'all']
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value and not 1e-3 <= abs(value) < 1e5:
        digits, _, power = f"{value:.1e}".partition("e")
        return f"{float(digits):g}e{int(power)}"
    return "all" if value == 0 and isinstance(value, int) else f"{value:g}" if isinstance(value, float) else str(value)


def score_value(score: Score | None) -> float:
    """Return the value of a score, or NaN if there is none."""
    return math.nan if score is None or score["value"] is None else score["value"]


def _draw_lines(ax: Axes, frame: pl.DataFrame, top: float) -> None:
    """Draw training and validation loss, clipped at ``top``, and mark the epoch with the lowest validation loss."""
    epochs = frame["epoch"].to_list()
    lines: dict[str, dict[str, Any]] = {
        "train": {"color": BLUE, "linestyle": DASHES[0], "label": "training"},
        "validation": {"color": VERMILION, "linestyle": DASHES[1], "label": "held out"},
    }
    for split, line in lines.items():
        losses = [top if loss is None else min(loss, top) for loss in frame[f"{split}_loss"].to_list()]
        ax.plot(epochs, losses, linewidth=1.5, clip_on=True, **line)
    held_out = [math.inf if loss is None else loss for loss in frame["validation_loss"].to_list()]
    best = held_out.index(min(held_out))
    if held_out[best] > top:
        ax.text(0.5, 0.3, "above the axis", transform=ax.transAxes, ha="center", color=MUTED, fontsize=8)
    else:
        ax.plot([epochs[best]], [held_out[best]], "o", markersize=7, markerfacecolor="none", markeredgecolor=ACCENT)
