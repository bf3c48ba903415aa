"""AUROC and area under the precision-recall curve of one class against the rest, as functions of group weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class RankTable:
    """AUROC and average precision of one class against the rest, for many weightings of the groups from one sort.

    AUROC is the proportion of pairs (an image of the class, an image of another class) in which the former has the
    higher score; a tie counts one half (Mann-Whitney statistic). The area under the precision-recall curve is the
    average precision: the mean over the images of the class of the precision at the score of the image.

    Only the scores of images of the class are thresholds. Images of the class are assigned to their threshold, all
    other images to the highest threshold that they reach. Sparse matrices (thresholds x groups) then map group weights
    to threshold weights.

    Args:
        scores: score for the class, shape (N,); higher means more likely.
        positive: whether each image is of the class, shape (N,); both values must occur.
        groups: group ids, shape (N,), values in 0..G-1.
        number: number of groups G; by default the largest id plus one.

    Raises:
        ValueError: all images are of the class, or none is.

    References:
        Hanley & McNeil, Radiology 143(1), 1982; DeLong, DeLong & Clarke-Pearson, Biometrics 44(3), 1988; for precision
        and recall Davis & Goadrich, ICML 2006.

    >>> table = RankTable(np.array([0.9, 0.4, 0.4, 0.1]), np.array([True, True, False, False]), np.arange(4))
    >>> auroc, auprc = table.areas(np.ones((4, 1)))
    >>> float(auroc[0]), round(float(auprc[0]), 3)  # of four pairs three are in order and one is a tie
    (0.875, 0.833)
    """

    def __init__(
        self, scores: FloatArray, positive: NDArray[np.bool_], groups: IntArray, number: int | None = None
    ) -> None:
        if positive.all() or not positive.any():
            raise ValueError("AUROC requires images of the class and images of another class")
        thresholds = np.unique(scores[positive])
        below = np.searchsorted(thresholds, scores, side="left")  # number of thresholds below each score
        reached = np.searchsorted(thresholds, scores, side="right")  # number of thresholds below or at it
        num_groups = int(groups.max()) + 1 if number is None else number

        def matrix(selected: NDArray[np.bool_], rows: IntArray, height: int) -> sparse.csr_matrix:
            ones = np.ones(int(selected.sum()))
            cells = (ones, (rows[selected], groups[selected]))  # entries of the same cell are summed
            return sparse.csr_matrix(cells, shape=(height, num_groups))

        self.positive = matrix(positive, below, len(thresholds))
        self.negative = matrix(~positive, reached, len(thresholds) + 1)  # row 0: below all thresholds
        ties = ~positive & (reached > below)
        self.ties = matrix(ties, below, len(thresholds)) if ties.any() else None

    def areas(self, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return AUROC and average precision, shape (B,) each, at group weights of shape (G, B).

        NaN if the class, or all other classes together, have weight 0: they are missing from that resample.
        """
        positives, negatives = self.positive @ weights, self.negative @ weights  # (thresholds, B), (thresholds + 1, B)
        all_positives = positives.sum(axis=0)
        # All arrays below are large, so they are computed in place; the names follow the values.
        np.cumsum(negatives, axis=0, out=negatives)  # row j: negatives below threshold j
        all_negatives = negatives[-1]
        negatives_below = negatives[:-1]
        wins = np.einsum("ij,ij->j", positives, negatives_below)
        if self.ties is not None:
            wins += np.einsum("ij,ij->j", positives, self.ties @ weights) / 2
        true_positives = np.cumsum(positives, axis=0)
        true_positives = np.subtract(all_positives + positives, true_positives, out=true_positives)  # at or above
        flagged = np.subtract(all_negatives, negatives_below, out=negatives[:-1])  # false positives
        flagged += true_positives
        with np.errstate(divide="ignore", invalid="ignore"):
            precision = np.divide(true_positives, flagged, out=true_positives)
            precision[~(flagged > 0)] = 0.0
            auroc = wins / (all_positives * all_negatives)
            auprc = np.einsum("ij,ij->j", positives, precision) / all_positives
        missing = (all_positives <= 0) | (all_negatives <= 0)
        return np.where(missing, np.nan, auroc), np.where(missing, np.nan, auprc)

    def influence(self) -> tuple[FloatArray, FloatArray]:
        """Return the derivatives of AUROC and average precision by the weight of each group, shape (G,) each."""
        ones = np.ones((self.positive.shape[1], 1))
        auroc, auprc = (float(area[0]) for area in self.areas(ones))
        positives, negatives = (self.positive @ ones)[:, 0], (self.negative @ ones)[:, 0]
        ties = (self.ties @ ones)[:, 0] if self.ties is not None else np.zeros(len(positives))
        negatives_below = np.cumsum(negatives)[:-1]
        true_positives = positives[::-1].cumsum()[::-1]  # at each threshold or above
        positives_above = np.append(true_positives, 0.0)  # above each bin of the negatives
        num_positives, num_negatives = positives.sum(), negatives.sum()
        roc = self.positive.T @ ((negatives_below + ties / 2) / num_negatives - auroc) / num_positives
        roc += self.negative.T @ (positives_above / num_positives - auroc) / num_negatives
        if self.ties is not None:
            roc += self.ties.T @ (positives / 2) / num_positives / num_negatives

        flagged = true_positives + num_negatives - negatives_below
        # A positive raises the precision at every threshold up to its own; a negative lowers it at those it reaches.
        gain = np.cumsum(positives * (flagged - true_positives) / flagged**2)
        loss = np.append(0.0, np.cumsum(positives * true_positives / flagged**2))
        precision_recall = self.positive.T @ (true_positives / flagged - auprc + gain) / num_positives
        precision_recall = precision_recall - self.negative.T @ loss / num_positives
        return np.asarray(roc), np.asarray(precision_recall)
