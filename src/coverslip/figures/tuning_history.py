"""A study as it went: what each trial reached, and how each got there epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from coverslip.figures.style import ACCENT, AXIS, BLUE, INK, LINE, MUTED, new_figure, style
from coverslip.figures.tuning import (
    ABOVE,
    BEST,
    DEFAULT,
    FAILED,
    LOOKS,
    Curve,
    TrialRow,
    best_of,
    default_of,
    draw_empty,
    draw_legend,
    mark_trials,
    trial_gid,
)
from coverslip.figures.tuning_axes import LossScale, loss_scale, trials_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, LEFT, RIGHT = 8.6, 0.66, 1.0  # inches; what stands right of the axes is named there
LOSS = "validation log loss"
PLAIN = {"pruned": AXIS, "running": BLUE, "finished": BLUE}


def history_figure(trials: Sequence[TrialRow], *, chance: float | None = None) -> Figure:
    """The loss of each trial in the order in which they were begun, and the best so far.

    Args:
        trials: any number, in any state.
        chance: the loss of guessing; the axis ends a little above it.

    Returns:
        A figure with one axes: a dot a finished trial, a ring a running or (grey) a pruned one, and at the upper edge a
        triangle one that lies above the axis and a cross one that failed; a diamond the best, a square the default.
    """
    scale = trials_scale(trials, chance)
    with style():
        figure, ax = _wide(3.1)
        if not trials:
            draw_empty(ax, "no trial yet")
            return figure
        finished = sorted((x for x in trials if x.state == "finished" and x.loss is not None), key=lambda x: x.number)
        last = max(each.number for each in trials)
        legend: list[tuple[str, Mapping[str, Any]]] = []
        if finished:
            lowest = [scale.place(loss) for loss in accumulate((x.loss or 0.0 for x in finished), min)]
            x, y = [each.number for each in finished] + [last + 0.5], [*lowest, lowest[-1]]
            ax.step(x, y, where="post", color=ACCENT, linewidth=1.4, zorder=1)
            legend.append(("best so far", {"color": ACCENT, "linestyle": "-"}))
        for state, look in LOOKS.items():
            some = [t for t in trials if t.state == state and not scale.beyond(t.loss)]
            mark_trials(ax, some, [t.number for t in some], [t.loss or 0.0 for t in some], zorder=2, **look)
            legend += [(state, look)] if some else []
        failed = [each for each in trials if each.state == "failed"]
        above = [t for t in trials if t.state != "failed" and t.loss is not None and scale.beyond(t.loss)]
        word = "pruned, above the axis" if {each.state for each in above} == {"pruned"} else "above the axis"
        for name, some, look in (("failed", failed, FAILED), (word, above, ABOVE)):
            mark_trials(ax, some, [each.number for each in some], [scale.high] * len(some), zorder=2, **look)
            legend += [(name, look)] if some else []
        legend += _mark_two(ax, trials, scale)
        scale.draw(ax)
        _draw_chance(ax, scale, chance)
        ax.set_xlim(-0.03 * max(last, 4) - 0.5, last + 0.5)
        _whole_numbers(ax)
        ax.set(xlabel="trial", ylabel=LOSS)
        ax.grid(axis="y", color=LINE)
        draw_legend(ax, legend)
        return figure


def curves_figure(
    trials: Sequence[TrialRow], curves: Mapping[int, Curve], *, chance: float | None = None, most: int = 400
) -> Figure:
    """The loss of each trial after each epoch; pruned trials are grey.

    Args:
        trials: any number, in any state.
        curves: of trials, by number; one without a curve is left out.
        chance: the loss of guessing; the axis ends a little above it.
        most: trials that are drawn, the best of them.

    Returns:
        A figure with one axes. The best trial is thick, with a diamond at its best epoch, the default dashed; both are
        named at their right end.
    """
    shown = [each for each in trials if each.number in curves]
    shown = sorted(shown, key=lambda each: math.inf if each.loss is None else each.loss)[:most]
    scale = loss_scale([loss for each in shown for loss in curves[each.number].loss], chance)
    with style():
        figure, ax = _wide(3.6)
        if not shown:
            draw_empty(ax, "no epoch yet")
            return figure
        best, default = best_of(trials), default_of(trials)
        legend: list[tuple[str, Mapping[str, Any]]] = []
        for state, color in PLAIN.items():
            some = [each for each in shown if each.state == state or (state == "pruned" and each.state == "failed")]
            some = [each for each in some if each not in (best, default)][::-1]  # the best of them on top
            if some:
                look: dict[str, Any] = {"color": color, "linewidth": 0.8 if state == "pruned" else 1.0}
                look["linestyle"] = (0, (3, 1.5)) if state == "running" else "-"
                _draw_lines(ax, some, curves, scale, alpha=0.7 if state == "running" else 0.45, **look)
                legend.append((state if state != "pruned" else "pruned or failed", look))
        ends: list[tuple[float, float, str, str]] = []
        named: tuple[tuple[str, TrialRow | None, dict[str, Any]], ...] = (
            ("default", default, {"color": INK, "linestyle": (0, (4, 2)), "linewidth": 1.4}),
            ("best", best, {"color": ACCENT, "linestyle": "-", "linewidth": 2.4}),
        )
        for word, one, look in named:
            if one is None or one.number not in curves:
                continue
            _draw_lines(ax, [one], curves, scale, alpha=1.0, zorder=4, **look)
            legend.append((word, look))
            if one.best_epoch in curves[one.number].epochs and word == "best":
                place = scale.place(one.loss)
                mark_trials(ax, [one], [float(one.best_epoch or 0)], [place], zorder=5, **(BEST | {"s": 30}))
            text = f"best, trial {one.number}" if word == "best" else word
            ends.append((curves[one.number].epochs[-1], scale.place(_last(curves[one.number])), text, look["color"]))
        scale.draw(ax)
        _draw_chance(ax, scale, chance)
        longest = max(curves[each.number].epochs[-1] for each in shown)
        ax.set_xlim(1 - 0.03 * max(longest - 1, 1), longest + 0.01 * longest)
        _whole_numbers(ax)
        ax.set(xlabel="epoch", ylabel=LOSS)
        ax.grid(axis="y", color=LINE)
        _name_ends(ax, ends)
        draw_legend(ax, legend)
        return figure


def _wide(height: float) -> tuple[Figure, Axes]:
    figure = new_figure(figsize=(WIDTH, height))
    box = (LEFT / WIDTH, 0.48 / height, (WIDTH - LEFT - RIGHT) / WIDTH, (height - 0.48 - 0.34) / height)
    return figure, figure.add_axes(box)


def _mark_two(ax: Axes, trials: Sequence[TrialRow], scale: LossScale) -> list[tuple[str, Mapping[str, Any]]]:
    """The best and the default, each with its loss beside it."""
    drawn: list[tuple[str, Mapping[str, Any]]] = []
    best, default = best_of(trials), default_of(trials)
    for word, one, look in (("default", default, DEFAULT), ("best", best, BEST)):
        if one is None or one.loss is None:
            continue
        mark_trials(ax, [one], [one.number], [scale.place(one.loss)], zorder=3, **look)
        drawn.append((word, look))
    if best is not None and best.loss is not None:
        note: dict[str, Any] = {"xytext": (6, 0), "textcoords": "offset points", "annotation_clip": False}
        text = f"trial {best.number}\n{best.loss:.3f}"
        ax.annotate(text, (1, best.loss), xycoords=("axes fraction", "data"), va="center", color=ACCENT, **note)
    return drawn


def _draw_lines(
    ax: Axes, trials: Sequence[TrialRow], curves: Mapping[int, Curve], scale: LossScale, **look: Any
) -> None:
    from matplotlib.collections import LineCollection

    lines = []
    for each in trials:
        curve = curves[each.number]
        loss = [scale.high if scale.beyond(x) or math.isnan(x) else x for x in curve.loss]
        lines.append(np.column_stack([curve.epochs, loss]))
    if all(len(line) == 1 for line in lines):  # a line of one point cannot be seen
        point: dict[str, Any] = {"marker": "o", "s": 14, "facecolor": look["color"], "alpha": look.get("alpha")}
        mark_trials(ax, trials, [line[0, 0] for line in lines], [line[0, 1] for line in lines], **point)
        return
    ax.add_collection(LineCollection(lines, gid=trial_gid(trials), capstyle="round", **look))


def _last(curve: Curve) -> float | None:
    return next((loss for loss in reversed(curve.loss) if math.isfinite(loss)), None)


def _name_ends(ax: Axes, ends: Sequence[tuple[float, float, str, str]]) -> None:
    """Names right of the axes, moved apart where they would lie on each other."""
    space = ax.transData.transform
    places = [float(space((x, y))[1]) for x, y, _, _ in ends]
    if len(ends) == 2 and abs(places[0] - places[1]) < 16:
        middle, sign = sum(places) / 2, 1 if places[0] >= places[1] else -1
        places = [middle + 8 * sign, middle - 8 * sign]
    bottom, height = ax.bbox.y0, ax.bbox.height
    for (_, _, text, color), at in zip(ends, places, strict=True):
        ax.text(1.012, (at - bottom) / height, text, color=color, va="center", transform=ax.transAxes)


def _draw_chance(ax: Axes, scale: LossScale, chance: float | None) -> None:
    if chance is not None and scale.low < chance < scale.high:
        ax.axhline(chance, color=AXIS, linewidth=0.8, linestyle=(0, (1, 2)), zorder=0)
        note: dict[str, Any] = {"xytext": (6, 0), "textcoords": "offset points", "annotation_clip": False}
        where: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "va": "center", "color": MUTED}
        ax.annotate("guessing", (1, chance), **where, **note)


def _whole_numbers(ax: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
