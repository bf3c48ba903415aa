"""What the settings did: which mattered, the loss against each of them, and all of them at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from coverslip.figures.labels import draw_lines, text_width, wrap_name
from coverslip.figures.style import ACCENT, AXIS, CARD, INK, LINE, MUTED, new_figure, style
from coverslip.figures.tuning import (
    ABOVE,
    BEST,
    DEFAULT,
    FAILED,
    LOOKS,
    Setting,
    TrialRow,
    best_of,
    default_of,
    draw_empty,
    mark_trials,
    trial_gid,
)
from coverslip.figures.tuning_axes import round_values, setting_scale, trials_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL = 3.4  # inches of the axis of importance
BANDS = 4  # of trials in parallel coordinates, from the best to the rest


class ImportanceRow(NamedTuple):
    """How much of the differences in loss one setting explains. None is "no honest interval"."""

    name: str
    value: float  # 0 to 1
    low: float | None
    high: float | None


def importance_figure(rows: Sequence[ImportanceRow]) -> Figure:
    """A row a setting, the one that matters most first, each with its interval.

    Args:
        rows: at least one.

    Returns:
        A figure with one axes from 0 to 1. An open marker has no interval.
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
        ax.set(xlim=(0, 1), ylim=(len(rows) - 0.5, -0.5), yticks=[], xlabel="share of the differences in loss")
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
    """The loss of every trial against each setting, a panel a setting, on one scale of losses.

    Args:
        trials: any number, in any state.
        settings: at least one.
        chance: the loss of guessing; the axis ends a little above it.

    Returns:
        A figure with an axes for each setting; marks as in `history_figure`.
    """
    scale = trials_scale(trials, chance)
    columns = min(len(settings), 3 if len(settings) in (5, 6, 9) else 4)
    rows = math.ceil(len(settings) / columns)
    panel, tall = ((5.6, 2.4), (3.6, 2.1), (2.4, 1.8), (1.78, 1.55))[columns - 1]
    gap, left = 0.22, 0.66
    width, height = left + columns * (panel + gap), rows * (tall + 0.62)
    best, default = best_of(trials), default_of(trials)
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
                some = [t for t in known if t.state == state and not scale.beyond(t.loss)]
                places = [t.loss or 0.0 for t in some]
                mark_trials(ax, some, [x[t.number] for t in some], places, alpha=0.85, **(LOOKS[state] | {"s": 12}))
            above = [t for t in known if t.state != "failed" and t.loss is not None and scale.beyond(t.loss)]
            for some, look in (([t for t in known if t.state == "failed"], FAILED), (above, ABOVE)):
                places = [x[each.number] for each in some]
                mark_trials(ax, some, places, [scale.high] * len(some), **(look | {"s": 14}))
            for one, look in ((default, DEFAULT | {"s": 30}), (best, BEST | {"s": 30})):
                if one is not None and one.number in x and one.loss is not None:
                    mark_trials(ax, [one], [x[one.number]], [scale.place(one.loss)], zorder=3, **look)
            scale.draw(ax, named=column == 0)
            axis.draw(ax, most=4)
            ax.tick_params(axis="x", labelsize=7.5)
            ax.set_title(wrap_name(setting.title, 24, 1), fontsize=9)
            ax.grid(axis="y", color=LINE)
            if column == 0:
                ax.set_ylabel("validation log loss")
        return figure


def _spread(trials: Sequence[TrialRow], key: str, width: float) -> dict[int, float]:
    """Trials of one choice side by side, in their order, so that none hides another."""
    if not width:
        return {}
    places: dict[int, float] = {}
    for choice in dict.fromkeys(each.values[key] for each in trials):
        same = [each.number for each in trials if each.values[key] == choice]
        for at, number in enumerate(same):
            places[number] = width * ((at * 0.618) % 1 - 0.5) if len(same) > 1 else 0.0  # evenly, in no order
    return places


def parallel_figure(trials: Sequence[TrialRow], settings: Sequence[Setting], *, chance: float | None = None) -> Figure:
    """Every finished trial as a line across all settings to its loss: the stronger, the better; pruned ones grey.

    Args:
        trials: any number, in any state.
        settings: at least one.
        chance: the loss of guessing; the axis of losses ends a little above it.

    Returns:
        A figure with one axes: a vertical line for each setting, the loss on the last one.
    """
    drawn = [each for each in trials if each.loss is not None]
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
        paths = {each.number: _ribbon([*_places(each, axes), scale.unit(each.loss or 0.0)]) for each in drawn}
        finished = sorted((x for x in drawn if x.state == "finished"), key=lambda x: x.loss or 0.0)
        grey = [each for each in drawn if each.state != "finished" and each.role != "default"]
        _draw_paths(ax, grey, paths, color=AXIS, alpha=0.35, linewidth=0.7)
        default = default_of(drawn)
        best = best_of(drawn)
        rest = [each for each in finished if each not in (default, best)]
        for band in reversed(range(BANDS)):
            some = rest[len(rest) * band // BANDS : len(rest) * (band + 1) // BANDS]
            alpha, thick = ((0.75, 1.4), (0.45, 1.1), (0.28, 0.9), (0.18, 0.8))[band]
            _draw_paths(ax, some[::-1], paths, color=ACCENT, alpha=alpha, linewidth=thick)
        if default is not None and default != best:
            _draw_paths(ax, [default], paths, color=INK, linewidth=1.3, linestyle=(0, (4, 2)), zorder=4)
        _draw_paths(ax, [best] if best is not None else [], paths, color=ACCENT, linewidth=2.8, zorder=5)
        for place, axis in enumerate([*axes, None]):
            ax.plot([place] * 2, [0, 1], color=AXIS, linewidth=0.9, zorder=3, clip_on=False)
            title = wrap_name(axis.setting.title if axis else "log loss", 15, 2)
            draw: dict[str, Any] = {"ha": "center", "weight": "bold", "size": 8.5, "pitch": -0.05}
            draw_lines(ax, place, 1.06, "\n".join(reversed(title.split("\n"))), **(draw | {"va": "center"}))
            for at, text in axis.named(5) if axis else _loss_names(scale):
                ax.plot([place - 0.02, place], [at, at], color=AXIS, linewidth=0.9, zorder=3, clip_on=False)
                side: dict[str, Any] = {"ha": "right", "va": "center", "fontsize": 7.5, "color": MUTED, "zorder": 6}
                side["bbox"] = {"facecolor": CARD, "edgecolor": "none", "pad": 0.6, "alpha": 0.8}
                ax.text(place - 0.035, at, text.replace("\n", " "), **side)
        return figure


def _places(trial: TrialRow, axes: Sequence[Any]) -> list[float]:
    units = [axis.unit(trial.values[axis.setting.key]) if axis.setting.key in trial.values else 0.5 for axis in axes]
    return [0.5 if math.isnan(unit) else unit for unit in units]


def _loss_names(scale: Any) -> list[tuple[float, str]]:
    values = round_values(scale.low, scale.high, log=scale.log)
    return [(scale.unit(each), f"{each:g}") for each in values]


def _ribbon(places: Sequence[float]) -> Any:
    """A smooth path through (0, places[0]), (1, places[1]) ...; level at each."""
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
        some = [paths[each.number] for each in trials]
        look = {"edgecolor": look.pop("color"), **look}
        lines = PathCollection(some, facecolor="none", gid=trial_gid(trials), clip_on=False, **look)
        lines.set_transform(ax.transData)
        ax.add_collection(lines, autolim=False)
