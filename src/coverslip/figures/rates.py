"""The learning-rate range test: the loss against the rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from coverslip.figures.style import ACCENT, AXIS, BLUE, LINE, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def rates_figure(rates: Sequence[float], losses: Sequence[float], smooth: Sequence[float], suggestion: float) -> Figure:
    """The loss of each step as a point, its moving average as a line, and the suggested rate.

    Args:
        rates: N learning rates, above 0, growing.
        losses: of the step at each rate.
        smooth: their moving average.
        suggestion: one of the rates.

    Returns:
        A figure with one axes, the rate on a logarithmic scale. The loss is shown up to a little above where the test
        began, since what breaks is of no interest.
    """
    top, bottom = max(smooth[0], losses[0]), min(smooth)
    span = max(top - bottom, 1e-9)
    with style():
        figure = new_figure(figsize=(5.4, 3.2), layout="constrained")
        ax = figure.subplots()
        ax.plot(rates, losses, linestyle="none", marker="o", markersize=2.5, color=AXIS, label="loss of a step")
        ax.plot(rates, smooth, color=BLUE, label="moving average")
        ax.axvline(suggestion, color=ACCENT, linestyle=(0, (5, 2)), label=f"falls fastest at {suggestion:.1e}")
        ax.set_xscale("log")
        ax.set_ylim(min(bottom, *losses) - 0.1 * span, top + 0.5 * span)
        ax.set_xlabel("learning rate")
        ax.set_ylabel("loss")
        ax.set_title("learning-rate range test")
        ax.grid(axis="y", color=LINE)
        ax.legend(loc="best", handlelength=2.6)
        return figure
