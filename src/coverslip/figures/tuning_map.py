"""A map of two settings of a sweep, a cell for each pair of their values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from coverslip.figures.labels import text_width, wrap_name
from coverslip.figures.style import ACCENT, AXIS, INK, LINE, MUTED, ON_ACCENT, ON_TINT, new_figure, style
from coverslip.figures.tuning import Setting, TrialRow, as_setting, as_trials, best_of, trial_gid, value_label
from coverslip.figures.tuning_axes import LossScale, loss_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from coverslip.figures.tuning import Frame


def rate_batch_map(
    trials: Sequence[TrialRow] | Frame,
    across: Setting | str = "training.lr",
    down: Setting | str = "training.batch_size",
    *,
    chance: float | None = None,
) -> Figure:
    """A cell for each pair of values: its validation log loss and accuracy; the stronger the color, the lower the loss.

    Args:
        trials: rows, or the frame of ``trials.csv``.
        across: the setting of the columns, or its key.
        down: the setting of the rows, or its key.
        chance: the loss of guessing; cells at or above it have no color.

    Returns:
        A figure with one axes. The cell of the lowest loss is framed. Where several trials share a cell, the best
        of them is shown; a cross is a cell whose trials all failed, an empty place was not tried, dots are running,
        a loss in parentheses is what a pruned trial had come to.

    Raises:
        ValueError: no trial has both settings.

    >>> frame = {"number": [0, 1], "state": ["finished"] * 2, "validation_loss": [0.5, 0.4], "a": [1, 2], "b": [8, 8]}
    >>> len(rate_batch_map(frame, "a", "b").axes)
    1
    """
    rows = as_trials(trials)
    across, down = as_setting(across), as_setting(down)
    rows = [each for each in rows if across.key in each.values and down.key in each.values]
    if not rows:
        raise ValueError(f"no trial has both {across.key!r} and {down.key!r}")
    columns, lines = sorted_values(rows, across.key), sorted_values(rows, down.key)
    cells: dict[tuple[int, int], list[TrialRow]] = {}
    for each in rows:
        place = columns.index(each.values[across.key]), lines.index(each.values[down.key])
        cells.setdefault(place, []).append(each)
    best = best_of(rows)
    scale = loss_scale([each.loss for each in rows], chance)
    side = max(0.47, min(0.8, 7.2 / len(columns)))
    tall = 0.5 if len(lines) <= 12 else 0.36
    names = [wrap_name(value_label(each), 16, 1) for each in lines]
    left = max(text_width(name) for name in [*names, wrap_name(down.title, 16, 1)]) + 0.3
    width, height = left + side * len(columns) + 0.15, 0.68 + tall * len(lines)
    with style():
        figure = new_figure(figsize=(width, height))
        box = (left / width, 0.46 / height, side * len(columns) / width, tall * len(lines) / height)
        ax = figure.add_axes(box)
        ax.set(xlim=(0, len(columns)), ylim=(0, len(lines)), yticks=[], xlabel=across.title)
        ax.set_xticks(np.arange(len(columns)) + 0.5, [wrap_name(value_label(each), 8, 2) for each in columns])
        ax.tick_params(axis="x", length=0, labelsize=8 if side > 0.55 else 6.9)
        for spine in ax.spines.values():
            spine.set_visible(False)
        for (column, row), some in cells.items():
            _draw_cell(ax, column, row, some, scale, two=tall >= 0.5)
        for row, name in enumerate(names):
            ax.text(-0.12 / side, row + 0.5, name, ha="right", va="center", fontsize=8.5)
        look: dict[str, Any] = {"ha": "right", "va": "bottom", "fontsize": 8.5, "color": MUTED}
        ax.text(-0.12 / side, len(lines) + 0.08, wrap_name(down.title, 16, 1), **look)
        if best is not None:
            place = columns.index(best.values[across.key]), lines.index(best.values[down.key])
            _frame(ax, *place)
        return figure


def sorted_values(trials: Sequence[TrialRow], key: str) -> list[Any]:
    """The values that were tried: numbers rising, words in the order of their first trial."""
    values = list(dict.fromkeys(each.values[key] for each in trials if key in each.values))
    words = any(isinstance(value, str) for value in values)
    return values if words else sorted(values)


def _draw_cell(ax: Axes, column: int, row: int, trials: Sequence[TrialRow], scale: LossScale, *, two: bool) -> None:
    from matplotlib.patches import Rectangle

    shown = best_of(trials)
    share = 0.0 if shown is None or shown.loss is None else 0.9 * (1 - min(scale.unit(shown.loss), 1.0))
    patch = Rectangle((column + 0.02, row + 0.03), 0.96, 0.94, facecolor=ACCENT, edgecolor="none", alpha=share)
    if shown is None or share <= 0.02:
        patch.set(facecolor="none", edgecolor=LINE, alpha=1.0, linewidth=0.8)
    patch.set_gid(trial_gid([shown or trials[0]]))
    ax.add_patch(patch)
    middle: dict[str, Any] = {"ha": "center", "va": "center"}
    if shown is None or shown.loss is None:
        states = {each.state for each in trials}
        so_far = [each.loss for each in trials if each.loss is not None and each.state == "pruned"]
        word, color = ("…", MUTED) if "running" in states else ("×", AXIS) if states == {"failed"} else ("–", AXIS)
        if so_far and "running" not in states:
            ax.text(column + 0.5, row + 0.5, f"({_loss_text(min(so_far))})", fontsize=7.5, color=MUTED, **middle)
        else:
            ax.text(column + 0.5, row + 0.5, word, fontsize=11, color=color, **middle)
        return
    color = ON_TINT if share < 0.54 else "black" if share < 0.88 else ON_ACCENT  # read in light and in dark
    text = _loss_text(shown.loss)
    if shown.accuracy is None or not two:
        ax.text(column + 0.5, row + 0.5, text, fontsize=8.5, color=color, **middle)
        return
    ax.text(column + 0.5, row + 0.64, text, fontsize=8.5, color=color, **middle)
    ax.text(column + 0.5, row + 0.3, f"{shown.accuracy * 100:.0f} %", fontsize=7, color=color, **middle)


def _loss_text(loss: float) -> str:
    return f"{loss:.2f}" if loss < 10 else f"{loss:.0f}" if loss < 1000 else "> 999"


def _frame(ax: Axes, column: int, row: int) -> None:
    from matplotlib.patches import Rectangle

    ax.add_patch(Rectangle((column, row), 1, 1, fill=False, edgecolor=INK, linewidth=1.8, zorder=4, clip_on=False))
