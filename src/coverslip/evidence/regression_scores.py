"""Scores of predicted values as functions of sums over groups, so that thousands of resamples are one matrix product.

Spearman's correlation depends on ranks, which are computed for each resample from its weights.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coverslip.evidence.resampling import centered, influence

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
SUM_SCORES = ("mae", "rmse", "r2", "bias", "loa_low", "loa_high", "concordance")
AGREEMENT = 1.96  # standard deviations of the differences between bias and limits of agreement
COUNT, TRUE, PREDICTED, TRUE2, PREDICTED2, PRODUCT, ABSOLUTE = range(7)  # columns of the sums


class ValueScorer:
    """Scores of predicted values as a function of group weights.

    Args:
        truth: true values, shape (N,).
        predicted: predicted values, shape (N,).
        groups: group ids, shape (N,), values in 0..G-1, each of which occurs.
        means: further quantities whose means are scores, by name, shape (N,) each.

    Attributes:
        sums: sums per group, shape (G, 7 + number of ``means``).
    """

    def __init__(
        self, truth: FloatArray, predicted: FloatArray, groups: IntArray, means: dict[str, FloatArray] | None = None
    ) -> None:
        self.means = dict(means or {})
        center = float(truth.mean())  # sums of squares lose digits where values are far from 0
        self.truth, self.predicted, self.groups = truth - center, predicted - center, groups
        rows = [
            np.ones(len(truth)),
            self.truth,
            self.predicted,
            self.truth**2,
            self.predicted**2,
            self.truth * self.predicted,
            np.abs(self.predicted - self.truth),
            *self.means.values(),
        ]
        number = int(groups.max()) + 1
        # a variance below this is rounding error, whatever the unit of the values
        self.smallest = max(1e-12 * float((self.truth**2 + self.predicted**2).mean()), 1e-300)
        self.sums: FloatArray = np.stack(
            [np.bincount(groups, weights=row, minlength=number) for row in rows], axis=1
        ).astype(np.float64)

    @property
    def columns(self) -> list[str]:
        """Names of the scores."""
        return [*SUM_SCORES, *self.means, "spearman"]

    def of_sums(self, sums: FloatArray) -> FloatArray:
        """Return scores of sums, shape (..., S), from shape (..., C); Spearman's correlation is NaN."""
        count = np.maximum(sums[..., COUNT], 1e-300)
        mean = sums / count[..., None]
        bias = mean[..., PREDICTED] - mean[..., TRUE]
        squared = np.maximum(mean[..., TRUE2] - 2 * mean[..., PRODUCT] + mean[..., PREDICTED2], 0.0)
        true_variance = np.maximum(mean[..., TRUE2] - mean[..., TRUE] ** 2, 0.0)
        predicted_variance = np.maximum(mean[..., PREDICTED2] - mean[..., PREDICTED] ** 2, 0.0)
        covariance = mean[..., PRODUCT] - mean[..., TRUE] * mean[..., PREDICTED]
        # the variance of the differences of a sample, as in Bland and Altman's limits
        spread = np.sqrt(np.maximum(squared - bias**2, 0.0) * count / np.maximum(count - 1, 1.0))
        scores = [
            mean[..., ABSOLUTE],
            np.sqrt(squared),
            1 - _ratio(squared, true_variance, self.smallest),
            bias,
            bias - AGREEMENT * spread,
            bias + AGREEMENT * spread,
            _ratio(2 * covariance, true_variance + predicted_variance + bias**2, self.smallest),
            *(mean[..., ABSOLUTE + 1 + index] for index in range(len(self.means))),
            np.full(count.shape, np.nan),
        ]
        return np.stack(scores, axis=-1)

    def at(self, weights: FloatArray) -> FloatArray:
        """Return scores, shape (B, S), at group weights, shape (G, B)."""
        scores = self.of_sums(weights.T @ self.sums)
        scores[:, -1] = self._spearman(weights[self.groups])
        return scores

    def influence(self, strata: IntArray) -> FloatArray:
        """Return the influence of each group on each score, shape (G, S), mean 0 within each stratum."""
        values = influence(self.sums, strata, self.of_sums, lowest=-np.inf)
        values[:, -1] = self._rank_influence()
        return centered(values, strata)

    def _spearman(self, weights: FloatArray) -> FloatArray:
        """Return Spearman's correlation, shape (B,), at image weights, shape (N, B)."""
        first, second = (_weighted_ranks(values, weights) for values in (self.truth, self.predicted))
        total = weights.sum(axis=0)
        first, second = (ranks - (weights * ranks).sum(axis=0) / total for ranks in (first, second))
        covariance = (weights * first * second).sum(axis=0)
        scale = np.sqrt((weights * first**2).sum(axis=0) * (weights * second**2).sum(axis=0))
        return _ratio(covariance, scale)

    def _rank_influence(self) -> FloatArray:
        """Return the influence of each group on Spearman's correlation, its infinitesimal jackknife, shape (G,).

        With relative ranks u and v, the correlation is 12 E[(u - 1/2)(v - 1/2)]; an image changes the product itself
        and the ranks of all images above it.
        """
        number = len(self.truth)
        ranks = [
            _weighted_ranks(values, np.ones((number, 1)))[:, 0] / number for values in (self.truth, self.predicted)
        ]
        first, second = ranks[0] - 0.5, ranks[1] - 0.5
        product = first * second
        product += _mean_above(self.truth, second) + _mean_above(self.predicted, first)
        scale = float(np.sqrt((first**2).mean() * (second**2).mean()))  # 1/12 without ties
        influences = (product - product.mean()) / max(scale, 1e-12)
        summed = np.bincount(self.groups, weights=influences, minlength=len(self.sums))
        return np.asarray(summed / number, np.float64)


def plain_scores(truth: FloatArray, predicted: FloatArray) -> dict[str, float]:
    """Return every score of predicted values without an interval; NaN if it is undefined.

    Args:
        truth: true values, shape (N,).
        predicted: predicted values, shape (N,).
    """
    scorer = ValueScorer(truth, predicted, np.zeros(len(truth), np.int64))
    return dict(zip(scorer.columns, scorer.at(np.ones((1, 1)))[0].tolist(), strict=True))


def _mean_above(values: FloatArray, others: FloatArray) -> FloatArray:
    """Return for each image the sum of ``others`` over images with a larger value, divided by N; ties count half."""
    unique, codes = np.unique(values, return_inverse=True)
    totals = np.bincount(codes, weights=others, minlength=len(unique))
    above = totals.sum() - np.cumsum(totals)
    return np.asarray((above + totals / 2)[codes] / len(values))


def _weighted_ranks(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Return mid-ranks, shape (N, B), of values (N,) in samples with image weights (N, B)."""
    unique, codes = np.unique(values, return_inverse=True)
    if len(unique) == len(values):
        order = np.argsort(values, kind="stable")
        sorted_weights = weights[order]
        ranks = np.empty_like(weights)
        ranks[order] = np.cumsum(sorted_weights, axis=0) - sorted_weights / 2
        return ranks
    totals = np.zeros((len(unique), weights.shape[1]))
    np.add.at(totals, codes, weights)
    return np.asarray((np.cumsum(totals, axis=0) - totals / 2)[codes])


def _ratio(numerator: FloatArray, denominator: FloatArray, smallest: float = 1e-12) -> FloatArray:
    """Divide elementwise; NaN where the denominator is at most ``smallest``: 0 up to rounding."""
    undefined = np.full(np.broadcast(numerator, denominator).shape, np.nan)
    return np.asarray(np.divide(numerator, denominator, out=undefined, where=denominator > smallest))
