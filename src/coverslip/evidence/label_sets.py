"""Sets of labels that miss few true labels, by conformal risk control over groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coverslip.evidence.conformal import binomial_interval, mean_size_interval, min_groups_for_coverage
from coverslip.evidence.intervals import MIN_GROUPS
from coverslip.evidence.resampling import group_ids
from coverslip.evidence.support import Support

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
Groups = NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class LabelSetThreshold:
    """The probability from which a label is in the set of an image.

    Attributes:
        coverage: nominal share of the true labels of an image that are in its set, for example 0.9.
        least: the threshold, 0 to 1; 0 puts every label in every set.
        groups: number of groups (or images) that it was calibrated on.
    """

    coverage: float
    least: float
    groups: int

    def to_json(self) -> dict[str, Any]:
        """Return plain values for ``model.json``."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> LabelSetThreshold:
        """Read the values written by `to_json`.

        Raises:
            KeyError, TypeError, ValueError: a value is missing or invalid.
        """
        threshold = cls(float(content["coverage"]), float(content["least"]), int(content["groups"]))
        if not 0 < threshold.coverage < 1 or not 0 <= threshold.least <= 1:
            raise ValueError("this is not a threshold of sets of labels")
        return threshold

    def warnings(self) -> list[str]:
        """Return a warning if there were too few groups for a threshold; empty if there were enough."""
        needed = min_groups_for_coverage(self.coverage)
        if self.groups >= needed:
            return []
        return [f"fewer than {needed} groups for calibration, so every label is in every set"]


def fit_label_sets(
    members: BoolArray, probabilities: FloatArray, groups: Groups | None, *, coverage: float = 0.9
) -> LabelSetThreshold:
    """Return the largest threshold at which the expected share of missed labels is at most ``1 - coverage``.

    The loss of an image is the share of its true labels that are not in its set, 0 for an image without labels. The
    loss of a group is the mean over its images, so that the guarantee holds for an image of a new group.

    Args:
        members: true labels, shape (N, L).
        probabilities: calibrated probabilities, shape (N, L).
        groups: integer group ids, shape (N,), of complete groups that were used neither for training nor for model
            selection; None if each image is its own group.
        coverage: nominal share of true labels in the set, between 0 and 1.

    Reference: Angelopoulos, Bates, Fisch, Lei & Schuster, Conformal risk control, ICLR 2024, equation 4.

    >>> members = np.ones((19, 1), bool)
    >>> probabilities = np.arange(1, 20)[:, None] / 20
    >>> fit_label_sets(members, probabilities, None, coverage=0.9).least  # one of 19 may be missed
    0.1
    """
    codes = group_ids(groups, len(members))
    number = int(codes.max()) + 1
    if number < min_groups_for_coverage(coverage):
        return LabelSetThreshold(coverage, 0.0, number)
    sizes = np.bincount(codes)[codes]
    rows, columns = np.nonzero(members)
    if not len(rows):
        return LabelSetThreshold(coverage, 0.0, number)
    weights = 1 / (members.sum(axis=1)[rows] * sizes[rows])
    values = probabilities[rows, columns]
    order = np.argsort(values, kind="stable")
    values, weights = values[order], weights[order]
    missed = np.concatenate([[0.0], np.cumsum(weights)])[np.searchsorted(values, values, side="left")]
    allowed = (1 - coverage) * (number + 1) - 1
    return LabelSetThreshold(coverage, float(values[missed <= allowed + 1e-9].max()), number)


def evaluate_label_sets(
    members: BoolArray, sets: BoolArray, groups: Groups | None, *, level: float = 0.95
) -> dict[str, Any]:
    """Return the share of true labels in the sets and the mean size of the sets, each group with the same weight.

    Args:
        members: true labels, shape (N, L).
        sets: labels in the sets, shape (N, L).
        groups: integer group ids, shape (N,); None if each image is its own group.
        level: confidence level of the intervals, between 0 and 1.

    Returns:
        ``coverage`` and ``size``, each a `Score`, and ``sizes``: the numbers of images with 0, 1, 2 ... L labels in
        their set.
    """
    codes = group_ids(groups, len(members))
    counts = np.bincount(codes)
    support = Support(len(members), len(counts), level, groups is not None)
    size = sets.sum(axis=1)
    found = np.where(members.any(axis=1), (members & sets).sum(axis=1) / np.maximum(members.sum(axis=1), 1), 1.0)
    scores: dict[str, Any] = {}
    for name, values in (("coverage", found), ("size", size)):
        means = np.bincount(codes, weights=values) / counts
        method = f"Clopper-Pearson on {support.unit}" if name == "coverage" else f"Student's t over {support.unit}"
        if len(counts) < MIN_GROUPS:
            scores[name] = support.score(float(means.mean()), None, method, support.too_few_groups(len(counts)))
        elif name == "coverage":
            scores[name] = support.score(float(means.mean()), binomial_interval(means, level), method)
        else:
            interval = mean_size_interval(means, level, members.shape[1])
            scores[name] = support.score(float(means.mean()), interval, method, "all sets have the same size")
    return scores | {"sizes": np.bincount(size, minlength=members.shape[1] + 1).tolist()}
