"""Scores of a classifier as functions of sums over groups, so that thousands of resamples are one matrix product.

Every score here needs only sums over pictures. A group's pictures are summed once (`group_sums`); a resample is a
weighted sum of the groups; the scores of all resamples are then read off together. AUROC needs an order as well and
has a table of its own for each class (`RankTable`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def group_sums(labels: IntArray, predicted: IntArray, loss: FloatArray, groups: IntArray, classes: int) -> FloatArray:
    """Sums over the pictures of each group.

    Args:
        labels, predicted: (N,) class numbers, 0 to ``classes`` - 1.
        loss: (N,) loss of each picture.
        groups: (N,) group numbers, 0 to G - 1, none left out.
        classes: number of classes K.

    Returns:
        (G, 3 K + 2): hits, pictures and predictions of each class; sum of losses; number of pictures.
    """
    number = int(groups.max()) + 1

    def by_class(chosen: NDArray[np.bool_], column: IntArray) -> FloatArray:
        cells = np.bincount(groups[chosen] * classes + column[chosen], minlength=number * classes)
        return cells.reshape(number, classes).astype(np.float64)

    everything = np.ones(len(labels), dtype=bool)
    parts = [by_class(labels == predicted, labels), by_class(everything, labels), by_class(everything, predicted)]
    losses = np.bincount(groups, weights=loss, minlength=number)
    images = np.bincount(groups, minlength=number).astype(np.float64)
    return np.concatenate([*parts, losses[:, None], images[:, None]], axis=1)


def recalls(sums: FloatArray) -> FloatArray:
    """(..., 3 K + 2) sums -> (..., K) hits over pictures of each class; NaN for a class without pictures."""
    classes = (sums.shape[-1] - 2) // 3
    return _ratio(sums[..., :classes], sums[..., classes : 2 * classes])


def f1_scores(sums: FloatArray) -> FloatArray:
    """(..., 3 K + 2) sums -> (..., K) harmonic mean of precision and recall; NaN for a class without pictures.

    A class that has pictures and is never predicted scores 0.
    """
    classes = (sums.shape[-1] - 2) // 3
    hits, images, predictions = (sums[..., part * classes : (part + 1) * classes] for part in range(3))
    return np.asarray(np.where(images > 0, _ratio(2 * hits, images + predictions), np.nan))


def log_losses(sums: FloatArray) -> FloatArray:
    """(..., 3 K + 2) sums -> (...) mean loss."""
    return _ratio(sums[..., -2], sums[..., -1])


def mean_of_present(scores: FloatArray) -> FloatArray:
    """(..., K) -> (...) mean over the classes that have a score; NaN where none has.

    >>> mean_of_present(np.array([[1.0, 0.5, np.nan]]))
    array([0.75])
    """
    present = np.isfinite(scores)
    return _ratio(np.where(present, scores, 0.0).sum(axis=-1), present.sum(axis=-1).astype(np.float64))


def _ratio(top: FloatArray, bottom: FloatArray) -> FloatArray:
    return np.asarray(np.divide(top, bottom, out=np.full(np.broadcast(top, bottom).shape, np.nan), where=bottom > 0))


class RankTable:
    """AUROC of one class against the rest, for many weightings of the groups from one sort.

    AUROC is the share of pairs (a picture of the class, a picture of another) in which the first has the higher
    score; a tie counts one half (the Mann-Whitney statistic). Pictures are put in bins by the distinct scores of the
    smaller side: bin 2 j + 1 ties with the j-th of them, bin 2 j lies just under it. Two sparse matrices
    (bins x groups) then turn weights of groups into weights of bins.

    Args:
        scores: (N,) score for the class, higher is more.
        positive: (N,) whether a picture is of the class; both kinds must occur.
        groups: (N,) group numbers, 0 to G - 1.

    Raises:
        ValueError: all pictures are of the class, or none is.

    Reference: Hanley & McNeil, Radiology 143(1), 1982; DeLong, DeLong & Clarke-Pearson, Biometrics 44(3), 1988.

    >>> table = RankTable(np.array([0.9, 0.4, 0.4, 0.1]), np.array([True, True, False, False]), np.arange(4))
    >>> float(table.auroc(np.ones((4, 1)))[0])          # of four pairs three are won and one is a tie
    0.875
    """

    def __init__(self, scores: FloatArray, positive: NDArray[np.bool_], groups: IntArray) -> None:
        if positive.all() or not positive.any():
            raise ValueError("AUROC needs pictures of the class and pictures of another class")
        smaller = positive if 2 * positive.sum() <= len(positive) else ~positive
        steps = np.unique(scores[smaller])
        bins = np.searchsorted(steps, scores, side="left") + np.searchsorted(steps, scores, side="right")
        shape = (2 * len(steps) + 1, int(groups.max()) + 1)

        def matrix(chosen: NDArray[np.bool_]) -> sparse.csr_matrix:
            ones = np.ones(int(chosen.sum()))
            return sparse.csr_matrix((ones, (bins[chosen], groups[chosen])), shape=shape)  # equal cells are summed

        self.positive, self.negative = matrix(positive), matrix(~positive)

    def auroc(self, weights: FloatArray) -> FloatArray:
        """(G, B) weights of the groups -> (B,) AUROC; NaN where one of the two sides has no weight left."""
        above, under = self.positive @ weights, self.negative @ weights  # (bins, B)
        pairs = above.sum(axis=0) * under.sum(axis=0)
        rank = np.cumsum(under, axis=0)
        rank -= under / 2  # all that lie lower, and half of the ties
        return _ratio(np.einsum("ij,ij->j", above, rank), pairs)

    def influence(self) -> FloatArray:
        """(G,) how AUROC moves with the weight of each group, from the placement of each picture."""
        ones = np.ones((self.positive.shape[1], 1))
        value = float(self.auroc(ones)[0])
        above, under = (self.positive @ ones)[:, 0], (self.negative @ ones)[:, 0]
        beaten = (np.cumsum(under) - under / 2) / under.sum()  # share of the others that lie under this bin
        beating = (above.sum() - np.cumsum(above) + above / 2) / above.sum()  # share of the class that lies over it
        return np.asarray(
            self.positive.T @ (beaten - value) / above.sum() + self.negative.T @ (beating - value) / under.sum()
        )
