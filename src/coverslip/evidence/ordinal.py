"""Ordered classes: probabilities of levels, their temperature, and scores of the distance between levels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from coverslip.evidence.bootstrap import bootstrap_scores
from coverslip.evidence.intervals import MIN_GROUPS, Score
from coverslip.evidence.recalibration import best_temperature
from coverslip.evidence.regression_scores import ValueScorer
from coverslip.evidence.resampling import group_ids
from coverslip.evidence.support import Support, proportion_score

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Groups = NDArray[np.integer[Any]]
SAME_LEVEL = "all true levels are equal, or all predicted ones"
LEVEL_SCORES = {"quadratic_kappa": "concordance", "level_error": "mae"}  # score -> score of the level numbers


def level_probabilities(logits: NDArray[np.floating[Any]], temperature: float = 1.0) -> FloatArray:
    """Return the probability of each level from cumulative logits.

    Logit k is that of a level above k. Where logits are not in descending order, the running minimum of the cumulative
    probabilities is taken, so that no probability is negative.

    Args:
        logits: cumulative logits, shape (N, K - 1); rows of NaN for unreadable images.
        temperature: value that the logits are divided by.

    Returns:
        float64 (N, K), rows sum to 1.

    >>> level_probabilities(np.array([[0.0, -np.inf]])).tolist()
    [[0.5, 0.5, 0.0]]
    """
    above = np.minimum.accumulate(expit(np.asarray(logits, np.float64) / temperature), axis=1)
    edges = np.ones((len(above), 1))
    edged = np.concatenate([edges, above, 0 * edges], axis=1)
    return np.asarray(edged[:, :-1] - edged[:, 1:])


def median_levels(probabilities: NDArray[np.floating[Any]]) -> IntArray:
    """Return the median level of each row of probabilities, int64 (N,): it minimizes the expected level error.

    >>> median_levels(np.array([[0.4, 0.2, 0.4]])).tolist()
    [1]
    """
    above = 1 - np.cumsum(np.asarray(probabilities, np.float64), axis=1)[:, :-1]
    return np.asarray((above > 0.5).sum(axis=1))


def fit_level_temperature(logits: NDArray[np.floating[Any]], levels: IntArray, groups: IntArray) -> float:
    """Return the temperature of cumulative logits; see `coverslip.evidence.recalibration.fit_temperature`.

    Args:
        logits: cumulative logits of images that were not used for training, shape (N, K - 1).
        levels: true levels, int (N,).
        groups: groups, int (N,).
    """
    rows = np.arange(len(levels))

    def loss(temperature: float) -> float:
        likelihood = level_probabilities(logits, temperature)[rows, levels]
        return -float(np.log(np.maximum(likelihood, np.finfo(np.float32).eps)).mean())

    return best_temperature(loss, len(np.unique(groups)))


def contiguous(members: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return prediction sets, bool (N, K), in which the gaps between levels are filled; coverage can only increase.

    >>> contiguous(np.array([[True, False, True, False]])).tolist()
    [[True, True, True, False]]
    """
    from_low = np.logical_or.accumulate(members, axis=1)
    from_high = np.logical_or.accumulate(members[:, ::-1], axis=1)[:, ::-1]
    return np.asarray(from_low & from_high)


def level_scores(
    levels: NDArray[np.integer[Any]],
    predicted: NDArray[np.integer[Any]],
    groups: Groups | None,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Score]:
    """Return scores of the distance between predicted and true levels with confidence intervals over groups.

    ``quadratic_kappa`` is Cohen's kappa with quadratic weights. For levels numbered 0 to K - 1 it equals Lin's
    concordance correlation of the numbers, so both have the same interval. ``level_error`` is the mean number of levels
    between predicted and true. ``adjacent_accuracy`` is the share of images that are at most one level off.

    Args:
        levels: true levels, shape (N,), values in 0..K-1.
        predicted: predicted levels, shape (N,).
        groups: integer group ids, shape (N,); None if each image is its own group.
        level: confidence level, between 0 and 1.
        resamples: number of bootstrap resamples.
        seed: random seed of the bootstrap.

    References:
        Cohen, Psychological Bulletin 70(4), 1968; Fleiss & Cohen, Educational and Psychological Measurement 33(3), 1973
        (quadratic weights and correlation).

    >>> truth = np.arange(40) % 4
    >>> scores = level_scores(truth, np.minimum(truth + (np.arange(40) % 5 == 0), 3), None, resamples=200)
    >>> scores["level_error"]["value"], scores["adjacent_accuracy"]["value"]
    (0.15, 1.0)
    """
    truth, found = np.asarray(levels, np.float64), np.asarray(predicted, np.float64)
    codes, grouped = group_ids(groups, len(truth)), groups is not None
    order = np.lexsort((found, truth, codes))  # sums do not depend on the order of the rows
    truth, found, codes = truth[order], found[order], codes[order]
    scorer, number = ValueScorer(truth, found, codes), int(codes.max()) + 1
    resampled = bootstrap_scores(scorer, None, resamples, seed, MIN_GROUPS, len(truth))
    support = Support(len(truth), number, level, grouped)
    scores = {
        name: support.resampled_score(resampled, column, resamples, SAME_LEVEL) for name, column in LEVEL_SCORES.items()
    }
    hits, counts = (
        np.bincount(codes, weights=weights).astype(np.float64)
        for weights in (np.abs(found - truth) <= 1, np.ones(len(truth)))
    )
    scores["adjacent_accuracy"] = proportion_score(hits, counts, level, grouped=grouped)
    return scores
