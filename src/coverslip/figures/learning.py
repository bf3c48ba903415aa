"""The learning curve: what more data bought, and what twice as much would."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from coverslip.figures.style import ACCENT, AXIS, CARD, LINE, MUTED, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEAST_SPAN = 0.1  # the axis shows at least this much: else a thousandth looks like a cliff


class FittedCurve(NamedTuple):
    """A curve to be drawn, P points; ``low`` and ``high`` None where there is no honest interval."""

    sizes: Sequence[float]  # rising
    value: Sequence[float]
    low: Sequence[float] | None
    high: Sequence[float] | None


def learning_curve_figure(
    sizes: Sequence[float], scores: npt.ArrayLike, curve: FittedCurve | None, *, unit: str, score: str = "Accuracy"
) -> Figure:
    """Scores at growing sizes of the training set on an axis that doubles, with a fitted curve.

    Args:
        sizes: (S,) above 0, in any order, S >= 1.
        scores: (R, S), a row a repeat, NaN where there is none.
        curve: what was fitted; beyond the largest size, where it is a forecast, it is dashed and its band left open.
        unit: what ``sizes`` counts, such as ``leaves``.
        score: its name.

    Returns:
        A figure with one axes: a ring for each score, a filled point for the mean of each size on the range of its
        repeats.

    Raises:
        ValueError: shapes that do not agree.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, NullLocator

    places, rows = np.asarray(sizes, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if rows.ndim != 2 or places.ndim != 1 or rows.shape[1] != len(places) or len(places) == 0:
        raise ValueError(f"sizes must be (S,) and scores (R, S), not {places.shape} and {rows.shape}")
    known = np.isfinite(rows).any(axis=0)
    largest = float(places.max())
    shown = rows[np.isfinite(rows)].tolist()
    with style():
        figure = Figure(figsize=(6.4, 3.5), layout="constrained")
        ax = figure.add_subplot()
        ax.set_xscale("log", base=2)
        if curve is not None:
            shown += _draw_curve(ax, curve, largest, unit)
        for place, column in zip(places[known], rows[:, known].T, strict=True):
            there = column[np.isfinite(column)]
            ring: dict[str, Any] = {
                "markerfacecolor": "none",
                "markeredgecolor": AXIS,
                "markersize": 4,
                "markeredgewidth": 0.9,
            }
            ax.plot([place] * len(there), there, "o", linestyle="none", zorder=3, **ring)
            ax.plot([place] * 2, [there.min(), there.max()], color=ACCENT, linewidth=2.2, alpha=0.55, zorder=3)
            ax.plot([place], [there.mean()], "D", color=ACCENT, markersize=6, zorder=4)
        _set_score_axis(ax, shown)
        ticks = [*sorted(set(places.tolist())), *([2 * largest] if curve is not None else [])]
        far = [
            x for at, x in enumerate(ticks) if x == largest or not any(abs(y / x - 1) < 0.18 for y in ticks[at + 1 :])
        ]
        ax.set_xticks(far, [f"{tick:,.0f}" for tick in far])
        ax.xaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        ax.set(xlabel=f"{unit} to train on", ylabel=score)
        ax.grid(axis="y", color=LINE)
        return figure


def _draw_curve(ax: Any, curve: FittedCurve, largest: float, unit: str) -> list[float]:
    """The curve and its band; returns the scores that the axis must reach."""
    x, y = np.asarray(curve.sizes, dtype=np.float64), np.asarray(curve.value, dtype=np.float64)
    inside, beyond = x <= largest * (1 + 1e-9), x >= largest * (1 - 1e-9)
    beyond |= np.arange(len(x)) == np.flatnonzero(inside)[-1] if inside.any() else False  # so that the two meet
    shown: list[float] = y.tolist()
    if curve.low is not None and curve.high is not None:
        low, high = np.asarray(curve.low, dtype=np.float64), np.asarray(curve.high, dtype=np.float64)
        ax.fill_between(x[inside], low[inside], high[inside], color=ACCENT, alpha=0.14, linewidth=0, zorder=1)
        for edge in (low, high):
            ax.plot(x[beyond], edge[beyond], color=AXIS, linewidth=0.9, linestyle=(0, (2, 2)), zorder=1)
        shown += [*low.tolist(), *high.tolist()]
    ax.plot(x[inside], y[inside], color=ACCENT, linewidth=1.8, zorder=2)
    ax.plot(x[beyond], y[beyond], color=ACCENT, linewidth=1.8, linestyle=(0, (4, 3)), zorder=2)
    if beyond.sum() > 1:
        ax.plot(x[-1:], y[-1:], "D", color=ACCENT, markerfacecolor=CARD, markersize=6, zorder=4)
        floor = y[-1] if curve.low is None else curve.low[-1]
        note: dict[str, Any] = {"xytext": (0, -7), "textcoords": "offset points", "ha": "right", "va": "top"}
        ax.annotate(f"forecast {y[-1]:.3f}", (x[-1], floor), color=MUTED, fontsize=8.5, **note)
    return shown


def _set_score_axis(ax: Any, shown: list[float]) -> None:
    least, most = (min(shown), max(shown)) if shown else (0.0, 1.0)
    spare = max(LEAST_SPAN - (most - least), 0.0) / 2 + 0.06 * (most - least)
    ax.set_ylim(max(least - spare, min(least, 0.0)), most + spare)
