"""Learning curve and expected gain from more data."""

from __future__ import annotations

import json

import numpy as np
import pytest

from coverslip.evidence.learning_curve import fit_curve

SIZES = np.array([10, 20, 40, 80, 100])


def noisy(a=0.95, b=1.2, c=0.6, repeats=5, noise=0.01, seed=0):
    rng = np.random.default_rng(seed)
    spread = rng.normal(size=(repeats, len(SIZES))) * noise + rng.normal(size=(repeats, 1)) * noise
    return np.minimum(1.0, a - b * SIZES**-c + spread)


def test_known_parameters_are_recovered():
    result = fit_curve(SIZES, np.tile(0.9 - 0.8 * SIZES**-0.5, (3, 1)))
    assert (result["a"], result["b"], result["c"]) == pytest.approx((0.9, 0.8, 0.5), abs=0.03)
    assert result["gain"]["value"] == pytest.approx(0.8 * (100**-0.5 - 200**-0.5), abs=1e-3)
    assert result["curve"]["sizes"][0] == 10 and result["curve"]["sizes"][-1] == pytest.approx(200)


def test_the_interval_of_the_gain_covers_the_true_gain():
    true = 1.2 * (100**-0.6 - 200**-0.6)
    covered = 0
    for seed in range(40):
        gain = fit_curve(SIZES, noisy(seed=seed), resamples=300)["gain"]
        covered += gain["low"] <= true <= gain["high"]
    assert covered >= 34


def test_the_order_of_sizes_does_not_matter_and_missing_scores_are_ignored():
    scores = noisy()
    order = [3, 0, 4, 1, 2]
    assert fit_curve(SIZES[order], scores[:, order]) == fit_curve(SIZES, scores)
    scores[0, 1] = np.nan
    scores[:, 0] = np.nan  # a size without any score is left out
    assert fit_curve(SIZES, scores)["sizes"] == [20, 40, 80, 100]


@pytest.mark.parametrize("slope, words", [(0.0, "the learning curve is flat"), (-0.01, "the score did not increase")])
def test_a_constant_or_decreasing_score_predicts_no_gain(slope, words):
    scores = np.tile(0.8 + slope * np.arange(5), (4, 1))
    result = fit_curve(SIZES, scores, unit="slides")
    assert result["b"] == pytest.approx(0) and result["gain"]["value"] == pytest.approx(0)
    assert result["gain"]["low"] == pytest.approx(0)
    assert result["says"].startswith(words) and "slides" in result["says"]


def test_no_prediction_exceeds_the_best_score():
    result = fit_curve(SIZES, np.tile([0.7, 0.8, 0.9, 0.98, 1.0], (3, 1)))
    assert max(result["curve"]["high"]) <= 1 and result["gain"]["high"] <= result["curve"]["high"][-1]
    alone = fit_curve(SIZES, np.ones((3, 5)))
    assert alone["gain"] == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_few_repeats_have_no_interval_and_few_sizes_no_curve():
    one = fit_curve(SIZES, noisy(repeats=1))
    assert one["gain"]["low"] is None and one["curve"]["low"] is None and "too few repeats" in one["says"]
    two = fit_curve(SIZES[:2], noisy()[:, :2])
    assert two["curve"] is None and two["gain"] is None and "at 3 or more sizes, but there are 2" in two["says"]
    nothing = fit_curve(SIZES, np.full((3, 5), np.nan))
    assert nothing["curve"] is None
    for result in (one, two, nothing, fit_curve(SIZES, noisy())):
        assert json.dumps(result, allow_nan=False)


def test_invalid_input_is_an_error():
    for sizes, scores in (
        (SIZES - 10, noisy()),
        (SIZES, noisy()[:, :3]),
        (SIZES, noisy() + 1),
        (SIZES, noisy() - np.inf),
    ):
        with pytest.raises(ValueError):
            fit_curve(sizes, scores)
