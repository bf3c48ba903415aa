"""Seeds and folds: what chance in training adds to what the images leave open."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from coverslip.evidence.repeats import fold_interval, seed_interval, seed_share, seeds_beside_images


def test_folds_are_no_independent_repeats():
    scores = np.array([0.90, 0.92, 0.88, 0.91, 0.89])
    told = fold_interval(scores, tested=600, trained=2400)
    plain = stats.t.interval(0.95, 4, scores.mean(), stats.sem(scores))
    widened = np.sqrt((1 / 5 + 1 / 4) / (1 / 5))  # Nadeau & Bengio, equation 9
    assert told["high"] - told["low"] == pytest.approx((plain[1] - plain[0]) * widened)
    assert told["mean"] == pytest.approx(0.9)
    assert told["spread"] == pytest.approx(scores.std(ddof=1))


def test_the_corrected_interval_covers_where_the_plain_one_does_not():
    # folds of one data set: each score is the truth, an error that all share, and one of its own; their correlation
    # is tested / (tested + trained), as the correction assumes
    chance, truth, tries, k = np.random.default_rng(0), 0.8, 2000, 5
    inside = plain = 0
    for _ in range(tries):
        scores = truth + 0.02 * (np.sqrt(1 / k) * chance.normal() + np.sqrt(1 - 1 / k) * chance.normal(size=k))
        told = fold_interval(scores, tested=1, trained=k - 1)
        inside += told["low"] <= truth <= told["high"]
        low, high = stats.t.interval(0.95, k - 1, scores.mean(), stats.sem(scores))
        plain += low <= truth <= high
    assert inside / tries == pytest.approx(0.95, abs=0.015)
    assert plain / tries < 0.9


def test_seeds_have_a_plain_t_interval_and_one_seed_or_equal_seeds_have_none():
    scores = np.array([0.80, 0.82, 0.84])
    told = seed_interval(scores)
    assert (told["low"], told["high"]) == pytest.approx(stats.t.interval(0.95, 2, 0.82, stats.sem(scores)))
    assert (told["least"], told["most"], told["number"]) == (0.80, 0.84, 3)
    assert seed_interval(np.array([0.8]))["reason"] == "one seed shows no spread"
    same = fold_interval(np.full(5, 0.9), 1, 4)
    assert (same["low"], same["reason"]) == (None, "every fold gave the same score")


def test_the_seed_and_the_images_are_told_apart():
    chance = np.random.default_rng(0)
    counts = np.full(200, 10.0)
    leaf = chance.beta(4, 1, 200)
    steady = np.tile(np.round(leaf * 10), (6, 1)) + (chance.random((6, 200)) < 0.01)
    told = seeds_beside_images(np.minimum(steady, 10), counts)
    assert told["of_images"] == pytest.approx((leaf.std() + 0.003) / np.sqrt(200), rel=0.2)
    assert told["share_of_seed"] < 0.05
    assert told["sentence"].endswith("mostly the images")
    wild = np.stack([np.full(200, number) for number in (4.0, 9.0, 6.0, 8.0)])
    assert seeds_beside_images(wild, counts)["sentence"].endswith("mostly the seed")


def test_one_seed_or_one_group_cannot_be_split():
    assert seeds_beside_images(np.array([[5.0, 7.0]]), np.full(2, 10.0))["share_of_seed"] is None
    one_group = seeds_beside_images(np.array([[5.0], [7.0]]), np.array([10.0]))
    assert one_group["of_images"] is None
    assert one_group["of_seed"] == pytest.approx(np.std([0.5, 0.7], ddof=1))
    assert "takes some difference to tell" in seeds_beside_images(np.ones((2, 3)), np.ones(3))["sentence"]


def test_a_difference_smaller_than_the_seed_is_said_to_be_so():
    first, second = np.array([0.80, 0.84, 0.82, 0.78]), np.array([0.81, 0.85, 0.80, 0.82])
    told = seed_share(first, second)
    welch = stats.ttest_ind(second, first, equal_var=False).confidence_interval(0.95)
    assert (told["low"], told["high"]) == pytest.approx((welch.low, welch.high))
    assert told["one_seed"] == pytest.approx(np.sqrt(first.var(ddof=1) + second.var(ddof=1)))
    wins = [(b > a) + (b == a) / 2 for a in first for b in second]
    assert told["second_ahead"] == pytest.approx(np.mean(wins))
    assert seed_share(np.array([0.8]), second)["low"] is None
    assert seed_share(np.array([0.8, 0.8]), np.array([0.9, 0.9]))["reason"] == "every seed gave the same score"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: seed_interval(np.array([])), "at least one"),
        (lambda: seed_interval(np.array([0.8, np.nan])), "finite"),
        (lambda: fold_interval(np.array([0.8, 0.9]), 0, 4), "above 0"),
        (lambda: seeds_beside_images(np.ones((2, 3)), np.ones(2)), r"\(seeds, groups\)"),
        (lambda: seeds_beside_images(np.ones((2, 2)), np.array([1.0, 0.0])), "above 0"),
        (lambda: seed_share(np.array([0.8, np.inf]), np.array([0.8])), "finite"),
    ],
)
def test_what_is_no_row_of_scores_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
