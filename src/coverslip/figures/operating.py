"""Sensitivity and specificity against the threshold, and the one that was chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from coverslip.figures.style import ACCENT, BLUE, DASHES, LINE, MARKERS, MUTED, VERMILION, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Point = Sequence[float | None]
"""value, low, high; None where there is none."""
LOOKS = {"sensitivity": (VERMILION, DASHES[0], MARKERS[0]), "specificity": (BLUE, DASHES[1], MARKERS[1])}


def operating_figure(
    thresholds: Sequence[float], sensitivity: Sequence[Point], specificity: Sequence[Point], chosen: float
) -> Figure:
    """Two lines with their bands over every threshold, and a dashed upright line at the one in use.

    Args:
        thresholds: T probabilities, rising from 0 to 1.
        sensitivity: T entries of value, low, high, 0 to 1; a line without values is not drawn.
        specificity: likewise.
        chosen: the threshold in use; each line has its marker there.

    Returns:
        A figure with one axes.
    """
    with style():
        figure = new_figure(figsize=(6.4, 3.5), layout="constrained")
        ax = figure.subplots()
        nearest = min(range(len(thresholds)), key=lambda at: abs(thresholds[at] - chosen))
        for (name, (color, dashes, marker)), points in zip(LOOKS.items(), (sensitivity, specificity), strict=True):
            pairs = list(zip(thresholds, points, strict=True))
            drawn = [(at, value) for at, (value, _, _) in pairs if value is not None]
            band = [(at, low, high) for at, (_, low, high) in pairs if low is not None and high is not None]
            if band:
                at, low, high = zip(*band, strict=True)
                ax.fill_between(at, low, high, color=color, alpha=0.14, linewidth=0)
            if drawn:
                line: dict[str, Any] = {"color": color, "linestyle": dashes, "marker": marker, "markersize": 6}
                spots = [place for place, (at, _) in enumerate(drawn) if at == thresholds[nearest]]
                ax.plot([at for at, _ in drawn], [value for _, value in drawn], label=name, markevery=spots, **line)
        ax.axvline(chosen, color=ACCENT, linewidth=1.1, linestyle=(0, (1, 2)))
        left = chosen > 0.7
        ax.annotate(
            f"in use: {chosen:.3g}",
            (chosen, 0.02),
            xytext=(-5 if left else 5, 0),
            textcoords="offset points",
            ha="right" if left else "left",
            color=MUTED,
            fontsize=8.5,
        )
        ax.set(xlim=(0, 1), ylim=(-0.02, 1.02), xlabel="threshold", ylabel="share of images")
        ax.grid(axis="y", color=LINE)
        if ax.get_legend_handles_labels()[0]:
            ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), handlelength=2.6)
        return figure
