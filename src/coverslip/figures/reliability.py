"""Reliability diagrams: accuracy against confidence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from coverslip.figures.labels import wrap_name
from coverslip.figures.style import ACCENT, AXIS, CARD, LINE, MUTED, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MIN_SPAN = 0.5  # the axes show at least this range, so that small differences are not magnified


class ReliabilityBin(NamedTuple):
    """Images of similar confidence.

    Attributes:
        confidence: mean predicted probability, 0 to 1.
        least: smallest predicted probability.
        most: largest predicted probability.
        observed: accuracy, or observed frequency of a class, 0 to 1; None if not defined.
        low: lower end of the confidence interval of ``observed``; None if there is none.
        high: upper end of the confidence interval.
    """

    confidence: float
    least: float
    most: float
    observed: float | None
    low: float | None
    high: float | None


def reliability_figure(bins: Sequence[ReliabilityBin], *, title: str = "", small: bool = False) -> Figure:
    """Draw one point per bin, with its confidence interval (vertical) and range of probabilities (horizontal).

    Args:
        bins: in any order; may be empty.
        title: title, shortened if it is too long.
        small: draw a small diagram without axis labels.

    Returns:
        A figure with one square axes; both axes begin at the same number, at most 0.5, and end at 1. An open marker has
        no interval; a bin without an observed frequency is not drawn.
    """
    from matplotlib.figure import Figure

    drawn = [(entry, entry.observed) for entry in bins if entry.observed is not None]
    lowest = min(
        [x for entry, _ in drawn for x in (entry.least, entry.observed, entry.low) if x is not None], default=0.0
    )
    start = max(0.0, min(math.floor(lowest * 10) / 10, 1 - MIN_SPAN))
    room = (1 - start) * 0.025
    with style():
        left, bottom, side = (0.36, 0.28, 2.0) if small else (0.66, 0.55, 3.7)  # inches
        width, height = left + side + 0.14, bottom + side + (0.34 if title else 0.12)
        figure = Figure(figsize=(width, height))
        ax = figure.add_axes((left / width, bottom / height, side / width, side / height))
        ax.plot([start, 1], [start, 1], color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
        ends = [(entry.confidence, entry.low, entry.high) for entry, _ in drawn]
        known = [(x, low, high) for x, low, high in ends if low is not None and high is not None]
        ax.hlines(
            *_columns([(observed, entry.least, entry.most) for entry, observed in drawn]), colors=AXIS, linewidth=1.0
        )
        ax.vlines(*_columns(known), colors=ACCENT, linewidth=2.2, alpha=0.55)
        for filled in (True, False):
            points = [(entry.confidence, observed) for entry, observed in drawn if (entry.low is not None) == filled]
            look: dict[str, Any] = {"markerfacecolor": ACCENT if filled else CARD, "markersize": 4.5 if small else 6}
            look["markeredgecolor"] = ACCENT if filled else AXIS
            ax.plot([x for x, _ in points], [y for _, y in points], "o", linestyle="none", clip_on=False, **look)
        ax.set(xlim=(start - room, 1 + room), ylim=(start - room, 1 + room))
        ticks = [start, (start + 1) / 2, 1] if small else [start + (1 - start) * k / 4 for k in range(5)]
        ax.set_xticks(ticks, [f"{tick:.3g}" for tick in ticks])
        ax.set_yticks(ticks, [f"{tick:.3g}" for tick in ticks])
        ax.grid(color=LINE)
        if title:
            ax.set_title(wrap_name(title, 30 if small else 60, 1), fontsize=8.5 if small else 9.5)
        if not small:
            ax.set(xlabel="confidence", ylabel="accuracy")
            ax.text(1, start + room, "overconfident", ha="right", va="bottom", color=MUTED, fontsize=8.5)
            ax.text(start + room, 1, "underconfident", ha="left", va="top", color=MUTED, fontsize=8.5)
        return figure


def _columns(rows: Sequence[tuple[float, float, float]]) -> tuple[list[float], list[float], list[float]]:
    """Transpose N rows of three to three columns of N, which may be empty."""
    return [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]
