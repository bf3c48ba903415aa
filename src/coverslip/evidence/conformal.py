"""Sets of classes that hold the true one as often as promised: class-conditional split conformal prediction.

The promise needs images that trained nothing and chose nothing, and counts groups: a leaf photographed six times
says once, not six times, how wrong the model can be.

A class is in the set where its own probability reaches the limit of that class. Of all rules with the same coverage
this one has the smallest sets if the probabilities are right, and without any random draw its coverage is exact, up
to 1 / (n + 1). Adaptive sets (APS, RAPS) are exact only with a draw for each image, so that one image would get
two answers; without it they cover more than asked, in larger sets.

References: Vovk, Asian Conference on Machine Learning 2012 (class-conditional); Sadinle, Lei & Wasserman, Journal of
the American Statistical Association 114(525), 2019 (the score); Lee, Barber & Willett, arXiv 2306.06342, 2023 (groups);
Ding et al., NeurIPS 2023 (rare classes pooled); Romano, Sesia & Candès, NeurIPS 2020 (APS, not taken).
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

from coverslip.evidence.basis import Basis
from coverslip.evidence.intervals import FEWEST_GROUPS, Limits, quantile
from coverslip.evidence.part import check_part

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
Labels = NDArray[np.integer[Any]]
OWN, POOLED, ALL = "own", "pooled", "all"  # what the limit of a class rests on


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The least probability with which each class enters a set.

    Attributes:
        coverage: what was asked for, for example 0.9.
        least: a limit for each of the K classes, 0 to 1; 0 lets the class into every set.
        groups: how many groups (or images) of each class it rests on.
        basis: for each class "own"; "pooled", where the class has too few groups: the limit of all classes together,
            whose promise holds on average over the classes only; or "all", where that too has too few: the class is
            in every set.
    """

    coverage: float
    least: tuple[float, ...]
    groups: tuple[int, ...]
    basis: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``model.json``; `from_json` gives the same thresholds back to the last bit."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Thresholds:
        """Read what `to_json` wrote.

        Raises:
            KeyError, TypeError, ValueError: it did not.
        """
        least, groups = tuple(map(float, content["least"])), tuple(map(int, content["groups"]))
        coverage, basis = float(content["coverage"]), tuple(map(str, content["basis"]))
        whole = len(least) == len(groups) == len(basis) and set(basis) <= {OWN, POOLED, ALL}
        if not whole or not 0 < coverage < 1 or not all(0 <= each <= 1 for each in least):
            raise ValueError("these are not the limits of conformal sets")
        return cls(coverage, least, groups, basis)

    def warnings(self, class_names: Sequence[str]) -> list[str]:
        """Plain sentences on the classes for which the promise is weaker, or empty."""
        said = []
        for basis, what in (
            (POOLED, "so the sets keep their promise for them only on average over all classes"),
            (ALL, "and all classes together too, so they are in every set"),
        ):
            names = [name for name, mine in zip(class_names, self.basis, strict=True) if mine == basis]
            if names:
                fewest = groups_needed(self.coverage)
                said.append(f"under {fewest} groups to calibrate sets with, {what}: {', '.join(names)}")
        return said


def groups_needed(coverage: float) -> int:
    """The least number of groups with which a limit exists.

    >>> groups_needed(0.9), groups_needed(0.95), groups_needed(0.99)
    (9, 19, 99)
    """
    return math.ceil(coverage / (1 - coverage) - 1e-9)


