"""Paired tests for two models on the same images, adjustment for several comparisons, and sample size planning."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from coverslip.evidence.bootstrap import RANK_SCORES, ClassificationScorer, Scorer
from coverslip.evidence.evaluation_data import EvaluationData
from coverslip.evidence.resampling import BLOCK_CELLS

FloatArray = NDArray[np.float64]
EXACT_UP_TO = 12  # with up to this many groups all 2 ** 12 = 4096 permutations are evaluated
POWER = 0.8
MIN_DETECTING = 6  # groups; the permutation test of 5 groups cannot reach p < 0.05


def permutation_p(first: EvaluationData, second: EvaluationData, score: str, resamples: int, seed: int) -> float:
    """Return the p-value of a paired permutation test that swaps the predictions of two models group by group.

    Under the null hypothesis that the models are exchangeable within each group, every assignment of the two
    predictions to the two models is equally likely (sign-flip permutation: for a mean, swapping flips the sign of the
    difference in a group). With up to 12 groups all permutations are evaluated, and the test is exact. For scores of
    ranks, probabilities are replaced by their ranks within the model, so that differences in scale do not matter.

    Args:
        first: data of the first model.
        second: data of the second model, with the same images and groups in the same order.
        score: name from `SCORES`.
        resamples: number of random permutations, if not all are evaluated.
        seed: random seed of the permutations.

    Returns:
        Two-sided p-value in (0, 1]; with G groups at least 2 / 2 ** G.

    References:
        Fisher, The Design of Experiments, 1935; for F1 and similar scores Yeh, COLING 2000; for ranks Venkatraman &
        Begg, Biometrika 83(4), 1996; for counting the observed difference as one of the permutations Phipson & Smyth,
        Statistical Applications in Genetics and Molecular Biology 9(1), 2010.
    """
    groups = int(first.groups.max()) + 1
    # Both models become one data set of 2 G groups; weights of 0 and 1 then select which G groups form "a model".
    both = replace(
        first,
        labels=np.concatenate([first.labels, second.labels]),
        probabilities=np.concatenate(
            [_ranks(model) if score in RANK_SCORES else model.probabilities for model in (first, second)]
        ),
        predicted=np.concatenate([first.predicted, second.predicted]),
        loss=np.concatenate([first.loss, second.loss]),
        groups=np.concatenate([first.groups, second.groups + groups]),
    )
    return swap_p(ClassificationScorer(both, [score]), 0, len(both.labels), resamples, seed)


def swap_p(scorer: Scorer, column: int, rows: int, resamples: int, seed: int) -> float:
    """Return the p-value of a paired permutation test, see `permutation_p`.

    Args:
        scorer: scores of both models as one data set of 2 G groups: those of the first model, then those of the second.
        column: column of the score.
        rows: number of images of both models together; bounds the memory of one block.
        resamples: number of random permutations, if not all are evaluated.
        seed: random seed of the permutations.
    """
    groups = len(scorer.sums) // 2

    def difference(swapped: FloatArray) -> FloatArray:
        """Return differences, shape (B,), for indicators of swapped groups, shape (G, B)."""
        kept = 1 - swapped
        second_score = scorer.at(np.concatenate([swapped, kept]))[:, column]
        return np.asarray(second_score - scorer.at(np.concatenate([kept, swapped]))[:, column])

    observed = abs(float(difference(np.zeros((groups, 1)))[0])) - 1e-9  # ties count despite rounding errors
    columns = max(1, BLOCK_CELLS // max(rows, 2 * groups))
    if groups <= EXACT_UP_TO:
        swaps = (np.arange(2**groups)[None, :] >> np.arange(groups)[:, None] & 1).astype(np.float64)
        return float(np.mean([abs(value) >= observed for value in difference(swaps)]))
    blocks = _random_swaps(groups, resamples, columns, seed)
    count = sum(int((np.abs(difference(swaps)) >= observed).sum()) for swaps in blocks)
    return (1 + count) / (1 + resamples)


def _ranks(data: EvaluationData) -> FloatArray:
    """Return the probabilities of each class as ranks among all images, scaled to (0, 1]."""
    return np.asarray(stats.rankdata(data.probabilities, axis=0) / len(data.labels))


def _random_swaps(groups: int, number: int, columns: int, seed: int) -> Iterator[FloatArray]:
    """Yield ``number`` random columns of 0 and 1, shape (G, at most ``columns``)."""
    generator = np.random.default_rng(seed)
    for start in range(0, number, columns):
        yield generator.integers(0, 2, (groups, min(columns, number - start))).astype(np.float64)


def mcnemar_p(only_first: int, only_second: int) -> float:
    """Return the exact two-sided p-value of McNemar's test; it assumes that images are independent.

    Args:
        only_first: number of images that only the first model classifies correctly.
        only_second: number of images that only the second model classifies correctly; if both are 0, p is 1.

    Reference: McNemar, Psychometrika 12(2), 1947.

    >>> round(mcnemar_p(14, 8), 3), mcnemar_p(0, 0)
    (0.286, 1.0)
    """
    number = only_first + only_second
    return float(stats.binomtest(only_first, number).pvalue) if number else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for multiple comparisons by Holm's method, in the given order.

    Reference: Holm, Scandinavian Journal of Statistics 6(2), 1979.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, largest = [1.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def max_t_quantile(values: FloatArray, resampled: FloatArray, errors: FloatArray, level: float) -> float:
    """Return the critical value, in standard errors, of simultaneous intervals for several differences (max-t).

    Args:
        values: differences in the data, shape (P,).
        resampled: differences in resamples that all pairs share, shape (B, P).
        errors: standard errors, shape (P,); differences with a standard error of 0 are left out.
        level: simultaneous confidence level, between 0 and 1.

    Reference: Westfall & Young, Resampling-Based Multiple Testing, 1993.
    """
    known = errors > 0
    if not known.any() or len(resampled) == 0:
        return float(stats.norm.ppf((1 + level) / 2))
    t_values = np.abs(resampled[:, known] - values[known]) / errors[known]
    return float(np.nanquantile(t_values.max(axis=1), level))


def groups_for_power(error: float, groups: int, smallest: float, level: float, comparisons: int = 1) -> int | None:
    """Return the number of groups required to detect a difference of ``smallest`` with a power of 0.8.

    The variance of the group differences is taken from this test set, and the significance level is divided by
    ``comparisons`` (Bonferroni).

    Args:
        error: standard error of the difference in this test set.
        groups: number of groups in this test set.
        smallest: smallest difference of interest, above 0.
        level: confidence level; the significance level is ``1 - level``.
        comparisons: number of comparisons.

    Returns:
        At least 6, because the permutation test of 5 groups cannot reach p < 0.05; None if the variance is 0.

    Reference: Cohen, Statistical Power Analysis for the Behavioral Sciences, 1988, chapter 2.

    >>> groups_for_power(0.02, 100, 0.02, 0.95)  # (1.96 + 0.84) ** 2 times the groups that give an error of 0.02
    785
    """
    if not error > 0:
        return None
    width = float(stats.norm.ppf(1 - (1 - level) / 2 / comparisons) + stats.norm.ppf(POWER))
    return max(MIN_DETECTING, math.ceil((width * error / smallest) ** 2 * groups))
