"""Two settings of scattered trials at once, on a surface smoothed through them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from coverslip.figures.labels import text_width, wrap_name
from coverslip.figures.style import ACCENT, AXIS, CARD, MUTED, new_figure, style
from coverslip.figures.tuning import (
    BEST,
    DEFAULT,
    FAILED,
    LOOKS,
    Setting,
    TrialRow,
    best_of,
    default_of,
    draw_legend,
    mark_trials,
)
from coverslip.figures.tuning_axes import LossScale, SettingScale, round_values, setting_scale, trials_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


FEWEST_FOR_SURFACE = 8
SIDE = 56  # points of the surface each way
LEVELS = 6
FloatArray = npt.NDArray[np.float64]


def contour_figure(trials: Sequence[TrialRow], across: Setting, up: Setting, *, chance: float | None = None) -> Figure:
    """Two settings and the loss: each trial where it was, on a surface smoothed through them.

    Args:
        trials: any number, in any state.
        across: the setting of the horizontal axis.
        up: the setting of the vertical one.
        chance: the loss of guessing.

    Returns:
        A figure with one axes. The surface is a local straight fit to nearby trials, drawn only where trials are near,
        and left out below 8 finished trials or where a setting is a choice of words.
    """
    scale = trials_scale(trials, chance)
    x_axis, y_axis = setting_scale(across, trials), setting_scale(up, trials)
    there = [
        each
        for each in trials
        if across.key in each.values
        and up.key in each.values
        and math.isfinite(x_axis.unit(each.values[across.key]) + y_axis.unit(each.values[up.key]))
    ]
    at = {t.number: (x_axis.unit(t.values[across.key]), y_axis.unit(t.values[up.key])) for t in there}
    names = [text for _, text in y_axis.named()]
    left = max(map(text_width, names), default=0.3) + 0.75
    width, height = left + 5.0 + 0.2, 4.3
    with style():
        figure = new_figure(figsize=(width, height))
        ax = figure.add_axes((left / width, 0.5 / height, 5.0 / width, (height - 0.9) / height))
        measured = [each for each in there if each.state == "finished" and each.loss is not None]
        if len(measured) >= FEWEST_FOR_SURFACE and x_axis.numeric and y_axis.numeric:
            _draw_surface(ax, np.array([at[each.number] for each in measured]), measured, scale)
        for which, axis in enumerate((x_axis, y_axis)):
            _spread(at, which, 0.35 / len(axis.choices) if axis.choices else 0.0)
        legend: list[tuple[str, dict[str, Any]]] = []
        sizes = {"finished": 26, "running": 20, "pruned": 14}
        for state in ("pruned", "running", "finished"):
            some = [each for each in there if each.state == state]
            x, y = [at[each.number][0] for each in some], [at[each.number][1] for each in some]
            look = LOOKS[state] | {"s": sizes[state]}
            mark_trials(ax, some, x, y, zorder=4, **(look | {"edgecolor": CARD if state == "finished" else AXIS}))
            legend += [(state, look)] if some else []
        failed = [each for each in there if each.state == "failed"]
        x, y = [at[each.number][0] for each in failed], [at[each.number][1] for each in failed]
        mark_trials(ax, failed, x, y, zorder=4, **FAILED)
        legend += [("failed", FAILED)] if failed else []
        for word, one, look in (("default", default_of(there), DEFAULT), ("best", best_of(there), BEST)):
            if one is not None:
                x, y = ([place] for place in at[one.number])
                mark_trials(ax, [one], x, y, zorder=5, **look)
                legend.append((word, look))
        _name_axes(ax, x_axis, y_axis)
        draw_legend(ax, legend)
        return figure


def _name_axes(ax: Axes, x_axis: SettingScale, y_axis: SettingScale) -> None:
    x_axis.draw(ax, "x")
    y_axis.draw(ax, "y")
    ax.set_xlabel(wrap_name(x_axis.setting.title, 40, 1))
    ax.set_ylabel(wrap_name(y_axis.setting.title, 40, 1))
    ax.tick_params(axis="y", labelcolor=MUTED)


def _spread(at: dict[int, tuple[float, float]], which: int, width: float) -> None:
    """Trials of one choice a little beside each other, so that none hides another."""
    for place, number in enumerate(at if width else ()):
        moved = list(at[number])
        moved[which] += width * ((place * 0.618) % 1 - 0.5)
        at[number] = (moved[0], moved[1])


def _draw_surface(ax: Axes, places: FloatArray, trials: Sequence[TrialRow], scale: LossScale) -> None:
    losses = np.array([scale.place(each.loss) for each in trials])
    grid = np.linspace(-0.04, 1.04, SIDE)
    surface, away = smooth_surface(places, np.log(losses) if scale.log else losses, grid)
    surface = np.exp(surface) if scale.log else surface
    low, high = float(surface[away < 1].min()), float(surface[away < 1].max())
    levels = [each for each in round_values(low, high, log=False, few=LEVELS) if low < each < high]
    if not levels:
        return
    near = ax.contourf(grid, grid, away, levels=[-1.0, 1.0], colors=["none"])
    parts = []
    for level in (*levels, 2 * high + 1):  # each region lies within the next: the color adds up, and no seam shows
        look: dict[str, Any] = {"colors": [ACCENT], "alpha": 0.6 / (len(levels) + 1), "zorder": 0}
        parts.append(ax.contourf(grid, grid, surface, levels=[min(float(surface.min()), low) - 1, level], **look))
    lines = ax.contour(grid, grid, surface, levels=levels, colors=[AXIS], linewidths=0.7, zorder=1)
    names = ax.clabel(lines, fmt=lambda level: f"{level:g}", fontsize=7.5, colors=[MUTED])
    outline = near.get_paths()[0]
    for name in names:  # one that would be cut has no place
        x, y = (int(np.abs(grid - at).argmin()) for at in name.get_position())
        name.set_visible(bool(away[y, x] < 0.8))
    for part in (*parts, lines, *names):
        part.set_clip_path(outline, ax.transData)
    near.remove()


def smooth_surface(places: FloatArray, values: FloatArray, grid: FloatArray) -> tuple[FloatArray, FloatArray]:
    """A straight plane fitted round each point of a grid, near trials counting more.

    Args:
        places: (T, 2), trials in the unit square, T >= 3.
        values: (T,) of each.
        grid: (G,) rising, the points along both axes.

    Returns:
        (G, G), rows upwards, never beyond the values by more than a tenth of their range; and likewise how far the
        nearest trial is, where up to 1 is near.

    Reference: Cleveland, Journal of the American Statistical Association 74, 1979.
    """
    reach = min(0.35, max(0.11, 0.62 * len(places) ** (-1 / 3)))
    points = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    away = points[:, None, :] - places[None, :, :]
    weights = np.exp(-0.5 * (away**2).sum(axis=2) / reach**2)
    design = np.concatenate([np.ones((len(points), len(places), 1)), -away / reach], axis=2)
    weighted = design * weights[..., None]
    normal = np.einsum("gti,gtj->gij", weighted, design) + np.diag([1e-9, 0.05, 0.05])
    plane = np.linalg.solve(normal, np.einsum("gti,t->gi", weighted, values)[..., None])[:, 0, 0]
    spare = 0.1 * float(np.ptp(values))
    plane = np.clip(plane, values.min() - spare, values.max() + spare)
    nearest = np.sqrt((away**2).sum(axis=2).min(axis=1)) / (1.1 * reach)
    side = (len(grid), len(grid))
    return plane.reshape(side), nearest.reshape(side)
