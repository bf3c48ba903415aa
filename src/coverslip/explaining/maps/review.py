"""Heat maps of a whole test set: mean maps, images with heat off the subject, clusters of mistakes, and examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.explaining.maps.placement import Masks, heat_in_mask
from coverslip.explaining.maps.similarity import FloatArray, Maps, flat

Rows = npt.NDArray[np.integer[Any]]
Features = npt.NDArray[np.floating[Any]]
MAX_CLUSTERS = 8  # more clusters are too many to inspect
MIN_MISTAKES = 6  # fewer mistakes are not clustered but shown one by one
CONFIDENT = 0.8  # a mistake with at least this probability is a confident mistake


def mean_maps(maps: Maps, labels: Rows, classes: int) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Return the mean map of each class; all images have equal weight, however strong their heat.

    Args:
        maps: heat maps, (N, h, w), >= 0.
        labels: true or predicted class ids, shape (N,), values in 0..K-1.
        classes: number of classes K.

    Returns:
        means: mean maps, (K, h, w), each with a sum of 1; NaN for a class without heat.
        counts: number of maps in each mean, shape (K,).
    """
    heat = np.asarray(maps, np.float64)
    total = heat.sum(axis=(1, 2))
    known = total > 0
    means, counts = np.full((classes, *heat.shape[1:]), np.nan), np.zeros(classes, np.int64)
    for label in range(classes):
        chosen = known & (np.asarray(labels) == label)
        counts[label] = chosen.sum()
        if chosen.any():
            means[label] = (heat[chosen] / total[chosen, None, None]).mean(axis=0)
    return means, counts


@dataclass(frozen=True)
class OffSubject:
    """An image with more heat off the subject than expected from the area.

    Attributes:
        row: row of the test set.
        off: fraction of the heat outside the subject, 0 to 1.
        area: fraction of the image outside the subject, 0 to 1.
    """

    row: int
    off: float
    area: float


def rank_off_subject(maps: Maps, subject: Masks) -> list[OffSubject]:
    """Rank images in which the network attends to the background, the worst first.

    Images are ranked by the fraction of heat off the subject, divided by the fraction of area off it. Otherwise images
    with a small subject would fill the list, since even evenly distributed heat is mostly off a small subject.

    Args:
        maps: heat maps, (N, h, w), >= 0; resized to the masks.
        subject: the leaf with its lesions, bool (N, H, W); without masks, the complement of `placement.border_frame`.

    Returns:
        Only images with more heat off the subject than its area; images with a flat map, without a subject or without
        a background are excluded.
    """
    inside, area = heat_in_mask(maps, subject)
    off, background = 1 - inside, 1 - area
    rows = np.flatnonzero(np.isfinite(off) & (background > 0) & (off > background) & ~flat(maps))
    ranked = sorted(rows.tolist(), key=lambda row: -off[row] / background[row])
    return [OffSubject(row, float(off[row]), float(background[row])) for row in ranked]


@dataclass(frozen=True)
class Cluster:
    """Misclassified images with similar features.

    Attributes:
        rows: rows of the test set, the most typical image first.
        mistakes: (true class id, predicted class id) -> number of images, the most frequent pair first.
        around: number of test images, correct or not, that are at least as close to the most typical image as half of
            the cluster.
        wrong_around: number of mistakes among these.
        name: name given by the user; "" without one.
    """

    rows: tuple[int, ...]
    mistakes: dict[tuple[int, int], int]
    around: int
    wrong_around: int
    name: str = ""


def cluster_mistakes(features: Features, labels: Rows, predicted: Rows) -> list[Cluster]:
    """Cluster the mistakes on a test set by their features, the largest cluster first.

    Agglomerative clustering of normalized features with average linkage; the number of clusters, 2 to 8, maximizes the
    silhouette. With fewer than six mistakes, each is its own cluster.

    Args:
        features: features of all test images, (N, D); correct ones show whether a neighborhood is bad as a whole.
        labels: true class ids, shape (N,).
        predicted: predicted class ids, shape (N,).

    Reference: Rousseeuw, Journal of Computational and Applied Mathematics 20, 1987 (silhouette).
    """
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    wrong = np.flatnonzero(labels != predicted)
    unit = np.asarray(features, np.float64)
    unit = unit / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    assigned = _assign_clusters(unit[wrong]) if len(wrong) >= MIN_MISTAKES else np.arange(len(wrong))
    clusters = [_cluster(unit, labels, predicted, wrong[assigned == number]) for number in np.unique(assigned)]
    return sorted(clusters, key=lambda cluster: (-len(cluster.rows), cluster.rows))


