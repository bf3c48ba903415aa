"""Figures with few numbers and their intervals: a step of a one-at-a-time study, and the expected accuracy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from coverslip.figures.labels import draw_lines, text_width, wrap_name
from coverslip.figures.style import ACCENT, AXIS, CARD, INK, LINE, MARKERS, MUTED, OKABE_ITO, new_figure, style
from coverslip.figures.tuning import Curve, Setting, TrialRow, draw_empty, trial_gid, value_label
from coverslip.figures.tuning_axes import LOG_RATIO, LossScale, loss_scale, round_values
from coverslip.figures.tuning_sweeps import MAX_LINES, draw_curve, set_panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Interval = tuple[float, float]
WIDE_PANEL = 2.5  # inches of the axis of losses


def step_figure(
    trials: Sequence[TrialRow],
    curves: Mapping[int, Curve],
    setting: Setting,
    *,
    chosen: Any = None,
    intervals: Mapping[int, Interval] | None = None,
    chance: float | None = None,
) -> Figure:
    """Draw the losses and the learning curves of the values of one setting.

    Args:
        trials: the trials of the step, in the order to draw.
        curves: trial number -> learning curve.
        setting: the setting that varies.
        chosen: the value that was kept; its marker is filled, the others are open.
        intervals: trial number -> ends of the confidence interval of its loss; trials without one have a marker only.
        chance: log loss of guessing.

    Returns:
        A figure with two axes: losses with intervals, and curves in the same order, colors and markers.
    """
    rows = [trial for trial in trials if setting.key in trial.values]
    intervals = intervals or {}
    names = [wrap_name(value_label(trial.values[setting.key]), 14, 2) for trial in rows]
    step = 0.34
    left = max([0.4, *map(text_width, names)]) + 0.5
    height = max(2.5, 0.9 + step * len(rows))
    width, panel = 8.6, WIDE_PANEL
    measured = [trial for trial in rows if trial.loss is not None]
    ends = [end for trial in measured for end in (trial.loss or 0.0, *intervals.get(trial.number, ()))]
    top = chance * 1.2 if chance else math.inf
    scale = _span([min(end, top) for end in ends if math.isfinite(end)])
    with style():
        figure = new_figure(figsize=(width, height))
        tall = step * max(len(rows), 1)
        ax = figure.add_axes((left / width, 1 - (0.3 + tall) / height, panel / width, tall / height))
        if not rows:
            draw_empty(ax, "no trial yet")
            return figure
        _draw_values(ax, rows, names, intervals, scale, setting, chosen, step)
        start = left + panel + 1.9
        right = figure.add_axes((start / width, 0.48 / height, (width - start - 0.1) / width, (height - 0.78) / height))
        drawn = [trial for trial in rows if trial.number in curves]
        curve_scale = loss_scale([loss for trial in drawn for loss in curves[trial.number].loss], chance)
        for trial in drawn:
            kept = trial.values[setting.key] == chosen
            draw_curve(right, trial, curves[trial.number], curve_scale, rows.index(trial), best=kept)
        longest = max((curves[trial.number].epochs[-1] for trial in drawn), default=1)
        set_panel(right, curve_scale, longest, left=True, bottom=True, framed=False)
        right.set_title("learning curves", fontsize=9)
        right.grid(axis="y", color=LINE)
        return figure


def _span(ends: Sequence[float]) -> LossScale:
    """Return a scale that includes all ends, logarithmic if they lie far apart."""
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    if low > 0 and high > LOG_RATIO * low:
        return LossScale(low / (high / low) ** 0.06, high * (high / low) ** 0.06, log=True)
    margin = 0.08 * (high - low) or 0.1 * max(high, 0.1)
    return LossScale(max(low - margin, 0.0), high + margin, log=False)


def _draw_values(
    ax: Axes,
    rows: Sequence[TrialRow],
    names: Sequence[str],
    intervals: Mapping[int, Interval],
    scale: LossScale,
    setting: Setting,
    chosen: Any,
    step: float,
) -> None:
    """Draw a row per value: marker, interval, number."""
    from matplotlib.ticker import NullLocator

    ax.set_xscale("log" if scale.log else "linear")
    ax.set(xlim=(scale.low, scale.high), ylim=(len(rows) - 0.5, -0.5), yticks=[])
    ax.xaxis.set_minor_locator(NullLocator())
    ticks = round_values(scale.low, scale.high, log=scale.log, few=3)
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set_title(wrap_name(setting.title, 30, 1), fontsize=9)
    ax.spines["left"].set_visible(False)
    ax.set_xlabel("validation log loss")
    ax.grid(axis="x", color=LINE)
    side: dict[str, Any] = {"transform": ax.get_yaxis_transform()}  # x in axes coordinates, y in rows
    beside = 1 + 0.12 / WIDE_PANEL
    for place, (trial, name) in enumerate(zip(rows, names, strict=True)):
        color, kept = OKABE_ITO[place % MAX_LINES], trial.values[setting.key] == chosen
        look = {"ha": "right", "color": INK if kept else MUTED, "weight": "bold" if kept else "normal", **side}
        draw_lines(ax, -0.12 / WIDE_PANEL, place, name, size=8.5, pitch=0.127 / step, **look)
        if trial.loss is None or trial.state == "failed":
            ax.text(beside, place, trial.state, va="center", color=MUTED, fontsize=8.5, **side)
            continue
        if trial.number in intervals:
            low, high = (min(max(end, scale.low), scale.high) for end in intervals[trial.number])
            ax.plot([low, high], [place] * 2, color=color, linewidth=2.4, alpha=0.5, solid_capstyle="butt")
            span = "[{:.3f}, {:.3f}]".format(*intervals[trial.number])
            at = beside + text_width("0.000 ") / WIDE_PANEL
            ax.text(at, place, span, va="center", color=MUTED, fontsize=8, **side)
        if scale.beyond(trial.loss):
            ax.plot([scale.high], [place], "x", color=color, markersize=5, clip_on=False)
        else:
            marker = ax.scatter([trial.loss], [place], 38, marker=MARKERS[place % MAX_LINES], zorder=3, clip_on=False)
            marker.set(facecolor=color if kept else CARD, edgecolor=color, gid=trial_gid([trial]))
        ax.text(beside, place, f"{trial.loss:.3f}", va="center", fontsize=8.5, **side)


def expected_figure(rows: Sequence[tuple[str, float, float | None, float | None, bool]], *, title: str) -> Figure:
    """Draw a few accuracies with their intervals: the default, the best trial, and the expected accuracy.

    Args:
        rows: (name, value, low, high, filled), one or more, from top to bottom; low and high are None without an
            interval.
        title: label of the axis.

    Returns:
        A figure with one axes; filled markers are unbiased, open markers optimistic.
    """
    from matplotlib.ticker import MaxNLocator

    labels = [wrap_name(row[0], 34, 2) for row in rows]
    known = [number for row in rows for number in row[1:4] if number is not None]
    spare = max(0.06 - (max(known) - min(known)), 0.0) / 2 + 0.06 * (max(known) - min(known))
    start, end = max(min(known) - spare, min(0.0, *known)), min(max(known) + spare, max(1.0, *known))
    step, panel = 0.4, 3.3
    left, right = max(map(text_width, labels)) + 0.3, text_width("0.000 [0.000, 0.000]") + 0.2
    width, height = left + panel + right, 0.6 + step * len(rows)
    inch = (end - start) / panel
    with style():
        figure = new_figure(figsize=(width, height))
        ax = figure.add_axes((left / width, 0.48 / height, panel / width, step * len(rows) / height))
        ax.set(xlim=(start, end), ylim=(len(rows) - 0.5, -0.5), yticks=[], xlabel=title)
        ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:.3g}")
        ax.spines["left"].set_visible(False)
        ax.grid(axis="x", color=LINE)
        for place, ((_, value, low, high, filled), label) in enumerate(zip(rows, labels, strict=True)):
            draw_lines(ax, start - 0.14 * inch, place, label, size=8.5, pitch=0.127 / step, ha="right")
            color = ACCENT if filled else AXIS
            if low is not None and high is not None:
                ax.plot([low, high], [place] * 2, color=color, linewidth=2.4, alpha=0.55, solid_capstyle="butt")
                text, at = f"[{low:.3f}, {high:.3f}]", end + (0.16 + text_width("0.000 ")) * inch
                ax.text(at, place, text, va="center", color=MUTED, fontsize=8.5)
            face = ACCENT if filled else CARD
            ax.plot([value], [place], "D", color=color, markerfacecolor=face, markersize=6, clip_on=False)
            ax.text(end + 0.16 * inch, place, f"{value:.3f}", va="center", fontsize=8.5)
        return figure
