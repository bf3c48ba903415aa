"""Calibration of probabilities, and the two methods of recalibration."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import optimize
from scipy.special import log_softmax, softmax
from sklearn.metrics import log_loss

from coverslip.core.errors import UserError
from coverslip.evidence.calibration import (
    calibration_error_interval,
    calibration_report,
    expected_calibration_error,
    reliability,
)
from coverslip.evidence.recalibration import PRIOR_WEIGHT, correct_priors, fit_temperature


def draw_logits(images=1200, classes=4, seed=0):
    """Logits whose softmax is calibrated by construction, with labels drawn from it."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(images, classes))
    labels = (softmax(logits, axis=1).cumsum(axis=1) < rng.random((images, 1))).sum(axis=1)
    return logits, np.minimum(labels, classes - 1)


def test_a_known_temperature_is_recovered():
    logits, labels = draw_logits(6000)
    assert fit_temperature(logits, labels) == pytest.approx(1, rel=0.05)
    assert fit_temperature(logits * 3, labels) == pytest.approx(3, rel=0.05)
    assert fit_temperature(logits / 2, labels) == pytest.approx(0.5, rel=0.05)


@pytest.mark.parametrize("classes", [2, 3, 15])
@pytest.mark.parametrize("margin", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("images", [24, 60, 200, 1000])
def test_separable_logits_do_not_become_certain(images, margin, classes):
    """A fit without a prior gives 0.05 and a probability above 1 - 1e-7 in each of these cases."""
    labels = np.arange(images) % classes
    logits = margin * np.eye(classes)[labels]
    temperature = fit_temperature(logits, labels)
    unsure = 1 - softmax(logits / temperature, axis=1).max()
    assert margin / 12 < temperature < 1
    assert 0.05 / images < unsure < 2 / images or (images == 24 and unsure < 0.3)


def test_extreme_logits_do_not_overflow():
    labels = np.arange(30) % 3
    assert fit_temperature(np.eye(3)[labels] * 1000.0, labels) == pytest.approx(1, rel=0.01)  # no information
    assert 10 < fit_temperature(np.eye(3)[(labels + 1) % 3] * 1000.0, labels) <= 20
    assert fit_temperature(np.zeros((30, 3)), labels) == pytest.approx(1, rel=0.01)


@pytest.mark.parametrize("images", [10, 24, 200])
@pytest.mark.parametrize("factor", [0.02, 0.3, 1.0, 3.0, 40.0])
def test_the_temperature_is_the_optimum_of_its_formula(images, factor):
    logits, labels = draw_logits(images, seed=3)
    logits *= factor
    groups = [row // 2 for row in range(images)]

    def objective(log):
        data = -log_softmax(logits / np.exp(log), axis=1)[np.arange(images), labels].mean()
        return data + PRIOR_WEIGHT * log**2 / (2 * (images / 2))

    grid = np.linspace(np.log(0.05), np.log(20), 2001)
    start = min(grid, key=objective)
    best = optimize.brent(objective, brack=(start - 0.01, start + 0.01))
    expected = np.exp(np.clip(best, np.log(0.05), np.log(20)))
    assert fit_temperature(logits, labels, groups) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("truth", [0.4, 1.0, 2.5])
def test_the_estimate_tends_to_the_truth_as_images_are_added(truth):
    errors = []
    for images in (30, 300, 3000, 30_000):
        drawn = [draw_logits(images, seed=seed) for seed in range(5)]
        errors.append(np.mean([abs(np.log(fit_temperature(z * truth, y) / truth)) for z, y in drawn]))
    assert errors[-1] < 0.02 and errors[-1] < errors[1] < errors[0]


def test_few_images_stay_near_1_and_the_prior_fades():
    """The prior's pull is its weight divided by the number of images, so copies of the same images weaken it."""
    logits, labels = draw_logits(40)
    result = [fit_temperature(np.tile(logits * 3, (times, 1)), np.tile(labels, times)) for times in (1, 10, 1000)]
    assert 1 < result[0] < result[1] < result[2]
    assert result[2] - result[1] < (result[1] - result[0])


def test_images_of_one_group_count_once_for_the_prior():
    logits, labels = draw_logits(40)
    single = fit_temperature(logits * 3, labels)
    copied = fit_temperature(np.repeat(logits * 3, 5, axis=0), np.repeat(labels, 5), np.repeat(np.arange(40), 5))
    assert copied == pytest.approx(single, rel=1e-3)
    assert fit_temperature(logits * 3, labels, [str(row) for row in range(40)]) == pytest.approx(single)


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("images", [24, 60, 200])
def test_new_images_are_scored_better_than_without_the_prior_or_without_a_fit(images, factor):
    new, truth = draw_logits(5000, seed=1)
    grid = np.linspace(np.log(0.05), np.log(20), 121)
    losses = [log_loss(truth, softmax(new * factor / np.exp(log), axis=1)) for log in grid]
    drawn = [draw_logits(images, seed=seed) for seed in range(2, 82)]
    ours, bare = (
        np.mean([np.interp(np.log(fit(logits * factor, labels)), grid, losses) for logits, labels in drawn])
        for fit in (fit_temperature, _without_prior)
    )
    assert ours < bare + 1e-3
    # Where 1 is the truth, a fit of one number to n images costs about 1 / (2 n).
    assert ours < np.interp(0, grid, losses) + (1 / images if factor == 1 else 0)


def _without_prior(logits, labels):
    result = optimize.minimize_scalar(
        lambda log: -log_softmax(logits / np.exp(log), axis=1)[np.arange(len(labels)), labels].mean(),
        bounds=(np.log(0.05), np.log(20)),
        method="bounded",
    )
    return np.exp(result.x)


def test_infinite_logits_are_a_user_error():
    logits, labels = draw_logits(20)
    logits[3, 1] = np.inf
    logits[5, 0] = np.nan
    with pytest.raises(UserError, match="2 of 20 images"):
        fit_temperature(logits, labels)
    for wrong in (labels[:5], labels + 4):
        with pytest.raises(ValueError):
            fit_temperature(draw_logits(20)[0], wrong)
    with pytest.raises(ValueError, match="groups"):
        fit_temperature(draw_logits(20)[0], labels, ["a", "b"])


def test_other_class_frequencies_change_the_odds_by_their_ratio():
    rows = np.array([[0.8, 0.2], [0.5, 0.5]])
    moved = correct_priors(rows, np.array([0.5, 0.5]), np.array([0.2, 0.8]))
    assert moved[:, 0] / moved[:, 1] == pytest.approx([4 / 4, 1 / 4])
    assert correct_priors(moved, np.array([0.2, 0.8]), np.array([0.5, 0.5])) == pytest.approx(rows)


def test_a_target_frequency_of_0_excludes_a_class_and_an_unseen_class_is_an_error():
    half = np.array([0.5, 0.5])
    moved = correct_priors(np.array([[0.3, 0.7], [0.0, 1.0]]), half, np.array([1.0, 0.0]))
    assert moved.tolist() == [[1.0, 0.0], [1.0, 0.0]]
    with pytest.raises(ValueError, match="frequency 0 in training"):
        correct_priors(np.array([[0.3, 0.7]]), np.array([1.0, 0.0]), half)
    for wrong in (np.array([0.5]), np.array([-1.0, 2.0]), np.zeros(2), np.array([np.nan, 1.0])):
        with pytest.raises(ValueError):
            correct_priors(np.array([[0.3, 0.7]]), half, wrong)


def test_the_diagram_of_a_calibrated_model_is_on_the_diagonal():
    logits, labels = draw_logits(6000)
    result = reliability(labels, softmax(logits, axis=1), None)
    assert json.dumps(result, allow_nan=False)
    for diagram in (result["top"], *result["classes"]):
        counts = [entry["accuracy"]["images"] for entry in diagram["bins"]]
        assert len(counts) == 10 and max(counts) - min(counts) <= 1
        assert sum(counts) + diagram["left_out"] == 6000
        inside = [
            entry["accuracy"]["low"] <= entry["confidence"] <= entry["accuracy"]["high"] for entry in diagram["bins"]
        ]
        assert sum(inside) >= 8  # of ten 95 % intervals
        middles = [entry["confidence"] for entry in diagram["bins"]]
        assert middles == sorted(middles)


def test_few_images_and_equal_probabilities_have_few_bins():
    rows = np.tile([0.7, 0.3], (50, 1))
    assert len(reliability(np.zeros(50, int), rows, None)["top"]["bins"]) == 1
    logits, labels = draw_logits(5)
    result = reliability(labels, softmax(logits, axis=1), None)
    assert len(result["top"]["bins"]) == 1 and result["top"]["bins"][0]["accuracy"]["images"] == 5
    certain = np.tile([1.0, 0.0], (50, 1))
    assert reliability(np.zeros(50, int), certain, None)["classes"][1] == {"bins": [], "left_out": 50}
    with pytest.raises(ValueError, match="bins"):
        reliability(labels, softmax(logits, axis=1), None, bins=0)


def test_correlated_images_widen_the_intervals_of_the_diagram():
    logits, labels = draw_logits(400)
    rows, leaf = np.repeat(softmax(logits, axis=1), 6, axis=0), np.repeat(np.arange(400), 6)
    widths = []
    for groups in (None, leaf):
        bins = reliability(np.repeat(labels, 6), rows, groups, bins=4)["top"]["bins"]
        widths.append(np.mean([entry["accuracy"]["high"] - entry["accuracy"]["low"] for entry in bins]))
    assert widths[1] > 2 * widths[0]


def test_overconfidence_and_its_correction_are_detected():
    logits, labels = draw_logits(1500)
    uncalibrated, calibrated = softmax(logits * 3, axis=1), softmax(logits, axis=1)
    report = calibration_report(labels, uncalibrated, calibrated, np.arange(1500) // 3)
    assert json.dumps(report, allow_nan=False)
    before, after = report["ece"]["before"], report["ece"]["after"]
    assert before["value"] == pytest.approx(expected_calibration_error(labels, uncalibrated))
    assert before["low"] > after["high"] and after["low"] == 0 and after["likely"] < after["value"]
    loss = report["log_loss"]
    assert loss["before"]["value"] == pytest.approx(log_loss(labels, uncalibrated))
    assert loss["change"]["value"] == pytest.approx(loss["after"]["value"] - loss["before"]["value"])
    assert loss["change"]["high"] < 0 and "an improvement of" in report["says"]
    assert "a deterioration of" in calibration_report(labels, calibrated, uncalibrated, None)["says"]


def test_no_change_is_not_called_an_improvement_and_few_groups_have_no_interval():
    logits, labels = draw_logits(200)
    rows = softmax(logits, axis=1)
    same = calibration_report(labels, rows, rows, None)
    assert same["log_loss"]["change"]["low"] is None and "improvement" not in same["says"]
    few = calibration_report(labels, rows, rows, np.arange(200) % 4)
    assert few["ece"]["before"]["low"] is None and "4 groups are too few" in few["ece"]["before"]["reason"]


def test_the_error_interval_of_a_calibrated_model_includes_zero():
    reached = 0
    for seed in range(20):
        logits, labels = draw_logits(300, seed=seed)
        rows = softmax(logits, axis=1)
        reached += calibration_report(labels, rows, rows, None, resamples=400)["ece"]["before"]["low"] == 0
    assert reached >= 17


def test_an_error_that_is_small_by_chance_has_a_wide_interval():
    noise = np.random.default_rng(0).normal(0, 0.1, (4000, 1))
    low, _, high = calibration_error_interval(np.array([0.01]), noise, 0.95)
    assert low == 0 and 0.1 < high < 0.25  # ten times the error of the data and more
