"""Differences between models with confidence intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from coverslip.figures.labels import draw_lines, text_width, wrap_name
from coverslip.figures.style import ACCENT, AXIS, CARD, INK, LINE, MUTED, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STEP, PANEL = 0.46, 3.6  # height of a row and width of the axis, inches
MIN_REACH = 0.02  # the axis shows at least this much on each side, so that small differences are not magnified


class DifferenceRow(NamedTuple):
    """Score of the second model minus score of the first.

    Attributes:
        first: name of the first model.
        second: name of the second model.
        difference: None if not available, as for the intervals.
        low: lower end of the pairwise confidence interval.
        high: upper end of the pairwise confidence interval.
        low_all: lower end of the simultaneous interval for all pairs.
        high_all: upper end of the simultaneous interval for all pairs.
        better: name of the better model, or "" if they are not distinguishable.
    """

    first: str
    second: str
    difference: float | None
    low: float | None
    high: float | None
    low_all: float | None
    high_all: float | None
    better: str = ""


def comparison_figure(rows: Sequence[DifferenceRow], *, smallest: float = 0.0, lower: bool = False) -> Figure:
    """Draw one row per pair of models: thick bars are pairwise intervals, thin bars are simultaneous intervals.

    Args:
        rows: at least one, drawn from the top down.
        smallest: smallest relevant difference; the band between it and its negative is tinted. 0: no band.
        lower: whether lower scores are better.

    Returns:
        A figure with one axes. Markers are filled if the difference is statistically significant, else open.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    labels = [f"{wrap_name(row.second, 30, 1)}\nminus {wrap_name(row.first, 30, 1)}" for row in rows]
    known = [abs(value) for row in rows for value in row[2:7] if isinstance(value, float | int)]
    reach = 1.08 * max([MIN_REACH, smallest, *known])
    left = max(text_width(label) for label in labels) + 0.25
    width, height = left + PANEL + 1.75, STEP * len(rows) + 0.95
    with style():
        figure = Figure(figsize=(width, height))
        ax = figure.add_axes((left / width, 0.5 / height, PANEL / width, STEP * len(rows) / height))
        ax.set(xlim=(-reach, reach), ylim=(len(rows) - 0.5, -0.5), yticks=[])
        if smallest > 0:
            ax.axvspan(-smallest, smallest, color=LINE, alpha=0.5, linewidth=0, zorder=0)
        ax.axvline(0, color=INK, linewidth=1, zorder=1)
        ax.spines["left"].set_visible(False)
        ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        ax.xaxis.set_major_formatter(lambda value, _: "0" if abs(value) < 1e-9 else f"{value:+.3g}".replace("-", "−"))
        ends = ("second is better", "first is better") if lower else ("first is better", "second is better")
        for x, text, side in zip((-reach, reach), (f"← {ends[0]}", f"{ends[1]} →"), ("left", "right"), strict=True):
            ax.text(x, -0.56, text, ha=side, va="bottom", fontsize=8.5, color=MUTED)
        for index, (row, label) in enumerate(zip(rows, labels, strict=True)):
            draw_lines(ax, -reach * (1 + 0.3 / PANEL), index, label, size=8.5, pitch=0.15 / STEP, ha="right")
            _draw(ax, row, index, reach)
        return figure


def _draw(ax: Axes, row: DifferenceRow, y: int, reach: float) -> None:
    text_x = reach * (1 + 0.3 / PANEL)
    if row.difference is None:
        ax.text(text_x, y, "not available", va="center", color=MUTED, fontsize=8.5)
        return
    if row.low_all is not None and row.high_all is not None:
        ax.plot([row.low_all, row.high_all], [y, y], color=ACCENT, linewidth=1.1, solid_capstyle="butt")
    if row.low is not None and row.high is not None:
        ax.plot([row.low, row.high], [y, y], color=ACCENT, linewidth=4, alpha=0.5, solid_capstyle="butt")
    face, edge = (ACCENT, ACCENT) if row.better else (CARD, AXIS if row.low is None else ACCENT)
    ax.plot([row.difference], [y], "o", markersize=6.5, markerfacecolor=face, markeredgecolor=edge, zorder=3)
    text = signed(row.difference)
    ax.text(text_x, y - 0.17, text, va="center", fontsize=8.5)
    if row.low_all is not None and row.high_all is not None:
        interval = f"[{signed(row.low_all)}, {signed(row.high_all)}]"
        ax.text(text_x, y + 0.17, interval, va="center", color=MUTED, fontsize=8.5)


def signed(value: float) -> str:
    """Return a difference with its sign; one that rounds to 0 has none.

    >>> signed(0.0214), signed(-0.004), signed(0.0)
    ('+0.021', '−0.004', '0.000')
    """
    text = f"{value:+.3f}"
    return "0.000" if text[1:] == "0.000" else text.replace("-", "−")
