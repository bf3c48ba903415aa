"""Classification scores as functions of sums over groups, so that thousands of resamples are one matrix product.

Every score here depends on sums over images only. The images of a group are summed once (`group_sums`), and a resample
is a weighted sum of the groups, so the scores of all resamples are computed together. AUROC and the area under the
precision-recall curve depend on ranks as well; see `ranks.RankTable`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
MAX_BINS = 15  # confidence bins of the calibration error
MIN_BIN_IMAGES = 20


class Sums(NamedTuple):
    """Sums over images, by name; the leading axes (...) are those of the array of sums.

    Attributes:
        hits: correctly classified images per class, shape (..., K).
        images: images per true class, shape (..., K).
        predictions: images per predicted class, shape (..., K).
        loss: log loss, shape (...).
        brier: Brier score, shape (...).
        gaps: confidence minus correctness per confidence bin, shape (..., bins).
    """

    hits: FloatArray
    images: FloatArray
    predictions: FloatArray
    loss: FloatArray
    brier: FloatArray
    gaps: FloatArray

    @property
    def number(self) -> FloatArray:
        """Number of images, shape (...)."""
        return np.asarray(self.images.sum(axis=-1))


def group_sums(
    labels: IntArray, probabilities: FloatArray, predicted: IntArray, loss: FloatArray, groups: IntArray
) -> FloatArray:
    """Return sums over the images of each group.

    Args:
        labels: true class ids, shape (N,), values in 0..K-1.
        probabilities: predicted probabilities, shape (N, K), values in 0 to 1.
        predicted: predicted class ids, shape (N,), values in 0..K-1.
        loss: log loss of each image, shape (N,).
        groups: group ids, shape (N,), values in 0..G-1, each of which occurs.

    Returns:
        Shape (G, 3 K + 2 + bins), with the columns in the order of `Sums`; see `read_sums`.
    """
    number, classes = int(groups.max()) + 1, probabilities.shape[1]

    def table(rows: IntArray, columns: IntArray, width: int, weights: FloatArray | None = None) -> FloatArray:
        flat = np.bincount(rows * width + columns, weights=weights, minlength=number * width)
        return flat.reshape(number, width).astype(np.float64)

    correct = labels == predicted
    confidence = probabilities[np.arange(len(labels)), predicted]
    bins = confidence_bins(confidence)
    zero = np.zeros(len(labels), dtype=np.int64)
    tables = [table(groups[correct], labels[correct], classes), table(groups, labels, classes)]
    tables += [table(groups, predicted, classes), table(groups, zero, 1, loss)]
    tables += [table(groups, zero, 1, image_brier_scores(labels, probabilities))]
    tables += [table(groups, bins, int(bins.max()) + 1, confidence - correct)]
    return np.concatenate(tables, axis=1)


def read_sums(sums: FloatArray, classes: int) -> Sums:
    """Split the columns of `group_sums`, shape (..., 3 K + 2 + bins), by name; ``classes`` is K."""
    hits, images, predictions = (sums[..., block * classes : (block + 1) * classes] for block in range(3))
    rest = sums[..., 3 * classes :]
    return Sums(hits, images, predictions, rest[..., 0], rest[..., 1], rest[..., 2:])


def image_brier_scores(labels: IntArray, probabilities: FloatArray) -> FloatArray:
    """Return the Brier score of each image, shape (N,): the squared distance between prediction and truth.

    The range is 0 to 2, or 0 to 1 with two classes: then half the distance is returned, the squared error of the
    probability of one class, as in scikit-learn.

    Reference: Brier, Monthly Weather Review 78(1), 1950.

    >>> image_brier_scores(np.array([1, 0]), np.array([[0.2, 0.8], [0.0, 1.0]])).round(3)
    array([0.04, 1.  ])
    """
    true = probabilities[np.arange(len(labels)), labels]
    squares = (probabilities**2).sum(axis=1) + 1 - 2 * true
    return np.asarray(squares / 2 if probabilities.shape[1] == 2 else squares)


def confidence_bins(confidence: FloatArray) -> IntArray:
    """Return the bin of each confidence, shape (N,): at most 15 bins of equal numbers of images, at least 20 each.

    Equal confidences share a bin. The bins are computed once from the data and stay fixed in all resamples.

    >>> confidence_bins(np.linspace(0.5, 1, 50)).tolist() == [0] * 25 + [1] * 25
    True
    """
    number = len(confidence)
    bins = min(MAX_BINS, max(1, number // MIN_BIN_IMAGES))
    ordered = np.sort(confidence)
    edges = ordered[[index * number // bins for index in range(1, bins)]]
    return np.asarray(np.unique(np.searchsorted(edges, confidence, side="right"), return_inverse=True)[1])


def accuracies(sums: Sums) -> FloatArray:
    """Return the accuracy, shape (...)."""
    return _ratio(sums.hits.sum(axis=-1), sums.number)


def recalls(sums: Sums) -> FloatArray:
    """Return the recall of each class, shape (..., K); NaN for a class without images."""
    return _ratio(sums.hits, sums.images)


def f1_scores(sums: Sums) -> FloatArray:
    """Return the F1 score of each class, shape (..., K): the harmonic mean of precision and recall.

    NaN for a class without images; 0 for a class with images that is never predicted.
    """
    return np.asarray(np.where(sums.images > 0, _ratio(2 * sums.hits, sums.images + sums.predictions), np.nan))


def balanced_accuracies(sums: Sums) -> FloatArray:
    """Return the balanced accuracy, shape (...): the mean recall over the classes that have images."""
    return mean_of_present(recalls(sums))


def macro_f1_scores(sums: Sums) -> FloatArray:
    """Return the macro F1 score, shape (...): the mean F1 over the classes that have images."""
    return mean_of_present(f1_scores(sums))


def matthews_correlations(sums: Sums) -> FloatArray:
    """Return the Matthews correlation coefficient (MCC), shape (...), values in -1 to 1; 0 is chance level.

    0 if a single class is predicted for all images, as in scikit-learn; NaN if all images are of one class.

    References:
        Gorodkin, Computational Biology and Chemistry 28(5-6), 2004 (several classes); Matthews, Biochimica et
        Biophysica Acta 405(2), 1975.
    """
    number = sums.number
    covariance = sums.hits.sum(axis=-1) * number - (sums.images * sums.predictions).sum(axis=-1)
    label_variance = number**2 - (sums.images**2).sum(axis=-1)
    prediction_variance = number**2 - (sums.predictions**2).sum(axis=-1)
    smallest = 1e-9 * number**2  # a difference of large sums is 0 only up to rounding
    scale = np.sqrt(np.maximum(label_variance * prediction_variance, 0.0))
    correlation = np.where(prediction_variance > smallest, _ratio(covariance, scale), 0.0)
    return np.asarray(np.where(label_variance > smallest, correlation, np.nan))


def log_losses(sums: Sums) -> FloatArray:
    """Return the mean log loss, shape (...)."""
    return _ratio(sums.loss, sums.number)


def mean_brier_scores(sums: Sums) -> FloatArray:
    """Return the mean Brier score, shape (...)."""
    return _ratio(sums.brier, sums.number)


def calibration_errors(sums: Sums) -> FloatArray:
    """Return the expected calibration error (ECE) of the predicted class, shape (...), values in 0 to 1.

    This is the mean over images of the absolute difference between mean confidence and accuracy in the bin of the
    image (`confidence_bins`). Sampling noise makes it positive even for a perfectly calibrated model, the more so the
    fewer images there are.

    References:
        Naeini, Cooper & Hauskrecht, AAAI 2015; for bins of equal numbers Roelofs et al., AISTATS 2022.
    """
    return _ratio(np.abs(sums.gaps).sum(axis=-1), sums.number)


SUM_SCORES = {
    "accuracy": accuracies,
    "balanced_accuracy": balanced_accuracies,
    "macro_f1": macro_f1_scores,
    "mcc": matthews_correlations,
    "log_loss": log_losses,
    "brier": mean_brier_scores,
    "ece": calibration_errors,
}


def mean_of_present(scores: FloatArray) -> FloatArray:
    """Return the mean over classes that have a score, shape (...) from (..., K); NaN if no class has one.

    >>> mean_of_present(np.array([[1.0, 0.5, np.nan]]))
    array([0.75])
    """
    present = np.isfinite(scores)
    return _ratio(np.where(present, scores, 0.0).sum(axis=-1), present.sum(axis=-1).astype(np.float64))


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Divide elementwise; NaN where the denominator is 0."""
    undefined = np.full(np.broadcast(numerator, denominator).shape, np.nan)
    return np.asarray(np.divide(numerator, denominator, out=undefined, where=denominator > 0))
