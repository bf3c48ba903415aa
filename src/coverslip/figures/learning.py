"""Learning curve: score against the size of the training set, with a forecast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from coverslip.figures.style import ACCENT, AXIS, CARD, LINE, MUTED, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MIN_SPAN = 0.1  # the axis shows at least this range, so that small differences are not magnified


class FittedCurve(NamedTuple):
    """A fitted curve of P points.

    Attributes:
        sizes: increasing sizes of the training set.
        value: scores.
        low: lower end of the confidence interval; None if there is no valid interval.
        high: upper end of the confidence interval.
    """

    sizes: Sequence[float]
    value: Sequence[float]
    low: Sequence[float] | None
    high: Sequence[float] | None


def learning_curve_figure(
    sizes: Sequence[float], scores: npt.ArrayLike, curve: FittedCurve | None, *, unit: str, score: str = "Accuracy"
) -> Figure:
    """Draw scores against the size of the training set on a logarithmic axis, with a fitted curve.

    Args:
        sizes: sizes above 0 in any order, shape (S,), S >= 1.
        scores: one row per repeat, shape (R, S), NaN for missing scores.
        curve: the fitted curve; beyond the largest size, where it is a forecast, it is dashed and its band not filled.
        unit: unit of ``sizes``, such as ``leaves``.
        score: name of the score.

    Returns:
        A figure with one axes: a ring per score, and for each size a filled point at the mean with the range.

    Raises:
        ValueError: the shapes do not match.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, NullLocator

    positions, rows = np.asarray(sizes, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if rows.ndim != 2 or positions.ndim != 1 or rows.shape[1] != len(positions) or len(positions) == 0:
        raise ValueError(f"sizes must have shape (S,) and scores (R, S), not {positions.shape} and {rows.shape}")
    known = np.isfinite(rows).any(axis=0)
    largest = float(positions.max())
    shown = rows[np.isfinite(rows)].tolist()
    with style():
        figure = Figure(figsize=(6.4, 3.5), layout="constrained")
        ax = figure.add_subplot()
        ax.set_xscale("log", base=2)
        if curve is not None:
            shown += _draw_curve(ax, curve, largest, unit)
        for position, column in zip(positions[known], rows[:, known].T, strict=True):
            values = column[np.isfinite(column)]
            ring: dict[str, Any] = {
                "markerfacecolor": "none",
                "markeredgecolor": AXIS,
                "markersize": 4,
                "markeredgewidth": 0.9,
            }
            ax.plot([position] * len(values), values, "o", linestyle="none", zorder=3, **ring)
            ax.plot([position] * 2, [values.min(), values.max()], color=ACCENT, linewidth=2.2, alpha=0.55, zorder=3)
            ax.plot([position], [values.mean()], "D", color=ACCENT, markersize=6, zorder=4)
        _set_score_axis(ax, shown)
        ticks = [*sorted(set(positions.tolist())), *([2 * largest] if curve is not None else [])]
        far = [
            x for at, x in enumerate(ticks) if x == largest or not any(abs(y / x - 1) < 0.18 for y in ticks[at + 1 :])
        ]
        ax.set_xticks(far, [f"{tick:,.0f}" for tick in far])
        ax.xaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        ax.set(xlabel=f"{unit} used for training", ylabel=score)
        ax.grid(axis="y", color=LINE)
        return figure


def _draw_curve(ax: Any, curve: FittedCurve, largest: float, unit: str) -> list[float]:
    """Draw the curve and its band; return the scores that the axis must include."""
    x, y = np.asarray(curve.sizes, dtype=np.float64), np.asarray(curve.value, dtype=np.float64)
    inside, beyond = x <= largest * (1 + 1e-9), x >= largest * (1 - 1e-9)
    beyond |= (
        np.arange(len(x)) == np.flatnonzero(inside)[-1] if inside.any() else False
    )  # so that the two parts of the curve meet
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
    spare = max(MIN_SPAN - (most - least), 0.0) / 2 + 0.06 * (most - least)
    ax.set_ylim(max(least - spare, min(least, 0.0)), most + spare)
