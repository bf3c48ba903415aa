"""Values in two units, such as millimeters and meters, or shares and percent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
FACTORS = (10.0, 100.0, 1000.0)  # ratios of units that are confused, such as mm and m, or a share and percent
TOLERANCE = 0.25  # of the logarithm (base 10) of such a ratio
MIN_VALUES = 10  # positive values
LEAST = 0.05  # smallest share of values in each of two units
MIN_UNIT = 3  # values in each of two units; fewer are outliers
MIN_GAP = 0.3  # decades between values in two units
GAP_RATIO = 2.0  # of the gap to the largest one within the middle of each cluster
SHAPE = (0.1, 0.25, 0.5, 0.75, 0.9)  # quantiles that agree after conversion
MIDDLE = (0.05, 0.95)  # quantiles between which the values of a cluster are dense
STEP_RATIO = 10.0  # of the number of values just below 1 to that just above
STEP_VALUES = 5  # different values just below 1


@dataclass(frozen=True, slots=True)
class TwoUnits:
    """Values that are probably in two units.

    Attributes:
        factor: ratio of the units.
        minority: which values are in the rarer unit, bool (N,).
        shares: whether the units are shares and percent, recognized by the step at 1.
    """

    factor: float
    minority: BoolArray
    shares: bool = False


def find_units(values: FloatArray) -> TwoUnits | None:
    """Return how values divide into two units; None if nothing indicates that.

    Two rules are tried. Values in two units form two clusters, separated by a gap. The gap is wider than each of them,
    or it is wide for values so dense and the clusters have the same distribution after conversion. Shares and percent
    overlap where they have a wide range; there, many values just below 1 and hardly any just above 1 indicate shares
    among percent.

    Limit: two units whose values overlap cannot be told from a single unit with a wide range, unless they are shares
    and percent and the shares reach nearly 1. Nor can a factor such as 2.54 be told from a difference between plants.
    """
    positive = values > 0
    if positive.sum() < MIN_VALUES:
        return None
    return _clusters(values, positive) or _step_at_one(values, positive)


def _clusters(values: FloatArray, positive: BoolArray) -> TwoUnits | None:
    ordered = np.sort(np.log10(values[positive]))
    least = max(MIN_UNIT, int(np.ceil(LEAST * len(ordered))))
    gaps = np.diff(ordered)[least - 1 : len(ordered) - least]
    if not len(gaps):
        return None
    split = least + int(gaps.argmax())
    low, high = ordered[:split], ordered[split:]
    gap = high[0] - low[-1]
    distance = float(np.median(high) - np.median(low))
    factor = min(FACTORS, key=lambda each: abs(np.log10(each) - distance))
    narrow = gap > max(MIN_GAP, np.ptp(low), np.ptp(high)) and abs(np.log10(factor) - distance) < TOLERANCE
    dense = gap > max(MIN_GAP, GAP_RATIO * max(_inner_gap(low), _inner_gap(high)))
    if not (narrow or (dense and _same_shape(low, high - np.log10(factor)))):
        return None
    limit = 10 ** ((low[-1] + high[0]) / 2)
    return TwoUnits(factor, positive & (values < limit if len(low) < len(high) else values > limit))


def _same_shape(a: FloatArray, b: FloatArray) -> bool:
    """Return whether the quantiles of logarithms agree within `TOLERANCE`."""
    return bool(np.abs(np.quantile(a, SHAPE) - np.quantile(b, SHAPE)).max() < TOLERANCE)


def _inner_gap(logs: FloatArray) -> float:
    """Return the largest gap between values of the middle of a cluster."""
    low, high = np.quantile(logs, MIDDLE)
    return float(np.diff(logs[(logs >= low) & (logs <= high)]).max(initial=0.0))


def _step_at_one(values: FloatArray, positive: BoolArray) -> TwoUnits | None:
    """Find shares among percent: the density of values falls by a factor at 1, and larger values reach 100 at most."""
    shares, percent = positive & (values <= 1), values > 1
    if min(shares.sum(), percent.sum()) < max(MIN_UNIT, LEAST * positive.sum()) or values.max() > 100:
        return None
    below = values[(values > 0.5) & (values < 1)]
    above = int((percent & (values < 1.5)).sum())
    distance = np.log10(np.median(values[percent])) - np.log10(np.median(values[shares]))
    step = len(np.unique(below)) >= STEP_VALUES and len(below) >= STEP_RATIO * max(above, 0.5)
    if not step or distance < 1:
        return None
    return TwoUnits(100.0, shares if shares.sum() < percent.sum() else percent, shares=True)
