"""Familiarity of an image: out-of-distribution detection on features, and the nearest training images.

Features are scaled to unit length. The score is the geometric mean of three distances: to the nearest training image
and to the nearest class mean, both within the leading principal directions of the training features and whitened by
the within-class covariance (shared by all classes, Ledoit-Wolf shrinkage), and the norm of the residual outside these
directions. The residual detects other kinds of images (tissue instead of leaves), the first two detect other species
and other sites; the product detected both well.

The score detects images from other sources. It does *not* detect a new disease on a leaf of a known species, because
the features of both are too similar.

References:
    Sun et al., ICML 2022 (nearest neighbors, unit-length features); Lee et al., NeurIPS 2018 (class means with a shared
    covariance); Wang et al., CVPR 2022 (residual); Ledoit & Wolf, Journal of Multivariate Analysis 88(2), 2004.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from sklearn.covariance import ledoit_wolf

from coverslip.evidence.conformal import group_quantile, min_groups_for_coverage

Features = NDArray[np.floating[Any]]
Labels = NDArray[np.integer[Any]]
FloatArray = NDArray[np.float32]
MAX_REFERENCE = 4096  # stored training images
MAX_DIRECTIONS = 256
MAX_COVARIANCE = 4096  # features; with more, the eigenvectors come from the N x N matrix of inner products
FALSE_ALARMS = 0.01  # proportion of familiar images that are flagged
BLOCK_ROWS = 1024  # bounds the memory
EPSILON = 1e-6


@dataclass(frozen=True, slots=True)
class Familiarity:
    """Reference statistics of the training features: D features, R directions, M stored images, K classes.

    The names of the attributes are those of the stored tensors.

    Attributes:
        center: mean of the unit-length features, float32, shape (D,).
        directions: orthonormal leading directions, float32, shape (D, R).
        whitening: matrix that makes the within-class covariance the identity, float32, shape (R, R).
        means: whitened class means, float32, shape (K, R); only classes that have images.
        reference: whitened training images, float16, shape (M, R).
        rows: row numbers of these images among the training features, int64, shape (M,).
        threshold: an image with a larger score is unfamiliar.
        calibrated_on: number of groups (or images) that the threshold was calibrated on.
    """

    center: FloatArray
    directions: FloatArray
    whitening: FloatArray
    means: FloatArray
    reference: NDArray[np.float16]
    rows: NDArray[np.int64]
    threshold: float
    calibrated_on: int

    @property
    def false_alarm_rate(self) -> float:
        """Upper bound of the probability that an image of a new group like those of training is flagged."""
        return max(FALSE_ALARMS, 1 / (self.calibrated_on + 1))

    @property
    def approximate(self) -> bool:
        """Whether fewer than 99 groups set the threshold; it is then their largest score and flags too many images."""
        return self.calibrated_on < min_groups_for_coverage(1 - FALSE_ALARMS)

    def score(self, features: Features) -> NDArray[np.float64]:
        """Return the distance from the training images, shape (N,), for features (N, D); only the order is meaningful.

        Values are positive; larger values are less familiar.
        """
        scores = [np.empty(0)]
        for unit in _unit_blocks(features):
            projected, residual = self._project(unit)
            nearest, mean = (_squared_distances(projected, rows).min(axis=1) for rows in (self.reference, self.means))
            scores.append(_score(nearest, mean, residual, projected.shape[1]))
        return np.concatenate(scores)

    def familiar(self, features: Features) -> NDArray[np.bool_]:
        """Return whether each image is like the training images, shape (N,), for features (N, D)."""
        return np.asarray(self.score(features) <= self.threshold)

    def nearest(self, features: Features, k: int = 3) -> NDArray[np.int64]:
        """Return the rows of ``reference`` nearest to each image, nearest first, shape (N, k), for features (N, D).

        ``rows`` maps them to training images. There are fewer columns if fewer than k images are stored.
        """
        return FamiliarityScorer(self).evaluate(features, k).nearest

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return all attributes as arrays by name, for safetensors; numbers become arrays of one element."""
        return {field.name: np.atleast_1d(np.asarray(getattr(self, field.name))) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Familiarity:
        """Restore the object from the arrays of `to_arrays`.

        Raises:
            KeyError, ValueError: an array is missing or has the wrong shape.
        """
        values = {field.name: np.asarray(arrays[field.name]) for field in fields(cls)}
        threshold, number = float(values.pop("threshold")[0]), int(values.pop("calibrated_on")[0])
        width, size = len(values["center"]), len(values["whitening"])
        shapes = {"directions": (width, size), "whitening": (size, size), "rows": (len(values["reference"]),)}
        shapes |= {name: (len(values[name]), size) for name in ("means", "reference")}
        if any(values[name].shape != shape for name, shape in shapes.items()) or not threshold > 0:
            raise ValueError("these arrays are not the reference statistics of familiarity")
        return cls(**values, threshold=threshold, calibrated_on=number)

    def _project(self, unit: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return whitened projections, shape (N, R), and squared residuals, shape (N,), of unit-length features."""
        centered = unit - self.center
        projected = centered @ self.directions
        residual = (centered**2).sum(axis=1) - (projected**2).sum(axis=1)
        return np.asarray(projected @ self.whitening, dtype=np.float32), residual


@dataclass(frozen=True, slots=True)
class FamiliarityResult:
    """Familiarity of N images.

    Attributes:
        score: as `Familiarity.score`, float64, shape (N,).
        nearest: as `Familiarity.nearest`, int64, shape (N, k).
        distance: distance to each of those in units of the within-class spread, float32, shape (N, k).
    """

    score: NDArray[np.float64]
    nearest: NDArray[np.int64]
    distance: FloatArray


class FamiliarityScorer:
    """A `Familiarity` with the squared norms of its reference computed once, for repeated calls.

    Args:
        familiarity: reference statistics.
    """

    def __init__(self, familiarity: Familiarity) -> None:
        self.familiarity = familiarity
        self._rows = [_with_norms(rows) for rows in (familiarity.reference, familiarity.means)]

    def evaluate(self, features: Features, k: int = 3) -> FamiliarityResult:
        """Return scores, the k nearest training images and their distances, for features of shape (N, D)."""
        k = min(k, len(self.familiarity.reference))
        scores, nearest, distances = [np.empty(0)], [np.empty((0, k), np.int64)], [np.empty((0, k), np.float32)]
        for unit in _unit_blocks(features):
            projected, residual = self.familiarity._project(unit)
            to_reference, to_means = (_squared_distances_from(projected, *rows) for rows in self._rows)
            columns, squares = _smallest(to_reference, k)
            scores.append(_score(squares[:, 0], to_means.min(axis=1), residual, projected.shape[1]))
            nearest.append(columns)
            distances.append(np.sqrt(squares))
        return FamiliarityResult(np.concatenate(scores), np.concatenate(nearest), np.concatenate(distances))


def fit_familiarity(
    train_features: Features,
    train_labels: Labels,
    calibrate_features: Features,
    calibrate_groups: Labels | None,
    *,
    seed: int = 0,
) -> Familiarity:
    """Fit reference statistics on the training images and the threshold on the calibration half of validation.

    The threshold is the 99th percentile for an image of a new group, where each group has the same weight
    (`group_quantile`). With fewer than 99 groups this percentile does not exist; the threshold is then the largest
    score of the calibration images, ``approximate`` is true, and ``false_alarm_rate`` is 1 / (groups + 1). Of more than
    4,096 training images, 4,096 are stored, taken from the classes in turn, so that rare classes remain complete.

    Args:
        train_features: features of the training images, any floating dtype, shape (N, D), N at least 4.
        train_labels: class ids of the training images, shape (N,).
        calibrate_features: features of complete groups that were used neither for training nor for model selection,
            shape (C, D), C at least 1.
        calibrate_groups: integer group ids, shape (C,); None if each image is its own group.
        seed: random seed for the selection among more than 4,096 images.

    Raises:
        ValueError: there are too few images, or shapes do not match.
    """
    labels = np.asarray(train_labels)
    if train_features.ndim != 2 or len(train_features) < 4 or labels.shape != (len(train_features),):
        raise ValueError(
            f"features must have shape (N, D) with N at least 4 and labels (N,), not {train_features.shape} "
            f"and {labels.shape}"
        )
    if calibrate_features.shape[1:] != train_features.shape[1:] or len(calibrate_features) == 0:
        raise ValueError(
            f"calibration features must have shape (C, {train_features.shape[1]}) with C at least 1, "
            f"not {calibrate_features.shape}"
        )
    if calibrate_groups is not None and len(calibrate_groups) != len(calibrate_features):
        raise ValueError(f"{len(calibrate_features)} calibration images, but {len(calibrate_groups)} groups")
    rows = _reference_rows(labels, seed)
    unit, labels = np.concatenate(list(_unit_blocks(train_features[rows]))), labels[rows]
    center = unit.mean(axis=0)
    unit -= center
    # At most half as many directions as images; with more, training images would have almost no residual.
    size = min(MAX_DIRECTIONS, len(unit) // 2, unit.shape[1])
    directions = _principal_directions(unit, size)
    projected = unit @ directions
    _, codes = np.unique(labels, return_inverse=True)
    means = np.stack([projected[codes == code].mean(axis=0) for code in range(int(codes.max()) + 1)])
    covariance = np.atleast_2d(ledoit_wolf((projected - means[codes]).astype(np.float64), assume_centered=True)[0])
    covariance += (EPSILON * np.trace(covariance) / size + 1e-12) * np.eye(size)  # singular if each class has one image
    whitening = np.linalg.cholesky(np.linalg.inv(covariance)).astype(np.float32)
    reference = np.clip(projected @ whitening, -60000, 60000).astype(np.float16)  # the largest float16 is 65504
    uncalibrated = Familiarity(center, directions, whitening, means @ whitening, reference, rows, 1.0, 0)

    scores = uncalibrated.score(calibrate_features)
    number = len(scores) if calibrate_groups is None else len(np.unique(calibrate_groups))
    limit = group_quantile(scores, calibrate_groups, 1 - FALSE_ALARMS)
    threshold = float(scores.max()) if limit is None else limit
    return Familiarity(center, directions, whitening, uncalibrated.means, reference, rows, threshold, number)


def _principal_directions(rows: FloatArray, size: int) -> FloatArray:
    """Return the ``size`` principal directions of centered rows (N, D), shape (D, size), in ascending order."""
    count, width = rows.shape
    if width <= max(count, MAX_COVARIANCE):
        _, directions = linalg.eigh(rows.T @ rows / count, subset_by_index=(width - size, width - 1))
        return np.asarray(directions)
    # If the pixels are the features, a D x D matrix is too large; the N x N matrix gives the same directions.
    variances, vectors = linalg.eigh(rows @ rows.T, subset_by_index=(count - size, count - 1))
    scale = np.sqrt(np.maximum(variances, EPSILON * variances[-1] + 1e-12))
    return np.asarray(rows.T @ (vectors / scale), np.float32)


def _reference_rows(labels: Labels, seed: int) -> NDArray[np.int64]:
    """Return the rows of at most 4,096 images in ascending order: the first of each class, the second of each, ..."""
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    starts = np.r_[0, np.flatnonzero(np.diff(labels[by_class])) + 1]
    turn = np.arange(len(labels)) - np.repeat(starts, np.diff(np.r_[starts, len(labels)]))
    return np.sort(by_class[np.argsort(turn, kind="stable")[:MAX_REFERENCE]])


def _unit_blocks(features: Features) -> Iterator[FloatArray]:
    """Yield float32 blocks of rows scaled to unit length; a row of zeros stays zero."""
    for start in range(0, len(features), BLOCK_ROWS):
        block = np.asarray(features[start : start + BLOCK_ROWS], dtype=np.float32)
        yield block / np.maximum(np.linalg.norm(block, axis=1, keepdims=True), EPSILON)


def _score(nearest: FloatArray, mean: FloatArray, residual: FloatArray, directions: int) -> NDArray[np.float64]:
    """Return the geometric mean of three distances, shape (N,), from their squares, shape (N,) each."""
    floor = EPSILON * directions  # the distance of a training image to itself is 0
    logs = [np.log(np.maximum(squares, floor)) for squares in (nearest, mean)]
    # divided by 6: the square root of squared distances, then the mean of three logarithms
    return np.exp(((logs[0] + logs[1] + np.log(np.maximum(residual, EPSILON))) / 6).astype(np.float64))


def _smallest(distances: FloatArray, k: int) -> tuple[NDArray[np.int64], FloatArray]:
    """Return the columns of the k smallest distances of each row, ascending, and these distances, shape (N, k) each."""
    candidates = np.argpartition(distances, k - 1, axis=1)[:, :k]
    order = np.argsort(np.take_along_axis(distances, candidates, axis=1), axis=1, kind="stable")
    columns = np.take_along_axis(candidates, order, axis=1).astype(np.int64)
    return columns, np.take_along_axis(distances, columns, axis=1)


def _squared_distances(points: FloatArray, rows: NDArray[np.floating[Any]]) -> FloatArray:
    """Return squared distances, shape (A, B), between points (A, R) and rows (B, R)."""
    return _squared_distances_from(points, *_with_norms(rows))


def _with_norms(rows: NDArray[np.floating[Any]]) -> tuple[FloatArray, FloatArray]:
    """Return rows (B, R) in float32 and their squared norms, shape (B,)."""
    converted = rows.astype(np.float32)
    return converted, (converted**2).sum(axis=1)


def _squared_distances_from(points: FloatArray, rows: FloatArray, squared_norms: FloatArray) -> FloatArray:
    distances = (points**2).sum(axis=1)[:, None] + squared_norms - 2 * points @ rows.T
    return np.asarray(np.maximum(distances, 0))  # rounding can make a distance of 0 negative
