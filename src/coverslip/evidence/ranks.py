"""Scores that need an order: AUROC and the area under the precision-recall curve of one class against the rest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class RankTable:
    """Both areas of one class against the rest, for many weightings of the groups from one sort.

    AUROC is the share of pairs (an image of the class, an image of another) in which the first has the higher
    score; a tie counts one half (the Mann-Whitney statistic). The area under the precision-recall curve is the
    average precision: the mean, over the images of the class, of the precision at the image's own score.

    Only the scores of the class's own images matter as steps. Images of the class are put on their step, the
    others in the bin of the highest step that they reach; sparse matrices (steps x groups) then turn weights of
    groups into weights of steps.

    Args:
        scores: (N,) score for the class, higher is more.
        positive: (N,) whether an image is of the class; both kinds must occur.
        groups: (N,) group numbers, 0 to G - 1.
        number: groups G in all; one more than the largest unless given.

    Raises:
        ValueError: all images are of the class, or none is.

    Reference: Hanley & McNeil, Radiology 143(1), 1982; DeLong, DeLong & Clarke-Pearson, Biometrics 44(3), 1988; for
    precision and recall Davis & Goadrich, ICML 2006.

    >>> table = RankTable(np.array([0.9, 0.4, 0.4, 0.1]), np.array([True, True, False, False]), np.arange(4))
    >>> auroc, auprc = table.areas(np.ones((4, 1)))
    >>> float(auroc[0]), round(float(auprc[0]), 3)      # of four pairs three are won and one is a tie
    (0.875, 0.833)
    """

    def __init__(
        self, scores: FloatArray, positive: NDArray[np.bool_], groups: IntArray, number: int | None = None
    ) -> None:
        if positive.all() or not positive.any():
            raise ValueError("AUROC needs images of the class and images of another class")
        steps = np.unique(scores[positive])
        under = np.searchsorted(steps, scores, side="left")  # steps that lie under each score
        reached = np.searchsorted(steps, scores, side="right")  # and steps at it too
        groups_in_all = int(groups.max()) + 1 if number is None else number

        def matrix(chosen: NDArray[np.bool_], rows: IntArray, height: int) -> sparse.csr_matrix:
            ones = np.ones(int(chosen.sum()))
            cells = (ones, (rows[chosen], groups[chosen]))  # equal cells are summed
            return sparse.csr_matrix(cells, shape=(height, groups_in_all))

        self.positive = matrix(positive, under, len(steps))
        self.negative = matrix(~positive, reached, len(steps) + 1)  # row 0: under all steps
        ties = ~positive & (reached > under)
        self.ties = matrix(ties, under, len(steps)) if ties.any() else None

    def areas(self, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(G, B) weights of the groups -> (B,) AUROC and (B,) area under precision-recall.

        NaN where a side has no weight left: a resample in which the class, or everything else, has vanished.
        """
        own, lower = self.positive @ weights, self.negative @ weights  # (steps, B), (steps + 1, B)
        all_own = own.sum(axis=0)
        np.cumsum(lower, axis=0, out=lower)  # the others that lie under step j + 1
        all_others = lower[-1]
        beaten = lower[:-1]
        wins = np.einsum("ij,ij->j", own, beaten)
        if self.ties is not None:
            wins += np.einsum("ij,ij->j", own, self.ties @ weights) / 2
        found = np.cumsum(own, axis=0)
        found = np.subtract(all_own + own, found, out=found)  # images of the class at this step or over it
        flagged = np.subtract(all_others, beaten, out=lower[:-1])  # and of the others
        flagged += found
        with np.errstate(divide="ignore", invalid="ignore"):
            precision = np.divide(found, flagged, out=found)
            precision[~(flagged > 0)] = 0.0
            auroc = wins / (all_own * all_others)
            auprc = np.einsum("ij,ij->j", own, precision) / all_own
        lost = (all_own <= 0) | (all_others <= 0)
        return np.where(lost, np.nan, auroc), np.where(lost, np.nan, auprc)

    def influence(self) -> tuple[FloatArray, FloatArray]:
        """(G,) and (G,): how both areas move with the weight of each group (their derivatives)."""
        ones = np.ones((self.positive.shape[1], 1))
        auroc, auprc = (float(area[0]) for area in self.areas(ones))
        own, other = (self.positive @ ones)[:, 0], (self.negative @ ones)[:, 0]
        ties = (self.ties @ ones)[:, 0] if self.ties is not None else np.zeros(len(own))
        beaten = np.cumsum(other)[:-1]  # of the others, under each step
        found = own[::-1].cumsum()[::-1]  # of the class, at each step or over it
        beating = np.append(found, 0.0)  # of the class, over each bin of the others
        ranks = self.positive.T @ ((beaten + ties / 2) / other.sum() - auroc) / own.sum()
        ranks += self.negative.T @ (beating / own.sum() - auroc) / other.sum()
        if self.ties is not None:
            ranks += self.ties.T @ (own / 2) / own.sum() / other.sum()

        flagged = found + other.sum() - beaten
        gain = np.cumsum(own * (flagged - found) / flagged**2)  # an image of the class raises the steps up to its own
        loss = np.append(0.0, np.cumsum(own * found / flagged**2))  # and another lowers those that it reaches
        curve = self.positive.T @ (found / flagged - auprc + gain) / own.sum() - self.negative.T @ loss / own.sum()
        return np.asarray(ranks), np.asarray(curve)
