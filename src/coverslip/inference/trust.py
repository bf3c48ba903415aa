"""Prediction sets and familiarity: the set of classes compatible with an image, and whether it resembles training data.

Both are calibrated on the calibration half of the validation set, group by group; these images were used neither for
training nor for model selection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.evidence.conformal import ConformalThresholds, fit_prediction_sets, prediction_sets
from coverslip.evidence.familiarity import Familiarity, FamiliarityScorer, fit_familiarity

NEAREST = 3  # nearest training images reported with each prediction
SEPARATOR = " | "  # between names in one cell of a table
MIN_IMAGES = 4  # training images needed to estimate familiarity


@dataclass(frozen=True, slots=True)
class Trust:
    """The conformal thresholds and the familiarity model of a predictor.

    Attributes:
        thresholds: thresholds of the prediction sets; None without calibration images.
        familiarity: model of the training features; None without calibration images, or with fewer than `MIN_IMAGES`
            training images.
        references: paths of the reference training images, in the order of ``familiarity.rows``.
        calibrated_on: numbers of calibration images and calibration groups.
    """

    thresholds: ConformalThresholds | None = None
    familiarity: Familiarity | None = None
    references: tuple[str, ...] = ()
    calibrated_on: tuple[int, int] = (0, 0)

    def set_members(self, probabilities: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.bool_] | None:
        """Return a mask, bool (N, K), of the classes in each prediction set; None without thresholds.

        Args:
            probabilities: calibrated probabilities, shape (N, K).
        """
        return None if self.thresholds is None else prediction_sets(probabilities, self.thresholds)

    def columns(
        self,
        features: npt.NDArray[np.floating[Any]],
        probabilities: npt.NDArray[np.floating[Any]],
        classes: Sequence[str],
    ) -> dict[str, list[Any]]:
        """Return the columns ``set``, ``familiar`` and ``nearest`` of a prediction table, one row per image.

        Args:
            features: features of the images, shape (N, D).
            probabilities: calibrated probabilities of the same images, shape (N, K).
            classes: names of the K classes.
        """
        count = len(features)
        columns: dict[str, list[Any]] = {"set": [None] * count, "familiar": [None] * count, "nearest": [None] * count}
        members = self.set_members(probabilities)
        if members is not None:
            columns["set"] = [
                SEPARATOR.join(name for name, member in zip(classes, row, strict=True) if member) for row in members
            ]
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
            "sets": None if self.thresholds is None else self.thresholds.to_json(),
            "references": list(self.references),
            "calibrated_on": {"images": self.calibrated_on[0], "groups": self.calibrated_on[1]},
        }

    @classmethod
    def from_saved(cls, content: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]], classes: int) -> Trust:
        """Rebuild from the results of `to_json` and `to_arrays`.

        Args:
            content: result of `to_json`.
            arrays: result of `to_arrays`.
            classes: num_groups of classes K.

        Raises:
            KeyError, TypeError, ValueError: the content is incomplete, inconsistent, or for another num_groups of
            classes.
        """
        thresholds = None if content["sets"] is None else ConformalThresholds.from_json(content["sets"])
        familiarity = Familiarity.from_arrays(arrays) if arrays else None
        references = tuple(map(str, content["references"]))
        if familiarity is not None and len(references) != len(familiarity.rows):
            raise ValueError("the references do not match the familiarity model")
        if thresholds is not None and len(thresholds.least) != classes:
            raise ValueError("the thresholds of the prediction sets do not match the classes")
        sizes = content["calibrated_on"]
        return cls(thresholds, familiarity, references, (int(sizes["images"]), int(sizes["groups"])))


NO_TRUST = Trust()


def fit_trust(
    train_features: npt.NDArray[np.floating[Any]],
    train_labels: npt.NDArray[np.integer[Any]],
    train_paths: Sequence[str],
    features: npt.NDArray[np.floating[Any]],
    labels: npt.NDArray[np.integer[Any]],
    groups: npt.NDArray[np.integer[Any]] | None,
    probabilities: npt.NDArray[np.floating[Any]],
    coverage: float,
) -> Trust:
    """Fit the familiarity model to the training images, and calibrate it and the prediction sets on held-out images.

    Args:
        train_features: features of the training images, shape (N, D), one view per image.
        train_labels: class ids of the training images, shape (N,).
        train_paths: paths of the N training images.
        features: features of the calibration images, shape (C, D), C at least 1. They must not have been used for
            training or model selection.
        labels: class ids of the calibration images, shape (C,).
        groups: group ids of the calibration images, shape (C,); None if each image is its own group.
        probabilities: calibrated probabilities of the calibration images, shape (C, K).
        coverage: target coverage of the prediction sets, between 0 and 1.
    """
    num_groups = len(labels) if groups is None else len(np.unique(groups))
    thresholds = fit_prediction_sets(labels, probabilities, groups, coverage=coverage)
    if len(train_features) < MIN_IMAGES:
        return Trust(thresholds, None, (), (len(labels), num_groups))
    familiarity = fit_familiarity(train_features, train_labels, features, groups)
    references = tuple(train_paths[row] for row in familiarity.rows)
    return Trust(thresholds, familiarity, references, (len(labels), num_groups))
