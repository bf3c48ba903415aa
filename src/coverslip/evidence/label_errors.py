"""Labels that are probably wrong, the most suspect first: confident learning.

The few lines are ours: the library of its authors (cleanlab) would bring pandas along.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coverslip.evidence.part import check_part

Labels = NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class LabelErrors:
    """All N images, the most suspect first.

    Attributes:
        rows: int64 (N,), rows of what was given.
        suggested: int64 (N,), the most probable of the other classes.
        score: float64 (N,), 0 to 1: how much more probable the suggested class is than the given one, 0.5 where they
            are equal.
        suspect: bool (N,): the image is counted as an error by confident learning. Suspects come first.
        estimate: share of wrong labels that this counts, 0 to 1.
    """

    rows: NDArray[np.int64]
    suggested: NDArray[np.int64]
    score: NDArray[np.float64]
    suspect: NDArray[np.bool_]
    estimate: float


def rank_label_errors(
    labels: Labels, probabilities: NDArray[np.floating[Any]], groups: Labels | None = None
) -> LabelErrors:
    """Rank images by how probably their label is wrong.

    An image is suspect where another class reaches that class's own usual confidence (the mean probability that it
    has on the images labelled with it) and the given class does not have the larger probability. A class that the
    model is never sure of can so be confused with another without being called an error. Suspects are ranked before
    the others, and both by the margin between the two classes; ties keep the order given.

    Args:
        labels: (N,) integers, 0 to K - 1, as they were given.
        probabilities: (N, K), rows sum to 1, of a model that was not fitted on the image (nor on its group):
            out-of-fold. A model that has seen the label has learnt its error too.
        groups: (N,) integers; the usual confidence then counts each group once, so that one leaf of fifty images
            does not set it. None where each image stands for itself.

    Returns:
        All images, ranked. With one class nothing is suspect, and it is suggested itself. A class without images
        has no usual confidence and makes nothing suspect.

    Raises:
        ValueError: as `check_part`: no image, NaN, shapes that do not agree, labels out of range.

    Reference: Northcutt, Jiang & Chuang, Journal of Artificial Intelligence Research 70, 2021; for the ranking Kuan &
    Mueller, ICML workshop DataPerf, 2022.

    >>> sure = np.array([[0.9, 0.1], [0.8, 0.2], [0.05, 0.95], [0.1, 0.9], [0.2, 0.8]])
    >>> found = rank_label_errors(np.array([0, 0, 0, 1, 1]), sure)            # the third looks like class 1
    >>> found.rows[found.suspect].tolist(), found.suggested[0].item(), round(found.score[0].item(), 2)
    ([2], 1, 0.95)
    """
    truth, rows = np.asarray(labels), np.asarray(probabilities, dtype=np.float64)
    classes = rows.shape[-1]
    check_part(truth, rows, groups, [str(number) for number in range(classes)])
    every = np.arange(len(truth))
    if classes == 1:
        nothing = np.zeros(len(truth))
        return LabelErrors(every, np.zeros_like(every), nothing, nothing > 0, 0.0)
    own = rows[every, truth]
    others = rows.copy()
    others[every, truth] = -1.0
    suggested = others.argmax(axis=1)

    usual = np.full(classes, np.inf)
    for number in np.unique(truth):
        mine = truth == number
        codes = every[: mine.sum()] if groups is None else np.unique(np.asarray(groups)[mine], return_inverse=True)[1]
        usual[number] = (np.bincount(codes, weights=own[mine]) / np.bincount(codes)).mean()
    sure = np.where(others >= usual - 1e-12, others, -1.0)  # the other classes that reach their usual confidence
    likely = sure.argmax(axis=1)
    suspect = (sure.max(axis=1) >= 0) & (rows[every, likely] > own)
    suggested = np.where(suspect, likely, suggested)
    score = (rows[every, suggested] - own + 1) / 2
    order = np.lexsort((every, -score, ~suspect))
    return LabelErrors(order, suggested[order], score[order], suspect[order], float(suspect.mean()))
