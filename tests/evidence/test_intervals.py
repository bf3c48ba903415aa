"""Confidence intervals, compared with published and hand-computed values."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from coverslip.evidence.intervals import (
    Score,
    bca_interval,
    bias_corrected_interval,
    clopper_pearson_interval,
    critical_value,
    effective_df,
    effective_sample_size,
    format_interval,
    linearized_interval,
    perfect_recall_interval,
    proportion_interval,
    wilson_interval,
)


def make_score(value, low=None, high=None, **more) -> Score:
    entry = {"value": value, "low": low, "high": high, "level": 0.95, "method": "", "images": 412, "groups": 96}
    return Score(**(entry | more))


def test_wilson_of_0_805_in_200_runs_from_0_745_to_0_854():
    assert wilson_interval(0.805, 200, critical_value(0.95)) == pytest.approx((0.745, 0.854), abs=5e-4)


@pytest.mark.parametrize(("hits", "number"), [(0, 10), (3, 10), (10, 10), (161, 200)])
def test_formulas_agree_with_scipy(hits, number):
    test = stats.binomtest(hits, number)
    assert wilson_interval(hits / number, number, critical_value(0.95)) == pytest.approx(
        tuple(test.proportion_ci(method="wilson"))
    )
    assert clopper_pearson_interval(hits, number, 0.95) == pytest.approx(tuple(test.proportion_ci(method="exact")))


def test_a_proportion_of_0_or_1_has_an_interval_of_positive_width():
    groups = np.full(8, 5.0)
    for hits, end in ((groups, 1), (np.zeros(8), 0)):
        low, high = proportion_interval(hits, groups, 0.95, grouped=True)
        assert (low, high)[end] == end
        assert high - low > 0.3  # eight leaves, whatever the number of images


def test_perfectly_correlated_images_are_worth_one_image_per_leaf():
    counts = np.full(10, 7.0)
    together = np.where(np.arange(10) < 5, 7.0, 0.0)
    assert effective_sample_size(together, counts) == pytest.approx(9)  # ten leaves, less one for the mean
    assert effective_sample_size(np.full(10, 3.0), counts) == 70  # equal shares: never more than the images


def test_groups_of_single_images_are_worth_their_number():
    hits = np.array([1.0] * 30 + [0.0] * 10)
    assert effective_sample_size(hits, np.ones(40)) == pytest.approx(39)


def test_grouped_intervals_have_nominal_coverage_and_naive_ones_do_not():
    rng = np.random.default_rng(7)
    truth, inside, naive, tries = 0.8, 0, 0, 1500
    for _ in range(tries):
        counts = rng.integers(5, 15, 30)
        accuracy_of_leaf = rng.beta(0.8, 0.2, 30)  # intra-class correlation 1 / (1 + 0.8 + 0.2) = 0.5
        hits = rng.binomial(counts, accuracy_of_leaf)
        low, high = proportion_interval(hits.astype(float), counts.astype(float), 0.95, grouped=True)
        inside += low <= truth <= high
        low, high = clopper_pearson_interval(int(hits.sum()), int(counts.sum()), 0.95)
        naive += low <= truth <= high
    assert 0.92 <= inside / tries <= 0.98
    assert naive / tries < 0.85


def test_coverage_is_nominal_if_few_leaves_contain_all_errors():
    rng = np.random.default_rng(3)
    truth, inside, tries = 0.97, 0, 3000
    for _ in range(tries):
        hits = rng.binomial(6, rng.beta(truth * 7 / 3, (1 - truth) * 7 / 3, 60)).astype(float)
        low, high = proportion_interval(hits, np.full(60, 6.0), 0.95, grouped=True)
        inside += low <= truth <= high
    assert inside / tries >= 0.932  # with groups - 1 degrees of freedom it was 0.922


def test_degrees_of_freedom_decrease_if_few_leaves_contribute_to_the_variance():
    rng = np.random.default_rng(0)
    normal = rng.normal(size=4000)
    assert effective_df(normal - normal.mean(), 3999) > 3600
    one = np.append(np.full(59, -1 / 59), 1.0)
    assert effective_df(one, 59) == 5
    assert effective_df(np.zeros(30), 29) == 29


def test_the_linearized_interval_of_a_proportion_is_the_proportion_interval():
    rng = np.random.default_rng(0)
    hits, counts = rng.binomial(6, rng.beta(3, 1, 40)).astype(float), np.full(40, 6.0)
    proportion = hits.sum() / counts.sum()
    influence = (hits - proportion * counts) / counts.sum()
    assert linearized_interval(proportion, influence, 240, 40, 0.95, 39) == pytest.approx(
        proportion_interval(hits, counts, 0.95, grouped=True)
    )
    low, high = linearized_interval(1.0, np.zeros(40), 240, 40, 0.95, 39)
    assert (low, high) == (pytest.approx(wilson_interval(1.0, 40, critical_value(0.95, 39))[0]), 1.0)


def test_a_distance_enlarged_by_noise_is_corrected():
    resampled, critical = np.linspace(0.06, 0.14, 501), critical_value(0.95)  # every resample exceeds 0.05
    assert bias_corrected_interval(0.05, resampled, np.zeros(501), critical) == (0.0, pytest.approx(0.05))
    assert bias_corrected_interval(0.09, resampled, np.zeros(501), critical)[0] == pytest.approx(0.042)
    assert bias_corrected_interval(0.09, resampled, resampled, critical)[0] == 0  # noise alone gives as much
    assert bias_corrected_interval(0.0, np.zeros(50), np.zeros(50), critical) is None
    much = np.linspace(0, 0.3, 601)  # eight images: 0.001 is small by chance, so the upper limit must be larger
    assert bias_corrected_interval(0.001, much, much, critical) == (0.0, pytest.approx(0.2925 - 0.149, abs=1e-3))


def test_bca_of_a_mean_is_near_the_t_interval():
    rng = np.random.default_rng(0)
    data = rng.normal(size=200)
    means = data[rng.integers(0, 200, (4000, 200))].mean(axis=1)
    low, high = bca_interval(float(data.mean()), means, data - data.mean(), critical_value(0.95, 199))
    exact = stats.t.interval(0.95, 199, data.mean(), stats.sem(data))
    assert (low, high) == pytest.approx(exact, abs=0.02)


def test_bca_agrees_with_scipy_on_a_skewed_statistic():
    rng = np.random.default_rng(1)
    data = rng.lognormal(size=80)
    theirs = stats.bootstrap((data,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(3))
    means = data[rng.integers(0, 80, (20_000, 80))].mean(axis=1)
    ours = bca_interval(float(data.mean()), means, data - data.mean(), critical_value(0.95))
    assert ours == pytest.approx(tuple(theirs.confidence_interval), rel=0.02)


def test_resamples_without_variation_give_no_interval():
    assert bca_interval(1.0, np.ones(100), np.zeros(10), 1.96) is None
    assert bca_interval(1.0, np.full(100, np.nan), np.zeros(10), 1.96) is None
    assert bca_interval(1.0, np.linspace(0, 0.9, 1000), np.zeros(10), 1.96) is None  # all below the value


def test_resamples_with_an_undefined_score_are_excluded():
    resampled = np.linspace(0, 1, 1001)
    holes = np.concatenate([resampled, np.full(50, np.nan)])
    assert bca_interval(0.5, holes, np.zeros(10), 1.96) == bca_interval(0.5, resampled, np.zeros(10), 1.96)


def test_the_limit_for_classes_without_errors_is_exact():
    # classes of equal size have the limit of one class of their total size: 0.025 ** (1 / 30)
    assert perfect_recall_interval(np.array([10.0, 10.0, 10.0]), 0.95)[0] == pytest.approx(0.025 ** (1 / 30))
    # the class of one image can have a recall of 0.025 if the other has recall 1
    assert perfect_recall_interval(np.array([1.0, 1e9]), 0.95)[0] == pytest.approx((1 + 0.025) / 2, abs=1e-6)


def test_the_limit_is_the_minimum_over_all_compatible_recalls():
    low = perfect_recall_interval(np.array([6.0, 20.0]), 0.95)[0]
    first = np.linspace(1e-3, 1, 2001)
    second = np.minimum(1.0, (0.025 / first**6) ** (1 / 20))  # the smallest for which no error has probability 2.5 %
    feasible = first**6 * second**20 >= 0.025 - 1e-12
    assert low == pytest.approx(((first + second) / 2)[feasible].min(), abs=1e-4)


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (make_score(0.9117, 0.8809, 0.9381), "0.912 [0.881, 0.938] (412 images, 96 leaves)"),
        (make_score(0.9117, 0.8809, 0.9381, groups=412), "0.912 [0.881, 0.938] (412 images)"),
        (make_score(0.99995, 0.99991, 0.99998), "1.0000 [0.9999, 1.0000] (412 images, 96 leaves)"),
        (
            make_score(1.0, reason="3 groups are too few"),
            "1.000 (no interval: 3 groups are too few) (412 images, 96 leaves)",
        ),
        (make_score(None, reason="absent"), "no value: absent"),
    ],
)
def test_a_score_is_formatted_with_interval_and_sample_size(entry, text):
    assert format_interval(entry, counts=True, group_word="leaves") == text
