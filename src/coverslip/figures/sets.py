"""How often sets of classes held the true one, and how large they were."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from coverslip.figures.scores import ScoreRow, forest_plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def sets_figure(coverage: Sequence[ScoreRow], sizes: Sequence[ScoreRow], asked: float | None, classes: int) -> Figure:
    """A row a class: coverage against what was asked for, and the mean size of the sets.

    Args:
        coverage: at least one row, 0 to 1.
        sizes: the same names in the same order; mean number of classes in a set.
        asked: the coverage asked for, marked by a dashed line; None marks none.
        classes: how many classes there are, the most that a set can hold.

    Returns:
        A figure with two axes.
    """
    most = max([each for row in sizes for each in (row.value, row.high) if each is not None], default=1.0)
    end = next((end for end in (2, 3, 4, 5, 10, 20, 50, 100, 200, 500) if end >= most), most)
    end = min(end, max(classes, 2, most))
    reference = {"Coverage": asked} if asked is not None else None
    scales = {"Classes in a set": (0.0, float(end))}
    return forest_plot({"Coverage": coverage, "Classes in a set": sizes}, reference=reference, scales=scales)
