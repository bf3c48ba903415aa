"""Whether a new image is like anything that the model was trained on, and which training images are nearest.

Features are brought to length 1. Three distances are multiplied: to the nearest training image and to the nearest
class mean, both within the leading directions of the training features, in units of the spread within classes (one
covariance for all, Ledoit-Wolf); and what the leading directions leave over. The last tells other kinds of image
at once (tissue from leaves), the first two tell other species and other sites; the product did well on both.

It tells images from elsewhere. It does *not* tell a disease that was never seen on a leaf of a known kind: the
features of the two are too alike.

References: Sun et al., ICML 2022 (nearest neighbors, features of length 1); Lee et al., NeurIPS 2018 (class means with
one covariance); Wang et al., CVPR 2022 (what the directions leave over); Ledoit & Wolf, Journal of Multivariate
Analysis 88(2), 2004.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from sklearn.covariance import ledoit_wolf

from coverslip.evidence.conformal import group_quantile, groups_needed

Features = NDArray[np.floating[Any]]
Labels = NDArray[np.integer[Any]]
FloatArray = NDArray[np.float32]
MOST_ROWS = 4096  # training images that are kept
DIRECTIONS = 256
WIDEST = 4096  # features of which the covariance is computed as it is
FLAGGED = 0.01  # of images like the training images, all the same
ROWS = 1024  # in one block: bounds the memory
TINY = 1e-6


@dataclass(frozen=True, slots=True)
class Familiarity:
    """What the training images looked like to the network; D features, R directions, M images kept, K classes.

    Attributes:
        center: float32 (D,), mean of the features of length 1.
        directions: float32 (D, R), orthonormal.
        whitening: float32 (R, R), makes the spread within classes 1 in every direction.
        means: float32 (K, R), whitened; only classes that have images.
        reference: float16 (M, R), whitened training images.
        rows: int64 (M,), which rows of the training features those are.
        threshold: a score above it is not familiar.
        calibrated_on: groups (or images) that set the threshold.
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
    def rate(self) -> float:
        """The share of images of new groups, like those of training, that is flagged all the same, at most."""
        return max(FLAGGED, 1 / (self.calibrated_on + 1))

    @property
    def rough(self) -> bool:
        """Whether fewer than 99 groups set the threshold: it is then their largest score, and flags too often."""
        return self.calibrated_on < groups_needed(1 - FLAGGED)

    def score(self, features: Features) -> NDArray[np.float64]:
        """(N, D) features -> (N,) distance from the training images, above 0; only its order has a meaning."""
        parts = [np.empty(0)]
        for unit in _unit_blocks(features):
            inside, left_over = self._project(unit)
            nearest, mean = (_squares(inside, some).min(axis=1) for some in (self.reference, self.means))
            parts.append(_score(nearest, mean, left_over, inside.shape[1]))
        return np.concatenate(parts)

    def familiar(self, features: Features) -> NDArray[np.bool_]:
        """(N, D) features -> (N,) whether each image is like the training images."""
        return np.asarray(self.score(features) <= self.threshold)

    def nearest(self, features: Features, k: int = 3) -> NDArray[np.int64]:
        """(N, D) features -> (N, k) rows of ``reference``, the nearest first; ``rows`` says which images those are.

        Where fewer than k images are kept, there are fewer columns.
        """
        return Looker(self).look(features, k).nearest

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Everything as arrays by name, for a safetensors bundle; numbers are arrays of one."""
        return {each.name: np.atleast_1d(np.asarray(getattr(self, each.name))) for each in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Familiarity:
        """What `to_arrays` gave.

        Raises:
            KeyError, ValueError: it did not.
        """
        found = {each.name: np.asarray(arrays[each.name]) for each in fields(cls)}
        threshold, number = float(found.pop("threshold")[0]), int(found.pop("calibrated_on")[0])
        width, size = len(found["center"]), len(found["whitening"])
        shapes = {"directions": (width, size), "whitening": (size, size), "rows": (len(found["reference"]),)}
        shapes |= {name: (len(found[name]), size) for name in ("means", "reference")}
        if any(found[name].shape != shape for name, shape in shapes.items()) or not threshold > 0:
            raise ValueError("these arrays are not a measure of familiarity")
        return cls(**found, threshold=threshold, calibrated_on=number)

    def _project(self, unit: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(N, D) features of length 1 -> whitened (N, R), and the squared length (N,) that is left over."""
        centered = unit - self.center
        inside = centered @ self.directions
        left_over = (centered**2).sum(axis=1) - (inside**2).sum(axis=1)
        return np.asarray(inside @ self.whitening, dtype=np.float32), left_over


