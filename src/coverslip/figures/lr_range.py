"""Learning-rate range test: loss against learning rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from coverslip.figures.style import ACCENT, AXIS, BLUE, LINE, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def lr_range_figure(
    lrs: Sequence[float], losses: Sequence[float], smooth: Sequence[float], suggestion: float
) -> Figure:
    """Draw the loss of each step, its moving average, and the suggested learning rate.

    Args:
        lrs: N increasing learning rates above 0.
        losses: loss of the step at each learning rate.
        smooth: moving average of the losses.
        suggestion: one of the learning rates.

    Returns:
        A figure with one axes, the learning rate on a logarithmic scale. The loss axis ends slightly above the initial
        loss, since losses of a diverging network are of no interest.
    """
    top, bottom = max(smooth[0], losses[0]), min(smooth)
    span = max(top - bottom, 1e-9)
    with style():
        figure = new_figure(figsize=(5.4, 3.2), layout="constrained")
        ax = figure.subplots()
        ax.plot(lrs, losses, linestyle="none", marker="o", markersize=2.5, color=AXIS, label="loss per step")
        ax.plot(lrs, smooth, color=BLUE, label="moving average")
        ax.axvline(suggestion, color=ACCENT, linestyle=(0, (5, 2)), label=f"steepest decrease: {suggestion:.1e}")
        ax.set_xscale("log")
        ax.set_ylim(min(bottom, *losses) - 0.1 * span, top + 0.5 * span)
        ax.set_xlabel("learning rate")
        ax.set_ylabel("loss")
        ax.set_title("learning-rate range test")
        ax.grid(axis="y", color=LINE)
        ax.legend(loc="best", handlelength=2.6)
        return figure
