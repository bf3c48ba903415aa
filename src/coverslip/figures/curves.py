"""Training curves: metrics against the step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from coverslip.figures.style import DASHES, LINE, MARKERS, MUTED, OKABE_ITO, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Column = Sequence[float | None]
SPLITS = ("train", "validation")
MIN_SPAN = 0.2  # an accuracy axis shows at least this range


def training_curves(history: Mapping[str, Column], *, x: str = "step") -> Figure:
    """Draw one panel per metric (loss, accuracy, ...), with one line per split.

    Args:
        history: columns by name, N values each; ``train_loss`` and ``validation_loss`` share a panel. None and NaN are
            skipped, so that values measured at some steps only are connected.
        x: column of the horizontal axis; if it is missing, rows are counted from 1.

    Returns:
        A figure with one axes per panel. Without any value, it has one empty panel with a note.
    """
    from matplotlib.figure import Figure

    panels = panels_of(history, x)
    count = max(len(panels), 1)
    with style():
        figure = Figure(figsize=(8.6 if count > 1 else 5.4, 2.9 * math.ceil(count / 2)), layout="constrained")
        axes = figure.subplots(math.ceil(count / 2), min(count, 2), squeeze=False).ravel()
        for unused in axes[count:]:
            figure.delaxes(unused)
        if not panels:
            axes[0].set_axis_off()
            axes[0].text(0.5, 0.5, "no values", ha="center", va="center", color=MUTED)
        for ax, (title, columns) in zip(axes, panels.items(), strict=False):
            draw_panel(ax, title, {split: points_of(history, x, column) for split, column in columns.items()}, x)
        return figure


def panels_of(history: Mapping[str, Column], x: str) -> dict[str, dict[str, str]]:
    """Return panel title -> split -> column name, for columns with at least one number."""
    panels: dict[str, dict[str, str]] = {}
    for column, values in history.items():
        if column == x or not any(_is_number(value) for value in values):
            continue
        split, _, rest = column.partition("_")
        title, split = (rest, split) if split in SPLITS and rest else (column, "")
        panels.setdefault(title.replace("_", " "), {})[split] = column
    return panels


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def points_of(history: Mapping[str, Column], x: str, column: str) -> list[tuple[float, float]]:
    """Return (x, value) of every row in which the column has a value."""
    values = history[column]
    steps = history.get(x) or list(range(1, len(values) + 1))
    return [(s, v) for s, v in zip(steps, values, strict=True) if s is not None and v is not None and math.isfinite(v)]


def draw_panel(ax: Axes, title: str, lines: Mapping[str, list[tuple[float, float]]], x: str) -> None:
    """Draw one metric for each split; a split has the same color, dashes and markers in every panel."""
    ax.set_title(title)
    ax.set_xlabel(x)
    ax.grid(axis="y", color=LINE)
    ax.margins(x=0.03)
    for index, (split, points) in enumerate(lines.items()):
        style_index = SPLITS.index(split) if split in SPLITS else index % len(MARKERS)
        every = max(len(points) // 12, 1)
        ax.plot(
            [step for step, _ in points],
            [value for _, value in points],
            color=OKABE_ITO[style_index],
            linestyle=DASHES[style_index],
            marker=MARKERS[style_index],
            markevery=list(range((len(points) - 1) % every, len(points), every)),
            label=split or title,
        )
    values = [value for points in lines.values() for _, value in points]
    if "accuracy" in title and max(values) - min(values) < MIN_SPAN:  # else a difference of two images looks large
        middle = min((max(values) + min(values)) / 2, 1 - MIN_SPAN / 2)
        ax.set_ylim(middle - MIN_SPAN * 0.55, middle + MIN_SPAN * 0.55)
    if any(lines):
        ax.legend(loc="best", handlelength=2.6)
