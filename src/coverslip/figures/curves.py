"""Training curves: what was measured, step by step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from coverslip.figures.style import DASHES, LINE, MARKERS, MUTED, OKABE_ITO, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Column = Sequence[float | None]
PARTS = ("train", "validation")
LEAST_SPAN = 0.2  # an accuracy axis shows at least this much


def training_curves(history: Mapping[str, Column], *, x: str = "step") -> Figure:
    """One panel for each thing measured (loss, accuracy ...), with a line for each part it was measured on.

    Args:
        history: columns of equal length, N values each, by name; ``train_loss`` and ``validation_loss`` share a panel.
            None and NaN are left out of a line, so that a value measured every tenth step is still joined up.
        x: the column along the bottom; where it is missing, rows are counted from 1.

    Returns:
        A figure with one axes for each panel. A history without a value gives one empty panel that says so.
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
            axes[0].text(0.5, 0.5, "nothing was measured", ha="center", va="center", color=MUTED)
        for ax, (title, columns) in zip(axes, panels.items(), strict=False):
            draw_panel(ax, title, {part: points_of(history, x, column) for part, column in columns.items()}, x)
        return figure


def panels_of(history: Mapping[str, Column], x: str) -> dict[str, dict[str, str]]:
    """Panel title -> part -> column name, for columns that hold at least one number."""
    panels: dict[str, dict[str, str]] = {}
    for column, values in history.items():
        if column == x or not any(_is_number(value) for value in values):
            continue
        part, _, rest = column.partition("_")
        title, part = (rest, part) if part in PARTS and rest else (column, "")
        panels.setdefault(title.replace("_", " "), {})[part] = column
    return panels


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def points_of(history: Mapping[str, Column], x: str, column: str) -> list[tuple[float, float]]:
    """(x, value) of every row in which the column was measured."""
    values = history[column]
    steps = history.get(x) or list(range(1, len(values) + 1))
    return [(s, v) for s, v in zip(steps, values, strict=True) if s is not None and v is not None and math.isfinite(v)]


def draw_panel(ax: Axes, title: str, lines: Mapping[str, list[tuple[float, float]]], x: str) -> None:
    """One thing measured, on each part: a part has the same color, dashes and markers in every panel."""
    ax.set_title(title)
    ax.set_xlabel(x)
    ax.grid(axis="y", color=LINE)
    ax.margins(x=0.03)
    for index, (part, points) in enumerate(lines.items()):
        look = PARTS.index(part) if part in PARTS else index % len(MARKERS)
        every = max(len(points) // 12, 1)
        ax.plot(
            [step for step, _ in points],
            [value for _, value in points],
            color=OKABE_ITO[look],
            linestyle=DASHES[look],
            marker=MARKERS[look],
            markevery=list(range((len(points) - 1) % every, len(points), every)),
            label=part or title,
        )
    values = [value for points in lines.values() for _, value in points]
    if "accuracy" in title and max(values) - min(values) < LEAST_SPAN:  # else two images look like a leap
        middle = min((max(values) + min(values)) / 2, 1 - LEAST_SPAN / 2)
        ax.set_ylim(middle - LEAST_SPAN * 0.55, middle + LEAST_SPAN * 0.55)
    if any(lines):
        ax.legend(loc="best", handlelength=2.6)
