"""Intervals of one number, against published and worked-out answers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from coverslip.evidence.intervals import (
    Score,
    all_right_limits,
    bca,
    clopper_pearson,
    effective_number,
    format_interval,
    freedom_of_spread,
    proportion_limits,
    quantile,
    spread_limits,
    unbiased_limits,
    wilson,
)


def score(value, low=None, high=None, **more) -> Score:
    entry = {"value": value, "low": low, "high": high, "level": 0.95, "method": "", "images": 412, "groups": 96}
    return Score(**(entry | more))


def test_wilson_of_0_805_in_200_runs_from_0_745_to_0_854():
    assert wilson(0.805, 200, quantile(0.95)) == pytest.approx((0.745, 0.854), abs=5e-4)


@pytest.mark.parametrize(("hits", "number"), [(0, 10), (3, 10), (10, 10), (161, 200)])
def test_formulas_agree_with_scipy(hits, number):
    test = stats.binomtest(hits, number)
    assert wilson(hits / number, number, quantile(0.95)) == pytest.approx(tuple(test.proportion_ci(method="wilson")))
    assert clopper_pearson(hits, number, 0.95) == pytest.approx(tuple(test.proportion_ci(method="exact")))


def test_a_proportion_of_0_or_1_still_has_an_interval_with_some_width():
    groups = np.full(8, 5.0)
    for hits, end in ((groups, 1), (np.zeros(8), 0)):
        low, high = proportion_limits(hits, groups, 0.95, grouped=True)
        assert (low, high)[end] == end
        assert high - low > 0.3  # eight leaves, whatever the number of images


def test_images_that_agree_within_a_leaf_are_worth_one_image_a_leaf():
    counts = np.full(10, 7.0)
    together = np.where(np.arange(10) < 5, 7.0, 0.0)
    assert effective_number(together, counts) == pytest.approx(9)  # ten leaves, less one for the mean
    assert effective_number(np.full(10, 3.0), counts) == 70  # equal shares: never more than the images


def test_single_images_as_groups_are_worth_nearly_themselves():
    hits = np.array([1.0] * 30 + [0.0] * 10)
    assert effective_number(hits, np.ones(40)) == pytest.approx(39)


def test_grouped_intervals_cover_what_they_promise_and_naive_ones_do_not():
    chance = np.random.default_rng(7)
    truth, inside, naive, tries = 0.8, 0, 0, 1500
    for _ in range(tries):
        counts = chance.integers(5, 15, 30)
        share_of_leaf = chance.beta(0.8, 0.2, 30)  # intra-class correlation 1 / (1 + 0.8 + 0.2) = 0.5
        hits = chance.binomial(counts, share_of_leaf)
        low, high = proportion_limits(hits.astype(float), counts.astype(float), 0.95, grouped=True)
        inside += low <= truth <= high
        low, high = clopper_pearson(int(hits.sum()), int(counts.sum()), 0.95)
        naive += low <= truth <= high
    assert 0.92 <= inside / tries <= 0.98
    assert naive / tries < 0.85


def test_coverage_holds_where_few_leaves_carry_all_mistakes():
    chance = np.random.default_rng(3)
    truth, inside, tries = 0.97, 0, 3000
    for _ in range(tries):
        hits = chance.binomial(6, chance.beta(truth * 7 / 3, (1 - truth) * 7 / 3, 60)).astype(float)
        low, high = proportion_limits(hits, np.full(60, 6.0), 0.95, grouped=True)
        inside += low <= truth <= high
    assert inside / tries >= 0.932  # with groups - 1 degrees of freedom it was 0.922


def test_a_spread_is_worth_fewer_degrees_of_freedom_the_fewer_leaves_carry_it():
    chance = np.random.default_rng(0)
    normal = chance.normal(size=4000)
    assert freedom_of_spread(normal - normal.mean(), 3999) > 3600
    one = np.append(np.full(59, -1 / 59), 1.0)
    assert freedom_of_spread(one, 59) == 5
    assert freedom_of_spread(np.zeros(30), 29) == 29


def test_the_interval_from_the_spread_is_that_of_the_proportion_where_the_score_is_one():
    chance = np.random.default_rng(0)
    hits, counts = chance.binomial(6, chance.beta(3, 1, 40)).astype(float), np.full(40, 6.0)
    share = hits.sum() / counts.sum()
    moves = (hits - share * counts) / counts.sum()
    assert spread_limits(share, moves, 240, 40, 0.95, 39) == pytest.approx(
        proportion_limits(hits, counts, 0.95, grouped=True)
    )
    low, high = spread_limits(1.0, np.zeros(40), 240, 40, 0.95, 39)
    assert (low, high) == (pytest.approx(wilson(1.0, 40, quantile(0.95, 39))[0]), 1.0)


def test_a_distance_that_chance_enlarges_is_brought_back():
    drawn, width = np.linspace(0.06, 0.14, 501), quantile(0.95)  # every resample lies over 0.05
    assert unbiased_limits(0.05, drawn, np.zeros(501), width) == (0.0, pytest.approx(0.05))
    assert unbiased_limits(0.09, drawn, np.zeros(501), width)[0] == pytest.approx(0.042)
    assert unbiased_limits(0.09, drawn, drawn, width)[0] == 0  # chance alone gives as much
    assert unbiased_limits(0.0, np.zeros(50), np.zeros(50), width) is None
    much = np.linspace(0, 0.3, 601)  # eight images: 0.001 is luck, and no promise that it is under 0.001
    assert unbiased_limits(0.001, much, much, width) == (0.0, pytest.approx(0.2925 - 0.149, abs=1e-3))


def test_bca_of_a_mean_is_near_the_t_interval():
    chance = np.random.default_rng(0)
    data = chance.normal(size=200)
    means = data[chance.integers(0, 200, (4000, 200))].mean(axis=1)
    low, high = bca(float(data.mean()), means, data - data.mean(), quantile(0.95, 199))
    exact = stats.t.interval(0.95, 199, data.mean(), stats.sem(data))
    assert (low, high) == pytest.approx(exact, abs=0.02)


def test_bca_agrees_with_scipy_on_a_skewed_statistic():
    chance = np.random.default_rng(1)
    data = chance.lognormal(size=80)
    theirs = stats.bootstrap((data,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(3))
    means = data[chance.integers(0, 80, (20_000, 80))].mean(axis=1)
    ours = bca(float(data.mean()), means, data - data.mean(), quantile(0.95))
    assert ours == pytest.approx(tuple(theirs.confidence_interval), rel=0.02)


def test_resamples_without_spread_give_no_interval():
    assert bca(1.0, np.ones(100), np.zeros(10), 1.96) is None
    assert bca(1.0, np.full(100, np.nan), np.zeros(10), 1.96) is None
    assert bca(1.0, np.linspace(0, 0.9, 1000), np.zeros(10), 1.96) is None  # all under the value


def test_a_resample_without_a_score_is_left_out():
    drawn = np.linspace(0, 1, 1001)
    holes = np.concatenate([drawn, np.full(50, np.nan)])
    assert bca(0.5, holes, np.zeros(10), 1.96) == bca(0.5, drawn, np.zeros(10), 1.96)


def test_classes_without_a_mistake_have_the_exact_limit():
    # equal numbers are as good as one class of them all: 0.025 ** (1 / 30)
    assert all_right_limits(np.array([10.0, 10.0, 10.0]), 0.95)[0] == pytest.approx(0.025 ** (1 / 30))
    # the class of one image may have the recall 0.025 if the other cannot fail
    assert all_right_limits(np.array([1.0, 1e9]), 0.95)[0] == pytest.approx((1 + 0.025) / 2, abs=1e-6)


def test_no_pair_of_recalls_that_explains_the_outcome_is_left_out():
    low = all_right_limits(np.array([6.0, 20.0]), 0.95)[0]
    first = np.linspace(1e-3, 1, 2001)
    second = np.minimum(1.0, (0.025 / first**6) ** (1 / 20))  # the smallest with which all goes right in 2.5 %
    feasible = first**6 * second**20 >= 0.025 - 1e-12
    assert low == pytest.approx(((first + second) / 2)[feasible].min(), abs=1e-4)


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (score(0.9117, 0.8809, 0.9381), "0.912 [0.881, 0.938] (412 images, 96 leaves)"),
        (score(0.9117, 0.8809, 0.9381, groups=412), "0.912 [0.881, 0.938] (412 images)"),
        (score(0.99995, 0.99991, 0.99998), "1.0000 [0.9999, 1.0000] (412 images, 96 leaves)"),
        (
            score(1.0, reason="3 groups are too few"),
            "1.000 (no interval: 3 groups are too few) (412 images, 96 leaves)",
        ),
        (score(None, reason="absent"), "no value: absent"),
    ],
)
def test_a_number_is_shown_with_what_is_known_about_it(entry, text):
    assert format_interval(entry, counts=True, group_word="leaves") == text
