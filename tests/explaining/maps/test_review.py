"""Review of a test set: equal weights, ranking of images with heat off the subject, and clusters of mistakes."""

import numpy as np
import pytest

from coverslip.explaining.maps.review import (
    choose_examples,
    cluster_mistakes,
    mean_maps,
    rank_off_subject,
    with_names,
)


def test_a_strong_map_does_not_dominate_the_mean():
    maps = np.zeros((4, 1, 2), np.float32)
    maps[0, 0, 0], maps[1, 0, 1], maps[2] = 1000, 1, 0
    maps[3, 0, 1] = 5
    means, number = mean_maps(maps, np.array([0, 0, 0, 1]), 3)
    assert means[0].tolist() == [[0.5, 0.5]] and means[1].tolist() == [[0, 1]] and np.isnan(means[2]).all()
    assert number.tolist() == [2, 1, 0]  # the map without heat is ignored


def test_images_with_most_heat_on_the_background_come_first():
    subject = np.zeros((5, 4, 4), bool)
    subject[:, 1:3, 1:3] = True
    subject[4] = True  # no background
    maps = np.where(subject, 1.0, 0.0).astype(np.float32)
    maps[1] = ~subject[1]
    maps[2] = 1 + 4 * ~subject[2]
    maps[3] = 0
    ranked = rank_off_subject(maps, subject)
    assert [image.row for image in ranked] == [1, 2]
    assert ranked[0].off == 1 and ranked[0].area == 0.75 and ranked[1].off == pytest.approx(60 / 64)


def mistakes(seed=0):
    """Return sixty images in three clusters: all wrong, mostly wrong, and mostly correct."""
    rng = np.random.default_rng(seed)
    centers = np.eye(6)[:3]
    features = np.repeat(centers, 20, axis=0) + 0.05 * rng.standard_normal((60, 6))
    labels = np.repeat([0, 1, 2], 20)
    predicted = labels.copy()
    predicted[:20], predicted[20:32], predicted[40:42] = 1, 2, 0
    return features, labels, predicted


def test_similar_mistakes_form_clusters():
    features, labels, predicted = mistakes()
    clusters = cluster_mistakes(7 * features, labels, predicted)
    assert [len(cluster.rows) for cluster in clusters] == [20, 12, 2]
    assert set(clusters[0].rows) == set(range(20)) and clusters[0].mistakes == {(0, 1): 20}
    assert sorted(row for cluster in clusters for row in cluster.rows) == np.flatnonzero(labels != predicted).tolist()
    assert clusters[0].wrong_around == clusters[0].around  # no correct image is close
    assert clusters[1].wrong_around < clusters[1].around  # eight images of that cluster are correct


def test_few_or_identical_mistakes_are_supported():
    features, labels, predicted = mistakes()
    assert cluster_mistakes(features, labels, labels) == []
    few = predicted.copy()
    few[3:] = labels[3:]
    assert [cluster.rows for cluster in cluster_mistakes(features, labels, few)] == [(0,), (1,), (2,)]
    same = cluster_mistakes(np.ones((60, 3)), labels, predicted)
    assert len(same) == 1 and len(same[0].rows) == 34
    assert len(cluster_mistakes(np.zeros((60, 3)), labels, predicted)) == 1


def test_names_of_clusters_are_found_again():
    features, labels, predicted = mistakes()
    paths = [f"{row}.jpg" for row in range(60)]
    clusters = with_names(
        cluster_mistakes(features, labels, predicted), paths, {"25.jpg": "wet leaves", "50.jpg": "no"}
    )
    assert [cluster.name for cluster in clusters] == ["", "wet leaves", ""]


def test_examples_cover_the_range_of_confidence_and_include_all_confident_mistakes():
    labels, predicted = np.array([0] * 5 + [1] * 3 + [2]), np.array([0] * 5 + [0, 0, 1] + [2])
    confidence = np.array([0.5, 0.9, 0.7, 0.99, 0.6, 0.85, 0.95, 0.9, 0.4])
    chosen = choose_examples(labels, predicted, confidence, 4)
    assert chosen.of_class == [[3, 2, 0], [7], [8], []]
    assert chosen.mistakes == [6, 5]
    assert choose_examples(labels, predicted, confidence, 4, per_class=1).of_class[0] == [3]
