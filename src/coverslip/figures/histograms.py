"""Histogram of an image property."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from coverslip.figures.style import ACCENT, CARD, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def histogram_figure(edges: Sequence[float], counts: Sequence[int], title: str, unit: str = "") -> Figure:
    """Draw a small histogram, to be shown next to others.

    Args:
        edges: N + 1 increasing numbers, N >= 1.
        counts: N counts >= 0.
        title: name of the property.
        unit: label of the axis.

    Returns:
        A figure with one axes and N bars.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    if len(edges) != len(counts) + 1:
        raise ValueError(f"{len(edges)} edges for {len(counts)} counts")
    widths = [high - low for low, high in pairwise(edges)]
    with style():
        figure = Figure(figsize=(3.1, 1.75), layout="constrained")
        ax = figure.add_subplot()
        ax.bar(edges[:-1], counts, widths, align="edge", color=ACCENT, edgecolor=CARD, linewidth=0.6)
        ax.set_title(title)
        ax.set_xlabel(unit)
        ax.set_xlim(edges[0], edges[-1])
        ax.set_ylim(0, max([*counts, 1]) * 1.06)
        ax.xaxis.set_major_locator(MaxNLocator(4))
        ax.yaxis.set_major_locator(MaxNLocator(2, integer=True))
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:,.6g}")
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        ax.spines["left"].set_visible(False)
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="y")
        return figure
