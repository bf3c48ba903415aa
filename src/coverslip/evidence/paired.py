"""Two models on the same images: tests by exchange, several at once, and how many groups would have been enough."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from coverslip.evidence.draws import RANK_SCORES, PartScores
from coverslip.evidence.part import ScoredPart
from coverslip.evidence.resampling import BLOCK_CELLS

FloatArray = NDArray[np.float64]
ALL_UP_TO = 12  # groups: all 4,096 exchanges are tried
POWER = 0.8


def exchange_p(first: ScoredPart, second: ScoredPart, score: str, resamples: int, seed: int) -> float:
    """How often a difference as large comes from exchanging the two models' answers, group by group, at random.

    If it did not matter which of two models answered a group, every exchange would be as likely as what was seen
    (sign-flip permutation: for a mean it flips the signs of the groups' differences). With up to 12 groups all
    exchanges are tried, and the answer is exact. For scores of order, probabilities are replaced by their rank among
    those of the same model, so that a model which is only bolder gains nothing by it.

    Args:
        first, second: the same images in the same order and the same groups.
        score: of `SCORES`.
        resamples: exchanges, where not all are tried.
        seed: of the exchanges.

    Returns:
        Two-sided p, above 0 to 1. With G groups it cannot fall under 2 / 2 ** G.

    Reference: Fisher, The Design of Experiments, 1935; for F1 and the like Yeh, COLING 2000; for ranks Venkatraman &
    Begg, Biometrika 83(4), 1996; for the count of one more Phipson & Smyth, Statistical Applications in Genetics and
    Molecular Biology 9(1), 2010.
    """
    groups = int(first.groups.max()) + 1
    both = replace(
        first,
        labels=np.concatenate([first.labels, second.labels]),
        probabilities=np.concatenate([_ranks(p) if score in RANK_SCORES else p.probabilities for p in (first, second)]),
        predicted=np.concatenate([first.predicted, second.predicted]),
        loss=np.concatenate([first.loss, second.loss]),
        groups=np.concatenate([first.groups, second.groups + groups]),
    )
    scores = PartScores(both, [score])

    def difference(swapped: FloatArray) -> FloatArray:  # (G, B) 0 or 1 -> (B,)
        kept = 1 - swapped
        second_score = scores.at(np.concatenate([swapped, kept]))[:, 0]
        return np.asarray(second_score - scores.at(np.concatenate([kept, swapped]))[:, 0])

    seen = abs(float(difference(np.zeros((groups, 1)))[0])) - 1e-9  # a tie counts, whatever the rounding
    columns = max(1, BLOCK_CELLS // max(len(both.labels), 2 * groups))
    if groups <= ALL_UP_TO:
        every = (np.arange(2**groups)[None, :] >> np.arange(groups)[:, None] & 1).astype(np.float64)
        return float(np.mean([abs(d) >= seen for d in difference(every)]))
    count = sum(int((np.abs(difference(some)) >= seen).sum()) for some in _coins(groups, resamples, columns, seed))
    return (1 + count) / (1 + resamples)


def _ranks(part: ScoredPart) -> FloatArray:
    return np.asarray(stats.rankdata(part.probabilities, axis=0) / len(part.labels))


def _coins(groups: int, number: int, columns: int, seed: int) -> Iterator[FloatArray]:
    chance = np.random.default_rng(seed)
    for start in range(0, number, columns):
        yield chance.integers(0, 2, (groups, min(columns, number - start))).astype(np.float64)


def mcnemar_p(only_first: int, only_second: int) -> float:
    """Exact two-sided p of McNemar's test, for images that are independent of one another.

    Args:
        only_first: images that only the first model names correctly.
        only_second: and only the second; where both are 0, p is 1.

    Reference: McNemar, Psychometrika 12(2), 1947.

    >>> round(mcnemar_p(14, 8), 3), mcnemar_p(0, 0)
    (0.286, 1.0)
    """
    number = only_first + only_second
    return float(stats.binomtest(only_first, number).pvalue) if number else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values: each may be held against the level as if it were the only one.

    Reference: Holm, Scandinavian Journal of Statistics 6(2), 1979.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted, largest = [1.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def joint_width(values: FloatArray, resampled: FloatArray, errors: FloatArray, level: float) -> float:
    """Half-width, in standard errors, of intervals that hold all at once with the probability ``level`` (max-t).

    Args:
        values: (P,) differences of the data.
        resampled: (B, P) of the resamples, which all share.
        errors: (P,) standard errors; a difference without one is left out.
        level: for example 0.95.

    Reference: Westfall & Young, Resampling-Based Multiple Testing, 1993.
    """
    known = errors > 0
    if not known.any() or len(resampled) == 0:
        return float(stats.norm.ppf((1 + level) / 2))
    distance = np.abs(resampled[:, known] - values[known]) / errors[known]
    return float(np.nanquantile(distance.max(axis=1), level))


def groups_needed(error: float, groups: int, smallest: float, level: float, comparisons: int = 1) -> int | None:
    """Groups with which a difference of ``smallest`` would be found in 80 of 100 tries.

    From the variance of the groups' differences, as if further groups were like these; ``level`` is shared among
    ``comparisons`` (Bonferroni). None where the groups show no variance. Never under 6: the exchange of five groups
    cannot reach p = 0.05.

    Args:
        error: standard error of the difference in this test set.
        groups: in this test set.
        smallest: the difference that matters, above 0.
        level: for example 0.95.
        comparisons: how many are made.

    Reference: Cohen, Statistical Power Analysis for the Behavioral Sciences, 1988, chapter 2.

    >>> groups_needed(0.02, 100, 0.02, 0.95)          # (1.96 + 0.84) ** 2 times as many as give an error of 0.02
    785
    """
    if not error > 0:
        return None
    width = float(stats.norm.ppf(1 - (1 - level) / 2 / comparisons) + stats.norm.ppf(POWER))
    return max(6, math.ceil((width * error / smallest) ** 2 * groups))
