"""Forest plots: one row per class with its score, confidence interval and number of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from coverslip.figures.labels import draw_lines, text_width, wrap_name
from coverslip.figures.style import ACCENT, AXIS, CARD, LINE, MUTED, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class ScoreRow(NamedTuple):
    """A score of a class.

    Attributes:
        name: name of the class.
        value: the score; None if not defined.
        low: lower end of the confidence interval; None if there is no valid interval.
        high: upper end of the confidence interval.
        images: number of images of the class.
    """

    name: str
    value: float | None
    low: float | None
    high: float | None
    images: int


def forest_plot(
    panels: Mapping[str, Sequence[ScoreRow]],
    *,
    reference: Mapping[str, float] | None = None,
    scales: Mapping[str, tuple[float, float]] | None = None,
) -> Figure:
    """Draw scores with confidence intervals, from the top down in the given order.

    Args:
        panels: title -> rows; all panels have the same class names in the same order.
        reference: title -> value marked by a dashed line, such as the mean over classes.
        scales: title -> limits of its axis; default: 0 to 1.

    Returns:
        A figure with one axes per panel. Filled markers have an interval, open ones have none.
    """
    from matplotlib.figure import Figure

    first = next(iter(panels.values()))
    names = [row.name for row in first]
    if any([row.name for row in rows] != names for rows in panels.values()):
        raise ValueError("all panels need the same class names in the same order")
    labels = [wrap_name(name, 30, 2) if len(names) <= 20 else wrap_name(name, 40, 1) for name in names]
    step = 0.33 if len(names) <= 20 else 0.27
    left, panel, gap = max(map(text_width, labels), default=0.5) + 0.75, 1.75, 1.35
    width = left + len(panels) * (panel + gap)
    height = 0.8 + step * len(names)
    with style():
        figure = Figure(figsize=(width, height))
        for index, (title, rows) in enumerate(panels.items()):
            box = ((left + index * (panel + gap)) / width, 0.42 / height, panel / width, step * len(names) / height)
            ax = figure.add_axes(box)
            _draw_rows(ax, rows, (scales or {}).get(title, (0.0, 1.0)))
            ax.set_title(title)
            mark = (reference or {}).get(title)
            if mark is not None:
                ax.axvline(mark, color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
            if index == 0:
                inch = 1 / panel
                for row, label in enumerate(labels):
                    draw_lines(ax, -0.58 * inch, row, label, size=8.5, pitch=0.127 / step, ha="right")
                    ax.text(
                        -0.14 * inch, row, f"{rows[row].images:,}", ha="right", va="center", color=MUTED, fontsize=8.5
                    )
                ax.text(-0.14 * inch, -0.72, "n", ha="right", va="bottom", color=MUTED, fontsize=8.5)
        return figure


def _draw_rows(ax: Axes, rows: Sequence[ScoreRow], scale: tuple[float, float]) -> None:
    start, end = scale
    ticks = [start + (end - start) * k / 4 for k in range(5)]
    ax.set(xlim=scale, ylim=(len(rows) - 0.5, -0.5), yticks=[])
    ax.set_xticks(ticks, [f"{tick:.3g}" for tick in ticks])
    ax.spines["left"].set_visible(False)
    ax.grid(axis="x", color=LINE)
    number, interval = (end + (end - start) * by for by in (0.09, 0.09 + 0.24))
    for y, row in enumerate(rows):
        if row.value is None:
            ax.text(number, y, "not defined", va="center", color=MUTED, fontsize=8.5)
            continue
        if row.low is not None and row.high is not None:
            ax.plot([row.low, row.high], [y, y], color=ACCENT, linewidth=2.2, alpha=0.55, solid_capstyle="butt")
            ax.plot([row.value], [y], "o", color=ACCENT, markersize=6, clip_on=False)
            ax.text(interval, y, f"[{row.low:.2f}, {row.high:.2f}]", va="center", color=MUTED, fontsize=8.5)
        else:
            open_marker: dict[str, Any] = {"markerfacecolor": CARD, "markeredgecolor": AXIS, "markeredgewidth": 1.3}
            ax.plot([row.value], [y], "o", clip_on=False, **open_marker)
        ax.text(number, y, f"{row.value:.2f}", va="center", fontsize=8.5)
