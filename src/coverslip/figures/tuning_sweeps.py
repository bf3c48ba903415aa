"""Sweeps: the curves of every value side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from coverslip.figures.labels import wrap_name
from coverslip.figures.style import (
    DASHES,
    INK,
    LINE,
    MARKERS,
    MUTED,
    OKABE_ITO,
    VERMILION,
    new_figure,
    style,
)
from coverslip.figures.tuning import (
    Curve,
    Setting,
    TrialRow,
    as_curves,
    as_setting,
    as_trials,
    best_of,
    draw_legend,
    trial_gid,
    value_label,
)
from coverslip.figures.tuning_axes import LossScale, loss_scale
from coverslip.figures.tuning_map import sorted_values

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from coverslip.figures.tuning import Frame

COLUMNS, PANEL, TALL = 4, 1.86, 1.22  # inches of a panel
MOST_LINES = len(OKABE_ITO)


def sweep_curves(
    trials: Sequence[TrialRow] | Frame,
    curves: Mapping[int, Curve] | Frame,
    by: Setting | str = "training.lr",
    within: Setting | str | None = None,
    *,
    chance: float | None = None,
    most: int = 24,
) -> Figure:
    """The validation log loss by epoch, a panel for each value of one setting, a line for each value of another.

    Args:
        trials: rows, or the frame of ``trials.csv``.
        curves: of trials, by number, or the frame of ``curves.csv``.
        by: the setting of the panels, or its key.
        within: the setting of the lines in a panel, or its key; with None each panel has its trial's training loss
            beside it.
        chance: the loss of guessing; the axes end a little above it.
        most: panels that are drawn; of more values, evenly chosen ones.

    Returns:
        A figure with an axes for each value, all on one scale, the curves of all others faint behind. The best trial is
        thick, in a framed panel. A curve that leaves the axis upwards stays at its edge, and ends in a cross where the
        loss was no number.

    Raises:
        ValueError: no trial has the setting.
    """
    by, within = as_setting(by), None if within is None else as_setting(within)
    lines = as_curves(curves)
    rows = [each for each in as_trials(trials) if by.key in each.values]
    values = sorted_values(rows, by.key)
    if not values:
        raise ValueError(f"no trial has {by.key!r}")
    values = [values[at] for at in sorted({round(x) for x in np.linspace(0, len(values) - 1, most)})]
    inner = sorted_values(rows, within.key)[:MOST_LINES] if within is not None else [None]
    drawn = [each for each in rows if each.number in lines]
    scale = loss_scale([loss for each in drawn for loss in lines[each.number].loss], chance)
    longest = max((lines[each.number].epochs[-1] for each in drawn), default=1)
    columns = min(COLUMNS, len(values))
    across = math.ceil(len(values) / columns)
    width, height = 0.66 + columns * (PANEL + 0.14), 0.45 + 0.4 + across * (TALL + 0.36)
    best = best_of(rows)
    with style():
        figure = new_figure(figsize=(width, height))
        for at, value in enumerate(values):
            row, column = divmod(at, columns)
            corner = ((0.6 + column * (PANEL + 0.14)) / width, 1 - (0.68 + row * (TALL + 0.36) + TALL) / height)
            ax = figure.add_axes((*corner, PANEL / width, TALL / height))
            own = [each for each in drawn if each.values[by.key] == value]
            _draw_ghosts(ax, [each for each in drawn if each not in own], lines, scale)
            for each in own:
                place = inner.index(each.values.get(within.key)) if within is not None and len(inner) else 0
                draw_curve(ax, each, lines[each.number], scale, place, best=each == best)
            if within is None and len(own) == 1:
                _draw_training(ax, lines[own[0].number], scale)
            bottom = at + columns >= len(values)
            set_panel(ax, scale, longest, left=column == 0, bottom=bottom, framed=best in own)
            ax.set_title(f"{wrap_name(by.title, 16, 1)} {wrap_name(value_label(value), 12, 1)}", fontsize=8.5, pad=5)
            if at == 0:
                _draw_key(figure, ax, inner, within, best is not None)
        return figure


def _draw_key(figure: Figure, ax: Axes, inner: Sequence[Any], within: Setting | None, best: bool) -> None:
    """What the lines are, above the first panel."""
    entries: list[tuple[str, dict[str, Any]]] = []
    if within is not None:
        title = wrap_name(within.title, 20, 1)
        entries = [(f"{title} {value_label(value)}", line_look(place)) for place, value in enumerate(inner)]
    else:
        entries = [("validation", line_look(0)), ("training", {"color": MUTED, "linestyle": (0, (2, 1.5))})]
    if best:
        entries.append(("the best", {"color": INK, "linewidth": 2.6, "linestyle": "-"}))
    entries.append(("all others", {"color": LINE, "linewidth": 1.2, "linestyle": "-"}))
    draw_legend(ax, entries, at=1.02 + 0.3 / TALL)


def line_look(place: int) -> dict[str, Any]:
    """Color, dashes and marker of the n-th line of a panel."""
    return {
        "color": OKABE_ITO[place],
        "linestyle": DASHES[place],
        "marker": MARKERS[place],
        "facecolor": OKABE_ITO[place],
        "s": 12,
    }


def _shown(curve: Curve, scale: LossScale) -> list[float]:
    return [scale.high if math.isnan(loss) or scale.beyond(loss) else loss for loss in curve.loss]


def _draw_ghosts(ax: Axes, others: Sequence[TrialRow], curves: Mapping[int, Curve], scale: LossScale) -> None:
    from matplotlib.collections import LineCollection

    lines = [np.column_stack([curves[t.number].epochs, _shown(curves[t.number], scale)]) for t in others]
    ax.add_collection(LineCollection(lines, colors=[LINE], linewidths=0.7, zorder=0), autolim=False)


def draw_curve(ax: Axes, trial: TrialRow, curve: Curve, scale: LossScale, place: int, *, best: bool) -> None:
    """One trial by epoch, in the n-th look; the best is thick."""
    every = max(len(curve.epochs) // 4, 1)
    marks = list(range((len(curve.epochs) - 1) % every, len(curve.epochs), every))
    look: dict[str, Any] = {"color": OKABE_ITO[place % MOST_LINES], "marker": MARKERS[place % MOST_LINES]}
    look |= {"linestyle": DASHES[place % MOST_LINES], "markersize": 3.4, "linewidth": 2.6 if best else 1.2}
    (line,) = ax.plot(curve.epochs, _shown(curve, scale), markevery=marks, zorder=3, clip_on=False, **look)
    line.set_gid(trial_gid([trial]))
    if not math.isfinite(curve.loss[-1]):
        ax.plot([curve.epochs[-1]], [scale.high], "x", color=VERMILION, markersize=5, zorder=4, clip_on=False)


def _draw_training(ax: Axes, curve: Curve, scale: LossScale) -> None:
    points = [(e, x) for e, x in zip(curve.epochs, curve.train_loss, strict=True) if math.isfinite(x)]
    points = [(e, min(max(x, scale.low), scale.high)) for e, x in points]
    if points:
        ax.plot(*zip(*points, strict=True), color=MUTED, linewidth=0.9, linestyle=(0, (2, 1.5)), zorder=2)


def set_panel(ax: Axes, scale: LossScale, longest: int, *, left: bool, bottom: bool, framed: bool) -> None:
    """Axes of a small panel: numbers only at the left and at the bottom, a frame round the best."""
    scale.draw(ax, named=left)
    ends = [1] if longest == 1 else [1, longest] if longest < 5 else [1, (longest + 1) // 2, longest]
    ax.set_xlim(1 - 0.04 * max(longest - 1, 1), longest + 0.04 * max(longest - 1, 1))
    ax.set_xticks(ends, [str(end) for end in ends] if bottom else [""] * len(ends))
    ax.tick_params(labelsize=7.5)
    ax.set_xlabel("epoch" if bottom else "", fontsize=8, labelpad=2)
    if left:
        ax.set_ylabel("log loss", fontsize=8)
    for spine in ax.spines.values() if framed else ():
        spine.set(visible=True, color=INK, linewidth=1.2)