def _assign_clusters(unit: FloatArray) -> npt.NDArray[np.int64]:
    """Assign features (n, D) of unit norm to clusters, shape (n,); a single cluster if there is no structure."""
    from sklearn.cluster import AgglomerativeClustering
    from sklearn.metrics import silhouette_score

    best, chosen = 0.0, np.zeros(len(unit), np.int64)
    distances = np.clip(1 - unit @ unit.T, 0, 2)
    np.fill_diagonal(distances, 0)
    if distances.max() < 1e-9:
        return chosen
    for number in range(2, min(MAX_CLUSTERS, len(unit) - 1) + 1):
        assigned = AgglomerativeClustering(number, metric="precomputed", linkage="average").fit_predict(distances)
        silhouette = float(silhouette_score(distances, assigned, metric="precomputed"))
        if silhouette > best:
            best, chosen = silhouette, assigned
    return chosen


def _cluster(unit: FloatArray, labels: Rows, predicted: Rows, rows: Rows) -> Cluster:
    closeness = unit[rows] @ unit[rows].mean(axis=0)
    rows = rows[np.argsort(-closeness, kind="stable")]
    near = unit @ unit[rows[0]]
    around = near >= np.median(near[rows]) - 1e-12  # the margin is for rounding
    pairs = Counter((int(labels[row]), int(predicted[row])) for row in rows)
    return Cluster(
        tuple(rows.tolist()), dict(pairs.most_common()), int(around.sum()), int((around & (labels != predicted)).sum())
    )


def with_names(clusters: Sequence[Cluster], paths: Sequence[str], names: Mapping[str, str]) -> list[Cluster]:
    """Return the clusters with the names that the user gave to one of their images.

    Names are stored with the path of an image instead of a number, so that they are found again after another training.
    If a cluster has several names, that of the most typical image is used.

    >>> cluster = Cluster((1, 0), {(0, 1): 2}, 2, 2)
    >>> with_names([cluster], ["a.jpg", "b.jpg"], {"a.jpg": "out of focus"})[0].name
    'out of focus'
    """
    result = []
    for cluster in clusters:
        given = [names[paths[row]] for row in cluster.rows if paths[row] in names]
        result.append(replace(cluster, name=given[0] if given else cluster.name))
    return result


@dataclass(frozen=True)
class Examples:
    """Rows of the test set to show as examples.

    Attributes:
        of_class: for each of K classes, correctly classified images over the range of confidence, highest first.
        mistakes: all confident mistakes, the most confident first.
    """

    of_class: list[list[int]]
    mistakes: list[int]


def choose_examples(
    labels: Rows, predicted: Rows, confidence: npt.NDArray[np.floating[Any]], classes: int, *, per_class: int = 3
) -> Examples:
    """Choose examples of each class over the whole range of confidence, and all confident mistakes.

    Args:
        labels: true class ids, shape (N,).
        predicted: predicted class ids, shape (N,).
        confidence: probability of the predicted class, shape (N,), 0 to 1; mistakes from 0.8 on are confident mistakes.
        classes: number of classes K.
        per_class: maximum number of examples per class.
    """
    labels, predicted, confidence = np.asarray(labels), np.asarray(predicted), np.asarray(confidence)
    order = np.argsort(-confidence, kind="stable")
    chosen = []
    for label in range(classes):
        correct = order[(labels[order] == label) & (predicted[order] == label)]
        places = np.linspace(0, max(0, len(correct) - 1), min(per_class, len(correct)))
        chosen.append([int(correct[place]) for place in places.round().astype(int)])
    wrong = order[(labels[order] != predicted[order]) & (confidence[order] >= CONFIDENT)]
    return Examples(chosen, wrong.tolist())
