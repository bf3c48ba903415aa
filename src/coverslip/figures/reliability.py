"""Reliability diagrams: how often the model is right where it says how sure it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from coverslip.figures.labels import wrap_name
from coverslip.figures.style import ACCENT, AXIS, CARD, LINE, MUTED, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEAST_SPAN = 0.5  # the axes show at least this much: else a hundredth looks like a failure


class ReliabilityBin(NamedTuple):
    """Images of about the same probability. None is "not defined" or, for ``low`` and ``high``, "no interval"."""

    confidence: float  # their mean probability, 0 to 1
    least: float  # their smallest and largest probability
    most: float
    share: float | None  # of them for which it was so, 0 to 1
    low: float | None
    high: float | None


def reliability_figure(bins: Sequence[ReliabilityBin], *, title: str = "", small: bool = False) -> Figure:
    """A point a bin on a square, with its interval upright and its span of probabilities lying; best on the diagonal.

    Args:
        bins: in any order, may be empty.
        title: set above the square, shortened where it is too long.
        small: to stand beside others, without the names of the axes.

    Returns:
        A figure with one axes; both axes end at 1 and begin at the same number, 0.5 at most. An open marker has no
        interval; a bin without a share is not drawn.
    """
    from matplotlib.figure import Figure

    drawn = [(each, each.share) for each in bins if each.share is not None]
    lowest = min([x for each, _ in drawn for x in (each.least, each.share, each.low) if x is not None], default=0.0)
    start = max(0.0, min(math.floor(lowest * 10) / 10, 1 - LEAST_SPAN))
    room = (1 - start) * 0.025
    with style():
        left, bottom, side = (0.36, 0.28, 2.0) if small else (0.66, 0.55, 3.7)  # inches
        width, height = left + side + 0.14, bottom + side + (0.34 if title else 0.12)
        figure = Figure(figsize=(width, height))
        ax = figure.add_axes((left / width, bottom / height, side / width, side / height))
        ax.plot([start, 1], [start, 1], color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
        ends = [(each.confidence, each.low, each.high) for each, _ in drawn]
        known = [(x, low, high) for x, low, high in ends if low is not None and high is not None]
        ax.hlines(*_columns([(share, each.least, each.most) for each, share in drawn]), colors=AXIS, linewidth=1.0)
        ax.vlines(*_columns(known), colors=ACCENT, linewidth=2.2, alpha=0.55)
        for filled in (True, False):
            spots = [(each.confidence, share) for each, share in drawn if (each.low is not None) == filled]
            look: dict[str, Any] = {"markerfacecolor": ACCENT if filled else CARD, "markersize": 4.5 if small else 6}
            look["markeredgecolor"] = ACCENT if filled else AXIS
            ax.plot([x for x, _ in spots], [y for _, y in spots], "o", linestyle="none", clip_on=False, **look)
        ax.set(xlim=(start - room, 1 + room), ylim=(start - room, 1 + room))
        ticks = [start, (start + 1) / 2, 1] if small else [start + (1 - start) * part / 4 for part in range(5)]
        ax.set_xticks(ticks, [f"{tick:.3g}" for tick in ticks])
        ax.set_yticks(ticks, [f"{tick:.3g}" for tick in ticks])
        ax.grid(color=LINE)
        if title:
            ax.set_title(wrap_name(title, 30 if small else 60, 1), fontsize=8.5 if small else 9.5)
        if not small:
            ax.set(xlabel="what the model said", ylabel="how often it was so")
            ax.text(1, start + room, "too sure", ha="right", va="bottom", color=MUTED, fontsize=8.5)
            ax.text(start + room, 1, "not sure enough", ha="left", va="top", color=MUTED, fontsize=8.5)
        return figure


def _columns(rows: Sequence[tuple[float, float, float]]) -> tuple[list[float], list[float], list[float]]:
    """N rows of three -> three columns of N, which may be empty."""
    return [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]