def group_quantile(scores: NDArray[np.floating[Any]], groups: Labels | None, share: float) -> float | None:
    """The limit that an image of a new group stays within with probability ``share``, at least.

    Each group weighs the same, whatever its number of images; the new group counts as one more, of which nothing is
    known. For images without groups this is the usual ``ceil((n + 1) * share)``-th smallest score, and a new score
    stays within it with a probability of at most ``share + 1 / (n + 1)`` where scores do not tie.

    Args:
        scores: (N,) finite numbers.
        groups: (N,) integers, or None where each image stands for itself.
        share: between 0 and 1.

    Returns:
        One of the scores; None where there are fewer groups than `groups_needed`.

    Reference: Lee, Barber & Willett, arXiv 2306.06342, 2023, section 3.1.

    >>> group_quantile(np.arange(1.0, 10.0), None, 0.9), group_quantile(np.arange(1.0, 9.0), None, 0.9)
    (9.0, None)
    """
    codes = np.arange(len(scores)) if groups is None else np.unique(groups, return_inverse=True)[1]
    counts = np.bincount(codes)
    if len(counts) < groups_needed(share):
        return None
    order = np.argsort(scores, kind="stable")
    within = np.cumsum(1 / counts[codes[order]])
    place = int(np.searchsorted(within, share * (len(counts) + 1) - 1e-9))
    return float(scores[order[min(place, len(order) - 1)]])


def fit_sets(
    labels: Labels, probabilities: NDArray[np.floating[Any]], groups: Labels | None, *, coverage: float = 0.9
) -> Thresholds:
    """Limits from the calibrate part, so that a new image's true class is in its set with this probability.

    The promise is for each class, for an image drawn from a new group (each group counts once). A class with under
    9 groups (for 0.9; see `groups_needed`) gets the pooled limit, or enters every set; ``basis`` says so. A class
    without any image is such a class.

    Args:
        labels: (N,) integers, 0 to K - 1.
        probabilities: (N, K), rows sum to 1, as `sets` will be given them (the calibrated ones).
        groups: (N,) integers, whole groups that trained nothing and chose nothing; None where there are none.
        coverage: between 0 and 1.

    Raises:
        ValueError: as `check_part`; a coverage out of range.
    """
    if not 0 < coverage < 1:
        raise ValueError(f"coverage must lie between 0 and 1, not {coverage}")
    classes = np.asarray(probabilities).shape[-1]
    part = check_part(labels, probabilities, groups, [str(number) for number in range(classes)])
    true = part.probabilities[np.arange(len(part.labels)), part.labels]
    pooled = group_quantile(-true, part.groups, coverage)
    least, numbers, basis = [], [], []
    for number in range(classes):
        own = part.labels == number
        limit = group_quantile(-true[own], part.groups[own], coverage)
        basis.append(OWN if limit is not None else POOLED if pooled is not None else ALL)
        chosen = limit if limit is not None else pooled
        least.append(0.0 if chosen is None else -chosen)
        numbers.append(len(np.unique(part.groups[own])))
    return Thresholds(coverage, tuple(least), tuple(numbers), tuple(basis))


def sets(probabilities: NDArray[np.floating[Any]], thresholds: Thresholds, *, fill: bool = True) -> BoolArray:
    """Which classes are in each image's set.

    Where the model is right more often than the coverage asked for, some images reach no limit. Such a set gets the
    most probable class, unless ``fill`` is false: an empty answer helps nobody, and that an image is unlike all
    others is for `familiarity` to say. Coverage can only rise by it, above the upper limit of the promise.

    Args:
        probabilities: (N, K), calibrated as those of `fit_sets`; rows of NaN (unreadable images) give empty sets.
        thresholds: from `fit_sets`.
        fill: whether no set of a readable image stays empty.

    Returns:
        (N, K) true where the class is in the set.

    Raises:
        ValueError: another number of classes.

    >>> limits = Thresholds(0.9, (0.3, 0.2), (40, 40), ("own", "own"))
    >>> sets(np.array([[0.75, 0.25], [0.9, 0.1]]), limits).tolist()
    [[True, True], [True, False]]
    """
    rows = np.asarray(probabilities)
    if rows.ndim != 2 or rows.shape[1] != len(thresholds.least):
        raise ValueError(f"probabilities must be (N, {len(thresholds.least)}), not {rows.shape}")
    members = rows >= np.asarray(thresholds.least)
    if fill:
        empty = np.flatnonzero(~members.any(axis=1) & ~np.isnan(rows).any(axis=1))
        members[empty, rows[empty].argmax(axis=1)] = True
    return np.asarray(members)


