"""Whether probabilities can be taken at their word, and the two repairs."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import optimize
from scipy.special import log_softmax, softmax
from sklearn.metrics import log_loss

from coverslip.core.errors import UserError
from coverslip.evidence.calibration import (
    calibration_report,
    error_limits,
    expected_calibration_error,
    reliability,
)
from coverslip.evidence.recalibration import PRIOR_WEIGHT, correct_priors, fit_temperature


def scored(images=1200, classes=4, seed=0):
    """Scores whose softmax is right by construction, with labels drawn from it."""
    chance = np.random.default_rng(seed)
    scores = 2 * chance.normal(size=(images, classes))
    labels = (softmax(scores, axis=1).cumsum(axis=1) < chance.random((images, 1))).sum(axis=1)
    return scores, np.minimum(labels, classes - 1)


def test_the_temperature_that_spoilt_the_scores_is_found_again():
    scores, labels = scored(6000)
    assert fit_temperature(scores, labels) == pytest.approx(1, rel=0.05)
    assert fit_temperature(scores * 3, labels) == pytest.approx(3, rel=0.05)
    assert fit_temperature(scores / 2, labels) == pytest.approx(0.5, rel=0.05)


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


def test_logits_beyond_all_precision_do_not_overflow():
    labels = np.arange(30) % 3
    assert fit_temperature(np.eye(3)[labels] * 1000.0, labels) == pytest.approx(1, rel=0.01)  # nothing to be said
    assert 10 < fit_temperature(np.eye(3)[(labels + 1) % 3] * 1000.0, labels) <= 20
    assert fit_temperature(np.zeros((30, 3)), labels) == pytest.approx(1, rel=0.01)


@pytest.mark.parametrize("images", [10, 24, 200])
@pytest.mark.parametrize("factor", [0.02, 0.3, 1.0, 3.0, 40.0])
def test_the_temperature_is_the_optimum_of_its_formula(images, factor):
    logits, labels = scored(images, seed=3)
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
        drawn = [scored(images, seed=seed) for seed in range(5)]
        errors.append(np.mean([abs(np.log(fit_temperature(z * truth, y) / truth)) for z, y in drawn]))
    assert errors[-1] < 0.02 and errors[-1] < errors[1] < errors[0]


def test_few_images_stay_near_1_and_the_prior_fades():
    """The prior's pull is its weight divided by the number of images, so copies of the same images weaken it."""
    logits, labels = scored(40)
    found = [fit_temperature(np.tile(logits * 3, (times, 1)), np.tile(labels, times)) for times in (1, 10, 1000)]
    assert 1 < found[0] < found[1] < found[2]
    assert found[2] - found[1] < (found[1] - found[0])


def test_images_of_one_group_count_once_for_the_prior():
    logits, labels = scored(40)
    each = fit_temperature(logits * 3, labels)
    copied = fit_temperature(np.repeat(logits * 3, 5, axis=0), np.repeat(labels, 5), np.repeat(np.arange(40), 5))
    assert copied == pytest.approx(each, rel=1e-3)
    assert fit_temperature(logits * 3, labels, [str(row) for row in range(40)]) == pytest.approx(each)


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("images", [24, 60, 200])
def test_new_images_are_scored_better_than_without_the_prior_or_without_a_fit(images, factor):
    new, truth = scored(5000, seed=1)
    grid = np.linspace(np.log(0.05), np.log(20), 121)
    losses = [log_loss(truth, softmax(new * factor / np.exp(log), axis=1)) for log in grid]
    drawn = [scored(images, seed=seed) for seed in range(2, 82)]
    ours, bare = (
        np.mean([np.interp(np.log(fit(logits * factor, labels)), grid, losses) for logits, labels in drawn])
        for fit in (fit_temperature, _without_prior)
    )
    assert ours < bare + 1e-3
    # Where 1 is the truth, a fit of one number to n images costs about 1 / (2 n).
    assert ours < np.interp(0, grid, losses) + (1 / images if factor == 1 else 0)


def _without_prior(logits, labels):
    found = optimize.minimize_scalar(
        lambda log: -log_softmax(logits / np.exp(log), axis=1)[np.arange(len(labels)), labels].mean(),
        bounds=(np.log(0.05), np.log(20)),
        method="bounded",
    )
    return np.exp(found.x)


def test_infinite_logits_are_the_users_to_mend():
    scores, labels = scored(20)
    scores[3, 1] = np.inf
    scores[5, 0] = np.nan
    with pytest.raises(UserError, match="2 of 20 images"):
        fit_temperature(scores, labels)
    for wrong in (labels[:5], labels + 4):
        with pytest.raises(ValueError):
            fit_temperature(scored(20)[0], wrong)
    with pytest.raises(ValueError, match="groups"):
        fit_temperature(scored(20)[0], labels, ["a", "b"])


def test_another_prevalence_moves_the_odds_by_its_ratio():
    rows = np.array([[0.8, 0.2], [0.5, 0.5]])
    moved = correct_priors(rows, np.array([0.5, 0.5]), np.array([0.2, 0.8]))
    assert moved[:, 0] / moved[:, 1] == pytest.approx([4 / 4, 1 / 4])
    assert correct_priors(moved, np.array([0.2, 0.8]), np.array([0.5, 0.5])) == pytest.approx(rows)


