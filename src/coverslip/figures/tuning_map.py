"""A map of two settings of a sweep, with a cell for each pair of values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from coverslip.figures.labels import text_width, wrap_name
from coverslip.figures.style import ACCENT, AXIS, INK, LINE, MUTED, ON_ACCENT, ON_TINT, new_figure, style
from coverslip.figures.tuning import Setting, TrialRow, as_setting, as_trials, best_trial, trial_gid, value_label
from coverslip.figures.tuning_axes import LossScale, loss_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from coverslip.figures.tuning import Frame


def lr_batch_map(
    trials: Sequence[TrialRow] | Frame,
    across: Setting | str = "training.lr",
    down: Setting | str = "training.batch_size",
    *,
    chance: float | None = None,
) -> Figure:
    """Draw a cell for each pair of values with validation log loss and accuracy; stronger colors mean lower losses.

    Args:
        trials: rows, or the frame of ``trials.csv``.
        across: setting of the columns, or its key.
        down: setting of the rows, or its key.
        chance: log loss of guessing; cells at or above it have no color.

    Returns:
        A figure with one axes. The best cell is framed. A cell shows the best of its trials: a cross if all failed,
        dots if some are running, the loss of a pruned trial in parentheses; pairs that were not tried are empty.

    Raises:
        ValueError: no trial has both settings.

    >>> frame = {"number": [0, 1], "state": ["finished"] * 2, "validation_loss": [0.5, 0.4], "a": [1, 2], "b": [8, 8]}
    >>> len(lr_batch_map(frame, "a", "b").axes)
    1
    """
    rows = as_trials(trials)
    across, down = as_setting(across), as_setting(down)
    rows = [trial for trial in rows if across.key in trial.values and down.key in trial.values]
    if not rows:
        raise ValueError(f"no trial has both {across.key!r} and {down.key!r}")
    columns, lines = sorted_values(rows, across.key), sorted_values(rows, down.key)
    cells: dict[tuple[int, int], list[TrialRow]] = {}
    for trial in rows:
        cell = columns.index(trial.values[across.key]), lines.index(trial.values[down.key])
        cells.setdefault(cell, []).append(trial)
    best = best_trial(rows)
    scale = loss_scale([trial.loss for trial in rows], chance)
    side = max(0.47, min(0.8, 7.2 / len(columns)))
    tall = 0.5 if len(lines) <= 12 else 0.36
    names = [wrap_name(value_label(value), 16, 1) for value in lines]
    left = max(text_width(name) for name in [*names, wrap_name(down.title, 16, 1)]) + 0.3
    width, height = left + side * len(columns) + 0.15, 0.68 + tall * len(lines)
    with style():
        figure = new_figure(figsize=(width, height))
        box = (left / width, 0.46 / height, side * len(columns) / width, tall * len(lines) / height)
        ax = figure.add_axes(box)
        ax.set(xlim=(0, len(columns)), ylim=(0, len(lines)), yticks=[], xlabel=across.title)
        ax.set_xticks(np.arange(len(columns)) + 0.5, [wrap_name(value_label(value), 8, 2) for value in columns])
        ax.tick_params(axis="x", length=0, labelsize=8 if side > 0.55 else 6.9)
        for spine in ax.spines.values():
            spine.set_visible(False)
        for (column, row), in_cell in cells.items():
            _draw_cell(ax, column, row, in_cell, scale, two=tall >= 0.5)
        for row, name in enumerate(names):
            ax.text(-0.12 / side, row + 0.5, name, ha="right", va="center", fontsize=8.5)
        look: dict[str, Any] = {"ha": "right", "va": "bottom", "fontsize": 8.5, "color": MUTED}
        ax.text(-0.12 / side, len(lines) + 0.08, wrap_name(down.title, 16, 1), **look)
        if best is not None:
            cell = columns.index(best.values[across.key]), lines.index(best.values[down.key])
            _frame(ax, *cell)
        return figure


def sorted_values(trials: Sequence[TrialRow], key: str) -> list[Any]:
    """Return the tried values: numbers in ascending order, text in the order of the first trial."""
    values = list(dict.fromkeys(trial.values[key] for trial in trials if key in trial.values))
    words = any(isinstance(value, str) for value in values)
    return values if words else sorted(values)


def _draw_cell(ax: Axes, column: int, row: int, trials: Sequence[TrialRow], scale: LossScale, *, two: bool) -> None:
    from matplotlib.patches import Rectangle

    shown = best_trial(trials)
    share = 0.0 if shown is None or shown.loss is None else 0.9 * (1 - min(scale.unit(shown.loss), 1.0))
    patch = Rectangle((column + 0.02, row + 0.03), 0.96, 0.94, facecolor=ACCENT, edgecolor="none", alpha=share)
    if shown is None or share <= 0.02:
        patch.set(facecolor="none", edgecolor=LINE, alpha=1.0, linewidth=0.8)
    patch.set_gid(trial_gid([shown or trials[0]]))
    ax.add_patch(patch)
    middle: dict[str, Any] = {"ha": "center", "va": "center"}
    if shown is None or shown.loss is None:
        states = {trial.state for trial in trials}
        so_far = [trial.loss for trial in trials if trial.loss is not None and trial.state == "pruned"]
        word, color = ("…", MUTED) if "running" in states else ("×", AXIS) if states == {"failed"} else ("–", AXIS)
        if so_far and "running" not in states:
            ax.text(column + 0.5, row + 0.5, f"({_loss_text(min(so_far))})", fontsize=7.5, color=MUTED, **middle)
        else:
            ax.text(column + 0.5, row + 0.5, word, fontsize=11, color=color, **middle)
        return
    color = ON_TINT if share < 0.54 else "black" if share < 0.88 else ON_ACCENT  # readable in light and dark themes
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
