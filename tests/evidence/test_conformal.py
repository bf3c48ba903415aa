"""Conformal prediction sets and their coverage."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from coverslip.evidence.conformal import (
    ConformalThresholds,
    evaluate_prediction_sets,
    fit_prediction_sets,
    group_quantile,
    prediction_sets,
)


def draw_data(groups=60, classes=3, shots=1, seed=0, signal=1.5):
    """Labels, probabilities and groups, ``groups`` per class; images of a group are correlated."""
    rng = np.random.default_rng(seed)
    label_of = np.arange(groups * classes) % classes
    group_ids = np.repeat(np.arange(len(label_of)), shots)
    labels = label_of[group_ids]
    scores = rng.normal(size=(len(group_ids), classes)) + rng.normal(size=(len(label_of), classes))[group_ids]
    scores[np.arange(len(group_ids)), labels] += signal
    powers = np.exp(scores)
    return labels, powers / powers.sum(axis=1, keepdims=True), group_ids


def test_the_quantile_is_the_usual_order_statistic():
    scores = np.random.default_rng(0).permutation(99).astype(float)
    assert group_quantile(scores, None, 0.9) == 89  # the 90th smallest of 99: ceil(100 * 0.9)
    assert group_quantile(scores, None, 0.95) == 94


def test_six_copies_of_every_image_change_no_threshold():
    labels, rows, group_ids = draw_data()
    original = fit_prediction_sets(labels, rows, group_ids)
    copied = fit_prediction_sets(np.repeat(labels, 6), np.repeat(rows, 6, axis=0), np.repeat(group_ids, 6))
    assert copied == original
    assert original.groups == (60, 60, 60) and original.basis == ("own",) * 3


def test_coverage_over_many_splits_is_nominal_for_every_class():
    labels, rows, group_ids = draw_data(groups=80, seed=3)
    rng, coverage = np.random.default_rng(1), []
    for _ in range(100):
        calibrates = np.isin(group_ids, np.concatenate([rng.permutation(80)[:39] * 3 + k for k in range(3)]))
        thresholds = fit_prediction_sets(labels[calibrates], rows[calibrates], group_ids[calibrates])
        members = prediction_sets(rows[~calibrates], thresholds, fill=False)
        result = evaluate_prediction_sets(labels[~calibrates], members, None)
        coverage.append([entry["coverage"]["value"] for entry in result["classes"]])
    error = np.std(coverage, axis=0) / 10
    assert (np.mean(coverage, axis=0) > 0.9 - 2 * error).all()
    assert (np.mean(coverage, axis=0) < 0.9 + 1 / 40 + 2 * error).all()


def test_a_class_of_few_groups_gets_the_pooled_threshold_with_a_warning():
    labels, rows, group_ids = draw_data()
    keep = (labels != 2) | (group_ids < 24)  # eight groups of the third class
    thresholds = fit_prediction_sets(labels[keep], rows[keep], group_ids[keep])
    assert thresholds.groups == (60, 60, 8) and thresholds.basis == ("own", "own", "pooled")
    assert "only on average" in thresholds.warnings(["a", "b", "c"])[0] and thresholds.warnings(["a", "b", "c"])[
        0
    ].endswith(": c")
    absent = fit_prediction_sets(labels[labels != 2], rows[labels != 2], None)
    assert absent.groups[2] == 0 and absent.basis[2] == "pooled"


def test_with_too_few_groups_overall_every_class_is_in_every_set():
    labels, rows, _ = draw_data()
    thresholds = fit_prediction_sets(labels, rows, np.arange(len(labels)) % 8)
    assert thresholds.basis == ("all",) * 3 and prediction_sets(rows, thresholds).all()
    assert "in every prediction set" in thresholds.warnings(["a", "b", "c"])[0]


def test_empty_sets_are_filled_by_default():
    labels, rows, group_ids = draw_data(signal=6.0)  # almost always correct, so that some images reach no threshold
    thresholds = fit_prediction_sets(labels, rows, group_ids)
    unfilled, filled = prediction_sets(rows, thresholds, fill=False), prediction_sets(rows, thresholds)
    assert not unfilled.any(axis=1).all() and filled.any(axis=1).all()
    empty = ~unfilled.any(axis=1)
    assert (filled[empty].sum(axis=1) == 1).all() and (filled[empty].argmax(axis=1) == rows[empty].argmax(axis=1)).all()
    assert (filled[~empty] == unfilled[~empty]).all()


def test_an_unreadable_image_has_an_empty_set():
    thresholds = ConformalThresholds(0.9, (0.3, 0.0), (40, 3), ("own", "all"))
    rows = np.array([[np.nan, np.nan], [0.2, 0.8]])
    assert prediction_sets(rows, thresholds).tolist() == [[False, False], [False, True]]


def test_thresholds_are_restored_exactly_from_json():
    thresholds = fit_prediction_sets(*draw_data())
    assert ConformalThresholds.from_json(json.loads(json.dumps(thresholds.to_json()))) == thresholds
    for change in ({"least": [0.1]}, {"coverage": 1.5}, {"basis": ["own", "own", "guess"]}, {"least": [0.1, 0.2, 7]}):
        with pytest.raises(ValueError):
            ConformalThresholds.from_json(thresholds.to_json() | change)
    with pytest.raises(KeyError):
        ConformalThresholds.from_json({})


def test_each_group_has_the_same_weight():
    labels = np.array([0] * 8 + [0] * 8)
    groups = np.array([0] * 8 + list(range(1, 9)))  # one leaf of eight images, eight leaves of one image
    members = np.array([[False, True]] * 8 + [[True, False]] * 8)
    result = evaluate_prediction_sets(labels, members, groups)
    assert result["coverage"]["value"] == pytest.approx(8 / 9)
    assert result["coverage"]["groups"] == 9 and result["coverage"]["images"] == 16
    assert result["coverage"]["low"] == pytest.approx(0.518, abs=1e-3)  # Clopper and Pearson for 8 of 9
    assert result["sizes"] == [0, 16, 0] and result["size"]["low"] is None  # never [1.000, 1.000]
    assert result["classes"][1]["coverage"]["value"] is None
    assert json.dumps(result, allow_nan=False)


def test_the_interval_of_the_set_size_is_bounded_by_the_number_of_classes():
    members = np.array([[True, True, True]] * 6 + [[True, False, False]])
    result = evaluate_prediction_sets(np.zeros(7, int), members, None)["size"]
    assert result["value"] == pytest.approx(19 / 7) and result["low"] < 19 / 7 and result["high"] == 3


def test_with_fewer_than_five_groups_coverage_has_no_interval():
    result = evaluate_prediction_sets(np.zeros(4, int), np.ones((4, 2), bool), None)
    assert result["coverage"]["value"] == 1 and result["coverage"]["reason"].startswith("4 images are too few")


def test_invalid_input_is_an_error():
    labels, rows, group_ids = draw_data()
    for wrong in (0, 1, math.nan):
        with pytest.raises(ValueError, match="coverage"):
            fit_prediction_sets(labels, rows, group_ids, coverage=wrong)
    with pytest.raises(ValueError, match=r"\(N, 2\)"):
        prediction_sets(rows, ConformalThresholds(0.9, (0.1, 0.1), (9, 9), ("own", "own")))
    with pytest.raises(ValueError):
        evaluate_prediction_sets(labels + 3, np.ones_like(rows, dtype=bool), None)
