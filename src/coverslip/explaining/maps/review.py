"""Maps over a whole test set: what a class looks at, who looked away from the subject, and which mistakes are alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.explaining.maps.placement import Masks, heat_inside
from coverslip.explaining.maps.similarity import FloatArray, Maps, flat

Rows = npt.NDArray[np.integer[Any]]
Features = npt.NDArray[np.floating[Any]]
CLUSTERS = 8  # at most: more than can be looked through are no help
FEWEST = 6  # failures; fewer are shown one by one
CONFIDENT = 0.8  # a mistake with at least this probability is a confident one


def mean_maps(maps: Maps, labels: Rows, classes: int) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """The mean map of each class; every image counts alike, however strong its heat.

    Args:
        maps: (N, h, w), 0 or more.
        labels: (N,), 0 to classes - 1: of the true class, or of the predicted one.
        classes: K.

    Returns:
        (K, h, w), each with a sum of 1 (NaN where a class has no heat), and how many maps each is made of (K,).
    """
    heat = np.asarray(maps, np.float64)
    total = heat.sum(axis=(1, 2))
    known = total > 0
    result, number = np.full((classes, *heat.shape[1:]), np.nan), np.zeros(classes, np.int64)
    for label in range(classes):
        own = known & (np.asarray(labels) == label)
        number[label] = own.sum()
        if own.any():
            result[label] = (heat[own] / total[own, None, None]).mean(axis=0)
    return result, number


@dataclass(frozen=True)
class LookedAway:
    """An image whose heat lies off the subject.

    Attributes:
        row: of the test images.
        off: share of the heat that lies off the subject, 0 to 1.
        area: share of the image that is not the subject.
    """

    row: int
    off: float
    area: float


def rank_looked_away(maps: Maps, subject: Masks) -> list[LookedAway]:
    """Images in which the network looked at the background, the worst first.

    Ranked by the share of heat off the subject over the share of area off it, so that images of a small subject, in
    which even evenly spread heat lies mostly off it, do not fill the list.

    Args:
        maps: (N, h, w), 0 or more, stretched to the masks.
        subject: bool (N, H, W): the leaf with its lesions; without masks the complement of `placement.frame`.

    Returns:
        Only images with more heat off the subject than its share of area; those with a flat map, without a subject
        or without a background are left out.
    """
    inside, area = heat_inside(maps, subject)
    off, ground = 1 - inside, 1 - area
    rows = np.flatnonzero(np.isfinite(off) & (ground > 0) & (off > ground) & ~flat(maps))
    ranked = sorted(rows.tolist(), key=lambda row: -off[row] / ground[row])
    return [LookedAway(row, float(off[row]), float(ground[row])) for row in ranked]


@dataclass(frozen=True)
class Cluster:
    """Mistakes that the network sees alike.

    Attributes:
        rows: of the test images, the most typical first.
        mistakes: (true class, predicted class) -> how many, the commonest first.
        around: test images at least as near to the most typical one as half of the cluster's, right ones too.
        wrong_around: how many of those are mistakes.
        name: what a person called it; "" until then.
    """

    rows: tuple[int, ...]
    mistakes: dict[tuple[int, int], int]
    around: int
    wrong_around: int
    name: str = ""


def cluster_failures(features: Features, labels: Rows, predicted: Rows) -> list[Cluster]:
    """Gather the mistakes of a test set by how alike the network finds them, the largest cluster first.

    Features of length 1, average linkage; as many clusters, 2 to 8, as are best apart by their silhouette. With fewer
    than six mistakes each is a cluster of its own.

    Args:
        features: (N, D) of all test images, right ones too: they tell whether a neighborhood is bad as a whole.
        labels: (N,) true classes.
        predicted: (N,).

    Reference: Rousseeuw, Journal of Computational and Applied Mathematics 20, 1987 (silhouette).
    """
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    wrong = np.flatnonzero(labels != predicted)
    unit = np.asarray(features, np.float64)
    unit = unit / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    codes = _codes(unit[wrong]) if len(wrong) >= FEWEST else np.arange(len(wrong))
    clusters = [_cluster(unit, labels, predicted, wrong[codes == code]) for code in np.unique(codes)]
    return sorted(clusters, key=lambda each: (-len(each.rows), each.rows))


def _codes(unit: FloatArray) -> npt.NDArray[np.int64]:
    """(n, D) of length 1 -> (n,) number of the cluster; one cluster where nothing is apart."""
    from sklearn.cluster import AgglomerativeClustering
    from sklearn.metrics import silhouette_score

    best, chosen = 0.0, np.zeros(len(unit), np.int64)
    distances = np.clip(1 - unit @ unit.T, 0, 2)
    np.fill_diagonal(distances, 0)
    if distances.max() < 1e-9:
        return chosen
    for number in range(2, min(CLUSTERS, len(unit) - 1) + 1):
        found = AgglomerativeClustering(number, metric="precomputed", linkage="average").fit_predict(distances)
        apart = float(silhouette_score(distances, found, metric="precomputed"))
        if apart > best:
            best, chosen = apart, found
    return chosen


def _cluster(unit: FloatArray, labels: Rows, predicted: Rows, rows: Rows) -> Cluster:
    closeness = unit[rows] @ unit[rows].mean(axis=0)
    rows = rows[np.argsort(-closeness, kind="stable")]
    near = unit @ unit[rows[0]]
    around = near >= np.median(near[rows]) - 1e-12
    pairs = Counter((int(labels[row]), int(predicted[row])) for row in rows)
    return Cluster(
        tuple(rows.tolist()), dict(pairs.most_common()), int(around.sum()), int((around & (labels != predicted)).sum())
    )


def with_names(clusters: Sequence[Cluster], paths: Sequence[str], names: Mapping[str, str]) -> list[Cluster]:
    """Give clusters the names that a person gave to one of their images.

    A name is kept with the path of an image, not with a number, so that it finds its cluster again after another
    training. Where several names fall into one cluster, that of the most typical image stands.

    >>> cluster = Cluster((1, 0), {(0, 1): 2}, 2, 2)
    >>> with_names([cluster], ["a.jpg", "b.jpg"], {"a.jpg": "out of focus"})[0].name
    'out of focus'
    """
    named = []
    for each in clusters:
        found = [names[paths[row]] for row in each.rows if paths[row] in names]
        named.append(replace(each, name=found[0] if found else each.name))
    return named


@dataclass(frozen=True)
class Examples:
    """Images worth a figure: rows of the test set.

    Attributes:
        of_class: (K) for each class up to ``each`` that were right: the surest, the middling and the least sure.
        mistakes: every confident mistake, the most confident first.
    """

    of_class: list[list[int]]
    mistakes: list[int]


def choose_examples(
    labels: Rows, predicted: Rows, confidence: npt.NDArray[np.floating[Any]], classes: int, *, each: int = 3
) -> Examples:
    """Examples of each class over the range of confidence, not the prettiest, and every confident mistake.

    Args:
        labels: (N,) true classes.
        predicted: (N,).
        confidence: (N,) probability of the predicted class, 0 to 1; a mistake from 0.8 on is a confident one.
        classes: K.
        each: images a class.
    """
    labels, predicted, confidence = np.asarray(labels), np.asarray(predicted), np.asarray(confidence)
    order = np.argsort(-confidence, kind="stable")
    chosen = []
    for label in range(classes):
        own = order[(labels[order] == label) & (predicted[order] == label)]
        spread = np.linspace(0, max(0, len(own) - 1), min(each, len(own)))
        chosen.append([int(own[place]) for place in spread.round().astype(int)])
    wrong = order[(labels[order] != predicted[order]) & (confidence[order] >= CONFIDENT)]
    return Examples(chosen, wrong.tolist())
