"""Bar chart of the images of each class in each split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from coverslip.figures.labels import draw_lines, text_width, wrap_name
from coverslip.figures.style import BLUE, CARD, GREEN, MUTED, OKABE_ITO, ON_ACCENT, VERMILION, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLORS = {
    "train": (BLUE, ON_ACCENT),
    "validation": (VERMILION, "black"),
    "test": (GREEN, "black"),
}  # color of the bar, and of the number on it
BARS = 4.8  # length of the longest bar, inches


def split_figure(names: Sequence[str], counts: Mapping[str, Sequence[int]]) -> Figure:
    """Draw one stacked bar per class with the count of each split; the number at the end is the total.

    Args:
        names: K class names.
        counts: split -> K counts, in drawing order.

    Returns:
        A figure with one axes and K bars per split.
    """
    from matplotlib.figure import Figure

    labels = [wrap_name(name, 30, 2) if len(names) <= 20 else wrap_name(name, 40, 1) for name in names]
    totals = [sum(values) for values in zip(*counts.values(), strict=True)]
    ends = [_end_text([values[row] for values in counts.values()], max([*totals, 1])) for row in range(len(names))]
    longest = max([*totals, 1])
    gap = longest * 0.07 / BARS
    step = 0.33 if len(names) <= 20 else 0.27
    left = max(map(text_width, labels), default=0.5) + 0.15
    reach = max((total / longest * BARS + text_width(end) for total, end in zip(totals, ends, strict=True)), default=0)
    width, height = left + max(reach + 0.1, BARS), 0.5 + step * len(names)
    with style():
        figure = Figure(figsize=(width, height))
        ax = figure.add_axes((left / width, 0.08 / height, BARS / width, step * len(names) / height))
        start = [0] * len(names)
        for index, (split, values) in enumerate(counts.items()):
            color, on_color = COLORS.get(split, (OKABE_ITO[(index + 3) % len(OKABE_ITO)], "black"))
            ax.barh(range(len(names)), values, 0.66, start, color=color, edgecolor=CARD, linewidth=0.8, label=split)
            for row, value in enumerate(values):
                if _fits(value, longest):
                    ax.text(
                        start[row] + value / 2, row, f"{value:,}", ha="center", va="center", fontsize=8, color=on_color
                    )
            start = [a + b for a, b in zip(start, values, strict=True)]
        ax.set(xlim=(0, longest), ylim=(len(names) - 0.5, -0.5), xticks=[], yticks=[])
        for spine in ax.spines.values():
            spine.set_visible(False)
        for row, (label, total, end) in enumerate(zip(labels, totals, ends, strict=True)):
            draw_lines(ax, -gap, row, label, size=8.5, pitch=0.127 / step, ha="right")
            ax.text(total + gap, row, end, va="center", fontsize=8.5, color=MUTED)
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(counts), borderaxespad=0.3, handlelength=1.6)
        return figure


def _fits(value: int, longest: int) -> bool:
    return value > 0 and value / longest * BARS > text_width(f"{value:,}", 8) + 0.04


def _end_text(values: Sequence[int], longest: int) -> str:
    """Return the total, with all counts if one of the bars is too short for its number."""
    cramped = any(value and not _fits(value, longest) for value in values)
    return f"{sum(values):,}" + (" = " + " + ".join(f"{value:,}" for value in values) if cramped else "")
