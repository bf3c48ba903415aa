"""The loss over two settings: the trials on a smoothed surface."""

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
    MARKERS_BY_STATE,
    Setting,
    TrialRow,
    best_trial,
    default_trial,
    draw_legend,
    mark_trials,
)
from coverslip.figures.tuning_axes import LossScale, SettingScale, round_values, setting_scale, trials_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


MIN_FOR_SURFACE = 8
SIDE = 56  # points of the surface in each direction
LEVELS = 6
FloatArray = npt.NDArray[np.float64]


def contour_figure(trials: Sequence[TrialRow], across: Setting, up: Setting, *, chance: float | None = None) -> Figure:
    """Draw the trials over two settings, on a smoothed surface of their loss.

    Args:
        trials: any number of trials, in any state.
        across: setting of the horizontal axis.
        up: setting of the vertical axis.
        chance: log loss of guessing.

    Returns:
        A figure with one axes. The surface is a local linear regression, drawn only near trials, and omitted with
        fewer than 8 finished trials or if a setting is a choice of text.
    """
    scale = trials_scale(trials, chance)
    x_axis, y_axis = setting_scale(across, trials), setting_scale(up, trials)
    shown = [
        trial
        for trial in trials
        if across.key in trial.values
        and up.key in trial.values
        and math.isfinite(x_axis.unit(trial.values[across.key]) + y_axis.unit(trial.values[up.key]))
    ]
    positions = {t.number: (x_axis.unit(t.values[across.key]), y_axis.unit(t.values[up.key])) for t in shown}
    names = [text for _, text in y_axis.ticks()]
    left = max(map(text_width, names), default=0.3) + 0.75
    width, height = left + 5.0 + 0.2, 4.3
    with style():
        figure = new_figure(figsize=(width, height))
        ax = figure.add_axes((left / width, 0.5 / height, 5.0 / width, (height - 0.9) / height))
        measured = [trial for trial in shown if trial.state == "finished" and trial.loss is not None]
        if len(measured) >= MIN_FOR_SURFACE and x_axis.numeric and y_axis.numeric:
            _draw_surface(ax, np.array([positions[trial.number] for trial in measured]), measured, scale)
        for coordinate, axis in enumerate((x_axis, y_axis)):
            _spread(positions, coordinate, 0.35 / len(axis.choices) if axis.choices else 0.0)
        legend: list[tuple[str, dict[str, Any]]] = []
        sizes = {"finished": 26, "running": 20, "pruned": 14}
        for state in ("pruned", "running", "finished"):
            of_state = [trial for trial in shown if trial.state == state]
            x, y = [positions[t.number][0] for t in of_state], [positions[t.number][1] for t in of_state]
            look = MARKERS_BY_STATE[state] | {"s": sizes[state]}
            mark_trials(ax, of_state, x, y, zorder=4, **(look | {"edgecolor": CARD if state == "finished" else AXIS}))
            legend += [(state, look)] if of_state else []
        failed = [trial for trial in shown if trial.state == "failed"]
        x, y = [positions[t.number][0] for t in failed], [positions[t.number][1] for t in failed]
        mark_trials(ax, failed, x, y, zorder=4, **FAILED)
        legend += [("failed", FAILED)] if failed else []
        for word, trial, look in (("default", default_trial(shown), DEFAULT), ("best", best_trial(shown), BEST)):
            if trial is not None:
                x, y = ([position] for position in positions[trial.number])
                mark_trials(ax, [trial], x, y, zorder=5, **look)
                legend.append((word, look))
        _label_axes(ax, x_axis, y_axis)
        draw_legend(ax, legend)
        return figure


def _label_axes(ax: Axes, x_axis: SettingScale, y_axis: SettingScale) -> None:
    x_axis.draw(ax, "x")
    y_axis.draw(ax, "y")
    ax.set_xlabel(wrap_name(x_axis.setting.title, 40, 1))
    ax.set_ylabel(wrap_name(y_axis.setting.title, 40, 1))
    ax.tick_params(axis="y", labelcolor=MUTED)


def _spread(positions: dict[int, tuple[float, float]], coordinate: int, width: float) -> None:
    """Spread the trials of one choice, so that they do not overlap."""
    for index, number in enumerate(positions if width else ()):
        moved = list(positions[number])
        moved[coordinate] += width * ((index * 0.618) % 1 - 0.5)
        positions[number] = (moved[0], moved[1])


def _draw_surface(ax: Axes, places: FloatArray, trials: Sequence[TrialRow], scale: LossScale) -> None:
    losses = np.array([scale.place(trial.loss) for trial in trials])
    grid = np.linspace(-0.04, 1.04, SIDE)
    surface, away = smooth_surface(places, np.log(losses) if scale.log else losses, grid)
    surface = np.exp(surface) if scale.log else surface
    low, high = float(surface[away < 1].min()), float(surface[away < 1].max())
    levels = [level for level in round_values(low, high, log=False, few=LEVELS) if low < level < high]
    if not levels:
        return
    near = ax.contourf(grid, grid, away, levels=[-1.0, 1.0], colors=["none"])
    layers = []
    for level in (*levels, 2 * high + 1):  # nested regions: their colors add up without visible seams
        look: dict[str, Any] = {"colors": [ACCENT], "alpha": 0.6 / (len(levels) + 1), "zorder": 0}
        layers.append(ax.contourf(grid, grid, surface, levels=[min(float(surface.min()), low) - 1, level], **look))
    lines = ax.contour(grid, grid, surface, levels=levels, colors=[AXIS], linewidths=0.7, zorder=1)
    names = ax.clabel(lines, fmt=lambda level: f"{level:g}", fontsize=7.5, colors=[MUTED])
    outline = near.get_paths()[0]
    for name in names:  # hide labels that would be clipped
        x, y = (int(np.abs(grid - position).argmin()) for position in name.get_position())
        name.set_visible(bool(away[y, x] < 0.8))
    for artist in (*layers, lines, *names):
        artist.set_clip_path(outline, ax.transData)
    near.remove()


def smooth_surface(places: FloatArray, values: FloatArray, grid: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Fit a local linear regression at each point of a grid.

    Args:
        places: positions of T trials in the unit square, shape (T, 2), T >= 3.
        values: values of the trials, shape (T,).
        grid: points along both axes, ascending, shape (G,).

    Returns:
        The fitted values, shape (G, G), rows upwards, which exceed the range of the values by at most a tenth; and the
        distance to the nearest trial, where up to 1 is near, shape (G, G).

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
