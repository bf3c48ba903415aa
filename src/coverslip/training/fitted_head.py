"""A linear head on frozen features, fitted exactly, whatever its task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl


@dataclass(frozen=True, slots=True)
class FittedHead:
    """A linear head on frozen features, fitted exactly.

    Attributes:
        weight: weights on the unscaled features, float32 (num_outputs, D).
        bias: biases, float32 (num_outputs,).
        l2: the chosen L2 penalty.
        history: a row per step.
        penalties: cross-fitted scores of each penalty.
        held_out: outputs of the training images, float (N, num_outputs), each by a head with the chosen penalty that
            was fitted without the group of the image.
    """

    weight: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    l2: float
    history: pl.DataFrame
    penalties: pl.DataFrame
    held_out: npt.NDArray[np.floating[Any]]

    def outputs(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Return outputs, float64 (N, num_outputs), of features (N, D)."""
        return np.asarray(features @ self.weight.T.astype(np.float64) + self.bias)
