"""Variation of scores between folds and seeds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from coverslip.evidence.repeats import compare_seeds, fold_interval, seed_interval, variance_components


def test_the_interval_over_folds_is_wider_than_a_plain_t_interval():
    scores = np.array([0.90, 0.92, 0.88, 0.91, 0.89])
    result = fold_interval(scores, tested=600, trained=2400)
    plain = stats.t.interval(0.95, 4, scores.mean(), stats.sem(scores))
    widened = np.sqrt((1 / 5 + 1 / 4) / (1 / 5))  # Nadeau & Bengio, equation 9
    assert result["high"] - result["low"] == pytest.approx((plain[1] - plain[0]) * widened)
    assert result["mean"] == pytest.approx(0.9)
    assert result["spread"] == pytest.approx(scores.std(ddof=1))


def test_the_corrected_interval_has_nominal_coverage_and_the_plain_one_does_not():
    # folds of one data set: each score is the truth plus a shared and an independent error; their correlation
    # is tested / (tested + trained), as the correction assumes
    rng, truth, tries, k = np.random.default_rng(0), 0.8, 2000, 5
    inside = plain = 0
    for _ in range(tries):
        scores = truth + 0.02 * (np.sqrt(1 / k) * rng.normal() + np.sqrt(1 - 1 / k) * rng.normal(size=k))
        result = fold_interval(scores, tested=1, trained=k - 1)
        inside += result["low"] <= truth <= result["high"]
        low, high = stats.t.interval(0.95, k - 1, scores.mean(), stats.sem(scores))
        plain += low <= truth <= high
    assert inside / tries == pytest.approx(0.95, abs=0.015)
    assert plain / tries < 0.9


def test_seeds_have_a_t_interval_and_one_seed_or_equal_seeds_have_none():
    scores = np.array([0.80, 0.82, 0.84])
    result = seed_interval(scores)
    assert (result["low"], result["high"]) == pytest.approx(stats.t.interval(0.95, 2, 0.82, stats.sem(scores)))
    assert (result["least"], result["most"], result["number"]) == (0.80, 0.84, 3)
    assert seed_interval(np.array([0.8]))["reason"].endswith("from a single seed")
    same = fold_interval(np.full(5, 0.9), 1, 4)
    assert (same["low"], same["reason"]) == (None, "all folds have the same score")


def test_the_effects_of_seed_and_images_are_separated():
    rng = np.random.default_rng(0)
    counts = np.full(200, 10.0)
    leaf = rng.beta(4, 1, 200)
    steady = np.tile(np.round(leaf * 10), (6, 1)) + (rng.random((6, 200)) < 0.01)
    result = variance_components(np.minimum(steady, 10), counts)
    assert result["of_images"] == pytest.approx((leaf.std() + 0.003) / np.sqrt(200), rel=0.2)
    assert result["share_of_seed"] < 0.05
    assert result["sentence"].endswith("mostly the test images")
    wild = np.stack([np.full(200, number) for number in (4.0, 9.0, 6.0, 8.0)])
    assert variance_components(wild, counts)["sentence"].endswith("mostly the seed")


def test_one_seed_or_one_group_has_no_variance_components():
    assert variance_components(np.array([[5.0, 7.0]]), np.full(2, 10.0))["share_of_seed"] is None
    one_group = variance_components(np.array([[5.0], [7.0]]), np.array([10.0]))
    assert one_group["of_images"] is None
    assert one_group["of_seed"] == pytest.approx(np.std([0.5, 0.7], ddof=1))
    assert "varies neither" in variance_components(np.ones((2, 3)), np.ones(3))["sentence"]


def test_a_difference_over_seeds_has_a_welch_interval():
    first, second = np.array([0.80, 0.84, 0.82, 0.78]), np.array([0.81, 0.85, 0.80, 0.82])
    result = compare_seeds(first, second)
    welch = stats.ttest_ind(second, first, equal_var=False).confidence_interval(0.95)
    assert (result["low"], result["high"]) == pytest.approx((welch.low, welch.high))
    assert result["one_seed"] == pytest.approx(np.sqrt(first.var(ddof=1) + second.var(ddof=1)))
    wins = [(b > a) + (b == a) / 2 for a in first for b in second]
    assert result["second_ahead"] == pytest.approx(np.mean(wins))
    assert compare_seeds(np.array([0.8]), second)["low"] is None
    assert compare_seeds(np.array([0.8, 0.8]), np.array([0.9, 0.9]))["reason"] == "all seeds have the same score"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: seed_interval(np.array([])), "at least 1"),
        (lambda: seed_interval(np.array([0.8, np.nan])), "finite"),
        (lambda: fold_interval(np.array([0.8, 0.9]), 0, 4), "above 0"),
        (lambda: variance_components(np.ones((2, 3)), np.ones(2)), r"\(seeds, groups\)"),
        (lambda: variance_components(np.ones((2, 2)), np.array([1.0, 0.0])), "above 0"),
        (lambda: compare_seeds(np.array([0.8, np.inf]), np.array([0.8])), "finite"),
    ],
)
def test_invalid_input_is_an_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()
