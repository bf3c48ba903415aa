"""Shortcut probes: how well the label can be told without looking at the subject, against chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from coverslip.figures.labels import draw_lines, text_width, wrap_name
from coverslip.figures.style import ACCENT, CARD, INK, LINE, MUTED, VERMILION, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOOKS = {  # verdict -> marker, its size, color: never color alone
    "warns": ("D", 6.5, VERMILION),
    "notes": ("s", 5.5, ACCENT),
    "silent": ("o", 6.0, ACCENT),
}
PANEL = 3.3  # inches from 0 to 1


class ProbeRow(NamedTuple):
    """One probe. None as ``value`` is "was not run", as ``low`` and ``high`` "no honest interval"."""

    name: str
    value: float | None  # balanced accuracy, 0 to 1
    low: float | None
    high: float | None
    chance: float | None  # what guessing gives
    verdict: str  # a key of `LOOKS`
    word: str  # the verdict as the page calls it


def probe_figure(rows: Sequence[ProbeRow]) -> Figure:
    """A row a probe, from the top down in the order given: its point, its interval, and a mark where chance is.

    Args:
        rows: at least one.

    Returns:
        A figure with one axes. Chance is a dashed tick in each row; a filled diamond is a warning, a square a note, a
        circle neither; a probe without a value has its word only.
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
        for place, (row, label) in enumerate(zip(rows, labels, strict=True)):
            draw_lines(ax, -0.16 * inch, place, label, size=8.5, pitch=0.127 / step, ha="right")
            _draw_row(ax, place, row, 1 + 0.16 * inch, 1 + (0.16 + numbers) * inch)
        marked = {row.chance for row in rows if row.chance is not None}
        for chance in sorted(marked) if len(marked) == 1 else ():
            ax.text(chance, -0.62, f"chance {chance:.2f}", ha="left", va="bottom", fontsize=8.5, color=MUTED)
        return figure


def _draw_row(ax: Axes, place: int, row: ProbeRow, number_at: float, word_at: float) -> None:
    marker, size, color = LOOKS.get(row.verdict, LOOKS["silent"])
    if row.chance is not None:
        mark = [place - 0.5, place + 0.5]
        ax.plot([row.chance] * 2, mark, color=MUTED, linewidth=1.0, linestyle=(0, (3, 2)), zorder=1)
    if row.value is None:
        ax.text(number_at, place, row.word, va="center", fontsize=8.5, color=MUTED)
        return
    face = CARD
    if row.low is not None and row.high is not None:
        face = color
        ax.plot([row.low, row.high], [place] * 2, color=color, linewidth=2.4, alpha=0.55, solid_capstyle="butt")
        text = f"[{row.low:.2f}, {row.high:.2f}]"
        ax.text(number_at + text_width("0.00 ") / PANEL, place, text, va="center", fontsize=8.5, color=MUTED)
    ax.plot([row.value], [place], marker, color=color, markerfacecolor=face, markersize=size, clip_on=False)
    ax.text(number_at, place, f"{row.value:.2f}", va="center", fontsize=8.5, color=INK)
    warns = row.verdict == "warns"
    ax.text(word_at, place, row.word, va="center", fontsize=8.5, color=INK if warns else MUTED)
