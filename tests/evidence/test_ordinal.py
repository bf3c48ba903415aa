"""Scores of ordered classes agree with scikit-learn; sets have no gaps; the temperature recovers a known one."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import cohen_kappa_score

from coverslip.evidence.ordinal import (
    contiguous,
    fit_level_temperature,
    level_probabilities,
    level_scores,
    median_levels,
)


def simulated(number=400, seed=0):
    rng = np.random.default_rng(seed)
    score = rng.normal(scale=2, size=number)
    logits = score[:, None] - np.array([-1.5, 0.0, 2.0])
    return logits, (logits + rng.logistic(size=(number, 1)) > 0).sum(axis=1)


def test_quadratic_kappa_and_level_error_are_those_of_scikit_learn():
    logits, levels = simulated()
    predicted = median_levels(level_probabilities(logits))
    scores = level_scores(levels, predicted, None, resamples=200)
    expected = cohen_kappa_score(levels, predicted, weights="quadratic")
    assert scores["quadratic_kappa"]["value"] == pytest.approx(expected, abs=1e-12)
    assert scores["level_error"]["value"] == pytest.approx(np.abs(levels - predicted).mean())
    assert scores["adjacent_accuracy"]["value"] == pytest.approx((np.abs(levels - predicted) <= 1).mean())
    for score in scores.values():
        assert score["low"] < score["value"] < score["high"]


def test_scores_do_not_depend_on_the_order_of_the_rows():
    logits, levels = simulated(60)
    predicted, groups = median_levels(level_probabilities(logits)), np.arange(60) // 3
    order = np.random.default_rng(1).permutation(60)
    first = level_scores(levels, predicted, groups, resamples=200)
    assert first == level_scores(levels[order], predicted[order], groups[order], resamples=200)


def test_one_level_has_no_kappa_but_a_reason():
    scores = level_scores(np.zeros(20, np.int64), np.zeros(20, np.int64), None, resamples=200)
    assert scores["quadratic_kappa"]["value"] is None
    assert "equal" in scores["quadratic_kappa"]["reason"]


def test_probabilities_sum_to_one_and_are_never_negative():
    logits = np.random.default_rng(0).normal(scale=5, size=(50, 4))  # not in descending order
    rows = level_probabilities(logits)
    assert (rows >= 0).all()
    np.testing.assert_allclose(rows.sum(axis=1), 1)


def test_the_median_is_predicted_not_the_most_probable_level():
    rows = np.array([[0.4, 0.0, 0.3, 0.3]])
    assert median_levels(rows).tolist() == [2]


def test_a_set_has_no_gap():
    assert contiguous(np.array([[False, True, False, True]])).tolist() == [[False, True, True, True]]
    assert contiguous(np.zeros((1, 3), bool)).tolist() == [[False] * 3]


def test_the_temperature_undoes_overconfident_logits():
    logits, levels = simulated(3000)
    assert fit_level_temperature(3 * logits, levels, np.arange(len(levels))) == pytest.approx(3, rel=0.1)
    above = expit(logits)
    np.testing.assert_allclose(level_probabilities(3 * logits, 3.0)[:, 0], 1 - above[:, 0])
