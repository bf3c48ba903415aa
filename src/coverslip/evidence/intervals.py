"""Intervals for one number, and the text in which a number with its interval is shown.

A proportion (accuracy, recall, precision) has a formula; everything else is resampled (see `resampling`) and read
off with `bca`. Where there are groups (leaves, patients, slides), images of one group are not independent, and an
interval that treats them as such is too narrow: every function here counts what the groups are worth.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

FloatArray = NDArray[np.float64]
FEWEST_GROUPS = 5  # under this many, no method here is honest, and no interval is given
FEWEST_FREEDOM = 5.0  # degrees, where that many groups there are

Limits = tuple[float, float]


class Score(TypedDict):
    """One measured number as `test.json` holds it; ``low`` and ``high`` are null where ``reason`` says why."""

    value: float | None
    low: float | None
    high: float | None
    level: float
    method: str
    images: int
    groups: int
    reason: NotRequired[str]


def quantile(level: float, freedom: float | None = None) -> float:
    """Half-width of a two-sided interval in standard errors: normal, or Student's t with ``freedom`` degrees.

    >>> round(quantile(0.95), 3), round(quantile(0.95, 4), 3)
    (1.96, 2.776)
    """
    tail = 1 - (1 - level) / 2
    return float(stats.norm.ppf(tail) if freedom is None else stats.t.ppf(tail, freedom))


def freedom_of_spread(moves: FloatArray, most: float) -> float:
    """Degrees of freedom that a spread estimated from some groups is worth, for Student's t.

    Groups - 1 would be right if the groups' contributions were normal. Where nearly all groups are all right and a
    few carry all the mistakes, the spread rests on those few, is often far too small, and is worth fewer degrees: as
    many as give a spread the uncertainty that the kurtosis of the contributions implies.

    Args:
        moves: (G,) what each group contributes, mean 0; any scale. All 0: ``most``.
        most: the degrees if the contributions were normal (groups - 1, or groups - strata); never more is given, and
            never under 5 where ``most`` is not.

    Reference: O'Neill, The American Statistician 68(4), 2014; Satterthwaite, Biometrics Bulletin 2(6), 1946.

    >>> even, rare = np.array([1.0, -1.0] * 20), np.array([39.0] + [-1.0] * 39)
    >>> freedom_of_spread(even, 39), freedom_of_spread(rare, 39)
    (39.0, 5.0)
    """
    square = float((moves**2).mean())
    if square == 0:
        return most
    groups = len(moves)
    excess = float((moves**4).mean()) / square**2 - (groups - 3) / (groups - 1)
    return float(np.clip(2 * groups / excess, min(FEWEST_FREEDOM, most), most)) if excess > 0 else most


def wilson(proportion: float, number: float, width: float) -> Limits:
    """Score interval of a proportion; never empty, never outside 0 to 1.

    Args:
        proportion: observed share, 0 to 1.
        number: trials behind it, above 0; an effective number need not be whole.
        width: from `quantile`.

    Reference: Wilson, Journal of the American Statistical Association 22(158), 1927.

    >>> low, high = wilson(0.805, 200, quantile(0.95))
    >>> round(low, 3), round(high, 3)
    (0.745, 0.854)
    """
    spread = width**2 / number
    center = (proportion + spread / 2) / (1 + spread)
    half = width * np.sqrt(proportion * (1 - proportion) / number + spread / (4 * number)) / (1 + spread)
    # at exactly 0 and 1 the formula gives the limit itself, but for rounding
    low = 0.0 if proportion == 0 else max(0.0, float(center - half))
    high = 1.0 if proportion == 1 else min(1.0, float(center + half))
    return low, high


def clopper_pearson(hits: int, number: int, level: float) -> Limits:
    """Exact interval of a proportion of independent trials; covers at least as often as it says.

    Args:
        hits: successes, 0 to ``number``.
        number: trials, at least 1.
        level: for example 0.95.

    Reference: Clopper & Pearson, Biometrika 26(4), 1934.

    >>> low, high = clopper_pearson(10, 10, 0.95)
    >>> round(low, 3), high
    (0.692, 1.0)
    """
    tail = (1 - level) / 2
    low = 0.0 if hits == 0 else float(stats.beta.ppf(tail, hits, number - hits + 1))
    high = 1.0 if hits == number else float(stats.beta.ppf(1 - tail, hits + 1, number - hits))
    return low, high


def effective_number(hits: FloatArray, counts: FloatArray) -> float:
    """How many independent images the images of some groups are worth for a proportion.

    The number of images over the design effect: the variance of the ratio ``hits.sum() / counts.sum()`` between
    groups (Taylor linearization) over the variance of as many independent images. It never exceeds the number of
    images. At a proportion of exactly 0 or 1 the groups show no variance at all; each group then counts once.

    Args:
        hits: (G,) successes a group.
        counts: (G,) images a group, all above 0; at least two groups.

    Reference: Korn & Graubard, Survey Methodology 24(2), 1998; Kish, Survey Sampling, 1965 (design effect).

    >>> effective_number(np.array([4.0, 4.0, 0.0, 0.0]), np.full(4, 4.0))       # four leaves, all right or all wrong
    3.0
    """
    groups, images = len(counts), float(counts.sum())
    share = float(hits.sum()) / images
    independent = share * (1 - share) / images
    if independent == 0:
        return float(groups)
    between = groups / (groups - 1) * float(((hits - share * counts) ** 2).sum()) / images**2
    return images / max(1.0, between / independent)


def proportion_limits(hits: FloatArray, counts: FloatArray, level: float, *, grouped: bool) -> Limits:
    """Interval of ``hits.sum() / counts.sum()``: exact without groups, else Wilson on the effective number.

    With groups, Student's t stands in for the normal quantile, because the design effect is itself an estimate from
    few groups: groups - 1 degrees of freedom, fewer where few groups carry the mistakes (`freedom_of_spread`).

    Args:
        hits: (G,) successes a group.
        counts: (G,) images a group, all above 0.
        level: for example 0.95.
        grouped: false where each image is its own group.

    Reference: Franco, Little, Louis & Slud, Journal of Survey Statistics and Methodology 7(3), 2019.
    """
    if not grouped:
        return clopper_pearson(round(hits.sum()), round(counts.sum()), level)
    share = min(1.0, float(hits.sum() / counts.sum()))
    freedom = freedom_of_spread(hits - share * counts, len(counts) - 1)
    return wilson(share, effective_number(hits, counts), quantile(level, freedom))


def all_right_limits(numbers: FloatArray, level: float) -> Limits:
    """Interval of the mean recall of several classes in which nothing at all went wrong.

    Resampling shows no spread there, though there is doubt. The lower limit is the smallest mean recall under which
    an outcome without a mistake still has the probability (1 - level) / 2: the exact limit, as Clopper and Pearson's
    is for one class. It is found where the recalls are in proportion to the numbers, cut off at 1.

    Args:
        numbers: (K,) independent trials of each class, at least 1 (groups, where there are groups).
        level: for example 0.95.

    Reference: Buehler, Journal of the American Statistical Association 52(280), 1957.

    >>> low, high = all_right_limits(np.array([10.0]), 0.95)                   # one class: as clopper_pearson(10, 10)
    >>> round(low, 3), high
    (0.692, 1.0)
    """
    tail = (1 - level) / 2

    def excess(slope: float) -> float:
        return float((numbers * np.log(np.minimum(1.0, slope * numbers))).sum() - np.log(tail))

    slope = float(optimize.brentq(excess, tail / numbers.max(), 1 / numbers.min(), xtol=1e-15))
    return float(np.minimum(1.0, slope * numbers).mean()), 1.0


def bca(value: float, resampled: FloatArray, influence: FloatArray, width: float) -> Limits | None:
    """Bias-corrected and accelerated bootstrap interval, with Student's t where ``width`` holds it.

    Args:
        value: the score of the data.
        resampled: (B,) the score of each resample; NaN where it has none, and that resample is left out.
        influence: (G,) how the score moves with the weight of each group, mean 0 within every stratum; any scale.
        width: from `quantile`; a t quantile widens the interval where groups are few.

    Returns:
        (low, high), or None where the resamples say nothing: all are equal, or nearly all lie on one side of ``value``.

    Reference: Efron, Journal of the American Statistical Association 82(397), 1987; for strata Davison & Hinkley,
    Bootstrap Methods and their Application, 1997, section 5.3; for t Hesterberg, The American Statistician 69(4), 2015.
    """
    drawn = resampled[np.isfinite(resampled)]
    if len(drawn) == 0 or np.ptp(drawn) < 1e-9:
        return None
    tie = np.abs(drawn - value) < 1e-9  # the same score reached by sums in another order
    below = (float(((drawn < value) & ~tie).sum()) + float(tie.sum()) / 2) / len(drawn)
    edge = 1 / (len(drawn) + 1)
    bias = float(stats.norm.ppf(np.clip(below, edge, 1 - edge)))
    if abs(bias) >= width:
        return None
    square = float((influence**2).sum())
    acceleration = float((influence**3).sum()) / (6 * square**1.5) if square > 0 else 0.0
    shares = []
    for side in (bias - width, bias + width):
        stretch = 1 - acceleration * side
        share = float(stats.norm.cdf(bias + side / stretch)) if stretch > 0 else float(side > 0)
        shares.append(min(max(share, edge), 1 - edge))
    low, high = (float(limit) for limit in np.quantile(drawn, shares, method="weibull"))
    return (low, high) if high - low >= 1e-9 else None


def unbiased_limits(value: float, resampled: FloatArray, by_chance: FloatArray, width: float) -> Limits | None:
    """Bootstrap interval of a distance (0 or more) that chance alone makes larger, as the calibration error.

    The resamples lie over ``value`` by about as much as it lies over the truth, so both excesses are taken off. The
    upper limit is never under ``value``. Where chance alone gives as much as ``value``, which may then be small by
    luck, the lower limit is 0 and only one excess is taken off the upper. None where all resamples are equal.

    Args:
        value: of the data, 0 or more.
        resampled: (B,) of each resample.
        by_chance: (B,) of each resample if the true distance were 0.
        width: from `quantile`.

    Reference: Davison & Hinkley, Bootstrap Methods and their Application, 1997, sections 4.4 and 5.2.

    >>> drawn, chance = np.linspace(0.09, 0.15, 601), np.linspace(0.01, 0.03, 601)           # 0.02 too large
    >>> low, high = unbiased_limits(0.10, drawn, chance, quantile(0.95))
    >>> round(low, 3), round(high, 3)
    (0.052, 0.109)
    """
    if np.ptp(resampled) < 1e-9:
        return None
    excess = float(resampled.mean()) - value
    tail = float(stats.norm.cdf(-width))
    least, most = (float(limit) for limit in np.quantile(resampled, (tail, 1 - tail)))
    if value <= np.quantile(by_chance, 1 - tail):
        return 0.0, max(most - excess, value)
    return max(0.0, least - 2 * excess), max(most - 2 * excess, value)


def spread_limits(value: float, moves: FloatArray, largest: float, worth: float, level: float, most: float) -> Limits:
    """Interval of a score that lies between 0 and 1 from its linearized spread: Wilson on the effective number.

    A score near 1 from few groups rests on very few mistakes, and resamples cannot show more than they hold. This
    interval keeps a width there, as that of a proportion does, and even where nothing went wrong.

    Args:
        value: the score of the data, 0 to 1.
        moves: (G,) how the score moves with the weight of each group, as for `bca`, here in the score's own scale.
        largest: what the effective number never exceeds: the images, for a score that is a share of them.
        worth: the effective number where the groups show no spread, for example the groups.
        level: for example 0.95.
        most: degrees of freedom, as in `freedom_of_spread`.

    Reference: as `proportion_limits`; for AUROC Kottas, Kuss & Zapf, BMC Medical Research Methodology 14:26, 2014.
    """
    value = min(max(value, 0.0), 1.0)
    variance = float((moves**2).sum()) * len(moves) / most
    number = value * (1 - value) / variance if variance > 1e-18 else 0.0
    width = quantile(level, freedom_of_spread(moves, most))
    return wilson(value, min(number, largest) if number > 0 else worth, width)


def format_interval(score: Score, digits: int = 3, *, counts: bool = False, group_word: str = "groups") -> str:
    """A score as text: the number never stands alone.

    Args:
        score: one entry of `test.json`.
        digits: decimals; more are shown where the two limits would read the same.
        counts: whether to add what the number rests on.
        group_word: what a group is called, for example "leaves".

    >>> score = Score(value=0.9117, low=0.8809, high=0.9381, level=0.95, method="", images=412, groups=96)
    >>> format_interval(score)
    '0.912 [0.881, 0.938]'
    >>> format_interval(score, counts=True, group_word="leaves")
    '0.912 [0.881, 0.938] (412 images, 96 leaves)'
    """
    value, low, high = score["value"], score["low"], score["high"]
    reason = score.get("reason", "")
    if value is None:
        return f"no value: {reason}"
    if low is None or high is None:
        text = f"{value:.{digits}f} (no interval: {reason})"
    else:
        while digits < 9 and f"{low:.{digits}f}" == f"{high:.{digits}f}":
            digits += 1
        text = f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
    if not counts:
        return text
    grouped = f", {score['groups']:,} {group_word}" if score["groups"] != score["images"] else ""
    return f"{text} ({score['images']:,} images{grouped})"
