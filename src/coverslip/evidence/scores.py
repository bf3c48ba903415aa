"""Scores of a classifier as functions of sums over groups, so that thousands of resamples are one matrix product.

Every score here needs only sums over images. A group's images are summed once (`group_sums`); a resample is a
weighted sum of the groups; the scores of all resamples are then read off together. AUROC and the area under the
precision-recall curve need an order as well and have a table of their own for each class (`ranks.RankTable`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
MOST_BINS = 15  # of confidence, for the calibration error
FEWEST_IN_BIN = 20  # images

LOWER_IS_BETTER = ("log_loss", "brier", "ece")


class Sums(NamedTuple):
    """Sums over images, read from the columns that `group_sums` made."""

    hits: FloatArray  # (..., K) images of the class that were named so
    images: FloatArray  # (..., K) images of the class
    predictions: FloatArray  # (..., K) images named as the class
    loss: FloatArray  # (...)
    brier: FloatArray  # (...)
    gaps: FloatArray  # (..., bins) confidence less hits, in each bin of confidence

    @property
    def number(self) -> FloatArray:
        """(...) images."""
        return np.asarray(self.images.sum(axis=-1))


def group_sums(
    labels: IntArray, probabilities: FloatArray, predicted: IntArray, loss: FloatArray, groups: IntArray
) -> FloatArray:
    """Sums over the images of each group.

    Args:
        labels, predicted: (N,) class numbers, 0 to K - 1.
        probabilities: (N, K), 0 to 1.
        loss: (N,) loss of each image.
        groups: (N,) group numbers, 0 to G - 1, none left out.

    Returns:
        (G, 3 K + 2 + bins), in the order of `Sums`; `read_sums` reads them.
    """
    number, classes = int(groups.max()) + 1, probabilities.shape[1]

    def cells(row: IntArray, column: IntArray, width: int, weight: FloatArray | None = None) -> FloatArray:
        flat = np.bincount(row * width + column, weights=weight, minlength=number * width)
        return flat.reshape(number, width).astype(np.float64)

    right = labels == predicted
    confidence = probabilities[np.arange(len(labels)), predicted]
    bins = confidence_bins(confidence)
    first = np.zeros(len(labels), dtype=np.int64)
    parts = [cells(groups[right], labels[right], classes), cells(groups, labels, classes)]
    parts += [cells(groups, predicted, classes), cells(groups, first, 1, loss)]
    parts += [cells(groups, first, 1, brier_scores(labels, probabilities))]
    parts += [cells(groups, bins, int(bins.max()) + 1, confidence - right)]
    return np.concatenate(parts, axis=1)


def read_sums(sums: FloatArray, classes: int) -> Sums:
    """(..., 3 K + 2 + bins) columns of `group_sums`, by name."""
    hits, images, predictions = (sums[..., part * classes : (part + 1) * classes] for part in range(3))
    rest = sums[..., 3 * classes :]
    return Sums(hits, images, predictions, rest[..., 0], rest[..., 1], rest[..., 2:])


def brier_scores(labels: IntArray, probabilities: FloatArray) -> FloatArray:
    """(N,) squared distance of the probabilities from the truth: 0 to 2, and 0 to 1 with two classes.

    With two classes the half is taken, which is the squared error of one class's probability, as in scikit-learn.

    Reference: Brier, Monthly Weather Review 78(1), 1950.

    >>> brier_scores(np.array([1, 0]), np.array([[0.2, 0.8], [0.0, 1.0]])).round(3)
    array([0.04, 1.  ])
    """
    true = probabilities[np.arange(len(labels)), labels]
    squares = (probabilities**2).sum(axis=1) + 1 - 2 * true
    return np.asarray(squares / 2 if probabilities.shape[1] == 2 else squares)


def confidence_bins(confidence: FloatArray) -> IntArray:
    """(N,) the bin of each confidence: bins of equal numbers of images, 15 at most and 20 images in each.

    Equal confidences share a bin. The bins are those of the data and stay the same in every resample.

    >>> confidence_bins(np.linspace(0.5, 1, 50)).tolist() == [0] * 25 + [1] * 25
    True
    """
    number = len(confidence)
    bins = min(MOST_BINS, max(1, number // FEWEST_IN_BIN))
    ordered = np.sort(confidence)
    edges = ordered[[part * number // bins for part in range(1, bins)]]
    return np.asarray(np.unique(np.searchsorted(edges, confidence, side="right"), return_inverse=True)[1])


def accuracies(sums: Sums) -> FloatArray:
    """(...) share of images that were named correctly."""
    return _ratio(sums.hits.sum(axis=-1), sums.number)


def recalls(sums: Sums) -> FloatArray:
    """(..., K) hits over images of each class; NaN for a class without images."""
    return _ratio(sums.hits, sums.images)


def f1_scores(sums: Sums) -> FloatArray:
    """(..., K) harmonic mean of precision and recall; NaN for a class without images.

    A class that has images and is never predicted scores 0.
    """
    return np.asarray(np.where(sums.images > 0, _ratio(2 * sums.hits, sums.images + sums.predictions), np.nan))


def balanced_accuracies(sums: Sums) -> FloatArray:
    """(...) mean recall over the classes that have images."""
    return mean_of_present(recalls(sums))


def macro_f1_scores(sums: Sums) -> FloatArray:
    """(...) mean F1 over the classes that have images."""
    return mean_of_present(f1_scores(sums))


def correlations(sums: Sums) -> FloatArray:
    """(...) Matthews' correlation of truth and answer (MCC): 1 is perfect, 0 is chance, down to -1.

    0 where one class is predicted for all images, as in scikit-learn; NaN where all images are of one class.

    Reference: Gorodkin, Computational Biology and Chemistry 28(5-6), 2004 (several classes); Matthews, Biochimica et
    Biophysica Acta 405(2), 1975.
    """
    number = sums.number
    common = sums.hits.sum(axis=-1) * number - (sums.images * sums.predictions).sum(axis=-1)
    truth = number**2 - (sums.images**2).sum(axis=-1)
    answer = number**2 - (sums.predictions**2).sum(axis=-1)
    least = 1e-9 * number**2  # a difference of large sums is 0 but for rounding
    spread = np.sqrt(np.maximum(truth * answer, 0.0))
    said = np.where(answer > least, _ratio(common, spread), 0.0)
    return np.asarray(np.where(truth > least, said, np.nan))


def log_losses(sums: Sums) -> FloatArray:
    """(...) mean loss."""
    return _ratio(sums.loss, sums.number)


def mean_briers(sums: Sums) -> FloatArray:
    """(...) mean Brier score."""
    return _ratio(sums.brier, sums.number)


def calibration_errors(sums: Sums) -> FloatArray:
    """(...) expected calibration error of the named class (top label), in bins of equal numbers (`confidence_bins`).

    The mean over images of the distance between confidence and the share that is right in its bin. Chance alone
    makes it larger than 0, the more so the fewer the images.

    Reference: Naeini, Cooper & Hauskrecht, AAAI 2015; for equal numbers Roelofs et al., AISTATS 2022.
    """
    return _ratio(np.abs(sums.gaps).sum(axis=-1), sums.number)


SUM_SCORES = {
    "accuracy": accuracies,
    "balanced_accuracy": balanced_accuracies,
    "macro_f1": macro_f1_scores,
    "mcc": correlations,
    "log_loss": log_losses,
    "brier": mean_briers,
    "ece": calibration_errors,
}


def mean_of_present(scores: FloatArray) -> FloatArray:
    """(..., K) -> (...) mean over the classes that have a score; NaN where none has.

    >>> mean_of_present(np.array([[1.0, 0.5, np.nan]]))
    array([0.75])
    """
    present = np.isfinite(scores)
    return _ratio(np.where(present, scores, 0.0).sum(axis=-1), present.sum(axis=-1).astype(np.float64))


def _ratio(top: FloatArray, bottom: FloatArray) -> FloatArray:
    return np.asarray(np.divide(top, bottom, out=np.full(np.broadcast(top, bottom).shape, np.nan), where=bottom > 0))
