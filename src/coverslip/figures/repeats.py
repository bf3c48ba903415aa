"""Variation of a score between folds and between random splits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from coverslip.figures.labels import draw_lines, text_width, wrap_name
from coverslip.figures.style import ACCENT, AXIS, CARD, LINE, MUTED, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MIN_SPAN = 0.1  # the axis shows at least this range, so that small differences are not magnified
PANEL = 3.6  # width of the axis, inches


class SpreadRow(NamedTuple):
    """Repeats of a score.

    Attributes:
        name: title of the row.
        points: score of each repeat, 0 to 1; may be empty.
        mean: mean of the repeats; None if there are none.
        low: lower end of the confidence interval; None if there is no valid interval.
        high: upper end of the confidence interval.
    """

    name: str
    points: Sequence[float]
    mean: float | None
    low: float | None
    high: float | None


def repeats_figure(rows: Sequence[SpreadRow], score: str = "Accuracy", *, digits: int = 3) -> Figure:
    """Draw one row per kind of repeat: a ring for each repeat, a point for the mean with its confidence interval.

    Args:
        rows: at least one, drawn from the top down.
        score: name of the score, the label of the axis.

    Returns:
        A figure with one axes, which shows a range of at least 0.1, within 0 to 1 unless a number is outside.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    labels = [wrap_name(row.name, 34, 2) for row in rows]
    known = [x for row in rows for x in (*row.points, row.mean, row.low, row.high) if x is not None] or [0.0, 1.0]
    least, most = min(known), max(known)
    spare = max(MIN_SPAN - (most - least), 0.0) / 2 + 0.04 * (most - least)
    start, end = max(least - spare, min(least, 0.0)), min(most + spare, max(most, 1.0))
    step = 0.46
    left, right = max(map(text_width, labels)) + 0.3, text_width("0.000 [0.000, 0.000]") + 0.3
    width, height = left + PANEL + right, 0.75 + step * len(rows)
    inch = (end - start) / PANEL
    with style():
        figure = Figure(figsize=(width, height))
        ax = figure.add_axes((left / width, 0.6 / height, PANEL / width, step * len(rows) / height))
        ax.set(xlim=(start, end), ylim=(len(rows) - 0.5, -0.5), yticks=[], xlabel=score)
        ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:.3g}")
        ax.spines["left"].set_visible(False)
        ax.grid(axis="x", color=LINE)
        for index, (row, label) in enumerate(zip(rows, labels, strict=True)):
            draw_lines(ax, start - 0.14 * inch, index, label, size=8.5, pitch=0.127 / step, ha="right")
            ring: dict[str, Any] = {
                "markerfacecolor": "none",
                "markeredgecolor": AXIS,
                "markersize": 5,
                "markeredgewidth": 1.0,
            }
            ax.plot(row.points, [index + 0.2] * len(row.points), "o", linestyle="none", clip_on=False, **ring)
            if row.mean is None:
                continue
            number = end + 0.16 * inch
            face = CARD
            if row.low is not None and row.high is not None:
                face = ACCENT
                bar: dict[str, Any] = {"color": ACCENT, "linewidth": 2.4, "alpha": 0.55, "solid_capstyle": "butt"}
                ax.plot([row.low, row.high], [index - 0.08] * 2, **bar)
                text, at = (
                    f"[{row.low:.{digits}f}, {row.high:.{digits}f}]",
                    number + text_width(f"{row.mean:.{digits}f} ") * inch,
                )
                ax.text(at, index, text, va="center", fontsize=8.5, color=MUTED)
            solid: dict[str, Any] = {"color": ACCENT, "markerfacecolor": face, "markersize": 6}
            ax.plot([row.mean], [index - 0.08], "D", clip_on=False, **solid)
            ax.text(number, index, f"{row.mean:.{digits}f}", va="center", fontsize=8.5)
        return figure
