"""How far an answer goes: which classes hold the truth, and whether the image is like any that was learned from.

Both are calibrated on images that trained nothing and chose nothing, by whole groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.evidence.conformal import Thresholds, fit_sets, sets
from coverslip.evidence.familiarity import Familiarity, Looker, fit_familiarity

NEAREST = 3  # training images that are named beside an answer
BETWEEN = " | "  # names in one cell of a table
FEWEST = 4  # training images; of fewer nothing can be said of what is familiar


@dataclass(frozen=True, slots=True)
class Trust:
    """What a bundle knows beside the probabilities.

    Attributes:
        thresholds: of the sets; None where nothing was left to calibrate them with.
        familiarity: likewise.
        references: paths of the training images that are kept as reference, in the order of ``familiarity.rows``.
        calibrated_on: images and groups of the calibrate part.
    """

    thresholds: Thresholds | None = None
    familiarity: Familiarity | None = None
    references: tuple[str, ...] = ()
    calibrated_on: tuple[int, int] = (0, 0)

    def members(self, probabilities: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.bool_] | None:
        """(N, K) probabilities -> (N, K) which classes are in each set; None without thresholds."""
        return None if self.thresholds is None else sets(probabilities, self.thresholds)

    def columns(
        self,
        features: npt.NDArray[np.floating[Any]],
        probabilities: npt.NDArray[np.floating[Any]],
        classes: Sequence[str],
    ) -> dict[str, list[Any]]:
        """Columns ``set``, ``familiar`` and ``nearest`` of a table of predictions, a row an image.

        Args:
            features: (N, D).
            probabilities: (N, K) of the same images.
            classes: K names.
        """
        count = len(features)
        found: dict[str, list[Any]] = {"set": [None] * count, "familiar": [None] * count, "nearest": [None] * count}
        members = self.members(probabilities)
        if members is not None:
            found["set"] = [
                BETWEEN.join(name for name, inside in zip(classes, row, strict=True) if inside) for row in members
            ]
        if self.familiarity is not None:
            looked = Looker(self.familiarity).look(features, NEAREST)
            found["familiar"] = (looked.score <= self.familiarity.threshold).tolist()
            found["nearest"] = [BETWEEN.join(self.references[each] for each in row) for row in looked.nearest]
        return found

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What belongs into a bundle of arrays."""
        return {} if self.familiarity is None else self.familiarity.to_arrays()

    def to_json(self) -> dict[str, Any]:
        """What belongs into ``model.json``."""
        return {
            "sets": None if self.thresholds is None else self.thresholds.to_json(),
            "references": list(self.references),
            "calibrated_on": {"images": self.calibrated_on[0], "groups": self.calibrated_on[1]},
        }

    @classmethod
    def from_bundle(cls, content: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]], classes: int) -> Trust:
        """What `to_json` and `to_arrays` gave.

        Raises:
            KeyError, TypeError, ValueError: they did not, or are of another number of classes.
        """
        thresholds = None if content["sets"] is None else Thresholds.from_json(content["sets"])
        familiarity = Familiarity.from_arrays(arrays) if arrays else None
        references = tuple(map(str, content["references"]))
        if familiarity is not None and len(references) != len(familiarity.rows):
            raise ValueError("the references are not those of the bundle")
        if thresholds is not None and len(thresholds.least) != classes:
            raise ValueError("the limits of the sets are not those of the bundle")
        about = content["calibrated_on"]
        return cls(thresholds, familiarity, references, (int(about["images"]), int(about["groups"])))


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
    """Learn from train what is familiar, and calibrate on a part that trained nothing and chose nothing.

    Args:
        train_features: (N, D), one view of each training image.
        train_labels: (N,).
        train_paths: N paths.
        features: (C, D), of the calibrate part: whole groups, at least one image.
        labels: (C,).
        groups: (C,), or None where each image stands for itself.
        probabilities: (C, K), calibrated.
        coverage: of the sets, between 0 and 1.
    """
    number = len(labels) if groups is None else len(np.unique(groups))
    thresholds = fit_sets(labels, probabilities, groups, coverage=coverage)
    if len(train_features) < FEWEST:
        return Trust(thresholds, None, (), (len(labels), number))
    familiarity = fit_familiarity(train_features, train_labels, features, groups)
    references = tuple(train_paths[row] for row in familiarity.rows)
    return Trust(thresholds, familiarity, references, (len(labels), number))
