"""The threshold of two classes: what is asked for is kept on new groups, and the default is the plain answer."""

import numpy as np
import pytest

from coverslip.evidence.classification import classification_evidence
from coverslip.evidence.conformal import groups_needed
from coverslip.evidence.threshold import (
    Threshold,
    fit_threshold,
    operating_curve,
    positive_class,
    unmeasured_threshold,
)

NAMES = ("healthy", "rust")


def draw(groups, seed, shots=3, signal=1.2):
    """Images of whole groups of one class each, whose probabilities share the group's luck."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(groups) % 2, shots)
    luck = np.repeat(rng.normal(0, 1, groups), shots) + 0.3 * rng.normal(0, 1, groups * shots)
    sure = 1 / (1 + np.exp(-(signal * (2 * labels - 1) + luck)))
    return labels, np.stack([1 - sure, sure], axis=1), np.repeat(np.arange(groups), shots)


def test_without_a_wish_the_more_probable_class_is_named():
    labels, rows, groups = draw(40, 0)
    found = fit_threshold(labels, rows, groups, NAMES, "rust")
    assert (found.named(rows, NAMES) == rows.argmax(axis=1)).all()
    assert (found.value, found.chosen, found.asked, found.note) == (0.5, "default", None, "")
    other = fit_threshold(labels, rows, groups, NAMES, "healthy")
    assert (other.named(rows, NAMES) == rows.argmax(axis=1)).all()
    assert other.sensitivity == found.specificity


@pytest.mark.parametrize("side", ["sensitivity", "specificity"])
@pytest.mark.parametrize("positive", NAMES)
def test_what_is_asked_for_is_kept_on_new_groups(side, positive):
    kept = []
    for seed in range(60):
        found = fit_threshold(*draw(60, seed), NAMES, positive, **{side: 0.9})
        labels, rows, _ = draw(400, seed + 1000)
        own = labels == (NAMES.index(positive) if side == "sensitivity" else 1 - NAMES.index(positive))
        kept.append((found.named(rows, NAMES) == labels)[own].mean())
    assert 0.89 < np.mean(kept) < 0.95  # at least 0.9, and not by naming everything so


def test_too_few_groups_promise_what_they_can_and_say_so():
    labels, rows, groups = draw(12, 1)
    found = fit_threshold(labels, rows, groups, NAMES, "rust", sensitivity=0.95)
    assert found.sensitivity["value"] == 1 and found.value == rows[labels == 1, 1].min()
    assert f"6 groups of 'rust' cannot promise 0.95 ({groups_needed(0.95)} could)" in found.note
    assert "promises 0.86" in found.note
    labels, rows, _ = draw(36, 1, shots=1)
    close = fit_threshold(labels, rows, None, NAMES, "rust", sensitivity=0.95).note  # 18 / 19 is 0.947...
    assert "18 images of 'rust' cannot promise 0.95 (19 could)" in close and close.endswith("promises 0.947")
    alone = fit_threshold(labels[labels == 0], rows[labels == 0], None, NAMES, "rust", sensitivity=0.95)
    assert alone.value == 0.5 and "no image of 'rust'" in alone.note and alone.sensitivity["value"] is None


def test_the_balanced_one_has_the_largest_sum_and_is_the_middle_where_nothing_speaks_against_it():
    labels, rows, _ = draw(80, 2, signal=0.4)
    rows = rows**3 / (rows**3).sum(axis=1, keepdims=True) * [1, 1]
    shifted = np.stack([1 - rows[:, 1] * 0.5, rows[:, 1] * 0.5], axis=1)  # rust is never given more than a half
    found = fit_threshold(labels, shifted, None, NAMES, "rust", balanced=True)
    sums = [
        fit_threshold(labels, shifted, None, NAMES, "rust", value=value)
        for value in np.unique(shifted[:, 1]).clip(1e-6, 1 - 1e-6)
    ]
    best = max(each.sensitivity["value"] + each.specificity["value"] for each in sums)
    assert found.sensitivity["value"] + found.specificity["value"] == pytest.approx(best) and found.value < 0.5
    clear = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.2, 0.8]])
    assert fit_threshold(np.array([0, 0, 1, 1]), clear, None, NAMES, "rust", balanced=True).value == 0.5


def test_a_group_counts_once_however_often_it_was_photographed():
    labels, rows, groups = draw(60, 3)
    many = np.r_[np.arange(len(labels)), np.repeat(np.flatnonzero(groups == 1), 200)]
    for wish in ({"sensitivity": 0.9}, {"balanced": True}):
        plain = fit_threshold(labels, rows, groups, NAMES, "rust", **wish)
        again = fit_threshold(labels[many], rows[many], groups[many], NAMES, "rust", **wish)
        assert again.value == pytest.approx(plain.value, abs=0.03)


def test_its_numbers_are_those_of_the_test_and_lie_on_the_curve():
    labels, rows, groups = draw(60, 4)
    found = fit_threshold(labels, rows, groups, NAMES, "rust", value=0.3)
    named = found.named(rows, NAMES)
    scores = classification_evidence(labels, rows, groups, NAMES, predicted=named, positive="rust")["scores"]
    curve = operating_curve(labels, rows, groups, NAMES, "rust", value=0.3)
    place = curve["thresholds"].index(0.3)
    for side in ("sensitivity", "specificity"):
        score = getattr(found, side)
        assert [score[key] for key in ("value", "low", "high")] == curve[side][place]
        assert scores[side] == score
    sensitivities, specificities = ([point[0] for point in curve[side]] for side in ("sensitivity", "specificity"))
    assert sensitivities == sorted(sensitivities, reverse=True) and specificities == sorted(specificities)
    assert (sensitivities[0], specificities[0]) == (1, 0)


def test_it_comes_back_from_json_to_the_bit_and_what_is_none_is_refused():
    found = fit_threshold(*draw(30, 5), NAMES, "rust", specificity=0.8, why="because")
    assert Threshold.from_json(found.to_json(), NAMES) == found
    nobody = unmeasured_threshold("rust", 0.2)
    assert Threshold.from_json(nobody.to_json(), NAMES) == nobody and nobody.sensitivity["value"] is None
    for spoilt in ({"value": 1.5}, {"class_name": "mildew"}, {"sensitivity": {}}, {"value": None}):
        with pytest.raises((KeyError, TypeError, ValueError)):
            Threshold.from_json(found.to_json() | spoilt, NAMES)
    with pytest.raises(ValueError):
        Threshold.from_json(found.to_json(), ("healthy", "rust", "mildew"))


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
def test_the_class_that_is_looked_for_is_the_one_whose_name_does_not_say_that_all_is_well(names, positive):
    for order in (names, names[::-1]):
        if "peas" not in names[1]:
            assert positive_class(order)[0] == positive
    found, why = positive_class(names)
    assert found == positive and (("no name says" in why) == ("peas" in names[1]))


@pytest.mark.parametrize(
    "wrong", [{"value": 0.0}, {"value": 1.0}, {"sensitivity": 1.5}, {"value": 0.5, "balanced": True}]
)
def test_what_nobody_can_mean_is_refused(wrong):
    with pytest.raises(ValueError, match="between 0 and 1"):
        fit_threshold(*draw(10, 0), NAMES, "rust", **wrong)
    with pytest.raises(ValueError, match="two classes"):
        fit_threshold(np.array([0]), np.full((1, 3), 1 / 3), None, ("a", "b", "c"), "a")
