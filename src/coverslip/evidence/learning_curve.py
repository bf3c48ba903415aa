"""What more data would buy: a curve through scores at growing sizes of the training set, and its next step."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from coverslip.evidence.intervals import quantile

FloatArray = NDArray[np.float64]
FEWEST_SIZES = 3
FEWEST_REPEATS = 3  # with fewer the curve has no interval
EXPONENTS = np.geomspace(0.05, 2.0, 60)  # from hardly flattening to flat at once
POINTS = 50  # of the curve as it is drawn, to twice the largest size
GAINLESS = 0.0005  # what would be printed as 0.000


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
    """Fit score = a - b * size ** -c, with a at most ``best``, and say what twice as much would buy.

    Larger sizes weigh more, as their scores spread less and lie nearer to the answer. The interval comes from
    resampling whole repeats (all sizes of one repeat together), widened by Student's t as repeats are few. It knows
    how repeats differ, not whether new leaves would be like the old ones.

    Args:
        sizes: (S,) groups (or images) that were trained on, above 0, in any order.
        scores: (R, S), higher is better: a row a repeat, a column a size. NaN where a repeat has no score at a size:
            the mean is over the others.
        unit: what ``sizes`` counts.
        best: the highest score there is.
        level: of the interval.
        resamples: of the repeats.
        seed: of the resamples.

    Returns:
        ``sizes``, ``mean``, ``least``, ``most`` of the scores a size; ``curve`` (``sizes``, ``value``, ``low``,
        ``high``, to twice the largest size; what a fit says beyond the largest size is a forecast), ``a``, ``b``,
        ``c``; ``gain`` (``value``, ``low``, ``high``) of twice the largest size; ``says``, one sentence. Under 3
        different sizes ``curve`` and ``gain`` are null and ``says`` tells why; under 3 repeats limits are null. A
        score that falls with size is fitted by a flat line, and ``says`` tells so.

    Raises:
        ValueError: shapes that do not agree, a size of 0 or less, an infinite score, a score above ``best``.

    Reference: Viering & Loog, IEEE Transactions on Pattern Analysis and Machine Intelligence 45(6), 2023 (power laws).

    >>> exact = 0.9 - 0.8 * np.array([10, 20, 40, 80]) ** -0.5
    >>> fit_curve(np.array([10, 20, 40, 80]), np.tile(exact, (5, 1)))["says"]
    'twice as many leaves (160 instead of 80) would buy about 0.026 [0.026, 0.026]'
    """
    places, rows = np.asarray(sizes, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if places.ndim != 1 or rows.ndim != 2 or rows.shape[1:] != places.shape or len(rows) == 0:
        raise ValueError(f"sizes must be (S,) and scores (R, S), not {places.shape} and {rows.shape}")
    if not (places > 0).all() or np.isinf(rows).any() or (rows > best + 1e-9).any():
        raise ValueError(f"sizes must be above 0, and scores finite and at most {best}")
    rows, places = rows[:, np.argsort(places, kind="stable")], np.sort(places)
    known = np.isfinite(rows).any(axis=0)
    rows, places = rows[:, known], places[known]
    mean = np.nanmean(rows, axis=0) if len(places) else np.empty(0)
    found: dict[str, Any] = {
        "sizes": places.tolist(),
        "mean": mean.tolist(),
        "least": np.nanmin(rows, axis=0).tolist() if len(places) else [],
        "most": np.nanmax(rows, axis=0).tolist() if len(places) else [],
        "repeats": len(rows),
        "level": level,
    }
    if len(np.unique(places)) < FEWEST_SIZES:
        few = f"a learning curve needs scores at {FEWEST_SIZES} sizes or more, here are {len(np.unique(places))}"
        return {**found, "curve": None, "gain": None, "says": few}

    a, b, c = (each[0] for each in _fit(places, mean[None], best))
    steps = np.geomspace(places[0], 2 * places[-1], POINTS)
    last = np.array([places[-1], 2 * places[-1]])
    value, ends = a - b * steps**-c, a - b * last**-c
    low = high = gain_low = gain_high = None
    if len(rows) >= FEWEST_REPEATS:
        drawn = _fit(places, _resampled(rows, mean, resamples, seed), best)
        curves = [drawn[0][:, None] - drawn[1][:, None] * at ** -drawn[2][:, None] for at in (steps, last)]
        low, high = _limits(value, curves[0], len(rows), level, best)
        gain_low, gain_high = _limits(ends[1:] - ends[:1], np.diff(curves[1], axis=1), len(rows), level, best - ends[0])
    gain = {
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
    says = _sentence(gain, places[-1], unit, falling=bool(mean[-1] < mean[0]))
    return {**found, "a": float(a), "b": float(b), "c": float(c), "curve": curve, "gain": gain, "says": says}


def _fit(sizes: FloatArray, means: FloatArray, best: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(S,), (B, S) -> a, b, c, (B,) each: for every exponent the best line, then the best exponent."""
    weight = sizes / sizes.sum()
    center = means @ weight
    least = np.full(len(means), np.inf)
    chosen = np.zeros((3, len(means)))
    for exponent in EXPONENTS:
        x = -(sizes**-exponent)
        middle = float(x @ weight)
        slope = np.maximum(0.0, (means * weight) @ (x - middle) / float(weight @ (x - middle) ** 2))
        top = center - slope * middle
        over = top > best  # the line that ends at the best score there is
        slope = np.where(over, np.maximum(0.0, (best - means) @ (weight * -x) / float(weight @ x**2)), slope)
        top = np.where(over, best, top)
        error = ((top[:, None] + slope[:, None] * x - means) ** 2) @ weight
        better = error < least - 1e-15
        least[better] = error[better]
        chosen[:, better] = np.stack([top, slope, np.full(len(means), exponent)])[:, better]
    return chosen[0], chosen[1], chosen[2]


def _resampled(rows: FloatArray, mean: FloatArray, resamples: int, seed: int) -> FloatArray:
    """(B, S) means of repeats drawn with replacement; a size whose repeats were all missed keeps its mean.

    One fewer is drawn than there are, for as much spread as the repeats show (Rao & Wu, 1988).
    """
    drawn = np.random.default_rng(seed).integers(0, len(rows), (resamples, len(rows) - 1))
    some = rows[drawn]  # (B, R - 1, S)
    there = np.isfinite(some)
    count = there.sum(axis=1)
    total = np.where(there, some, 0.0).sum(axis=1)
    return np.asarray(np.divide(total, count, out=np.tile(mean, (resamples, 1)), where=count > 0))


def _limits(
    value: FloatArray, drawn: FloatArray, repeats: int, level: float, most: float
) -> tuple[FloatArray, FloatArray]:
    tail = (1 - level) / 2
    wider = quantile(level, repeats - 1) / quantile(level)
    low, high = (value + wider * (np.quantile(drawn, share, axis=0) - value) for share in (tail, 1 - tail))
    return np.minimum(low, value), np.clip(high, value, most)


def _sentence(gain: dict[str, float | None], largest: float, unit: str, *, falling: bool) -> str:
    twice = f"twice as many {unit} ({2 * largest:,.0f} instead of {largest:,.0f}) would buy"
    value, low, high = gain["value"] or 0.0, gain["low"], gain["high"]
    limits = " (too few repeats for an interval)" if low is None or high is None else f" [{low:.3f}, {high:.3f}]"
    if value < GAINLESS:
        why = f"the score did not rise with the number of {unit}" if falling else "the curve is flat"
        return f"{why}: {twice} nothing that these scores could show{limits}"
    return f"{twice} about {value:.3f}{limits}"
