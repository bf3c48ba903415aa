"""Familiarity: whether an image resembles the training images, and which of them are nearest.

It is calibrated on the calibration half of the validation set, group by group; these images were used neither for
training nor for model selection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.evidence.familiarity import Familiarity, FamiliarityScorer, fit_familiarity
from coverslip.tasks.task import SEPARATOR

NEAREST = 3  # nearest training images reported with each prediction
MIN_IMAGES = 4  # training images needed to estimate familiarity


@dataclass(frozen=True, slots=True)
class Trust:
    """The familiarity model of a predictor, and the images that it was calibrated on.

    Attributes:
        familiarity: model of the training features; None without calibration images, or with fewer than `MIN_IMAGES`
            training images.
        references: paths of the reference training images, in the order of ``familiarity.rows``.
        calibrated_on: numbers of calibration images and calibration groups.
    """

    familiarity: Familiarity | None = None
    references: tuple[str, ...] = ()
    calibrated_on: tuple[int, int] = (0, 0)

    def columns(self, features: npt.NDArray[np.floating[Any]]) -> dict[str, list[Any]]:
        """Return the columns ``familiar`` and ``nearest`` of a prediction table, one row per image.

        Args:
            features: features of the images, shape (N, D).
        """
        count = len(features)
        columns: dict[str, list[Any]] = {"familiar": [None] * count, "nearest": [None] * count}
        if self.familiarity is not None:
            result = FamiliarityScorer(self.familiarity).evaluate(features, NEAREST)
            columns["familiar"] = (result.score <= self.familiarity.threshold).tolist()
            columns["nearest"] = [SEPARATOR.join(self.references[row] for row in rows) for rows in result.nearest]
        return columns

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays to store with the weights, by name."""
        return {} if self.familiarity is None else self.familiarity.to_arrays()

    def to_json(self) -> dict[str, Any]:
        """Return the content to store in ``model.json``."""
        return {
            "references": list(self.references),
            "calibrated_on": {"images": self.calibrated_on[0], "groups": self.calibrated_on[1]},
        }

    @classmethod
    def from_saved(cls, content: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Trust:
        """Rebuild from the results of `to_json` and `to_arrays`.

        Raises:
            KeyError, TypeError, ValueError: the content is incomplete or inconsistent.
        """
        familiarity = Familiarity.from_arrays(arrays) if arrays else None
        references = tuple(map(str, content["references"]))
        if familiarity is not None and len(references) != len(familiarity.rows):
            raise ValueError("the references do not match the familiarity model")
        sizes = content["calibrated_on"]
        return cls(familiarity, references, (int(sizes["images"]), int(sizes["groups"])))


NO_TRUST = Trust()


def fit_trust(
    train_features: npt.NDArray[np.floating[Any]],
    train_strata: npt.NDArray[np.integer[Any]],
    train_paths: Sequence[str],
    features: npt.NDArray[np.floating[Any]],
    groups: npt.NDArray[np.integer[Any]] | None,
) -> Trust:
    """Fit the familiarity model to the training images, and calibrate it on held-out images.

    Args:
        train_features: features of the training images, shape (N, D), one view per image.
        train_strata: class ids (or bins of the target) of the training images, shape (N,).
        train_paths: paths of the N training images.
        features: features of the calibration images, shape (C, D), C at least 1. They must not have been used for
            training or model selection.
        groups: group ids of the calibration images, shape (C,); None if each image is its own group.
    """
    calibrated_on = (len(features), len(features) if groups is None else len(np.unique(groups)))
    if len(train_features) < MIN_IMAGES:
        return Trust(None, (), calibrated_on)
    familiarity = fit_familiarity(train_features, train_strata, features, groups)
    return Trust(familiarity, tuple(train_paths[row] for row in familiarity.rows), calibrated_on)
