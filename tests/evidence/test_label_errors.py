"""Probable label errors, the most suspect first."""

from __future__ import annotations

import numpy as np
import pytest

from coverslip.evidence.label_errors import rank_label_errors


def flipped(images=1000, classes=5, share=0.05, seed=0):
    """Partly flipped labels, out-of-fold probabilities of a good model, and the true labels."""
    rng = np.random.default_rng(seed)
    truth = np.arange(images) % classes
    scores = rng.normal(size=(images, classes))
    scores[np.arange(images), truth] += 4
    powers = np.exp(scores)
    arguments = rng.random(images) < share
    given = np.where(arguments, (truth + rng.integers(1, classes, images)) % classes, truth)
    return given, powers / powers.sum(axis=1, keepdims=True), truth


def test_most_flipped_labels_rank_first_and_the_true_class_is_suggested():
    given, rows, truth = flipped()
    result = rank_label_errors(given, rows)
    arguments = given != truth
    assert arguments[result.rows[:80]].sum() >= 0.8 * arguments.sum()
    first = result.rows[:40]
    assert (result.suggested[:40] == truth[first]).mean() > 0.95
    assert result.estimate == pytest.approx(arguments.mean(), abs=0.02)


def test_every_image_is_ranked_once_with_suspects_first():
    given, rows, _ = flipped(300)
    result = rank_label_errors(given, rows)
    assert sorted(result.rows.tolist()) == list(range(300))
    number = int(result.suspect.sum())
    assert result.suspect[:number].all() and result.estimate == number / 300
    for part in (result.score[:number], result.score[number:]):
        assert (np.diff(part) <= 0).all()
    assert (result.suggested != given[result.rows]).all()


def test_a_class_with_low_confidence_is_not_called_an_error():
    # images of class 0 resemble class 1 slightly more, but less than images of class 1 do
    rows = np.array([[0.45, 0.55]] * 10 + [[0.05, 0.95]] * 10)
    assert not rank_label_errors(np.repeat([0, 1], 10), rows).suspect.any()


def test_correct_labels_are_not_suspect():
    given, _, truth = flipped(share=0)
    certain = np.eye(5)[truth] * 0.9 + 0.02
    assert rank_label_errors(given, certain).estimate == 0


def test_a_leaf_with_many_images_does_not_dominate_the_threshold():
    # class 1: one leaf of 40 blurred images at 0.4, ten leaves at 0.95; an image labeled 0 has 0.6 for class 1
    rows = np.array([[0.9, 0.1]] * 10 + [[0.4, 0.6]] + [[0.6, 0.4]] * 40 + [[0.05, 0.95]] * 10)
    labels = np.array([0] * 11 + [1] * 50)
    groups = np.array([*range(11), *[11] * 40, *range(12, 22)])
    ungrouped, grouped = rank_label_errors(labels, rows), rank_label_errors(labels, rows, groups)
    assert 10 in ungrouped.rows[ungrouped.suspect]
    assert 10 not in grouped.rows[grouped.suspect]


def test_a_single_class_and_absent_classes_are_handled():
    ungrouped = rank_label_errors(np.zeros(4, int), np.ones((4, 1)))
    assert not ungrouped.suspect.any() and ungrouped.suggested.tolist() == [0] * 4
    rows = np.array([[0.1, 0.1, 0.8]] * 5 + [[0.1, 0.8, 0.1]] * 5)
    assert not rank_label_errors(np.repeat([0, 1], 5), rows).suspect.any()  # class 2 has no image to compare with


def test_invalid_input_is_an_error():
    given, rows, _ = flipped(20)
    rows[0, 0] = np.nan
    for arguments in ((given, rows), (given[:5], rows[:6]), (given + 5, np.full((20, 5), 0.2))):
        with pytest.raises(ValueError):
            rank_label_errors(*arguments)
