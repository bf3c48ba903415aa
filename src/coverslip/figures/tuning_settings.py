"""The effects of the settings: importance, loss by setting, and parallel coordinates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from coverslip.figures.labels import draw_lines, text_width, wrap_name
from coverslip.figures.style import ACCENT, AXIS, CARD, INK, LINE, MUTED, new_figure, style
from coverslip.figures.tuning import (
    BEST,
    DEFAULT,
    FAILED,
    MARKERS_BY_STATE,
    OUT_OF_RANGE,
    Setting,
    TrialRow,
    best_trial,
    default_trial,
    draw_empty,
    mark_trials,
    trial_gid,
)
from coverslip.figures.tuning_axes import round_values, setting_scale, trials_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL = 3.4  # inches of the axis of importance
BANDS = 4  # of trials in parallel coordinates, from the best to the worst


class ImportanceRow(NamedTuple):
    """The importance of a setting: the fraction of the variance of the loss that it explains.

    Attributes:
        name: name of the setting.
        value: importance, 0 to 1.
        low: lower end of the confidence interval; None without an interval.
        high: upper end.
    """

    name: str
    value: float
    low: float | None
    high: float | None


def importance_figure(rows: Sequence[ImportanceRow]) -> Figure:
    """Draw the importance of the settings with intervals, the most important first.

    Args:
        rows: one or more settings.

    Returns:
        A figure with one axes from 0 to 1. Open markers have no interval.
    """
    rows = sorted(rows, key=lambda row: -row.value)
    labels = [wrap_name(row.name, 28, 2) for row in rows]
    step = 0.36
    left, right = max(map(text_width, labels)) + 0.3, text_width("0.00 [0.00, 0.00]") + 0.3
    width, height = left + PANEL + right, 0.75 + step * len(rows)
    inch = 1 / PANEL
    with style():
        figure = new_figure(figsize=(width, height))
        ax = figure.add_axes((left / width, 0.55 / height, PANEL / width, step * len(rows) / height))
        ax.set(xlim=(0, 1), ylim=(len(rows) - 0.5, -0.5), yticks=[], xlabel="fraction of the variance of the loss")
        ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
        ax.spines["left"].set_visible(False)
        ax.grid(axis="x", color=LINE)
        for place, (row, label) in enumerate(zip(rows, labels, strict=True)):
            draw_lines(ax, -0.14 * inch, place, label, size=8.5, pitch=0.127 / step, ha="right")
            number, face = 1 + 0.16 * inch, CARD
            ax.plot([0, row.value], [place] * 2, color=AXIS, linewidth=0.9, zorder=1)
            if row.low is not None and row.high is not None:
                bar: dict[str, Any] = {"color": ACCENT, "linewidth": 2.6, "alpha": 0.55, "solid_capstyle": "butt"}
                ax.plot([row.low, row.high], [place] * 2, **bar)
                text, at, face = f"[{row.low:.2f}, {row.high:.2f}]", number + text_width("0.00 ") * inch, ACCENT
                ax.text(at, place, text, va="center", fontsize=8.5, color=MUTED)
            ax.plot([row.value], [place], "o", color=ACCENT, markerfacecolor=face, markersize=6.5, clip_on=False)
            ax.text(number, place, f"{row.value:.2f}", va="center", fontsize=8.5)
        return figure


def slices_figure(trials: Sequence[TrialRow], settings: Sequence[Setting], *, chance: float | None = None) -> Figure:
    """Draw the loss of every trial by setting, with a panel per setting, on a common scale of losses.

    Args:
        trials: any number of trials, in any state.
        settings: one or more settings.
        chance: log loss of guessing; the axis ends slightly above it.

    Returns:
        A figure with an axes for each setting; marks as in `history_figure`.
    """
    scale = trials_scale(trials, chance)
    columns = min(len(settings), 3 if len(settings) in (5, 6, 9) else 4)
    rows = math.ceil(len(settings) / columns)
    panel, tall = ((5.6, 2.4), (3.6, 2.1), (2.4, 1.8), (1.78, 1.55))[columns - 1]
    gap, left = 0.22, 0.66
    width, height = left + columns * (panel + gap), rows * (tall + 0.62)
    best, default = best_trial(trials), default_trial(trials)
    with style():
        figure = new_figure(figsize=(width, height))
        for at, setting in enumerate(settings):
            row, column = divmod(at, columns)
            corner = ((left + column * (panel + gap)) / width, 1 - (0.28 + row * (tall + 0.62) + tall) / height)
            ax = figure.add_axes((*corner, panel / width, tall / height))
            axis = setting_scale(setting, trials)
            known = [t for t in trials if setting.key in t.values and not math.isnan(axis.unit(t.values[setting.key]))]
            spread = _spread(known, setting.key, 0.5 / len(axis.choices) if axis.choices else 0.0)
            x = {t.number: axis.unit(t.values[setting.key]) + spread.get(t.number, 0.0) for t in known}
            for state in ("pruned", "running", "finished"):
                shown = [t for t in known if t.state == state and not scale.beyond(t.loss)]
                look = MARKERS_BY_STATE[state] | {"s": 12}
                mark_trials(ax, shown, [x[t.number] for t in shown], [t.loss or 0.0 for t in shown], alpha=0.85, **look)
            above = [t for t in known if t.state != "failed" and t.loss is not None and scale.beyond(t.loss)]
            for shown, look in (([t for t in known if t.state == "failed"], FAILED), (above, OUT_OF_RANGE)):
                mark_trials(ax, shown, [x[t.number] for t in shown], [scale.high] * len(shown), **(look | {"s": 14}))
            for trial, look in ((default, DEFAULT | {"s": 30}), (best, BEST | {"s": 30})):
                if trial is not None and trial.number in x and trial.loss is not None:
                    mark_trials(ax, [trial], [x[trial.number]], [scale.place(trial.loss)], zorder=3, **look)
            scale.draw(ax, named=column == 0)
            axis.draw(ax, most=4)
            ax.tick_params(axis="x", labelsize=7.5)
            ax.set_title(wrap_name(setting.title, 24, 1), fontsize=9)
            ax.grid(axis="y", color=LINE)
            if column == 0:
                ax.set_ylabel("validation log loss")
        return figure


def _spread(trials: Sequence[TrialRow], key: str, width: float) -> dict[int, float]:
    """Return horizontal offsets that spread the trials of one choice, so that they do not overlap."""
    if not width:
        return {}
    offsets: dict[int, float] = {}
    for choice in dict.fromkeys(trial.values[key] for trial in trials):
        same = [trial.number for trial in trials if trial.values[key] == choice]
        for index, number in enumerate(same):  # multiples of the golden ratio fill the width evenly
            offsets[number] = width * ((index * 0.618) % 1 - 0.5) if len(same) > 1 else 0.0
    return offsets


def parallel_figure(trials: Sequence[TrialRow], settings: Sequence[Setting], *, chance: float | None = None) -> Figure:
    """Draw parallel coordinates: every trial is a line across all settings to its loss; stronger lines are better.

    Args:
        trials: any number of trials, in any state.
        settings: one or more settings.
        chance: log loss of guessing; the axis of losses ends slightly above it.

    Returns:
        A figure with one axes: a vertical line for each setting and a last one for the loss; pruned trials are grey.
    """
    drawn = [trial for trial in trials if trial.loss is not None]
    scale = trials_scale(drawn, chance)
    axes = [setting_scale(setting, trials) for setting in settings]
    width, height = 8.6, 3.7
    with style():
        figure = new_figure(figsize=(width, height))
        ax = figure.add_axes((0.66 / width, 0.15 / height, (width - 1.3) / width, (height - 0.62) / height))
        if not drawn:
            draw_empty(ax, "no trial has a loss yet")
            return figure
        ax.set_axis_off()
        ax.set(xlim=(0, len(axes)), ylim=(-0.02, 1.02))
        paths = {trial.number: _ribbon([*_units(trial, axes), scale.unit(trial.loss or 0.0)]) for trial in drawn}
        finished = sorted((trial for trial in drawn if trial.state == "finished"), key=lambda trial: trial.loss or 0.0)
        grey = [trial for trial in drawn if trial.state != "finished" and trial.role != "default"]
        _draw_paths(ax, grey, paths, color=AXIS, alpha=0.35, linewidth=0.7)
        default = default_trial(drawn)
        best = best_trial(drawn)
        rest = [trial for trial in finished if trial not in (default, best)]
        for band in reversed(range(BANDS)):
            in_band = rest[len(rest) * band // BANDS : len(rest) * (band + 1) // BANDS]
            alpha, width = ((0.75, 1.4), (0.45, 1.1), (0.28, 0.9), (0.18, 0.8))[band]
            _draw_paths(ax, in_band[::-1], paths, color=ACCENT, alpha=alpha, linewidth=width)
        if default is not None and default != best:
            _draw_paths(ax, [default], paths, color=INK, linewidth=1.3, linestyle=(0, (4, 2)), zorder=4)
        _draw_paths(ax, [best] if best is not None else [], paths, color=ACCENT, linewidth=2.8, zorder=5)
        for place, axis in enumerate([*axes, None]):
            ax.plot([place] * 2, [0, 1], color=AXIS, linewidth=0.9, zorder=3, clip_on=False)
            title = wrap_name(axis.setting.title if axis else "log loss", 15, 2)
            draw: dict[str, Any] = {"ha": "center", "weight": "bold", "size": 8.5, "pitch": -0.05}
            draw_lines(ax, place, 1.06, "\n".join(reversed(title.split("\n"))), **(draw | {"va": "center"}))
            for at, text in axis.ticks(5) if axis else _loss_ticks(scale):
                ax.plot([place - 0.02, place], [at, at], color=AXIS, linewidth=0.9, zorder=3, clip_on=False)
                side: dict[str, Any] = {"ha": "right", "va": "center", "fontsize": 7.5, "color": MUTED, "zorder": 6}
                side["bbox"] = {"facecolor": CARD, "edgecolor": "none", "pad": 0.6, "alpha": 0.8}
                ax.text(place - 0.035, at, text.replace("\n", " "), **side)
        return figure


def _units(trial: TrialRow, axes: Sequence[Any]) -> list[float]:
    units = [axis.unit(trial.values[axis.setting.key]) if axis.setting.key in trial.values else 0.5 for axis in axes]
    return [0.5 if math.isnan(unit) else unit for unit in units]


def _loss_ticks(scale: Any) -> list[tuple[float, str]]:
    values = round_values(scale.low, scale.high, log=scale.log)
    return [(scale.unit(value), f"{value:g}") for value in values]


def _ribbon(places: Sequence[float]) -> Any:
    """Return a smooth path through (0, places[0]), (1, places[1]) ..., horizontal at each point."""
    from matplotlib.path import Path

    points, codes = [(0.0, places[0])], [Path.MOVETO]
    for at in range(1, len(places)):
        before, after = places[at - 1], places[at]
        points += [(at - 0.6, before), (at - 0.4, after), (float(at), after)]
        codes += [Path.CURVE4] * 3
    return Path(np.asarray(points), codes)


def _draw_paths(ax: Axes, trials: Sequence[TrialRow], paths: dict[int, Any], **look: Any) -> None:
    from matplotlib.collections import PathCollection

    if trials:
        shapes = [paths[trial.number] for trial in trials]
        look = {"edgecolor": look.pop("color"), **look}
        lines = PathCollection(shapes, facecolor="none", gid=trial_gid(trials), clip_on=False, **look)
        lines.set_transform(ax.transData)
        ax.add_collection(lines, autolim=False)