@dataclass(frozen=True, slots=True)
class Looked:
    """What `Looker.look` found of N images.

    Attributes:
        score: float64 (N,), as `Familiarity.score`.
        nearest: int64 (N, k), as `Familiarity.nearest`.
        distance: float32 (N, k), to each of those, in units of the spread within classes.
    """

    score: NDArray[np.float64]
    nearest: NDArray[np.int64]
    distance: FloatArray


class Looker:
    """A `Familiarity` with what all its answers share worked out once."""

    def __init__(self, familiarity: Familiarity) -> None:
        self.familiarity = familiarity
        self._rows = [_wide(each) for each in (familiarity.reference, familiarity.means)]

    def look(self, features: Features, k: int = 3) -> Looked:
        """Score, nearest training images and their distances of (N, D) features."""
        k = min(k, len(self.familiarity.reference))
        scores, nearest, away = [np.empty(0)], [np.empty((0, k), np.int64)], [np.empty((0, k), np.float32)]
        for unit in _unit_blocks(features):
            inside, left_over = self.familiarity._project(unit)
            every, means = (_squares_from(inside, *each) for each in self._rows)
            rows, squares = _closest(every, k)
            scores.append(_score(squares[:, 0], means.min(axis=1), left_over, inside.shape[1]))
            nearest.append(rows)
            away.append(np.sqrt(squares))
        return Looked(np.concatenate(scores), np.concatenate(nearest), np.concatenate(away))


