"""The learning curves of a sweep, with a panel for each value."""

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
    best_trial,
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
MAX_LINES = len(OKABE_ITO)


def sweep_curves(
    trials: Sequence[TrialRow] | Frame,
    curves: Mapping[int, Curve] | Frame,
    by: Setting | str = "training.lr",
    within: Setting | str | None = None,
    *,
    chance: float | None = None,
    most: int = 24,
) -> Figure:
    """Draw the validation log loss by epoch, with a panel per value of one setting and a line per value of another.

    Args:
        trials: rows, or the frame of ``trials.csv``.
        curves: trial number -> learning curve, or the frame of ``curves.csv``.
        by: setting of the panels, or its key.
        within: setting of the lines in a panel, or its key; None: each panel also shows the training loss.
        chance: log loss of guessing; the axes end slightly above it.
        most: maximum number of panels; of more values, evenly spaced ones are shown.

    Returns:
        A figure with an axes for each value, all on one scale, with all other curves shown faintly. The best trial is
        thick, in a framed panel. A curve above the axis stays at its edge, and ends in a cross if the loss is not
        finite.

    Raises:
        ValueError: no trial has the setting.
    """
    by, within = as_setting(by), None if within is None else as_setting(within)
    lines = as_curves(curves)
    rows = [trial for trial in as_trials(trials) if by.key in trial.values]
    values = sorted_values(rows, by.key)
    if not values:
        raise ValueError(f"no trial has {by.key!r}")
    values = [values[index] for index in sorted({round(x) for x in np.linspace(0, len(values) - 1, most)})]
    inner = sorted_values(rows, within.key)[:MAX_LINES] if within is not None else [None]
    drawn = [trial for trial in rows if trial.number in lines]
    scale = loss_scale([loss for trial in drawn for loss in lines[trial.number].loss], chance)
    longest = max((lines[trial.number].epochs[-1] for trial in drawn), default=1)
    columns = min(COLUMNS, len(values))
    across = math.ceil(len(values) / columns)
    width, height = 0.66 + columns * (PANEL + 0.14), 0.45 + 0.4 + across * (TALL + 0.36)
    best = best_trial(rows)
    with style():
        figure = new_figure(figsize=(width, height))
        for at, value in enumerate(values):
            row, column = divmod(at, columns)
            corner = ((0.6 + column * (PANEL + 0.14)) / width, 1 - (0.68 + row * (TALL + 0.36) + TALL) / height)
            ax = figure.add_axes((*corner, PANEL / width, TALL / height))
            of_value = [trial for trial in drawn if trial.values[by.key] == value]
            _draw_others(ax, [trial for trial in drawn if trial not in of_value], lines, scale)
            for trial in of_value:
                place = inner.index(trial.values.get(within.key)) if within is not None and len(inner) else 0
                draw_curve(ax, trial, lines[trial.number], scale, place, best=trial == best)
            if within is None and len(of_value) == 1:
                _draw_training(ax, lines[of_value[0].number], scale)
            bottom = at + columns >= len(values)
            set_panel(ax, scale, longest, left=column == 0, bottom=bottom, framed=best in of_value)
            ax.set_title(f"{wrap_name(by.title, 16, 1)} {wrap_name(value_label(value), 12, 1)}", fontsize=8.5, pad=5)
            if at == 0:
                _draw_key(figure, ax, inner, within, best is not None)
        return figure


def _draw_key(figure: Figure, ax: Axes, inner: Sequence[Any], within: Setting | None, best: bool) -> None:
    """Draw the legend above the first panel."""
    entries: list[tuple[str, dict[str, Any]]] = []
    if within is not None:
        title = wrap_name(within.title, 20, 1)
        entries = [(f"{title} {value_label(value)}", line_look(place)) for place, value in enumerate(inner)]
    else:
        entries = [("validation", line_look(0)), ("training", {"color": MUTED, "linestyle": (0, (2, 1.5))})]
    if best:
        entries.append(("best", {"color": INK, "linewidth": 2.6, "linestyle": "-"}))
    entries.append(("other trials", {"color": LINE, "linewidth": 1.2, "linestyle": "-"}))
    draw_legend(ax, entries, at=1.02 + 0.3 / TALL)


def line_look(place: int) -> dict[str, Any]:
    """Return color, dashes and marker of the n-th line of a panel."""
    return {
        "color": OKABE_ITO[place],
        "linestyle": DASHES[place],
        "marker": MARKERS[place],
        "facecolor": OKABE_ITO[place],
        "s": 12,
    }


def _shown(curve: Curve, scale: LossScale) -> list[float]:
    return [scale.high if math.isnan(loss) or scale.beyond(loss) else loss for loss in curve.loss]


def _draw_others(ax: Axes, others: Sequence[TrialRow], curves: Mapping[int, Curve], scale: LossScale) -> None:
    from matplotlib.collections import LineCollection

    lines = [np.column_stack([curves[t.number].epochs, _shown(curves[t.number], scale)]) for t in others]
    ax.add_collection(LineCollection(lines, colors=[LINE], linewidths=0.7, zorder=0), autolim=False)


def draw_curve(ax: Axes, trial: TrialRow, curve: Curve, scale: LossScale, place: int, *, best: bool) -> None:
    """Draw the learning curve of a trial in the n-th color and marker; the best is thick."""
    every = max(len(curve.epochs) // 4, 1)
    marks = list(range((len(curve.epochs) - 1) % every, len(curve.epochs), every))
    look: dict[str, Any] = {"color": OKABE_ITO[place % MAX_LINES], "marker": MARKERS[place % MAX_LINES]}
    look |= {"linestyle": DASHES[place % MAX_LINES], "markersize": 3.4, "linewidth": 2.6 if best else 1.2}
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
    """Set up the axes of a small panel: labels only at the left and bottom edge of the figure, a frame for the best."""
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
