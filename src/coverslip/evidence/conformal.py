"""Conformal prediction sets with class-conditional coverage over groups (split conformal prediction).

The coverage guarantee requires calibration images that were used neither for training nor for model selection, and it
is over groups: a leaf photographed six times contributes one observation of the error, not six.

A class is in the prediction set if its probability is at least the threshold of that class. Of all rules with the same
coverage, this one has the smallest sets if the probabilities are correct, and without randomization its coverage
exceeds the nominal one by at most 1 / (n + 1). Adaptive prediction sets (APS, RAPS) reach the nominal coverage only if
they are randomized per image, so that the same image would get different sets; without randomization they are
conservative and larger.

References:
    Vovk, Asian Conference on Machine Learning 2012 (class-conditional); Sadinle, Lei & Wasserman, Journal of the
    American Statistical Association 114(525), 2019 (the score); Lee, Barber & Willett, arXiv 2306.06342, 2023 (groups);
    Ding et al., NeurIPS 2023 (rare classes pooled); Romano, Sesia & Candès, NeurIPS 2020 (APS, not used).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from coverslip.evidence.evaluation_data import check_evaluation_data
from coverslip.evidence.intervals import MIN_GROUPS, Interval, critical_value
from coverslip.evidence.support import Support

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
Labels = NDArray[np.integer[Any]]
OWN, POOLED, ALL = "own", "pooled", "all"  # how the threshold of a class was calibrated; stored in model.json


@dataclass(frozen=True, slots=True)
class ConformalThresholds:
    """Thresholds of the probability from which a class is included in the prediction set.

    Attributes:
        coverage: nominal coverage, for example 0.9.
        least: threshold of each class, length K, values in 0 to 1; a class with threshold 0 is in every set.
        groups: number of groups (or images) of each class used for calibration, length K.
        basis: how the threshold of each class was calibrated, length K: "own", on images of the class; "pooled", if
            the class has too few groups, on all classes together, so that coverage is guaranteed on average over
            classes only; "all", if that has too few groups as well: the class is in every set.
    """

    coverage: float
    least: tuple[float, ...]
    groups: tuple[int, ...]
    basis: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain values for ``model.json``, from which `from_json` restores the exact thresholds."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ConformalThresholds:
        """Read the values written by `to_json`.

        Raises:
            KeyError, TypeError, ValueError: a value is missing or invalid.
        """
        least, groups = tuple(map(float, content["least"])), tuple(map(int, content["groups"]))
        coverage, basis = float(content["coverage"]), tuple(map(str, content["basis"]))
        consistent = len(least) == len(groups) == len(basis) and set(basis) <= {OWN, POOLED, ALL}
        if not consistent or not 0 < coverage < 1 or not all(0 <= threshold <= 1 for threshold in least):
            raise ValueError("these are not thresholds of conformal prediction sets")
        return cls(coverage, least, groups, basis)

    def warnings(self, class_names: Sequence[str]) -> list[str]:
        """Return warnings about classes without class-conditional coverage; empty if there are none."""
        warnings = []
        for basis, consequence in (
            (POOLED, "so the coverage of the prediction sets is guaranteed only on average over all classes"),
            (ALL, "even with all classes combined, so these classes are in every prediction set"),
        ):
            names = [name for name, own_basis in zip(class_names, self.basis, strict=True) if own_basis == basis]
            if names:
                needed = min_groups_for_coverage(self.coverage)
                warnings.append(f"fewer than {needed} groups for calibration, {consequence}: {', '.join(names)}")
        return warnings


def min_groups_for_coverage(coverage: float) -> int:
    """Return the minimal number of groups for which a conformal quantile exists.

    >>> min_groups_for_coverage(0.9), min_groups_for_coverage(0.95), min_groups_for_coverage(0.99)
    (9, 19, 99)
    """
    return math.ceil(coverage / (1 - coverage) - 1e-9)


def group_quantile(scores: NDArray[np.floating[Any]], groups: Labels | None, share: float) -> float | None:
    """Return the conformal quantile: the score of an image of a new group is at most this with probability ``share``.

    Each group has the same weight, whatever its number of images, and the new group counts as one more of unknown
    score. Without groups this is the usual ``ceil((n + 1) * share)``-th smallest score, and the probability is at most
    ``share + 1 / (n + 1)`` if scores have no ties.

    Args:
        scores: finite nonconformity scores, shape (N,).
        groups: integer group ids, shape (N,); None if each image is its own group.
        share: probability, between 0 and 1.

    Returns:
        One of the scores; None if there are fewer groups than `min_groups_for_coverage`.

    Reference: Lee, Barber & Willett, arXiv 2306.06342, 2023, section 3.1.

    >>> group_quantile(np.arange(1.0, 10.0), None, 0.9), group_quantile(np.arange(1.0, 9.0), None, 0.9)
    (9.0, None)
    """
    codes = np.arange(len(scores)) if groups is None else np.unique(groups, return_inverse=True)[1]
    counts = np.bincount(codes)
    if len(counts) < min_groups_for_coverage(share):
        return None
    order = np.argsort(scores, kind="stable")
    cumulative = np.cumsum(1 / counts[codes[order]])  # weight 1 per group
    index = int(np.searchsorted(cumulative, share * (len(counts) + 1) - 1e-9))
    return float(scores[order[min(index, len(order) - 1)]])


def fit_prediction_sets(
    labels: Labels, probabilities: NDArray[np.floating[Any]], groups: Labels | None, *, coverage: float = 0.9
) -> ConformalThresholds:
    """Fit conformal thresholds on the calibration half of the validation set.

    The coverage guarantee is class-conditional, for an image of a new group (each group has the same weight). A class
    with fewer than 9 groups (for coverage 0.9; see `min_groups_for_coverage`), or without images, gets the pooled
    threshold, or is in every set; see ``basis``.

    Args:
        labels: true class ids, shape (N,), values in 0..K-1.
        probabilities: calibrated probabilities, shape (N, K), rows sum to 1.
        groups: integer group ids, shape (N,), of complete groups that were used neither for training nor for model
            selection; None if each image is its own group.
        coverage: nominal coverage, between 0 and 1.

    Raises:
        ValueError: as `check_evaluation_data`; ``coverage`` is out of range.
    """
    if not 0 < coverage < 1:
        raise ValueError(f"coverage must lie between 0 and 1, not {coverage}")
    classes = np.asarray(probabilities).shape[-1]
    data = check_evaluation_data(labels, probabilities, groups, [str(class_id) for class_id in range(classes)])
    true = data.probabilities[np.arange(len(data.labels)), data.labels]
    # the nonconformity score is minus the probability of the true class
    pooled = group_quantile(-true, data.groups, coverage)
    least, numbers, basis = [], [], []
    for class_id in range(classes):
        of_class = data.labels == class_id
        limit = group_quantile(-true[of_class], data.groups[of_class], coverage)
        basis.append(OWN if limit is not None else POOLED if pooled is not None else ALL)
        limit = limit if limit is not None else pooled
        least.append(0.0 if limit is None else -limit)
        numbers.append(len(np.unique(data.groups[of_class])))
    return ConformalThresholds(coverage, tuple(least), tuple(numbers), tuple(basis))


def prediction_sets(
    probabilities: NDArray[np.floating[Any]], thresholds: ConformalThresholds, *, fill: bool = True
) -> BoolArray:
    """Return the prediction set of each image.

    If the accuracy exceeds the nominal coverage, some images reach no threshold. Their sets are filled with the most
    probable class, unless ``fill`` is false: an empty set is of no use, and unfamiliar images are reported by
    `familiarity`. This can only increase the coverage, beyond the upper bound of the guarantee.

    Args:
        probabilities: calibrated as those of `fit_prediction_sets`, shape (N, K); rows of NaN (unreadable images) have
            empty sets.
        thresholds: from `fit_prediction_sets`.
        fill: whether to add the most probable class to empty sets of readable images.

    Returns:
        Booleans, shape (N, K): whether the class is in the set.

    Raises:
        ValueError: the number of classes differs from that of ``thresholds``.

    >>> thresholds = ConformalThresholds(0.9, (0.3, 0.2), (40, 40), ("own", "own"))
    >>> prediction_sets(np.array([[0.75, 0.25], [0.9, 0.1]]), thresholds).tolist()
    [[True, True], [True, False]]
    """
    rows = np.asarray(probabilities)
    if rows.ndim != 2 or rows.shape[1] != len(thresholds.least):
        raise ValueError(f"probabilities must have shape (N, {len(thresholds.least)}), not {rows.shape}")
    members = rows >= np.asarray(thresholds.least)
    if fill:
        empty = np.flatnonzero(~members.any(axis=1) & ~np.isnan(rows).any(axis=1))
        members[empty, rows[empty].argmax(axis=1)] = True
    return np.asarray(members)


def evaluate_prediction_sets(
    labels: Labels, members: BoolArray, groups: Labels | None, *, level: float = 0.95
) -> dict[str, Any]:
    """Return empirical coverage and mean size of prediction sets, overall and per class.

    Each group has the same weight, as in the guarantee: the value is the mean over groups of the proportion of their
    images. Its interval is Clopper-Pearson on the number of groups: exact if each group has one image, slightly
    conservative otherwise, because the mean of several images varies less than one image.

    Args:
        labels: true class ids, shape (N,), values in 0..K-1.
        members: prediction sets from `prediction_sets`, shape (N, K).
        groups: integer group ids, shape (N,); None if each image is its own group.
        level: confidence level of the intervals, between 0 and 1.

    Returns:
        ``coverage`` and ``size`` (mean number of classes in a set), each a `Score`; ``sizes``, the numbers of images
        with 0, 1, 2 ... K classes in their set; ``classes``, K entries of ``coverage`` and ``size``. There is no
        interval for fewer than 5 groups, nor for ``size`` if all sets are of the same size; a class without images
        has no value.

    Raises:
        ValueError: there is no image; shapes do not match; a label is out of range.
    """
    truth, inside = np.asarray(labels), np.asarray(members, dtype=bool)
    if inside.ndim != 2 or len(inside) == 0 or truth.shape != inside.shape[:1]:
        raise ValueError(f"members must have shape (N, K) and labels (N,), not {inside.shape} and {truth.shape}")
    if truth.min() < 0 or truth.max() >= inside.shape[1]:
        raise ValueError(f"labels must be integers from 0 to {inside.shape[1] - 1}")
    codes = np.arange(len(truth)) if groups is None else np.unique(groups, return_inverse=True)[1]
    covered, size = inside[np.arange(len(truth)), truth], inside.sum(axis=1)

    size_interval = partial(mean_size_interval, maximum=inside.shape[1])

    def evaluate(selected: BoolArray) -> dict[str, Any]:
        counts = np.bincount(codes[selected])
        present = counts > 0
        support = Support(int(selected.sum()), int(present.sum()), level, groups is not None)
        scores = {}
        for name, values, interval in (("coverage", covered, binomial_interval), ("size", size, size_interval)):
            means = np.bincount(codes[selected], weights=values[selected])[present] / counts[present]
            method = f"Clopper-Pearson on {support.unit}" if name == "coverage" else f"Student's t over {support.unit}"
            if support.images == 0:
                scores[name] = support.score(None, None, method, "no image of this class in the test set")
            elif support.groups < MIN_GROUPS:
                scores[name] = support.score(float(means.mean()), None, method, support.too_few_groups(support.groups))
            else:
                reason = "all sets have the same size"
                scores[name] = support.score(float(means.mean()), interval(means, level), method, reason)
        return scores

    everything = np.ones(len(truth), dtype=bool)
    sizes = np.bincount(size, minlength=inside.shape[1] + 1).tolist()
    classes = [evaluate(truth == class_id) for class_id in range(inside.shape[1])]
    return {**evaluate(everything), "sizes": sizes, "classes": classes}


def binomial_interval(proportions: FloatArray, level: float) -> Interval:
    """Return the Clopper-Pearson interval for a number of hits that need not be an integer."""
    tail, groups, hits = (1 - level) / 2, len(proportions), float(proportions.sum())
    low = 0.0 if hits == 0 else float(stats.beta.ppf(tail, hits, groups - hits + 1))
    high = 1.0 if groups - hits < 1e-9 else float(stats.beta.ppf(1 - tail, hits + 1, groups - hits))
    return low, high


def mean_size_interval(values: FloatArray, level: float, maximum: int) -> Interval | None:
    """Return Student's interval of the mean of values in 0 to ``maximum``; None if they are all equal."""
    half = critical_value(level, len(values) - 1) * float(values.std(ddof=1)) / math.sqrt(len(values))
    mean = float(values.mean())
    return (max(0.0, mean - half), min(float(maximum), mean + half)) if half > 0 else None
