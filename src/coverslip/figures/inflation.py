"""Inflation of the score by leakage: the same model with random splits and with splits by group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from coverslip.figures.labels import wrap_name
from coverslip.figures.style import ACCENT, AXIS, INK, LINE, MUTED, VERMILION, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MIN_SPAN = 0.1  # the axis shows at least this range, so that small differences are not magnified


def inflation_figure(pairs: Sequence[Sequence[float]], random: float, grouped: float, *, by: str = "group") -> Figure:
    """Draw the mean score of both kinds of splits, and a thin line for each pair of splits.

    Args:
        pairs: scores (random, grouped) of each pair of splits, 0 to 1; may be empty.
        random: mean over the random splits.
        grouped: mean over the splits by group.
        by: unit of a group, such as ``leaf``.

    Returns:
        A figure with one axes; its lines are the pairs, then the means and their two markers.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    scores = [random, grouped, *(score for pair in pairs for score in pair)]
    span = max(max(scores) - min(scores), MIN_SPAN)
    middle = (max(scores) + min(scores)) / 2
    with style():
        figure = Figure(figsize=(4.5, 2.9))
        ax = figure.add_axes((0.13, 0.14, 0.84, 0.78))
        for pair in pairs:
            ax.plot([0, 1], pair, color=AXIS, linewidth=0.8, alpha=0.75, zorder=1)
        ax.plot([0, 1], [random, grouped], color=INK, linewidth=1.8, zorder=2)
        ax.plot([0], [random], "s", color=VERMILION, markersize=9, zorder=3)
        ax.plot([1], [grouped], "o", color=ACCENT, markersize=9, zorder=3)
        ax.text(-0.06, random, f"{random:.3f}", ha="right", va="center", fontsize=10, color=INK)
        ax.text(1.06, grouped, f"{grouped:.3f}", ha="left", va="center", fontsize=10, color=INK)
        ax.set(xlim=(-0.42, 1.42), ylim=(middle - span * 0.58, middle + span * 0.58), xticks=[0, 1])
        ax.set_xticklabels(["random split", wrap_name(f"split by {by}", 26, 1)], fontsize=9, color=INK)
        ax.tick_params(axis="x", length=0, pad=7)
        ax.tick_params(axis="y", length=0, labelcolor=MUTED)
        ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:.2f}")
        ax.spines["left"].set_visible(False)
        ax.grid(axis="y", color=LINE)
        return figure
