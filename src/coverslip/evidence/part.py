"""The images that are scored: checked once, and put in an order that does not depend on the order given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class ScoredPart:
    """What a model said about N images of K classes in G groups."""

    labels: IntArray  # (N,) 0 to K - 1
    probabilities: FloatArray  # (N, K)
    predicted: IntArray  # (N,) the first of the largest probabilities, unless another rule named the images
    loss: FloatArray  # (N,) minus the logarithm of the true class's probability
    groups: IntArray  # (N,) 0 to G - 1, none left out
    grouped: bool  # false where each image is its own group

    @property
    def classes(self) -> int:
        """The number of classes K, those without images too."""
        return int(self.probabilities.shape[1])

    @property
    def unit(self) -> str:
        """What is counted when a sentence says how few there are."""
        return "groups" if self.grouped else "images"


def check_part(
    labels: NDArray[np.integer[Any]],
    probabilities: NDArray[np.floating[Any]],
    groups: NDArray[np.integer[Any]] | None,
    class_names: Sequence[str],
    order_by: FloatArray | None = None,
    predicted: NDArray[np.integer[Any]] | None = None,
) -> ScoredPart:
    """Refuse what cannot be scored; see `classification_evidence` for the arguments.

    Rows are put in the order of ``order_by``, (N, any) numbers, within group and label: the probabilities unless
    given. Several models of the same images must be put in the same order.

    Raises:
        ValueError: no image; shapes that do not agree; NaN or infinity; a label, probability or named class out of
            range.

    >>> check_part(np.array([0, 2]), np.full((2, 2), 0.5), None, ["healthy", "rust"])
    Traceback (most recent call last):
    ValueError: labels must be integers from 0 to 1
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    if labels.ndim != 1 or len(labels) == 0:
        raise ValueError(f"labels must be (N,) with at least one image, not {labels.shape}")
    if probabilities.shape != (len(labels), len(class_names)):
        raise ValueError(f"probabilities must be {(len(labels), len(class_names))}, not {probabilities.shape}")
    if len(set(class_names)) != len(class_names):
        raise ValueError(f"class names must differ: {list(class_names)}")
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0 or labels.max() >= len(class_names):
        raise ValueError(f"labels must be integers from 0 to {len(class_names) - 1}")
    broken = ~np.isfinite(probabilities).all(axis=1)
    if broken.any():
        raise ValueError(f"the probabilities of {int(broken.sum())} images hold NaN or infinity")
    rows = probabilities.astype(np.float64)
    if rows.min() < 0 or np.abs(rows.sum(axis=1) - 1).max() > 1e-3:
        raise ValueError("probabilities must lie in 0 to 1, and each row must sum to 1")
    codes = _group_codes(groups, labels.shape)
    named = rows.argmax(axis=1) if predicted is None else np.asarray(predicted)
    if named.shape != labels.shape or not np.issubdtype(named.dtype, np.integer):
        raise ValueError(f"predicted must be integers of shape {labels.shape}, not {named.dtype} of {named.shape}")
    if named.min() < 0 or named.max() >= len(class_names):
        raise ValueError(f"predicted must be integers from 0 to {len(class_names) - 1}")

    order = np.lexsort([*(rows if order_by is None else order_by).T, labels, codes])
    labels, rows = labels[order].astype(np.int64), rows[order]
    # the smallest step from 1 that the given precision has stands in for 0, as in scikit-learn
    chance = np.clip(rows[np.arange(len(labels)), labels], np.finfo(probabilities.dtype).eps, 1.0)
    return ScoredPart(
        labels=np.asarray(labels, dtype=np.int64),
        probabilities=rows,
        predicted=named[order].astype(np.int64),
        loss=-np.log(chance),
        groups=np.arange(len(labels)) if groups is None else codes[order],
        grouped=groups is not None,
    )


def _group_codes(groups: NDArray[np.integer[Any]] | None, shape: tuple[int, ...]) -> IntArray:
    """0 to G - 1 for each image, in the order of the groups' own values; all 0 where there are no groups."""
    if groups is None:
        return np.zeros(shape, dtype=np.int64)
    groups = np.asarray(groups)
    if groups.shape != shape or not np.issubdtype(groups.dtype, np.integer):
        raise ValueError(f"groups must be integers of shape {shape}, not {groups.dtype} of {groups.shape}")
    return np.asarray(np.unique(groups, return_inverse=True)[1], dtype=np.int64)
