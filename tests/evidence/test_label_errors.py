"""Labels that are probably wrong, the most suspect first."""

from __future__ import annotations

import numpy as np
import pytest

from coverslip.evidence.label_errors import rank_label_errors


def flipped(images=1000, classes=5, share=0.05, seed=0):
    """Labels of which some are flipped, what they were, and out-of-fold probabilities of a good model."""
    chance = np.random.default_rng(seed)
    truth = np.arange(images) % classes
    scores = chance.normal(size=(images, classes))
    scores[np.arange(images), truth] += 4
    powers = np.exp(scores)
    wrong = chance.random(images) < share
    given = np.where(wrong, (truth + chance.integers(1, classes, images)) % classes, truth)
    return given, powers / powers.sum(axis=1, keepdims=True), truth


def test_most_flips_are_among_the_first_and_the_true_class_is_suggested():
    given, rows, truth = flipped()
    found = rank_label_errors(given, rows)
    wrong = given != truth
    assert wrong[found.rows[:80]].sum() >= 0.8 * wrong.sum()
    first = found.rows[:40]
    assert (found.suggested[:40] == truth[first]).mean() > 0.95
    assert found.estimate == pytest.approx(wrong.mean(), abs=0.02)


def test_every_image_is_ranked_once_suspects_first_each_by_score():
    given, rows, _ = flipped(300)
    found = rank_label_errors(given, rows)
    assert sorted(found.rows.tolist()) == list(range(300))
    number = int(found.suspect.sum())
    assert found.suspect[:number].all() and found.estimate == number / 300
    for part in (found.score[:number], found.score[number:]):
        assert (np.diff(part) <= 0).all()
    assert (found.suggested != given[found.rows]).all()


def test_a_class_the_model_is_never_sure_of_is_not_called_an_error():
    # images of class 0 look a little more like class 1, but never as much as class 1 itself does
    rows = np.array([[0.45, 0.55]] * 10 + [[0.05, 0.95]] * 10)
    assert not rank_label_errors(np.repeat([0, 1], 10), rows).suspect.any()


def test_clean_labels_make_nothing_suspect():
    given, _, truth = flipped(share=0)
    sure = np.eye(5)[truth] * 0.9 + 0.02
    assert rank_label_errors(given, sure).estimate == 0


def test_one_leaf_of_many_images_does_not_set_the_usual_confidence():
    # class 1: one leaf of 40 blurred images at 0.4, ten leaves at 0.95; an image labelled 0 says 0.6 for class 1
    rows = np.array([[0.9, 0.1]] * 10 + [[0.4, 0.6]] + [[0.6, 0.4]] * 40 + [[0.05, 0.95]] * 10)
    labels = np.array([0] * 11 + [1] * 50)
    groups = np.array([*range(11), *[11] * 40, *range(12, 22)])
    alone, grouped = rank_label_errors(labels, rows), rank_label_errors(labels, rows, groups)
    assert 10 in alone.rows[alone.suspect]
    assert 10 not in grouped.rows[grouped.suspect]


def test_one_class_and_absent_classes_are_no_trouble():
    alone = rank_label_errors(np.zeros(4, int), np.ones((4, 1)))
    assert not alone.suspect.any() and alone.suggested.tolist() == [0] * 4
    rows = np.array([[0.1, 0.1, 0.8]] * 5 + [[0.1, 0.8, 0.1]] * 5)
    assert not rank_label_errors(np.repeat([0, 1], 5), rows).suspect.any()  # class 2 has no image to compare with


def test_what_cannot_be_is_refused():
    given, rows, _ = flipped(20)
    rows[0, 0] = np.nan
    for wrong in ((given, rows), (given[:5], rows[:6]), (given + 5, np.full((20, 5), 0.2))):
        with pytest.raises(ValueError):
            rank_label_errors(*wrong)
