"""The history of a study: the loss of each trial, and its learning curve."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from coverslip.figures.style import ACCENT, AXIS, BLUE, INK, LINE, MUTED, new_figure, style
from coverslip.figures.tuning import (
    BEST,
    DEFAULT,
    FAILED,
    MARKERS_BY_STATE,
    OUT_OF_RANGE,
    Curve,
    TrialRow,
    best_trial,
    default_trial,
    draw_empty,
    draw_legend,
    mark_trials,
    trial_gid,
)
from coverslip.figures.tuning_axes import LossScale, loss_scale, trials_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, LEFT, RIGHT = 8.6, 0.66, 1.0  # inches; labels are right of the axes
LOSS = "validation log loss"
LINE_COLORS = {"pruned": AXIS, "running": BLUE, "finished": BLUE}


def history_figure(trials: Sequence[TrialRow], *, chance: float | None = None) -> Figure:
    """Draw the loss of each trial in order, and the best so far.

    Args:
        trials: any number of trials, in any state.
        chance: log loss of guessing; the axis ends slightly above it.

    Returns:
        A figure with one axes. Dots: finished trials; rings: running or (grey) pruned ones; at the upper edge,
        triangles: trials above the axis, crosses: failed trials; diamond: the best; square: the default.
    """
    scale = trials_scale(trials, chance)
    with style():
        figure, ax = _wide(3.1)
        if not trials:
            draw_empty(ax, "no trial yet")
            return figure
        finished = sorted((x for x in trials if x.state == "finished" and x.loss is not None), key=lambda x: x.number)
        last = max(trial.number for trial in trials)
        legend: list[tuple[str, Mapping[str, Any]]] = []
        if finished:
            lowest = [scale.place(loss) for loss in accumulate((x.loss or 0.0 for x in finished), min)]
            x, y = [trial.number for trial in finished] + [last + 0.5], [*lowest, lowest[-1]]
            ax.step(x, y, where="post", color=ACCENT, linewidth=1.4, zorder=1)
            legend.append(("best so far", {"color": ACCENT, "linestyle": "-"}))
        for state, look in MARKERS_BY_STATE.items():
            shown = [t for t in trials if t.state == state and not scale.beyond(t.loss)]
            mark_trials(ax, shown, [t.number for t in shown], [t.loss or 0.0 for t in shown], zorder=2, **look)
            legend += [(state, look)] if shown else []
        failed = [trial for trial in trials if trial.state == "failed"]
        above = [t for t in trials if t.state != "failed" and t.loss is not None and scale.beyond(t.loss)]
        word = "pruned, above the axis" if {trial.state for trial in above} == {"pruned"} else "above the axis"
        for name, shown, look in (("failed", failed, FAILED), (word, above, OUT_OF_RANGE)):
            mark_trials(ax, shown, [trial.number for trial in shown], [scale.high] * len(shown), zorder=2, **look)
            legend += [(name, look)] if shown else []
        legend += _mark_two(ax, trials, scale)
        scale.draw(ax)
        _draw_chance(ax, scale, chance)
        ax.set_xlim(-0.03 * max(last, 4) - 0.5, last + 0.5)
        _integer_ticks(ax)
        ax.set(xlabel="trial", ylabel=LOSS)
        ax.grid(axis="y", color=LINE)
        draw_legend(ax, legend)
        return figure


def curves_figure(
    trials: Sequence[TrialRow], curves: Mapping[int, Curve], *, chance: float | None = None, most: int = 400
) -> Figure:
    """Draw the loss of each trial after each epoch; pruned trials are grey.

    Args:
        trials: any number of trials, in any state.
        curves: trial number -> learning curve; trials without one are omitted.
        chance: log loss of guessing; the axis ends slightly above it.
        most: maximum number of trials to draw, the best ones.

    Returns:
        A figure with one axes. The best trial is thick, with a diamond at its best epoch, the default is dashed; both
        are labeled at their right end.
    """
    shown = [trial for trial in trials if trial.number in curves]
    shown = sorted(shown, key=lambda trial: math.inf if trial.loss is None else trial.loss)[:most]
    scale = loss_scale([loss for trial in shown for loss in curves[trial.number].loss], chance)
    with style():
        figure, ax = _wide(3.6)
        if not shown:
            draw_empty(ax, "no epoch yet")
            return figure
        best, default = best_trial(trials), default_trial(trials)
        legend: list[tuple[str, Mapping[str, Any]]] = []
        for state, color in LINE_COLORS.items():
            lines = [t for t in shown if t.state == state or (state == "pruned" and t.state == "failed")]
            lines = [trial for trial in lines if trial not in (best, default)][::-1]  # the best ones on top
            if lines:
                look: dict[str, Any] = {"color": color, "linewidth": 0.8 if state == "pruned" else 1.0}
                look["linestyle"] = (0, (3, 1.5)) if state == "running" else "-"
                _draw_lines(ax, lines, curves, scale, alpha=0.7 if state == "running" else 0.45, **look)
                legend.append((state if state != "pruned" else "pruned or failed", look))
        ends: list[tuple[float, float, str, str]] = []
        labeled: tuple[tuple[str, TrialRow | None, dict[str, Any]], ...] = (
            ("default", default, {"color": INK, "linestyle": (0, (4, 2)), "linewidth": 1.4}),
            ("best", best, {"color": ACCENT, "linestyle": "-", "linewidth": 2.4}),
        )
        for word, trial, look in labeled:
            if trial is None or trial.number not in curves:
                continue
            curve = curves[trial.number]
            _draw_lines(ax, [trial], curves, scale, alpha=1.0, zorder=4, **look)
            legend.append((word, look))
            if trial.best_epoch in curve.epochs and word == "best":
                y = scale.place(trial.loss)
                mark_trials(ax, [trial], [float(trial.best_epoch or 0)], [y], zorder=5, **(BEST | {"s": 30}))
            text = f"best, trial {trial.number}" if word == "best" else word
            ends.append((curve.epochs[-1], scale.place(_last(curve)), text, look["color"]))
        scale.draw(ax)
        _draw_chance(ax, scale, chance)
        longest = max(curves[trial.number].epochs[-1] for trial in shown)
        ax.set_xlim(1 - 0.03 * max(longest - 1, 1), longest + 0.01 * longest)
        _integer_ticks(ax)
        ax.set(xlabel="epoch", ylabel=LOSS)
        ax.grid(axis="y", color=LINE)
        _label_ends(ax, ends)
        draw_legend(ax, legend)
        return figure


def _wide(height: float) -> tuple[Figure, Axes]:
    figure = new_figure(figsize=(WIDTH, height))
    box = (LEFT / WIDTH, 0.48 / height, (WIDTH - LEFT - RIGHT) / WIDTH, (height - 0.48 - 0.34) / height)
    return figure, figure.add_axes(box)


def _mark_two(ax: Axes, trials: Sequence[TrialRow], scale: LossScale) -> list[tuple[str, Mapping[str, Any]]]:
    """Mark the default and the best trial, and label the best with its loss; return their legend entries."""
    drawn: list[tuple[str, Mapping[str, Any]]] = []
    best, default = best_trial(trials), default_trial(trials)
    for word, trial, look in (("default", default, DEFAULT), ("best", best, BEST)):
        if trial is None or trial.loss is None:
            continue
        mark_trials(ax, [trial], [trial.number], [scale.place(trial.loss)], zorder=3, **look)
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
    for trial in trials:
        curve = curves[trial.number]
        loss = [scale.high if scale.beyond(x) or math.isnan(x) else x for x in curve.loss]
        lines.append(np.column_stack([curve.epochs, loss]))
    if all(len(line) == 1 for line in lines):  # a line of one point is invisible
        point: dict[str, Any] = {"marker": "o", "s": 14, "facecolor": look["color"], "alpha": look.get("alpha")}
        mark_trials(ax, trials, [line[0, 0] for line in lines], [line[0, 1] for line in lines], **point)
        return
    ax.add_collection(LineCollection(lines, gid=trial_gid(trials), capstyle="round", **look))


def _last(curve: Curve) -> float | None:
    return next((loss for loss in reversed(curve.loss) if math.isfinite(loss)), None)


def _label_ends(ax: Axes, ends: Sequence[tuple[float, float, str, str]]) -> None:
    """Label the ends of two curves right of the axes, moved apart if the labels would overlap."""
    to_pixels = ax.transData.transform
    heights = [float(to_pixels((x, y))[1]) for x, y, _, _ in ends]
    if len(ends) == 2 and abs(heights[0] - heights[1]) < 16:
        middle, sign = sum(heights) / 2, 1 if heights[0] >= heights[1] else -1
        heights = [middle + 8 * sign, middle - 8 * sign]
    bottom, total = ax.bbox.y0, ax.bbox.height
    for (_, _, text, color), height in zip(ends, heights, strict=True):
        ax.text(1.012, (height - bottom) / total, text, color=color, va="center", transform=ax.transAxes)


def _draw_chance(ax: Axes, scale: LossScale, chance: float | None) -> None:
    if chance is not None and scale.low < chance < scale.high:
        ax.axhline(chance, color=AXIS, linewidth=0.8, linestyle=(0, (1, 2)), zorder=0)
        note: dict[str, Any] = {"xytext": (6, 0), "textcoords": "offset points", "annotation_clip": False}
        where: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "va": "center", "color": MUTED}
        ax.annotate("guessing", (1, chance), **where, **note)


def _integer_ticks(ax: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
