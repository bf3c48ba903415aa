"""Predicted against true values, Bland–Altman diagrams, and residuals by group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from coverslip.figures.labels import wrap_name
from coverslip.figures.style import ACCENT, AXIS, CARD, LINE, MUTED, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FloatArray = npt.NDArray[np.float64]
MAX_ROWS = 30  # groups in one figure


def agreement_figure(
    truth: FloatArray, predicted: FloatArray, low: FloatArray | None, high: FloatArray | None, *, name: str = ""
) -> Figure:
    """Draw predicted against true values with the identity line, and prediction intervals as vertical bars.

    Args:
        truth: true values, shape (N,).
        predicted: predicted values, shape (N,).
        low: lower ends of the prediction intervals, shape (N,); None without intervals.
        high: upper ends.
        name: name of the target, for the axes.

    Returns:
        A figure with one square axes; open markers: images whose interval does not contain the true value.
    """
    from matplotlib.figure import Figure

    outside = np.zeros(len(truth), bool) if low is None or high is None else (truth < low) | (truth > high)
    with style():
        figure = Figure(figsize=(5.0, 4.6))
        ax = figure.add_axes((0.15, 0.13, 0.82, 0.84))
        ends = [truth, predicted, *(array for array in (low, high) if array is not None)]
        start, end = min(float(values.min()) for values in ends), max(float(values.max()) for values in ends)
        room = max(end - start, 1e-12) * 0.04
        ax.plot(
            [start - room, end + room], [start - room, end + room], color=MUTED, linewidth=0.9, linestyle=(0, (4, 3))
        )
        if low is not None and high is not None:
            ax.vlines(truth, low, high, colors=ACCENT, linewidth=1.2, alpha=0.35)
        for mask, face in ((~outside, ACCENT), (outside, CARD)):
            ax.plot(truth[mask], predicted[mask], "o", markersize=4.5, markerfacecolor=face, markeredgecolor=ACCENT)
        ax.set(xlim=(start - room, end + room), ylim=(start - room, end + room))
        ax.set_xlabel(f"true {wrap_name(name, 40)}")
        ax.set_ylabel(f"predicted {wrap_name(name, 40)}")
        ax.grid(color=LINE)
    return figure


def bland_altman_figure(
    truth: FloatArray, predicted: FloatArray, bias: float, limits: tuple[float, float], *, name: str = ""
) -> Figure:
    """Draw the difference between predicted and true value against their mean, with bias and limits of agreement.

    Args:
        truth: true values, shape (N,).
        predicted: predicted values, shape (N,).
        bias: mean difference.
        limits: limits of agreement.
        name: name of the target, for the axes.

    Reference: Bland & Altman, Lancet 327(8476), 1986.
    """
    from matplotlib.figure import Figure

    with style():
        figure = Figure(figsize=(5.6, 4.0))
        ax = figure.add_axes((0.14, 0.15, 0.72, 0.81))
        ax.plot((truth + predicted) / 2, predicted - truth, "o", markersize=4.5, color=ACCENT)
        ax.axhline(0, color=AXIS, linewidth=0.8)
        for value, label, dash in (
            (bias, "bias", "-"),
            (limits[0], "lower limit", "--"),
            (limits[1], "upper limit", "--"),
        ):
            ax.axhline(value, color=MUTED, linewidth=1.1, linestyle=dash)
            ax.annotate(
                f"{label}\n{value:.3g}", (1.01, value), xycoords=("axes fraction", "data"), va="center", fontsize=8
            )
        ax.set_xlabel(f"mean of true and predicted {wrap_name(name, 30)}")
        ax.set_ylabel("predicted minus true")
        ax.grid(color=LINE)
    return figure


def residuals_figure(names: Sequence[str], residuals: Sequence[FloatArray]) -> Figure:
    """Draw the residuals of each group (or value of a column) as points in a row, with their mean.

    Args:
        names: names of the rows; at most `MAX_ROWS` are drawn.
        residuals: predicted minus true of each row, shape (n,).
    """
    from matplotlib.figure import Figure

    names, residuals = list(names[:MAX_ROWS]), list(residuals[:MAX_ROWS])
    with style():
        height = 0.9 + 0.24 * len(names)
        figure = Figure(figsize=(6.2, height))
        ax: Axes = figure.add_axes((0.36, 0.55 / height, 0.61, 1 - 0.65 / height))
        ax.axvline(0, color=AXIS, linewidth=0.9)
        for row, values in enumerate(residuals):
            ax.plot(values, np.full(len(values), row), "o", markersize=4, color=ACCENT, alpha=0.5)
            ax.plot([values.mean()], [row], "|", markersize=11, color=AXIS, markeredgewidth=1.6)
        ax.set_yticks(range(len(names)), [wrap_name(name, 28) for name in names])
        ax.set_ylim(len(names) - 0.5, -0.5)
        ax.set_xlabel("predicted minus true")
        ax.grid(color=LINE, axis="x")
    return figure
