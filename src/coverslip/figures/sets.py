"""Coverage and size of prediction sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from coverslip.figures.scores import ScoreRow, forest_plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def sets_figure(coverage: Sequence[ScoreRow], sizes: Sequence[ScoreRow], nominal: float | None, classes: int) -> Figure:
    """Draw one row per class: coverage compared with the nominal coverage, and mean size of the sets.

    Args:
        coverage: at least one row, 0 to 1.
        sizes: mean number of classes per set, with the same names in the same order.
        nominal: nominal coverage, marked by a dashed line; None: not marked.
        classes: number of classes, the maximum size of a set.

    Returns:
        A figure with two axes.
    """
    most = max([value for row in sizes for value in (row.value, row.high) if value is not None], default=1.0)
    end = next((end for end in (2, 3, 4, 5, 10, 20, 50, 100, 200, 500) if end >= most), most)
    end = min(end, max(classes, 2, most))
    reference = {"Coverage": nominal} if nominal is not None else None
    scales = {"Classes per set": (0.0, float(end))}
    return forest_plot({"Coverage": coverage, "Classes per set": sizes}, reference=reference, scales=scales)
