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

PANEL, TALL, COLUMNS = 1.6, 1.45, 6  # inches of a panel of curves, and how many stand in a row


class SweepPoint(NamedTuple):
    """One value, and the two accuracies of it; None where training broke."""

    value: Any
    train: Score | None
    held_out: Score | None


def draw_scores(name: str, points: Sequence[SweepPoint], chance: float) -> Figure:
    """Accuracy by value: an open square for images that were learned from, a filled circle for those held out.

    Args:
        name: of the setting.
        points: one a value, evenly spaced in the order given.
        chance: the accuracy of guessing, a dashed line.

    Returns:
        A figure with one axes; the interval of what was held out is a bar, a value that broke has a cross.
    """
    with style():
        figure = new_figure(figsize=(max(4.4, 1.3 + 0.62 * len(points)), 3.3), layout="constrained")
        ax = figure.subplots()
        ax.axhline(chance, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), label="guessing")
        there = [place for place, each in enumerate(points) if each.train is not None and each.held_out is not None]
        own = [points[place].train for place in there]
        other = [points[place].held_out for place in there]
        ax.plot(
            there,
            [score_value(each) for each in own],
            color=BLUE,
            marker="s",
            markerfacecolor=CARD,
            label="learned from",
        )
        held = [score_value(each) for each in other]
        ax.plot(there, held, color=VERMILION, marker="o", linestyle=DASHES[1], label="held out, 95 %")
        for place, score in zip(there, other, strict=True):
            if score is not None and score["low"] is not None and score["high"] is not None:
                ax.plot([place] * 2, [score["low"], score["high"]], color=VERMILION, linewidth=3.2, alpha=0.4)
        broke = [place for place in range(len(points)) if place not in there]
        if broke:
            ax.plot(broke, [chance] * len(broke), "x", color=AXIS, markersize=8, linestyle="none", label="broke")
        ax.set_xticks(range(len(points)), [show(each.value) for each in points])
        ax.set(ylim=(-0.02, 1.03), xlim=(-0.5, len(points) - 0.5), xlabel=name, ylabel="accuracy")
        ax.grid(axis="y", color=LINE)
        ax.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncol=4, columnspacing=1.4, handlelength=2.2)
        return figure


def draw_curves(name: str, frames: Mapping[Any, pl.DataFrame], chance: float) -> Figure:
    """The loss by epoch, a panel a value, all on one scale.

    Args:
        name: of the setting.
        frames: value -> a row an epoch, with epoch, train_loss and validation_loss; empty where training broke.
        chance: the loss of guessing, a dashed line.
    """
    down = math.ceil(len(frames) / COLUMNS)
    across = math.ceil(len(frames) / down)
    top = 1.35 * chance
    with style():
        figure = new_figure(figsize=(0.7 + across * PANEL, 0.55 + down * TALL), layout="constrained")
        axes = figure.subplots(down, across, sharex=False, sharey=True, squeeze=False).ravel()
        for unused in axes[len(frames) :]:
            figure.delaxes(unused)
        for place, (ax, (value, frame)) in enumerate(zip(axes, frames.items(), strict=False)):
            ax.set_title(f"{name} {show(value)}", fontsize=8.5, pad=4)
            ax.axhline(chance, color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)), label="guessing")
            ax.set_ylim(0, top)
            ax.grid(axis="y", color=LINE)
            if (
                frame.height == 0
                or "train_loss" not in frame.columns
                or frame["train_loss"].null_count() == frame.height
            ):
                ax.text(0.5, 0.4, "broke", transform=ax.transAxes, ha="center", color=MUTED)
            else:
                _draw_lines(ax, frame, top)
            if place % across == 0:
                ax.set_ylabel("loss")
            if place + across >= len(frames):
                ax.set_xlabel("epoch")
        handles, labels = next(
            (found for found in (ax.get_legend_handles_labels() for ax in axes) if len(found[1]) > 1),
            axes[0].get_legend_handles_labels(),
        )
        figure.legend(handles, labels, loc="outside upper left", ncol=3, columnspacing=1.4, handlelength=2.2)
        return figure


def show(value: Any) -> str:
    """A value of a setting in words: tiny and huge numbers as powers of ten.

    >>> [show(each) for each in (1e-05, 0.001, 32, "relu", 0)]
    ['1e-5', '0.001', '32', 'relu', 'all']
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value and not 1e-3 <= abs(value) < 1e5:
        digits, _, power = f"{value:.1e}".partition("e")
        return f"{float(digits):g}e{int(power)}"
    return "all" if value == 0 and isinstance(value, int) else f"{value:g}" if isinstance(value, float) else str(value)


def score_value(score: Score | None) -> float:
    """The number of a score; NaN where there is none."""
    return math.nan if score is None or score["value"] is None else score["value"]


def _draw_lines(ax: Axes, frame: pl.DataFrame, top: float) -> None:
    """Train and validation, and the epoch at which the latter was lowest; what is above the axis stays at its edge."""
    epochs = frame["epoch"].to_list()
    looks: dict[str, dict[str, Any]] = {
        "train": {"color": BLUE, "linestyle": DASHES[0], "label": "learned from"},
        "validation": {"color": VERMILION, "linestyle": DASHES[1], "label": "held out"},
    }
    for part, look in looks.items():
        losses = [top if each is None else min(each, top) for each in frame[f"{part}_loss"].to_list()]
        ax.plot(epochs, losses, linewidth=1.5, clip_on=True, **look)
    held = [math.inf if each is None else each for each in frame["validation_loss"].to_list()]
    lowest = held.index(min(held))
    if held[lowest] > top:
        ax.text(0.5, 0.3, "above the axis", transform=ax.transAxes, ha="center", color=MUTED, fontsize=8)
    else:
        ax.plot([epochs[lowest]], [held[lowest]], "o", markersize=7, markerfacecolor="none", markeredgecolor=ACCENT)
