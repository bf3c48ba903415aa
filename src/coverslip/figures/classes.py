"""Bar chart of the images of each class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from coverslip.figures.labels import draw_lines, text_width, wrap_name
from coverslip.figures.style import ACCENT, MUTED, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BARS = 4.8  # length of the longest bar, inches


def class_bars(names: Sequence[str], counts: Sequence[int]) -> Figure:
    """Draw one bar per class, from the top down in the given order, with its count.

    Args:
        names: K class names, K >= 1.
        counts: K counts >= 0.

    Returns:
        A figure with one axes and K bars.
    """
    from matplotlib.figure import Figure

    if len(names) != len(counts):
        raise ValueError(f"{len(names)} names for {len(counts)} counts")
    few = len(names) <= 20
    labels = [wrap_name(name, 30, 2) if few else wrap_name(name, 40, 1) for name in names]
    step = 0.33 if few else 0.27
    longest = max([*counts, 1])
    left, right = max(map(text_width, labels), default=0.5) + 0.15, text_width(f"{longest:,}") + 0.2
    width, height = left + BARS + right, 0.16 + step * len(names)
    with style():
        figure = Figure(figsize=(width, height))
        ax = figure.add_axes((left / width, 0.08 / height, BARS / width, step * len(names) / height))
        ax.barh(range(len(names)), counts, 0.62, color=ACCENT)
        ax.set(xlim=(0, longest), ylim=(len(names) - 0.5, -0.5), xticks=[], yticks=[])
        for spine in ax.spines.values():
            spine.set_visible(False)
        gap = longest * 0.07 / BARS
        for row, (label, count) in enumerate(zip(labels, counts, strict=True)):
            draw_lines(ax, -gap, row, label, size=8.5, pitch=0.127 / step, ha="right")
            ax.text(count + gap, row, f"{count:,}", va="center", fontsize=8.5, color=MUTED)
        return figure
