"""Sensitivity and specificity against the decision threshold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from coverslip.figures.style import ACCENT, BLUE, DASHES, LINE, MARKERS, MUTED, VERMILION, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Point = Sequence[float | None]
"""Value, low, high; None if not defined."""
LINE_STYLES = {"sensitivity": (VERMILION, DASHES[0], MARKERS[0]), "specificity": (BLUE, DASHES[1], MARKERS[1])}


def operating_figure(
    thresholds: Sequence[float], sensitivity: Sequence[Point], specificity: Sequence[Point], chosen: float
) -> Figure:
    """Draw two lines with pointwise confidence bands, and a vertical line at the threshold in use.

    Args:
        thresholds: T increasing probabilities from 0 to 1.
        sensitivity: T entries (value, low, high), 0 to 1; a line without values is not drawn.
        specificity: T entries (value, low, high), 0 to 1.
        chosen: threshold in use, marked on each line.

    Returns:
        A figure with one axes.
    """
    with style():
        figure = new_figure(figsize=(6.4, 3.5), layout="constrained")
        ax = figure.subplots()
        nearest = min(range(len(thresholds)), key=lambda at: abs(thresholds[at] - chosen))
        for (name, (color, dashes, marker)), points in zip(
            LINE_STYLES.items(), (sensitivity, specificity), strict=True
        ):
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
        ax.set(xlim=(0, 1), ylim=(-0.02, 1.02), xlabel="decision threshold", ylabel="sensitivity, specificity")
        ax.grid(axis="y", color=LINE)
        if ax.get_legend_handles_labels()[0]:
            ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), handlelength=2.6)
        return figure
