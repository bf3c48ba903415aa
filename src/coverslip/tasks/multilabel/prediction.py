"""Predicted labels of images with probabilities and sets, as columns of a table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from coverslip.data.target import LabelTarget


@dataclass(frozen=True, slots=True)
class LabelPrediction:
    """Predictions of several labels for N images.

    Attributes:
        names: names of the L labels.
        probabilities: float64 (N, L), each between 0 and 1; rows of NaN for unreadable images.
        predicted: predicted labels, bool (N, L); meaningless for unreadable images.
        members: labels in the sets, bool (N, L); None if the model has no sets.
    """

    names: tuple[str, ...]
    probabilities: npt.NDArray[np.float64]
    predicted: npt.NDArray[np.bool_]
    members: npt.NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.probabilities)

    @property
    def readable(self) -> npt.NDArray[np.bool_]:
        """Whether there is a prediction, bool (N,)."""
        return np.asarray(~np.isnan(self.probabilities).any(axis=1))

    def columns(self) -> dict[str, pl.Series]:
        """Return ``predicted``, labels separated by ``;`` or ``none``, and ``p:LABEL`` for each label."""
        columns = {"predicted": self._texts(self.predicted)}
        for index, name in enumerate(self.names):
            columns[f"p:{name}"] = pl.Series(self.probabilities[:, index], dtype=pl.Float64).fill_nan(None)
        return columns

    def trailing_columns(self) -> dict[str, pl.Series]:
        """Return ``set``: the labels that cannot be excluded; null if the model has no sets."""
        if self.members is None:
            return {"set": pl.Series([None] * len(self), dtype=pl.String)}
        return {"set": self._texts(self.members)}

    def _texts(self, members: npt.NDArray[np.bool_]) -> pl.Series:
        texts = LabelTarget(members, self.names).texts()
        shown = [text if known else None for text, known in zip(texts, self.readable.tolist(), strict=True)]
        return pl.Series(shown, dtype=pl.String)
