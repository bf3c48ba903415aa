"""One setting changed at a time, and what is to be expected of the best: few numbers, each with its interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from coverslip.figures.labels import draw_lines, text_width, wrap_name
from coverslip.figures.style import ACCENT, AXIS, CARD, INK, LINE, MARKERS, MUTED, OKABE_ITO, new_figure, style
from coverslip.figures.tuning import Curve, Setting, TrialRow, draw_empty, trial_gid, value_label
from coverslip.figures.tuning_axes import WIDE, LossScale, loss_scale, round_values
from coverslip.figures.tuning_sweeps import MOST_LINES, draw_curve, set_panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Limits = tuple[float, float]
WIDE_PANEL = 2.5  # inches of the axis of losses


def step_figure(
    trials: Sequence[TrialRow],
    curves: Mapping[int, Curve],
    setting: Setting,
    *,
    chosen: Any = None,
    limits: Mapping[int, Limits] | None = None,
    chance: float | None = None,
) -> Figure:
    """One setting changed while all others stay: the loss each value reached, with intervals, and how it got there.

    Args:
        trials: a trial a value, or several, in the order to draw.
        curves: of trials, by number.
        setting: the one that changes.
        chosen: the value that was kept; it is filled, the others are open.
        limits: number of a trial -> ends of the interval of its loss; a trial without has a marker only.
        chance: the loss of guessing.

    Returns:
        A figure with two axes: losses with intervals, and curves in the same order, colors and markers.
    """
    rows = [each for each in trials if setting.key in each.values]
    limits = limits or {}
    names = [wrap_name(value_label(each.values[setting.key]), 14, 2) for each in rows]
    step = 0.34
    left = max([0.4, *map(text_width, names)]) + 0.5
    height = max(2.5, 0.9 + step * len(rows))
    width, panel = 8.6, WIDE_PANEL
    ends = [end for each in rows if each.loss is not None for end in (each.loss, *limits.get(each.number, ()))]
    top = chance * 1.2 if chance else math.inf
    scale = _span([min(end, top) for end in ends if math.isfinite(end)])
    with style():
        figure = new_figure(figsize=(width, height))
        tall = step * max(len(rows), 1)
        ax = figure.add_axes((left / width, 1 - (0.3 + tall) / height, panel / width, tall / height))
        if not rows:
            draw_empty(ax, "no trial yet")
            return figure
        _draw_values(ax, rows, names, limits, scale, setting, chosen, step)
        start = left + panel + 1.9
        right = figure.add_axes((start / width, 0.48 / height, (width - start - 0.1) / width, (height - 0.78) / height))
        drawn = [each for each in rows if each.number in curves]
        own = loss_scale([loss for each in drawn for loss in curves[each.number].loss], chance)
        for each in drawn:
            kept = each.values[setting.key] == chosen
            draw_curve(right, each, curves[each.number], own, rows.index(each), best=kept)
        longest = max((curves[each.number].epochs[-1] for each in drawn), default=1)
        set_panel(right, own, longest, left=True, bottom=True, framed=False)
        right.set_title("epoch by epoch", fontsize=9)
        right.grid(axis="y", color=LINE)
        return figure


def _span(ends: Sequence[float]) -> LossScale:
    """All of them, logarithmic where they lie far apart."""
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    if low > 0 and high > WIDE * low:
        return LossScale(low / (high / low) ** 0.06, high * (high / low) ** 0.06, log=True)
    room = 0.08 * (high - low) or 0.1 * max(high, 0.1)
    return LossScale(max(low - room, 0.0), high + room, log=False)


def _draw_values(
    ax: Axes,
    rows: Sequence[TrialRow],
    names: Sequence[str],
    limits: Mapping[int, Limits],
    scale: LossScale,
    setting: Setting,
    chosen: Any,
    step: float,
) -> None:
    """A row a value: marker, interval, number."""
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
    side: dict[str, Any] = {"transform": ax.get_yaxis_transform()}  # across in shares of the axis, down in rows
    beside = 1 + 0.12 / WIDE_PANEL
    for place, (each, name) in enumerate(zip(rows, names, strict=True)):
        color, kept = OKABE_ITO[place % MOST_LINES], each.values[setting.key] == chosen
        look = {"ha": "right", "color": INK if kept else MUTED, "weight": "bold" if kept else "normal", **side}
        draw_lines(ax, -0.12 / WIDE_PANEL, place, name, size=8.5, pitch=0.127 / step, **look)
        if each.loss is None or each.state == "failed":
            ax.text(beside, place, each.state, va="center", color=MUTED, fontsize=8.5, **side)
            continue
        if each.number in limits:
            low, high = (min(max(end, scale.low), scale.high) for end in limits[each.number])
            ax.plot([low, high], [place] * 2, color=color, linewidth=2.4, alpha=0.5, solid_capstyle="butt")
            span = "[{:.3f}, {:.3f}]".format(*limits[each.number])
            at = beside + text_width("0.000 ") / WIDE_PANEL
            ax.text(at, place, span, va="center", color=MUTED, fontsize=8, **side)
        if scale.beyond(each.loss):
            ax.plot([scale.high], [place], "x", color=color, markersize=5, clip_on=False)
        else:
            marker = ax.scatter([each.loss], [place], 38, marker=MARKERS[place % MOST_LINES], zorder=3, clip_on=False)
            marker.set(facecolor=color if kept else CARD, edgecolor=color, gid=trial_gid([each]))
        ax.text(beside, place, f"{each.loss:.3f}", va="center", fontsize=8.5, **side)


def expected_figure(rows: Sequence[tuple[str, float, float | None, float | None, bool]], *, title: str) -> Figure:
    """A few accuracies with their intervals, one below the other: the default, what was seen, what is to be expected.

    Args:
        rows: (name, value, low, high, filled), at least one, drawn from the top down; None is "no interval".
        title: what the axis shows.

    Returns:
        A figure with one axes, a filled marker for a number that can be believed, an open one for one that flatters.
    """
    from matplotlib.ticker import MaxNLocator

    labels = [wrap_name(row[0], 34, 2) for row in rows]
    known = [each for row in rows for each in row[1:4] if each is not None]
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
