"""Predicted values with their prediction intervals, as columns of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl


@dataclass(frozen=True, slots=True)
class ValuePrediction:
    """Predictions of a regression for N images of T targets.

    Attributes:
        names: names of the targets.
        values: predicted values, float64 (N, T); NaN for unreadable images.
        low: lower ends of the prediction intervals, float64 (N, T); None if the model has no intervals.
        high: upper ends.
    """

    names: tuple[str, ...]
    values: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64] | None = None
    high: npt.NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.values)

    def columns(self) -> dict[str, pl.Series]:
        """Return ``predicted``, ``low`` and ``high``; of several targets ``predicted:NAME`` and so on."""
        columns = {}
        for index, name in enumerate(self.names):
            suffix = suffix_of(self.names, name)
            for kind, array in (("predicted", self.values), ("low", self.low), ("high", self.high)):
                series = pl.Series([None] * len(self), dtype=pl.Float64)
                if array is not None:
                    series = pl.Series(array[:, index], dtype=pl.Float64).fill_nan(None)
                columns[f"{kind}{suffix}"] = series
        return columns

    def trailing_columns(self) -> dict[str, pl.Series]:
        """Return no columns."""
        return {}


def suffix_of(names: Sequence[str], name: str) -> str:
    """Return what follows the name of a column: nothing for a single target, else ``:NAME``."""
    return "" if len(names) == 1 else f":{name}"
