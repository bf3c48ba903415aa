"""Shortcut probes: how well the class can be predicted without the subject, compared with chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from coverslip.figures.labels import draw_lines, text_width, wrap_name
from coverslip.figures.style import ACCENT, CARD, INK, LINE, MUTED, VERMILION, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS = {  # verdict -> marker, size, color; verdicts are never distinguished by color alone
    "warns": ("D", 6.5, VERMILION),
    "notes": ("s", 5.5, ACCENT),
    "silent": ("o", 6.0, ACCENT),
}
PANEL = 3.3  # width of the axis from 0 to 1, inches


class ProbeRow(NamedTuple):
    """One probe.

    Attributes:
        name: title of the probe.
        value: balanced accuracy, 0 to 1; None if it was not run.
        low: lower end of the confidence interval; None if there is no valid interval.
        high: upper end of the confidence interval.
        chance: chance level.
        verdict: a key of `MARKERS`.
        word: the verdict as shown.
    """

    name: str
    value: float | None
    low: float | None
    high: float | None
    chance: float | None
    verdict: str
    word: str


def probe_figure(rows: Sequence[ProbeRow]) -> Figure:
    """Draw one row per probe with its value, confidence interval and chance level, from the top down.

    Args:
        rows: at least one.

    Returns:
        A figure with one axes. The chance level is a dashed tick in each row. A diamond is a warning, a square a note,
        a circle neither; a probe that was not run has only a word.
    """
    from matplotlib.figure import Figure

    labels = [wrap_name(row.name, 30, 2) for row in rows]
    step = 0.38
    left = max(map(text_width, labels)) + 0.25
    numbers = text_width("0.00 [0.00, 0.00]") + 0.2
    right = numbers + max(text_width(row.word) for row in rows) + 0.3
    width, height = left + PANEL + right, 0.72 + step * len(rows)
    with style():
        figure = Figure(figsize=(width, height))
        ax = figure.add_axes((left / width, 0.42 / height, PANEL / width, step * len(rows) / height))
        ax.set(xlim=(0, 1), ylim=(len(rows) - 0.5, -0.5), yticks=[], xticks=[0, 0.25, 0.5, 0.75, 1])
        ax.set_xticklabels(["0", "0.25", "0.5", "0.75", "1"])
        ax.spines["left"].set_visible(False)
        ax.grid(axis="x", color=LINE)
        inch = 1 / PANEL
        for index, (row, label) in enumerate(zip(rows, labels, strict=True)):
            draw_lines(ax, -0.16 * inch, index, label, size=8.5, pitch=0.127 / step, ha="right")
            _draw_row(ax, index, row, 1 + 0.16 * inch, 1 + (0.16 + numbers) * inch)
        chances = {row.chance for row in rows if row.chance is not None}
        for chance in sorted(chances) if len(chances) == 1 else ():
            ax.text(chance, -0.62, f"chance {chance:.2f}", ha="left", va="bottom", fontsize=8.5, color=MUTED)
        return figure


def _draw_row(ax: Axes, y: int, row: ProbeRow, number_at: float, word_at: float) -> None:
    marker, size, color = MARKERS.get(row.verdict, MARKERS["silent"])
    if row.chance is not None:
        ax.plot([row.chance] * 2, [y - 0.5, y + 0.5], color=MUTED, linewidth=1.0, linestyle=(0, (3, 2)), zorder=1)
    if row.value is None:
        ax.text(number_at, y, row.word, va="center", fontsize=8.5, color=MUTED)
        return
    face = CARD
    if row.low is not None and row.high is not None:
        face = color
        ax.plot([row.low, row.high], [y] * 2, color=color, linewidth=2.4, alpha=0.55, solid_capstyle="butt")
        text = f"[{row.low:.2f}, {row.high:.2f}]"
        ax.text(number_at + text_width("0.00 ") / PANEL, y, text, va="center", fontsize=8.5, color=MUTED)
    ax.plot([row.value], [y], marker, color=color, markerfacecolor=face, markersize=size, clip_on=False)
    ax.text(number_at, y, f"{row.value:.2f}", va="center", fontsize=8.5, color=INK)
    warns = row.verdict == "warns"
    ax.text(word_at, y, row.word, va="center", fontsize=8.5, color=INK if warns else MUTED)
