"""Confusion matrix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from coverslip.figures.labels import draw_lines, text_width, wrap_name
from coverslip.figures.style import ACCENT, INK, LINE, MUTED, ON_ACCENT, ON_TINT, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMED_COLUMNS = 6  # with more classes, columns have the numbers of the rows, so that no name is rotated


def confusion_figure(
    counts: npt.ArrayLike, names: Sequence[str], *, link: Callable[[int, int], str | None] | None = None
) -> Figure:
    """Draw a confusion matrix: rows are true classes, columns predicted classes, color is the share of the row.

    Args:
        counts: integers >= 0, shape (K, K).
        names: K class names of any length.
        link: returns the URL of a cell (row, column) in SVG, or None for no link.

    Returns:
        A figure with one axes, which has one rectangle for each count above 0 with the gid ``cell-ROW-COLUMN``. The row
        of a class without images is empty.
    """
    from matplotlib.patches import Rectangle

    table = np.asarray(counts)
    size = len(names)
    if table.shape != (size, size):
        raise ValueError(f"{size} names for counts of shape {table.shape}")
    totals = table.sum(axis=1)
    shares = table / np.maximum(totals, 1)[:, None]
    cell = 0.82 if size <= 4 else 0.6 if size <= NAMED_COLUMNS else max(0.2, min(0.42, 6.4 / size))
    font = 9.0 if size <= 12 else max(6.6, min(9.0, cell * 22))
    with style():
        figure = new_figure()
        ax = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        inch = _place(figure, ax, names, cell, font)
        for row, column in np.argwhere(table > 0).tolist():
            share = float(shares[row, column])
            patch = Rectangle((column, row), 1, 1, facecolor=ACCENT, alpha=share, linewidth=0)
            patch.set_gid(f"cell-{row}-{column}")
            patch.set_url(link(row, column) if link else None)
            ax.add_patch(patch)
            text = f"{table[row, column]:,}" + (f"\n{share:.2f}" if cell >= 0.6 else "")  # there is room for the share
            look = {"ha": "center", "color": _text_color(share)}
            draw_lines(ax, column + 0.5, row + 0.52, text, size=font, pitch=font * 1.3 / 72 * inch, **look)
        for row, total in enumerate(totals.tolist()):
            ax.text(size + 0.25, row + 0.52, f"{total:,}", va="center", fontsize=font, color=MUTED)
        ax.text(size + 0.25, -0.07 * inch, "n", va="bottom", fontsize=font, color=MUTED)
        return figure


def _text_color(share: float) -> str:
    """Return the text color of a cell; with these limits, the contrast is above 4.5 in light and dark mode."""
    return ON_TINT if share < 0.54 else "black" if share < 0.88 else ON_ACCENT


def _place(figure: Figure, ax: Axes, names: Sequence[str], cell: float, font: float) -> float:
    """Set the size so that no name is truncated, draw names and grid, and return the number of cells per inch."""
    size = len(names)
    named_columns = size <= NAMED_COLUMNS
    rows = [wrap_name(name, 28, lines=1 if cell < 0.28 else 2) for name in names]
    if not named_columns:
        rows = [wrap_name(name, 30, 1) if cell < 0.36 else row for name, row in zip(names, rows, strict=True)]
    columns = [wrap_name(name, 14, 4) for name in names] if named_columns else [str(i + 1) for i in range(size)]
    number = 0.0 if named_columns else text_width("00", font) + 0.14
    left = max(text_width(row, font) for row in rows) + number + 0.2
    top = max(column.count("\n") + 1 for column in columns) * font * 1.25 / 72 + 0.42
    right = text_width("0,000", font) + cell * 0.25 + 0.1
    side = cell * size
    if named_columns:
        side = max(side, max(text_width(column, font) for column in columns) * size * 1.1)
    width, height = left + side + right, top + side + 0.1
    figure.set_size_inches(width, height)
    ax.set_position((left / width, 0.1 / height, side / width, side / height))
    ax.set(xlim=(0, size), ylim=(size, 0), xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_visible(False)
    lines = np.arange(size + 1)
    ax.hlines(lines, 0, size, colors=LINE, linewidth=0.6)
    ax.vlines(lines, 0, size, colors=LINE, linewidth=0.6)
    inch = size / side  # data units
    pitch = font * 1.16 / 72 * inch
    for index, (row, column) in enumerate(zip(rows, columns, strict=True)):
        if not named_columns:
            ax.text(-0.08 * inch, index + 0.52, str(index + 1), ha="right", va="center", fontsize=font, color=MUTED)
        draw_lines(ax, -(0.08 + number) * inch, index + 0.52, row, size=font, pitch=pitch, ha="right")
        draw_lines(
            ax,
            index + 0.5,
            -0.07 * inch,
            column,
            size=font,
            pitch=pitch,
            va="bottom",
            ha="center",
            color=INK if named_columns else MUTED,
        )
    ax.text(0, -(top - 0.16) * inch, "predicted class →", ha="left", va="center", fontsize=font, color=MUTED)
    ax.text(-0.08 * inch, -0.07 * inch, "true class ↓", ha="right", va="bottom", fontsize=font, color=MUTED)
    return inch
