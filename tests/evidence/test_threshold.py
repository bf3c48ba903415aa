"""Decision threshold for two classes: guarantees on new groups, and the default."""

import numpy as np
import pytest

from coverslip.evidence.classification import classification_evidence
from coverslip.evidence.conformal import min_groups_for_coverage
from coverslip.evidence.threshold import (
    Threshold,
    fit_threshold,
    operating_curve,
    positive_class,
    unmeasured_threshold,
)

NAMES = ("healthy", "rust")


def draw_data(groups, seed, shots=3, signal=1.2):
    """Images of whole groups of one class each, whose probabilities share a group effect."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(groups) % 2, shots)
    effect = np.repeat(rng.normal(0, 1, groups), shots) + 0.3 * rng.normal(0, 1, groups * shots)
    probability = 1 / (1 + np.exp(-(signal * (2 * labels - 1) + effect)))
    return labels, np.stack([1 - probability, probability], axis=1), np.repeat(np.arange(groups), shots)


def test_by_default_the_more_probable_class_is_predicted():
    labels, rows, groups = draw_data(40, 0)
    threshold = fit_threshold(labels, rows, groups, NAMES, "rust")
    assert (threshold.predicted_classes(rows, NAMES) == rows.argmax(axis=1)).all()
    assert (threshold.value, threshold.chosen, threshold.asked, threshold.note) == (0.5, "default", None, "")
    other = fit_threshold(labels, rows, groups, NAMES, "healthy")
    assert (other.predicted_classes(rows, NAMES) == rows.argmax(axis=1)).all()
    assert other.sensitivity == threshold.specificity


@pytest.mark.parametrize("side", ["sensitivity", "specificity"])
@pytest.mark.parametrize("positive", NAMES)
def test_the_target_is_reached_on_new_groups(side, positive):
    rates = []
    for seed in range(60):
        threshold = fit_threshold(*draw_data(60, seed), NAMES, positive, **{side: 0.9})
        labels, rows, _ = draw_data(400, seed + 1000)
        members = labels == (NAMES.index(positive) if side == "sensitivity" else 1 - NAMES.index(positive))
        rates.append((threshold.predicted_classes(rows, NAMES) == labels)[members].mean())
    assert 0.89 < np.mean(rates) < 0.95  # at least 0.9, without predicting everything as positive


def test_with_too_few_groups_the_note_says_what_is_guaranteed():
    labels, rows, groups = draw_data(12, 1)
    threshold = fit_threshold(labels, rows, groups, NAMES, "rust", sensitivity=0.95)
    assert threshold.sensitivity["value"] == 1 and threshold.value == rows[labels == 1, 1].min()
    assert (
        f"6 groups of 'rust' cannot guarantee the target of 0.95 (at least {min_groups_for_coverage(0.95)} are needed)"
        in threshold.note
    )
    assert "guarantees 0.86" in threshold.note
    labels, rows, _ = draw_data(36, 1, shots=1)
    close = fit_threshold(labels, rows, None, NAMES, "rust", sensitivity=0.95).note  # 18 / 19 is 0.947...
    assert (
        "18 images of 'rust' cannot guarantee the target of 0.95 (at least 19 are needed)" in close
        and close.endswith("guarantees 0.947")
    )
    alone = fit_threshold(labels[labels == 0], rows[labels == 0], None, NAMES, "rust", sensitivity=0.95)
    assert alone.value == 0.5 and "no image of 'rust'" in alone.note and alone.sensitivity["value"] is None


def test_the_balanced_threshold_maximizes_the_sum_and_is_0_5_if_that_is_a_maximum():
    labels, rows, _ = draw_data(80, 2, signal=0.4)
    rows = rows**3 / (rows**3).sum(axis=1, keepdims=True) * [1, 1]
    shifted = np.stack([1 - rows[:, 1] * 0.5, rows[:, 1] * 0.5], axis=1)  # the probability of rust never exceeds 0.5
    threshold = fit_threshold(labels, shifted, None, NAMES, "rust", balanced=True)
    sums = [
        fit_threshold(labels, shifted, None, NAMES, "rust", value=value)
        for value in np.unique(shifted[:, 1]).clip(1e-6, 1 - 1e-6)
    ]
    best = max(entry.sensitivity["value"] + entry.specificity["value"] for entry in sums)
    assert (
        threshold.sensitivity["value"] + threshold.specificity["value"] == pytest.approx(best) and threshold.value < 0.5
    )
    clear = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.2, 0.8]])
    assert fit_threshold(np.array([0, 0, 1, 1]), clear, None, NAMES, "rust", balanced=True).value == 0.5


def test_a_group_has_the_same_weight_for_any_number_of_images():
    labels, rows, groups = draw_data(60, 3)
    many = np.r_[np.arange(len(labels)), np.repeat(np.flatnonzero(groups == 1), 200)]
    for target in ({"sensitivity": 0.9}, {"balanced": True}):
        plain = fit_threshold(labels, rows, groups, NAMES, "rust", **target)
        again = fit_threshold(labels[many], rows[many], groups[many], NAMES, "rust", **target)
        assert again.value == pytest.approx(plain.value, abs=0.03)


def test_its_scores_equal_those_of_the_evaluation_and_are_on_the_curve():
    labels, rows, groups = draw_data(60, 4)
    threshold = fit_threshold(labels, rows, groups, NAMES, "rust", value=0.3)
    predicted = threshold.predicted_classes(rows, NAMES)
    scores = classification_evidence(labels, rows, groups, NAMES, predicted=predicted, positive="rust")["scores"]
    curve = operating_curve(labels, rows, groups, NAMES, "rust", value=0.3)
    place = curve["thresholds"].index(0.3)
    for side in ("sensitivity", "specificity"):
        score = getattr(threshold, side)
        assert [score[key] for key in ("value", "low", "high")] == curve[side][place]
        assert scores[side] == score
    sensitivities, specificities = ([point[0] for point in curve[side]] for side in ("sensitivity", "specificity"))
    assert sensitivities == sorted(sensitivities, reverse=True) and specificities == sorted(specificities)
    assert (sensitivities[0], specificities[0]) == (1, 0)


def test_it_is_restored_exactly_from_json_and_invalid_json_is_an_error():
    threshold = fit_threshold(*draw_data(30, 5), NAMES, "rust", specificity=0.8, why="because")
    assert Threshold.from_json(threshold.to_json(), NAMES) == threshold
    unmeasured = unmeasured_threshold("rust", 0.2)
    assert Threshold.from_json(unmeasured.to_json(), NAMES) == unmeasured and unmeasured.sensitivity["value"] is None
    for change in ({"value": 1.5}, {"class_name": "mildew"}, {"sensitivity": {}}, {"value": None}):
        with pytest.raises((KeyError, TypeError, ValueError)):
            Threshold.from_json(threshold.to_json() | change, NAMES)
    with pytest.raises(ValueError):
        Threshold.from_json(threshold.to_json(), ("healthy", "rust", "mildew"))


@pytest.mark.parametrize(
    ("names", "positive"),
    [
        (("Normal", "OSCC"), "OSCC"),
        (("Tomato___Late_blight", "Tomato___healthy"), "Tomato___Late_blight"),
        (("control", "treated"), "treated"),
        (("NoTumor", "Tumor"), "Tumor"),
        (("healthy", "unhealthy"), "unhealthy"),
        (("disease_free", "diseased"), "diseased"),
        (("0", "1"), "1"),
        (("benign", "malignant"), "malignant"),
        (("beans", "peas"), "peas"),
        (("healthy_beans", "healthy_peas"), "healthy_peas"),
    ],
)
def test_the_positive_class_is_guessed_from_the_names(names, positive):
    for order in (names, names[::-1]):
        if "peas" not in names[1]:
            assert positive_class(order)[0] == positive
    threshold, why = positive_class(names)
    assert threshold == positive and (("by default" in why) == ("peas" in names[1]))


@pytest.mark.parametrize(
    "wrong", [{"value": 0.0}, {"value": 1.0}, {"sensitivity": 1.5}, {"value": 0.5, "balanced": True}]
)
def test_invalid_targets_are_an_error(wrong):
    with pytest.raises(ValueError, match="between 0 and 1"):
        fit_threshold(*draw_data(10, 0), NAMES, "rust", **wrong)
    with pytest.raises(ValueError, match="two classes"):
        fit_threshold(np.array([0]), np.full((1, 3), 1 / 3), None, ("a", "b", "c"), "a")
