"""Prediction intervals of values: split conformal prediction over groups, with residuals relative to a scale per image.

With few calibration groups, the residuals of out-of-fold predictions of the training images are used as well. They are
residuals of models that were fitted without the image and its group. Two effects oppose each other: these models were
fitted on fewer images than the final one, so the residuals are larger, and the penalty was chosen on them, so they are
smaller. Neither was measured.

References:
    Lei, G'Sell, Rinaldo, Tibshirani & Wasserman, Journal of the American Statistical Association 113(523), 2018 (split
    conformal and locally weighted intervals); Barber, Candès, Ramdas & Tibshirani, Annals of Statistics 49(1), 2021
    (intervals from cross-validation); Lee, Barber & Willett, arXiv 2306.06342, 2023 (groups).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coverslip.evidence.conformal import group_quantile, min_groups_for_coverage
from coverslip.evidence.resampling import group_ids

FloatArray = NDArray[np.float64]
Groups = NDArray[np.integer[Any]]
FEW_GROUPS = 40  # with fewer calibration groups, out-of-fold residuals are used as well


@dataclass(frozen=True, slots=True)
class IntervalThreshold:
    """The half-width of a prediction interval, in units of the scale of an image.

    Attributes:
        coverage: nominal coverage, for example 0.9.
        half_width: half of the width for an image of scale 1.
        groups: number of groups (or images) whose residuals were used.
        method: how it was calibrated, in words.
    """

    coverage: float
    half_width: float
    groups: int
    method: str

    def to_json(self) -> dict[str, Any]:
        """Return plain values for ``model.json``."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> IntervalThreshold:
        """Read the values written by `to_json`.

        Raises:
            KeyError, TypeError, ValueError: a value is missing or invalid.
        """
        coverage, half_width = float(content["coverage"]), float(content["half_width"])
        if not 0 < coverage < 1 or not 0 <= half_width < np.inf:
            raise ValueError("this is not the threshold of a prediction interval")
        return cls(coverage, half_width, int(content["groups"]), str(content["method"]))


@dataclass(frozen=True, slots=True)
class Residuals:
    """Residuals of images that the model was not fitted to.

    Attributes:
        values: truth minus prediction, float64 (N,).
        scale: expected size of the residual of each image, float64 (N,), above 0.
        groups: int (N,); None if each image is its own group.
    """

    values: FloatArray
    scale: FloatArray
    groups: Groups | None

    @property
    def num_groups(self) -> int:
        """Number of groups."""
        return len(self.values) if self.groups is None else len(np.unique(self.groups))


def fit_interval(
    calibration: Residuals, out_of_fold: Residuals | None = None, *, coverage: float = 0.9
) -> IntervalThreshold | None:
    """Return the half-width of intervals that contain the value of an image of a new group with the given probability.

    Args:
        calibration: residuals of the calibration half.
        out_of_fold: residuals of the training images by models that were fitted without their groups; used if the
            calibration half has fewer than 40 groups.
        coverage: nominal coverage, between 0 and 1.

    Returns:
        The half-width; None if there are too few groups, see `min_groups_for_coverage`.

    >>> rng = np.random.default_rng(0)
    >>> fitted = fit_interval(Residuals(rng.normal(size=400), np.ones(400), None), coverage=0.9)
    >>> 1.5 < fitted.half_width < 1.8
    True
    """
    scores = np.abs(calibration.values) / calibration.scale
    groups = group_ids(calibration.groups, len(scores))
    unit = "images" if calibration.groups is None else "groups"
    number, method = calibration.num_groups, f"split conformal over {calibration.num_groups} {unit}"
    if number < FEW_GROUPS and out_of_fold is not None and len(out_of_fold.values):
        scores = np.concatenate([scores, np.abs(out_of_fold.values) / out_of_fold.scale])
        groups = np.concatenate([groups, number + group_ids(out_of_fold.groups, len(out_of_fold.values))])
        number += out_of_fold.num_groups
        method = f"conformal over {number} {unit}, with out-of-fold residuals of the training set"
    limit = group_quantile(scores, groups, coverage) if number >= min_groups_for_coverage(coverage) else None
    return None if limit is None else IntervalThreshold(coverage, limit, number, method)
