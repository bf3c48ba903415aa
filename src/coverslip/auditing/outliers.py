"""Values far from all others, in distributions of any usual shape."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
FAR = 8.0  # robust standard deviations from the median from which a value is an outlier
FAR_LOG = 5.0  # the same for logarithms of skewed values, whose ends are lighter
MAD_TO_SD = 1.4826  # median absolute deviation of a normal distribution -> its standard deviation
TAIL = 0.05  # share of values at each end that may be wrong
TAIL_TO_SD = 1 / 1.6449  # distance of the 5 % quantile of a normal distribution from its median, inverted
GAP = 10.0  # ratio of two consecutive skewed values above which the larger ones are outliers
SKEWED = 2.0  # ratio of the two one-sided spreads above which values are judged on a logarithmic scale too
HEAP = 0.3  # share of images with one and the same value that says nothing about the spread of the others
MIN_VALUES = 10  # beside the heap


def far_values(values: FloatArray) -> BoolArray:
    """Return which values are far from the others, bool (N,).

    The spread is measured on each side of the median, as the larger one of the median absolute deviation and the
    distance of the 5 % quantile, so that neither a skewed distribution nor two clusters have outliers. A value that at
    least `HEAP` of the images share, such as 0 for healthy leaves, is set aside. Large values of a positive, skewed
    distribution must be far on a logarithmic scale too, or behind a large gap.

    >>> far_values(np.array([0.0] * 20 + [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 900])).nonzero()[0].tolist()
    [30]
    """
    different, counts = np.unique(values, return_counts=True)
    heap = different[counts.argmax()]
    others = values[values != heap] if counts.max() >= HEAP * len(values) else values
    if len(others) < MIN_VALUES:
        return np.zeros(len(values), bool)
    center, below, above = _spreads(others)
    low, high = values < center - FAR * below, values > center + FAR * above
    if others.min() > 0 and above > SKEWED * below:
        high &= np.maximum(values, others.min()) > _largest_skewed(others)
    return np.asarray((low & (below > 0)) | (high & (above > 0)))


def _largest_skewed(values: FloatArray) -> float:
    """Return the largest value of a positive, skewed distribution that is not far from the others.

    Larger values are far on a logarithmic scale, or behind a gap: at least `GAP` times as large as the next smaller
    value.
    """
    center, _, above = _spreads(np.log(values))
    limit = float(np.exp(center + FAR_LOG * above))
    ordered = np.sort(values)
    tail = ordered[int((1 - TAIL) * (len(values) - 1)) :]
    gaps = np.flatnonzero(tail[1:] >= GAP * tail[:-1])
    return min(limit, float(tail[gaps[0]])) if len(gaps) else limit


def _spreads(values: FloatArray) -> tuple[float, float, float]:
    """Return the median, and the robust standard deviation below and above it."""
    center = float(np.median(values))
    deviation = MAD_TO_SD * float(np.median(np.abs(values - center)))
    low = center - float(np.quantile(values, TAIL, method="higher"))
    high = float(np.quantile(values, 1 - TAIL, method="lower")) - center
    return center, max(deviation, low * TAIL_TO_SD), max(deviation, high * TAIL_TO_SD)
