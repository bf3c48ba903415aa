"""Probable label errors, ranked by confident learning.

Implemented here, in a few lines, because the library of the authors (cleanlab) requires pandas.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coverslip.evidence.evaluation_data import check_evaluation_data

Labels = NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class LabelErrors:
    """All N images, the most suspect first.

    Attributes:
        rows: row numbers of the input, int64, shape (N,).
        suggested: the most probable of the other classes, int64, shape (N,).
        score: (probability of the suggested class - probability of the given class + 1) / 2, float64, shape (N,);
            0.5 if both are equally probable.
        suspect: whether confident learning counts the label as an error, bool, shape (N,). Suspects come first.
        estimate: estimated proportion of wrong labels: the proportion of suspects, 0 to 1.
    """

    rows: NDArray[np.int64]
    suggested: NDArray[np.int64]
    score: NDArray[np.float64]
    suspect: NDArray[np.bool_]
    estimate: float


def rank_label_errors(
    labels: Labels, probabilities: NDArray[np.floating[Any]], groups: Labels | None = None
) -> LabelErrors:
    """Rank images by how likely their label is wrong.

    The confidence threshold of a class is the mean probability of the class over the images labeled with it. An image
    is suspect if the probability of another class reaches the threshold of that class and exceeds the probability of
    the given class. Thresholds per class avoid flagging images merely because the model is uncertain about their
    class. Suspects precede all other images; both are sorted by the margin between the two classes, and ties keep the
    input order.

    Args:
        labels: given class ids, shape (N,), values in 0..K-1.
        probabilities: out-of-fold probabilities, shape (N, K), rows sum to 1: from models that were fitted neither on
            the image nor on its group. A model that was trained on a label has also learned its error.
        groups: integer group ids, shape (N,); each group then has the same weight in the confidence threshold, so that
            a leaf with fifty images does not dominate it. None if each image is its own group.

    Returns:
        All images, ranked. With a single class no image is suspect, and the suggested class is that class. A class
        without images has no threshold and makes no image suspect.

    Raises:
        ValueError: as `check_evaluation_data`: no image, NaN, shapes that do not match, labels out of range.

    References:
        Northcutt, Jiang & Chuang, Journal of Artificial Intelligence Research 70, 2021; for the ranking Kuan & Mueller,
        ICML workshop DataPerf, 2022.

    >>> rows = np.array([[0.9, 0.1], [0.8, 0.2], [0.05, 0.95], [0.1, 0.9], [0.2, 0.8]])
    >>> result = rank_label_errors(np.array([0, 0, 0, 1, 1]), rows)  # the third image resembles class 1
    >>> result.rows[result.suspect].tolist(), result.suggested[0].item(), round(result.score[0].item(), 2)
    ([2], 1, 0.95)
    """
    truth, rows = np.asarray(labels), np.asarray(probabilities, dtype=np.float64)
    classes = rows.shape[-1]
    check_evaluation_data(truth, rows, groups, [str(class_id) for class_id in range(classes)])
    index = np.arange(len(truth))
    if classes == 1:
        zeros = np.zeros(len(truth))
        return LabelErrors(index, np.zeros_like(index), zeros, zeros > 0, 0.0)
    given = rows[index, truth]
    others = rows.copy()
    others[index, truth] = -1.0
    suggested = others.argmax(axis=1)

    thresholds = np.full(classes, np.inf)
    for class_id in np.unique(truth):
        of_class = truth == class_id
        if groups is None:
            codes = index[: of_class.sum()]
        else:
            codes = np.unique(np.asarray(groups)[of_class], return_inverse=True)[1]
        thresholds[class_id] = (np.bincount(codes, weights=given[of_class]) / np.bincount(codes)).mean()
    confident = np.where(others >= thresholds - 1e-12, others, -1.0)  # other classes that reach their threshold
    likely = confident.argmax(axis=1)
    suspect = (confident.max(axis=1) >= 0) & (rows[index, likely] > given)
    suggested = np.where(suspect, likely, suggested)
    score = (rows[index, suggested] - given + 1) / 2
    order = np.lexsort((index, -score, ~suspect))
    return LabelErrors(order, suggested[order], score[order], suspect[order], float(suspect.mean()))
