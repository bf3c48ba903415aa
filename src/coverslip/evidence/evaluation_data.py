"""Labels and predictions to be scored, validated and put in an order that does not depend on the input order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class EvaluationData:
    """Labels and predictions of one model for N images of K classes in G groups.

    Attributes:
        labels: true class ids, shape (N,), values in 0..K-1.
        probabilities: predicted probabilities, shape (N, K).
        predicted: predicted class ids, shape (N,); by default the first class of largest probability.
        loss: negative log probability of the true class, shape (N,).
        groups: group ids, shape (N,), values in 0..G-1, each of which occurs.
        grouped: False if each image is its own group.
    """

    labels: IntArray
    probabilities: FloatArray
    predicted: IntArray
    loss: FloatArray
    groups: IntArray
    grouped: bool

    @property
    def classes(self) -> int:
        """Number of classes K, including classes without images."""
        return int(self.probabilities.shape[1])

    @property
    def unit(self) -> str:
        """Plural noun for the independent units: "groups" or "images"."""
        return "groups" if self.grouped else "images"


def check_evaluation_data(
    labels: NDArray[np.integer[Any]],
    probabilities: NDArray[np.floating[Any]],
    groups: NDArray[np.integer[Any]] | None,
    class_names: Sequence[str],
    order_by: FloatArray | None = None,
    predicted: NDArray[np.integer[Any]] | None = None,
) -> EvaluationData:
    """Validate labels and predictions and sort them.

    Rows are sorted by group, label and ``order_by``, so that sums (and resamples) do not depend on the input order.

    Args:
        labels: true class ids, shape (N,), values in 0..K-1.
        probabilities: floating point, shape (N, K), values in 0 to 1, rows sum to 1.
        groups: integer group ids, shape (N,); None if each image is its own group.
        class_names: K different names.
        order_by: sort keys, shape (N, any); by default the probabilities. Pass the same keys for several models of the
            same images.
        predicted: predicted class ids, shape (N,); by default the first class of largest probability.

    Raises:
        ValueError: there is no image; shapes do not match; NaN or infinity; a label, probability or predicted class is
            out of range.

    >>> check_evaluation_data(np.array([0, 2]), np.full((2, 2), 0.5), None, ["healthy", "rust"])
    Traceback (most recent call last):
    ValueError: labels must be integers from 0 to 1
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    if labels.ndim != 1 or len(labels) == 0:
        raise ValueError(f"labels must have shape (N,) with at least one image, not {labels.shape}")
    if probabilities.shape != (len(labels), len(class_names)):
        raise ValueError(f"probabilities must have shape {(len(labels), len(class_names))}, not {probabilities.shape}")
    if len(set(class_names)) != len(class_names):
        raise ValueError(f"class names must differ: {list(class_names)}")
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0 or labels.max() >= len(class_names):
        raise ValueError(f"labels must be integers from 0 to {len(class_names) - 1}")
    not_finite = ~np.isfinite(probabilities).all(axis=1)
    if not_finite.any():
        raise ValueError(f"the probabilities of {int(not_finite.sum())} images contain NaN or infinity")
    rows = probabilities.astype(np.float64)
    if rows.min() < 0 or np.abs(rows.sum(axis=1) - 1).max() > 1e-3:  # float16 rows sum to 1 only approximately
        raise ValueError("probabilities must lie in 0 to 1, and each row must sum to 1")
    codes = _group_codes(groups, labels.shape)
    classes = rows.argmax(axis=1) if predicted is None else np.asarray(predicted)
    if classes.shape != labels.shape or not np.issubdtype(classes.dtype, np.integer):
        raise ValueError(f"predicted must be integers of shape {labels.shape}, not {classes.dtype} of {classes.shape}")
    if classes.min() < 0 or classes.max() >= len(class_names):
        raise ValueError(f"predicted must be integers from 0 to {len(class_names) - 1}")

    order = np.lexsort([*(rows if order_by is None else order_by).T, labels, codes])
    labels, rows = labels[order].astype(np.int64), rows[order]
    # the log loss of probability 0 is infinite: clip at the machine epsilon of the given dtype, as scikit-learn does
    likelihood = np.clip(rows[np.arange(len(labels)), labels], np.finfo(probabilities.dtype).eps, 1.0)
    return EvaluationData(
        labels=np.asarray(labels, dtype=np.int64),
        probabilities=rows,
        predicted=classes[order].astype(np.int64),
        loss=-np.log(likelihood),
        groups=np.arange(len(labels)) if groups is None else codes[order],
        grouped=groups is not None,
    )


def _group_codes(groups: NDArray[np.integer[Any]] | None, shape: tuple[int, ...]) -> IntArray:
    """Return group ids 0..G-1 in the order of the given values; all 0 without groups."""
    if groups is None:
        return np.zeros(shape, dtype=np.int64)
    groups = np.asarray(groups)
    if groups.shape != shape or not np.issubdtype(groups.dtype, np.integer):
        raise ValueError(f"groups must be integers of shape {shape}, not {groups.dtype} of {groups.shape}")
    return np.asarray(np.unique(groups, return_inverse=True)[1], dtype=np.int64)
