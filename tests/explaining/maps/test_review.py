"""Over a test set: every image counts once, the worst comes first, and mistakes that are alike come together."""

import numpy as np
import pytest

from coverslip.explaining.maps.review import (
    choose_examples,
    cluster_failures,
    mean_maps,
    rank_looked_away,
    with_names,
)


def test_a_strong_map_does_not_outvote_the_others():
    maps = np.zeros((4, 1, 2), np.float32)
    maps[0, 0, 0], maps[1, 0, 1], maps[2] = 1000, 1, 0
    maps[3, 0, 1] = 5
    means, number = mean_maps(maps, np.array([0, 0, 0, 1]), 3)
    assert means[0].tolist() == [[0.5, 0.5]] and means[1].tolist() == [[0, 1]] and np.isnan(means[2]).all()
    assert number.tolist() == [2, 1, 0]  # the map without heat is in none


def test_who_looked_at_the_background_most_comes_first():
    subject = np.zeros((5, 4, 4), bool)
    subject[:, 1:3, 1:3] = True
    subject[4] = True  # no background
    maps = np.where(subject, 1.0, 0.0).astype(np.float32)
    maps[1] = ~subject[1]
    maps[2] = 1 + 4 * ~subject[2]
    maps[3] = 0
    ranked = rank_looked_away(maps, subject)
    assert [each.row for each in ranked] == [1, 2]
    assert ranked[0].off == 1 and ranked[0].area == 0.75 and ranked[1].off == pytest.approx(60 / 64)


def failures(seed=0):
    """Sixty images in three clouds; the first two hold mistakes only, of two kinds, the third is mostly right."""
    chance = np.random.default_rng(seed)
    centers = np.eye(6)[:3]
    features = np.repeat(centers, 20, axis=0) + 0.05 * chance.standard_normal((60, 6))
    labels = np.repeat([0, 1, 2], 20)
    predicted = labels.copy()
    predicted[:20], predicted[20:32], predicted[40:42] = 1, 2, 0
    return features, labels, predicted


def test_mistakes_that_look_alike_come_together():
    features, labels, predicted = failures()
    clusters = cluster_failures(7 * features, labels, predicted)
    assert [len(each.rows) for each in clusters] == [20, 12, 2]
    assert set(clusters[0].rows) == set(range(20)) and clusters[0].mistakes == {(0, 1): 20}
    assert sorted(row for each in clusters for row in each.rows) == np.flatnonzero(labels != predicted).tolist()
    assert clusters[0].wrong_around == clusters[0].around  # nothing right is near
    assert clusters[1].wrong_around < clusters[1].around  # eight of that cloud are right


def test_few_mistakes_or_equal_ones_are_no_error():
    features, labels, predicted = failures()
    assert cluster_failures(features, labels, labels) == []
    few = predicted.copy()
    few[3:] = labels[3:]
    assert [each.rows for each in cluster_failures(features, labels, few)] == [(0,), (1,), (2,)]
    same = cluster_failures(np.ones((60, 3)), labels, predicted)
    assert len(same) == 1 and len(same[0].rows) == 34
    assert len(cluster_failures(np.zeros((60, 3)), labels, predicted)) == 1


def test_a_name_finds_its_cluster_again():
    features, labels, predicted = failures()
    paths = [f"{row}.jpg" for row in range(60)]
    clusters = with_names(
        cluster_failures(features, labels, predicted), paths, {"25.jpg": "wet leaves", "50.jpg": "no"}
    )
    assert [each.name for each in clusters] == ["", "wet leaves", ""]


def test_examples_are_spread_over_confidence_and_confident_mistakes_are_all_there():
    labels, predicted = np.array([0] * 5 + [1] * 3 + [2]), np.array([0] * 5 + [0, 0, 1] + [2])
    confidence = np.array([0.5, 0.9, 0.7, 0.99, 0.6, 0.85, 0.95, 0.9, 0.4])
    chosen = choose_examples(labels, predicted, confidence, 4)
    assert chosen.of_class == [[3, 2, 0], [7], [8], []]
    assert chosen.mistakes == [6, 5]
    assert choose_examples(labels, predicted, confidence, 4, each=1).of_class[0] == [3]
