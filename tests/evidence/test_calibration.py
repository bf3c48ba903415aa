"""Whether probabilities can be taken at their word, and the two repairs."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import log_loss

from coverslip.errors import UserError
from coverslip.evidence.calibration import (
    calibration_report,
    error_limits,
    expected_calibration_error,
    reliability,
)
from coverslip.evidence.recalibration import correct_priors, fit_temperature


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


def test_where_all_are_right_the_temperature_stays_short_of_its_bound():
    labels = np.arange(30) % 3
    found = fit_temperature(np.eye(3)[labels] * 4.0, labels)
    assert 0.1 < found < 1
    assert fit_temperature(np.eye(3)[labels] * 1000.0, labels) <= 20  # nothing overflows
    assert fit_temperature(np.eye(3)[(labels + 1) % 3] * 1000.0, labels) == pytest.approx(20, rel=0.01)


def test_a_picture_of_weight_two_counts_as_two_pictures():
    scores, labels = scored(300)
    twice = np.concatenate([np.arange(300), np.arange(100)])
    weights = np.where(np.arange(300) < 100, 2.0, 1.0)
    assert fit_temperature(scores, labels, weights) == pytest.approx(
        fit_temperature(scores[twice], labels[twice]), rel=0.01
    )


def test_infinite_scores_are_the_users_to_mend():
    scores, labels = scored(20)
    scores[3, 1] = np.inf
    scores[5, 0] = np.nan
    with pytest.raises(UserError, match="2 of 20 pictures"):
        fit_temperature(scores, labels)
    for wrong in (labels[:5], labels + 4):
        with pytest.raises(ValueError):
            fit_temperature(scored(20)[0], wrong)
    with pytest.raises(ValueError, match="weights"):
        fit_temperature(scored(20)[0], labels, np.zeros(20))


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


def test_few_pictures_and_equal_probabilities_have_few_bins():
    rows = np.tile([0.7, 0.3], (50, 1))
    assert len(reliability(np.zeros(50, int), rows, None)["top"]["bins"]) == 1
    scores, labels = scored(5)
    found = reliability(labels, softmax(scores, axis=1), None)
    assert len(found["top"]["bins"]) == 1 and found["top"]["bins"][0]["accuracy"]["images"] == 5
    sure = np.tile([1.0, 0.0], (50, 1))
    assert reliability(np.zeros(50, int), sure, None)["classes"][1] == {"bins": [], "left_out": 50}
    with pytest.raises(ValueError, match="bins"):
        reliability(labels, softmax(scores, axis=1), None, bins=0)


def test_pictures_of_one_leaf_widen_the_intervals_of_the_diagram():
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