def set_evidence(labels: Labels, members: BoolArray, groups: Labels | None, *, level: float = 0.95) -> dict[str, Any]:
    """How often sets held the true class, and how large they were: overall and for each class.

    Each group counts once, as in the promise: the value is the mean over groups of the share of its images. Its
    limits are Clopper and Pearson's on the number of groups: exact where a group has one image, a little wide else,
    as the mean of several images spreads less than one.

    Args:
        labels: (N,) integers, 0 to K - 1.
        members: (N, K) from `sets`.
        groups: (N,) integers, or None where each image stands for itself.
        level: of the intervals.

    Returns:
        ``coverage`` and ``size`` (mean number of classes in a set), each a `Score`; ``sizes``, K + 1 numbers of
        images with 0, 1, 2 ... classes in their set; ``classes``, K entries of ``coverage`` and ``size``. Under 5
        groups, and where all sets are of one size, no interval; a class without images has no value.

    Raises:
        ValueError: no image, shapes that do not agree, a label out of range.
    """
    truth, inside = np.asarray(labels), np.asarray(members, dtype=bool)
    if inside.ndim != 2 or len(inside) == 0 or truth.shape != inside.shape[:1]:
        raise ValueError(f"members must be (N, K) and labels (N,), not {inside.shape} and {truth.shape}")
    if truth.min() < 0 or truth.max() >= inside.shape[1]:
        raise ValueError(f"labels must be integers from 0 to {inside.shape[1] - 1}")
    codes = np.arange(len(truth)) if groups is None else np.unique(groups, return_inverse=True)[1]
    held, number = inside[np.arange(len(truth)), truth], inside.sum(axis=1)

    mean_limits = partial(_mean_limits, most=inside.shape[1])

    def of(mine: BoolArray) -> dict[str, Any]:
        counts = np.bincount(codes[mine])
        about = counts > 0
        basis = Basis(int(mine.sum()), int(about.sum()), level, groups is not None)
        scores = {}
        for name, what, limits in (("coverage", held, _binomial_limits), ("size", number, mean_limits)):
            each = np.bincount(codes[mine], weights=what[mine])[about] / counts[about]
            method = "Clopper-Pearson on groups" if name == "coverage" else "Student's t over groups"
            method = method if basis.grouped else method.replace("groups", "images")
            if basis.images == 0:
                scores[name] = basis.score(None, None, method, "no image of this class in the test set")
            elif basis.groups < FEWEST_GROUPS:
                scores[name] = basis.score(float(each.mean()), None, method, basis.too_few(basis.groups))
            else:
                scores[name] = basis.score(float(each.mean()), limits(each, level), method, "all sets are of one size")
        return scores

    everything = np.ones(len(truth), dtype=bool)
    sizes = np.bincount(number, minlength=inside.shape[1] + 1).tolist()
    return {**of(everything), "sizes": sizes, "classes": [of(truth == k) for k in range(inside.shape[1])]}


def _binomial_limits(shares: FloatArray, level: float) -> Limits:
    """Clopper and Pearson's limits, with hits that need not be whole."""
    tail, groups, hits = (1 - level) / 2, len(shares), float(shares.sum())
    low = 0.0 if hits == 0 else float(stats.beta.ppf(tail, hits, groups - hits + 1))
    high = 1.0 if groups - hits < 1e-9 else float(stats.beta.ppf(1 - tail, hits + 1, groups - hits))
    return low, high


def _mean_limits(values: FloatArray, level: float, most: int) -> Limits | None:
    """Student's limits of the mean of values from 0 to ``most``."""
    half, mean = quantile(level, len(values) - 1) * float(values.std(ddof=1)) / math.sqrt(len(values)), values.mean()
    return (max(0.0, float(mean) - half), min(float(most), float(mean) + half)) if half > 0 else None