def fit_familiarity(
    train_features: Features,
    train_labels: Labels,
    calibrate_features: Features,
    calibrate_groups: Labels | None,
    *,
    seed: int = 0,
) -> Familiarity:
    """Learn from the training images what is familiar, and from the calibrate part where that ends.

    The threshold is the 99th percentile for an image of a new group, each group counting once (`group_quantile`).
    With fewer than 99 groups no such limit exists; it is then the largest score of the calibrate part, ``rough`` is
    true, and ``rate`` (1 / (groups + 1)) says how often an image like the others is flagged. Of more than 4,096
    training images so many are kept, class by class in turn, so that rare classes are kept whole.

    Args:
        train_features: (N, D), any float type, as the network gives them; at least 4 images.
        train_labels: (N,) integers.
        calibrate_features: (C, D), of whole groups that trained nothing and chose nothing; at least one image.
        calibrate_groups: (C,) integers, or None where each image stands for itself.
        seed: of the choice among more than 4,096 images.

    Raises:
        ValueError: too few images, or shapes that do not agree.
    """
    labels = np.asarray(train_labels)
    if train_features.ndim != 2 or len(train_features) < 4 or labels.shape != (len(train_features),):
        raise ValueError(f"features must be (4 or more, D) and labels agree: {train_features.shape}, {labels.shape}")
    if calibrate_features.shape[1:] != train_features.shape[1:] or len(calibrate_features) == 0:
        raise ValueError(f"the calibrate part must be (1 or more, {train_features.shape[1]})")
    if calibrate_groups is not None and len(calibrate_groups) != len(calibrate_features):
        raise ValueError(f"{len(calibrate_features)} images, but {len(calibrate_groups)} groups to calibrate with")
    rows = _kept_rows(labels, seed)
    unit, labels = np.concatenate(list(_unit_blocks(train_features[rows]))), labels[rows]
    center = unit.mean(axis=0)
    unit -= center
    size = min(DIRECTIONS, len(unit) // 2, unit.shape[1])
    # half as many directions as images: with more, hardly anything of a training image would be left over
    directions = _principal(unit, size)
    inside = unit @ directions
    _, codes = np.unique(labels, return_inverse=True)
    means = np.stack([inside[codes == number].mean(axis=0) for number in range(int(codes.max()) + 1)])
    spread = np.atleast_2d(ledoit_wolf((inside - means[codes]).astype(np.float64), assume_centered=True)[0])
    spread += (TINY * np.trace(spread) / size + 1e-12) * np.eye(size)  # classes of one image have no spread
    whitening = np.linalg.cholesky(np.linalg.inv(spread)).astype(np.float32)
    reference = np.clip(inside @ whitening, -60000, 60000).astype(np.float16)
    draft = Familiarity(center, directions, whitening, means @ whitening, reference, rows, 1.0, 0)

    scores = draft.score(calibrate_features)
    number = len(scores) if calibrate_groups is None else len(np.unique(calibrate_groups))
    limit = group_quantile(scores, calibrate_groups, 1 - FLAGGED)
    threshold = float(scores.max()) if limit is None else limit
    return Familiarity(center, directions, whitening, draft.means, reference, rows, threshold, number)


def _principal(rows: FloatArray, size: int) -> FloatArray:
    """The ``size`` directions (D, size) in which centered rows (N, D) spread most, the widest last."""
    count, width = rows.shape
    if width <= max(count, WIDEST):
        _, directions = linalg.eigh(rows.T @ rows / count, subset_by_index=(width - size, width - 1))
        return np.asarray(directions)
    # Pixels themselves as features: a matrix of D x D would not fit, one of N x N has the same directions.
    spread, turned = linalg.eigh(rows @ rows.T, subset_by_index=(count - size, count - 1))
    return np.asarray(rows.T @ (turned / np.sqrt(np.maximum(spread, TINY * spread[-1] + 1e-12))), np.float32)


def _kept_rows(labels: Labels, seed: int) -> NDArray[np.int64]:
    """Rows of at most 4,096 images, in order: the first of every class, then the second of every class ..."""
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    starts = np.r_[0, np.flatnonzero(np.diff(labels[by_class])) + 1]
    turn = np.arange(len(labels)) - np.repeat(starts, np.diff(np.r_[starts, len(labels)]))
    return np.sort(by_class[np.argsort(turn, kind="stable")[:MOST_ROWS]])


def _unit_blocks(features: Features) -> Iterator[FloatArray]:
    """Float32 blocks of rows of length 1; a row of zeros (which no image should give) stays zeros."""
    for start in range(0, len(features), ROWS):
        block = np.asarray(features[start : start + ROWS], dtype=np.float32)
        yield block / np.maximum(np.linalg.norm(block, axis=1, keepdims=True), TINY)


def _score(nearest: FloatArray, mean: FloatArray, left_over: FloatArray, directions: int) -> NDArray[np.float64]:
    """The three squared distances of each image, (N,) -> one number."""
    floor = TINY * directions  # a training image itself is at no distance
    logs = [np.log(np.maximum(each, floor)) for each in (nearest, mean)]
    return np.exp(((logs[0] + logs[1] + np.log(np.maximum(left_over, TINY))) / 6).astype(np.float64))


def _closest(away: FloatArray, k: int) -> tuple[NDArray[np.int64], FloatArray]:
    """(N, M) distances -> (N, k) the columns of the smallest, the least first, and (N, k) those distances."""
    some = np.argpartition(away, k - 1, axis=1)[:, :k]
    order = np.argsort(np.take_along_axis(away, some, axis=1), axis=1, kind="stable")
    columns = np.take_along_axis(some, order, axis=1).astype(np.int64)
    return columns, np.take_along_axis(away, columns, axis=1)


def _squares(some: FloatArray, others: NDArray[np.floating[Any]]) -> FloatArray:
    """(A, R), (B, R) -> squared distances (A, B)."""
    return _squares_from(some, *_wide(others))


def _wide(rows: NDArray[np.floating[Any]]) -> tuple[FloatArray, FloatArray]:
    """(B, R) -> the same in float32, and the squared length of each row, (B,)."""
    wide = rows.astype(np.float32)
    return wide, (wide**2).sum(axis=1)


def _squares_from(some: FloatArray, rows: FloatArray, lengths: FloatArray) -> FloatArray:
    away = (some**2).sum(axis=1)[:, None] + lengths - 2 * some @ rows.T
    return np.asarray(np.maximum(away, 0))