def test_a_class_that_cannot_occur_is_ruled_out_and_one_never_assumed_is_refused():
    half = np.array([0.5, 0.5])
    moved = correct_priors(np.array([[0.3, 0.7], [0.0, 1.0]]), half, np.array([1.0, 0.0]))
    assert moved.tolist() == [[1.0, 0.0], [1.0, 0.0]]
    with pytest.raises(ValueError, match="never to occur"):
        correct_priors(np.array([[0.3, 0.7]]), np.array([1.0, 0.0]), half)
    for wrong in (np.array([0.5]), np.array([-1.0, 2.0]), np.zeros(2), np.array([np.nan, 1.0])):
        with pytest.raises(ValueError):
            correct_priors(np.array([[0.3, 0.7]]), half, wrong)


def test_the_diagram_of_a_calibrated_model_lies_on_the_diagonal():
    scores, labels = scored(6000)
    found = reliability(labels, softmax(scores, axis=1), None)
    assert json.dumps(found, allow_nan=False)
    for diagram in (found["top"], *found["classes"]):
        counts = [each["accuracy"]["images"] for each in diagram["bins"]]
        assert len(counts) == 10 and max(counts) - min(counts) <= 1
        assert sum(counts) + diagram["left_out"] == 6000
        inside = [each["accuracy"]["low"] <= each["confidence"] <= each["accuracy"]["high"] for each in diagram["bins"]]
        assert sum(inside) >= 8  # of ten 95 % intervals
        middles = [each["confidence"] for each in diagram["bins"]]
        assert middles == sorted(middles)


def test_few_images_and_equal_probabilities_have_few_bins():
    rows = np.tile([0.7, 0.3], (50, 1))
    assert len(reliability(np.zeros(50, int), rows, None)["top"]["bins"]) == 1
    scores, labels = scored(5)
    found = reliability(labels, softmax(scores, axis=1), None)
    assert len(found["top"]["bins"]) == 1 and found["top"]["bins"][0]["accuracy"]["images"] == 5
    sure = np.tile([1.0, 0.0], (50, 1))
    assert reliability(np.zeros(50, int), sure, None)["classes"][1] == {"bins": [], "left_out": 50}
    with pytest.raises(ValueError, match="bins"):
        reliability(labels, softmax(scores, axis=1), None, bins=0)


def test_images_of_one_leaf_widen_the_intervals_of_the_diagram():
    scores, labels = scored(400)
    rows, leaf = np.repeat(softmax(scores, axis=1), 6, axis=0), np.repeat(np.arange(400), 6)
    widths = []
    for groups in (None, leaf):
        bins = reliability(np.repeat(labels, 6), rows, groups, bins=4)["top"]["bins"]
        widths.append(np.mean([each["accuracy"]["high"] - each["accuracy"]["low"] for each in bins]))
    assert widths[1] > 2 * widths[0]


def test_a_model_too_sure_is_found_out_and_its_repair_seen():
    scores, labels = scored(1500)
    spoilt, mended = softmax(scores * 3, axis=1), softmax(scores, axis=1)
    report = calibration_report(labels, spoilt, mended, np.arange(1500) // 3)
    assert json.dumps(report, allow_nan=False)
    before, after = report["ece"]["before"], report["ece"]["after"]
    assert before["value"] == pytest.approx(expected_calibration_error(labels, spoilt))
    assert before["low"] > after["high"] and after["low"] == 0 and after["likely"] < after["value"]
    loss = report["log_loss"]
    assert loss["before"]["value"] == pytest.approx(log_loss(labels, spoilt))
    assert loss["change"]["value"] == pytest.approx(loss["after"]["value"] - loss["before"]["value"])
    assert loss["change"]["high"] < 0 and "better by" in report["says"]
    assert "worse by" in calibration_report(labels, mended, spoilt, None)["says"]


def test_nothing_changed_claims_no_change_and_few_groups_have_no_interval():
    scores, labels = scored(200)
    rows = softmax(scores, axis=1)
    same = calibration_report(labels, rows, rows, None)
    assert same["log_loss"]["change"]["low"] is None and "better" not in same["says"]
    few = calibration_report(labels, rows, rows, np.arange(200) % 4)
    assert few["ece"]["before"]["low"] is None and "4 groups are too few" in few["ece"]["before"]["reason"]


def test_a_perfect_models_error_interval_reaches_zero():
    reached = 0
    for seed in range(20):
        scores, labels = scored(300, seed=seed)
        rows = softmax(scores, axis=1)
        reached += calibration_report(labels, rows, rows, None, resamples=400)["ece"]["before"]["low"] == 0
    assert reached >= 17


def test_an_error_that_is_small_by_luck_leaves_room_for_a_much_larger_one():
    noise = np.random.default_rng(0).normal(0, 0.1, (4000, 1))
    low, _, high = error_limits(np.array([0.01]), noise, 0.95)
    assert low == 0 and 0.1 < high < 0.25  # ten times the error of the data and more
