"""Learning curve: a power law through scores at several training set sizes, and the gain expected from more data."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from coverslip.evidence.intervals import critical_value

FloatArray = NDArray[np.float64]
MIN_SIZES = 3
MIN_REPEATS = 3  # with fewer repeats the curve has no interval
EXPONENTS = np.geomspace(0.05, 2.0, 60)  # from an almost straight line on a logarithmic axis to an immediate plateau
POINTS = 50  # of the plotted curve, up to twice the largest size
NO_GAIN = 0.0005  # gains below would be printed as 0.000


def fit_curve(
    sizes: NDArray[np.number[Any]],
    scores: NDArray[np.floating[Any]],
    *,
    unit: str = "leaves",
    best: float = 1.0,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Fit score = a - b * size ** -c with a <= ``best`` and b >= 0, and predict the gain from twice as much data.

    The squared errors are weighted by size, because scores at larger sizes vary less and are closer to the predicted
    one. The interval comes from resampling whole repeats (all sizes of a repeat together), widened by Student's t
    because there are few repeats. It reflects the variation between repeats, not a possible difference between new and
    present groups.

    Args:
        sizes: training set sizes in groups (or images), above 0, shape (S,), in any order.
        scores: score of each repeat at each size, shape (R, S), higher is better. NaN if a repeat has no score at a
            size; the mean is then over the other repeats.
        unit: plural noun for what ``sizes`` counts.
        best: the highest possible score.
        level: confidence level, between 0 and 1.
        resamples: number of resamples of the repeats.
        seed: random seed of the resamples.

    Returns:
        ``sizes``; ``mean``, ``least`` and ``most`` of the scores at each size; ``curve`` (``sizes``, ``value``,
        ``low``, ``high``, up to twice the largest size; beyond the largest size it is an extrapolation); ``a``, ``b``,
        ``c``; ``gain`` (``value``, ``low``, ``high``) from doubling the largest size; ``says``, one sentence. With
        fewer than 3 different sizes, ``curve`` and ``gain`` are null and ``says`` gives the reason; with fewer than 3
        repeats, limits are null. A score that decreases with size is fitted by a constant, as ``says`` states.

    Raises:
        ValueError: shapes do not match; a size is 0 or less; a score is infinite or above ``best``.

    Reference: Viering & Loog, IEEE Transactions on Pattern Analysis and Machine Intelligence 45(6), 2023 (power laws).

    >>> exact = 0.9 - 0.8 * np.array([10, 20, 40, 80]) ** -0.5
    >>> fit_curve(np.array([10, 20, 40, 80]), np.tile(exact, (5, 1)))["says"]
    'with twice as many leaves (160 instead of 80) the score is expected to increase by 0.026 [0.026, 0.026]'
    """
    positions, rows = np.asarray(sizes, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if positions.ndim != 1 or rows.ndim != 2 or rows.shape[1:] != positions.shape or len(rows) == 0:
        raise ValueError(f"sizes must have shape (S,) and scores (R, S), not {positions.shape} and {rows.shape}")
    if not (positions > 0).all() or np.isinf(rows).any() or (rows > best + 1e-9).any():
        raise ValueError(f"sizes must be above 0, and scores finite and at most {best}")
    rows, positions = rows[:, np.argsort(positions, kind="stable")], np.sort(positions)
    known = np.isfinite(rows).any(axis=0)
    rows, positions = rows[:, known], positions[known]
    mean = np.nanmean(rows, axis=0) if len(positions) else np.empty(0)
    result: dict[str, Any] = {
        "sizes": positions.tolist(),
        "mean": mean.tolist(),
        "least": np.nanmin(rows, axis=0).tolist() if len(positions) else [],
        "most": np.nanmax(rows, axis=0).tolist() if len(positions) else [],
        "repeats": len(rows),
        "level": level,
    }
    if len(np.unique(positions)) < MIN_SIZES:
        reason = (
            f"a learning curve requires scores at {MIN_SIZES} or more sizes, but there are {len(np.unique(positions))}"
        )
        return {**result, "curve": None, "gain": None, "says": reason}

    a, b, c = (parameter[0] for parameter in _fit(positions, mean[None], best))
    steps = np.geomspace(positions[0], 2 * positions[-1], POINTS)
    last = np.array([positions[-1], 2 * positions[-1]])
    value, ends = a - b * steps**-c, a - b * last**-c
    low = high = gain_low = gain_high = None
    if len(rows) >= MIN_REPEATS:
        resampled = _fit(positions, _resampled_means(rows, mean, resamples, seed), best)
        curves = [resampled[0][:, None] - resampled[1][:, None] * at ** -resampled[2][:, None] for at in (steps, last)]
        low, high = _interval(value, curves[0], len(rows), level, best)
        gain, gains = ends[1:] - ends[:1], np.diff(curves[1], axis=1)
        gain_low, gain_high = _interval(gain, gains, len(rows), level, best - ends[0])
    predicted_gain = {
        "value": float(ends[1] - ends[0]),
        "low": None if gain_low is None else max(0.0, float(gain_low[0])),
        "high": None if gain_high is None else float(gain_high[0]),
    }
    curve = {
        "sizes": steps.tolist(),
        "value": value.tolist(),
        "low": None if low is None else low.tolist(),
        "high": None if high is None else high.tolist(),
    }
    says = _sentence(predicted_gain, positions[-1], unit, decreasing=bool(mean[-1] < mean[0]))
    return {**result, "a": float(a), "b": float(b), "c": float(c), "curve": curve, "gain": predicted_gain, "says": says}


def _fit(sizes: FloatArray, means: FloatArray, best: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the parameters a, b and c, shape (B,) each, for mean scores of shape (B, S) at sizes of shape (S,).

    For a given exponent the curve is linear in a and b: weighted least squares for every exponent of a grid.
    """
    weight = sizes / sizes.sum()
    center = means @ weight
    smallest = np.full(len(means), np.inf)
    parameters = np.zeros((3, len(means)))
    for exponent in EXPONENTS:
        x = -(sizes**-exponent)
        middle = float(x @ weight)
        slope = np.maximum(0.0, (means * weight) @ (x - middle) / float(weight @ (x - middle) ** 2))
        top = center - slope * middle
        over = top > best  # then fit the slope with the asymptote fixed at the best possible score
        slope = np.where(over, np.maximum(0.0, (best - means) @ (weight * -x) / float(weight @ x**2)), slope)
        top = np.where(over, best, top)
        error = ((top[:, None] + slope[:, None] * x - means) ** 2) @ weight
        better = error < smallest - 1e-15
        smallest[better] = error[better]
        parameters[:, better] = np.stack([top, slope, np.full(len(means), exponent)])[:, better]
    return parameters[0], parameters[1], parameters[2]


def _resampled_means(rows: FloatArray, mean: FloatArray, resamples: int, seed: int) -> FloatArray:
    """Return means over repeats drawn with replacement, shape (B, S).

    One repeat fewer than present is drawn, so that the variance is not underestimated (Rao & Wu, 1988). A size without
    a score in any of the drawn repeats keeps the mean of the data.
    """
    drawn = np.random.default_rng(seed).integers(0, len(rows), (resamples, len(rows) - 1))
    selected = rows[drawn]  # (B, R - 1, S)
    present = np.isfinite(selected)
    count = present.sum(axis=1)
    total = np.where(present, selected, 0.0).sum(axis=1)
    return np.asarray(np.divide(total, count, out=np.tile(mean, (resamples, 1)), where=count > 0))


def _interval(
    value: FloatArray, resampled: FloatArray, repeats: int, level: float, maximum: float
) -> tuple[FloatArray, FloatArray]:
    """Return percentile limits around ``value``, widened by the ratio of the t and normal critical values."""
    tail = (1 - level) / 2
    factor = critical_value(level, repeats - 1) / critical_value(level)
    low, high = (value + factor * (np.quantile(resampled, share, axis=0) - value) for share in (tail, 1 - tail))
    return np.minimum(low, value), np.clip(high, value, maximum)


def _sentence(gain: dict[str, float | None], largest: float, unit: str, *, decreasing: bool) -> str:
    doubled = f"with twice as many {unit} ({2 * largest:,.0f} instead of {largest:,.0f})"
    value, low, high = gain["value"] or 0.0, gain["low"], gain["high"]
    limits = " (too few repeats for an interval)" if low is None or high is None else f" [{low:.3f}, {high:.3f}]"
    if value < NO_GAIN:
        why = f"the score did not increase with the number of {unit}" if decreasing else "the learning curve is flat"
        return f"{why}: {doubled} no detectable increase is expected{limits}"
    return f"{doubled} the score is expected to increase by {value:.3f}{limits}"
