"""Confidence intervals for one score, and the text in which a score is shown with its interval.

Proportions (accuracy, recall, precision) have closed-form intervals; every other score is resampled (see `resampling`)
and its interval read off with `bca_interval`. Images of one group (leaf, patient, slide) are correlated, and an
interval that treats them as independent is too narrow. Therefore every function here works on sums over groups.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from coverslip.core.score import interval_text

FloatArray = NDArray[np.float64]
MIN_GROUPS = 5  # with fewer groups no method here reaches its nominal coverage, so no interval is given
MIN_DF = 5.0  # lower bound of the estimated degrees of freedom, if there are that many groups
ROUNDING = 1e-9  # scores that differ by less are equal: the same sums, added in another order

Interval = tuple[float, float]
"""Lower and upper confidence limit."""


class Score(TypedDict):
    """A score with its confidence interval, as stored in ``test.json``.

    ``low`` and ``high`` are null if there is no interval; ``reason`` then says why. ``images`` and ``groups`` are the
    sample sizes that the score was computed from.
    """

    value: float | None
    low: float | None
    high: float | None
    level: float
    method: str
    images: int
    groups: int
    reason: NotRequired[str]


def critical_value(level: float, df: float | None = None) -> float:
    """Return the two-sided critical value of the normal distribution, or of Student's t.

    Args:
        level: confidence level, between 0 and 1.
        df: degrees of freedom of Student's t; None for the normal distribution.

    >>> round(critical_value(0.95), 3), round(critical_value(0.95, 4), 3)
    (1.96, 2.776)
    """
    tail = 1 - (1 - level) / 2
    return float(stats.norm.ppf(tail) if df is None else stats.t.ppf(tail, df))


def effective_df(influence: FloatArray, max_df: float) -> float:
    """Return the effective degrees of freedom of a variance estimated from group contributions.

    Groups - 1 would be correct if the contributions were normally distributed. If nearly all groups are classified
    without error and a few contain all errors, the variance estimate rests on those few and is often far too small.
    The degrees of freedom are then reduced to match the variance of the variance that the kurtosis of the
    contributions implies.

    Args:
        influence: contribution of each group, shape (G,), mean 0, on any scale. If all are 0, ``max_df`` is returned.
        max_df: degrees of freedom for normal contributions (groups - 1, or groups - strata).

    Returns:
        Degrees of freedom, at most ``max_df`` and at least ``min(5, max_df)``.

    References:
        O'Neill, The American Statistician 68(4), 2014; Satterthwaite, Biometrics Bulletin 2(6), 1946.

    >>> even, rare = np.array([1.0, -1.0] * 20), np.array([39.0] + [-1.0] * 39)
    >>> effective_df(even, 39), effective_df(rare, 39)
    (39.0, 5.0)
    """
    second_moment = float((influence**2).mean())
    if second_moment == 0:
        return max_df
    groups = len(influence)
    # kurtosis beyond that of a normal sample of this size; 2 G / excess equates the variances of both estimates
    excess = float((influence**4).mean()) / second_moment**2 - (groups - 3) / (groups - 1)
    return float(np.clip(2 * groups / excess, min(MIN_DF, max_df), max_df)) if excess > 0 else max_df


def wilson_interval(proportion: float, number: float, critical: float) -> Interval:
    """Return Wilson's score interval of a proportion; never empty and always within 0 to 1.

    Args:
        proportion: observed proportion, 0 to 1.
        number: number of trials, above 0; need not be an integer (an effective sample size).
        critical: critical value from `critical_value`.

    Reference: Wilson, Journal of the American Statistical Association 22(158), 1927.

    >>> low, high = wilson_interval(0.805, 200, critical_value(0.95))
    >>> round(low, 3), round(high, 3)
    (0.745, 0.854)
    """
    spread = critical**2 / number
    center = (proportion + spread / 2) / (1 + spread)
    half = critical * np.sqrt(proportion * (1 - proportion) / number + spread / (4 * number)) / (1 + spread)
    # at exactly 0 and 1 the formula gives 0 and 1 up to rounding
    low = 0.0 if proportion == 0 else max(0.0, float(center - half))
    high = 1.0 if proportion == 1 else min(1.0, float(center + half))
    return low, high


def clopper_pearson_interval(hits: int, number: int, level: float) -> Interval:
    """Return the exact interval of a binomial proportion; its coverage is at least ``level``.

    Args:
        hits: number of successes, 0 to ``number``.
        number: number of independent trials, at least 1.
        level: confidence level, between 0 and 1.

    Reference: Clopper & Pearson, Biometrika 26(4), 1934.

    >>> low, high = clopper_pearson_interval(10, 10, 0.95)
    >>> round(low, 3), high
    (0.692, 1.0)
    """
    tail = (1 - level) / 2
    low = 0.0 if hits == 0 else float(stats.beta.ppf(tail, hits, number - hits + 1))
    high = 1.0 if hits == number else float(stats.beta.ppf(1 - tail, hits + 1, number - hits))
    return low, high


def effective_sample_size(hits: FloatArray, counts: FloatArray) -> float:
    """Return the number of independent images that clustered images are worth for estimating a proportion.

    This is the number of images divided by the design effect: the between-group variance of the ratio
    ``hits.sum() / counts.sum()`` (Taylor linearization) divided by the variance for as many independent images. It
    never exceeds the number of images. If the proportion is exactly 0 or 1, the between-group variance is 0 and each
    group counts as one trial.

    Args:
        hits: successes per group, shape (G,), G at least 2.
        counts: images per group, shape (G,), all above 0.

    References:
        Korn & Graubard, Survey Methodology 24(2), 1998; Kish, Survey Sampling, 1965 (design effect).

    >>> effective_sample_size(np.array([4.0, 4.0, 0.0, 0.0]), np.full(4, 4.0))  # in each leaf all correct or all wrong
    3.0
    """
    groups, images = len(counts), float(counts.sum())
    proportion = float(hits.sum()) / images
    independent = proportion * (1 - proportion) / images
    if independent == 0:
        return float(groups)
    between = groups / (groups - 1) * float(((hits - proportion * counts) ** 2).sum()) / images**2
    return images / max(1.0, between / independent)


def proportion_interval(hits: FloatArray, counts: FloatArray, level: float, *, grouped: bool) -> Interval:
    """Return the interval of the proportion ``hits.sum() / counts.sum()``.

    Without groups: Clopper-Pearson. With groups: Wilson's interval with the effective sample size and a critical value
    of Student's t, because the design effect is itself estimated from few groups. The degrees of freedom are
    groups - 1, or fewer if few groups contain most errors (`effective_df`).

    Args:
        hits: successes per group, shape (G,).
        counts: images per group, shape (G,), all above 0.
        level: confidence level, between 0 and 1.
        grouped: False if each image is its own group.

    Reference: Franco, Little, Louis & Slud, Journal of Survey Statistics and Methodology 7(3), 2019.
    """
    if not grouped:
        return clopper_pearson_interval(round(hits.sum()), round(counts.sum()), level)
    proportion = min(1.0, float(hits.sum() / counts.sum()))
    df = effective_df(hits - proportion * counts, len(counts) - 1)
    return wilson_interval(proportion, effective_sample_size(hits, counts), critical_value(level, df))


def perfect_recall_interval(numbers: FloatArray, level: float) -> Interval:
    """Return the exact interval of the mean recall of several classes if no error was observed.

    Resampling shows no variation in this case, although the true recall may be below 1. The lower limit is the
    smallest mean recall for which an outcome without error still has probability (1 - level) / 2. With one class this
    is the Clopper-Pearson limit. The minimum is attained where the recalls are proportional to ``numbers``, truncated
    at 1.

    Args:
        numbers: independent trials per class, shape (K,), at least 1 each (groups, if there are groups).
        level: confidence level, between 0 and 1.

    Reference: Buehler, Journal of the American Statistical Association 52(280), 1957.

    >>> low, high = perfect_recall_interval(np.array([10.0]), 0.95)  # one class: as clopper_pearson_interval(10, 10)
    >>> round(low, 3), high
    (0.692, 1.0)
    """
    tail = (1 - level) / 2

    def excess(slope: float) -> float:
        return float((numbers * np.log(np.minimum(1.0, slope * numbers))).sum() - np.log(tail))

    slope = float(optimize.brentq(excess, tail / numbers.max(), 1 / numbers.min(), xtol=1e-15))
    return float(np.minimum(1.0, slope * numbers).mean()), 1.0


def bca_interval(value: float, resampled: FloatArray, influence: FloatArray, critical: float) -> Interval | None:
    """Return the bias-corrected and accelerated (BCa) bootstrap interval.

    Args:
        value: score of the data.
        resampled: score of each resample, shape (B,); NaN where it is undefined, and such resamples are left out.
        influence: influence of each group on the score, shape (G,), mean 0 within each stratum, on any scale.
        critical: critical value from `critical_value`; a value of Student's t widens the interval for few groups.

    Returns:
        (low, high); None if the resamples carry no information: all are equal, or nearly all lie on one side of
        ``value``.

    References:
        Efron, Journal of the American Statistical Association 82(397), 1987; for strata Davison & Hinkley, Bootstrap
        Methods and their Application, 1997, section 5.3; for t Hesterberg, The American Statistician 69(4), 2015.
    """
    resampled = resampled[np.isfinite(resampled)]
    if len(resampled) == 0 or np.ptp(resampled) < ROUNDING:
        return None
    ties = np.abs(resampled - value) < ROUNDING
    below = (float(((resampled < value) & ~ties).sum()) + float(ties.sum()) / 2) / len(resampled)
    edge = 1 / (len(resampled) + 1)  # keeps the normal quantiles below finite
    bias = float(stats.norm.ppf(np.clip(below, edge, 1 - edge)))
    if abs(bias) >= critical:
        return None
    square = float((influence**2).sum())
    acceleration = float((influence**3).sum()) / (6 * square**1.5) if square > 0 else 0.0
    probabilities = []
    for side in (bias - critical, bias + critical):
        stretch = 1 - acceleration * side
        # a strongly skewed score can make the stretch negative: the limit is then the extreme of the resamples
        probability = float(stats.norm.cdf(bias + side / stretch)) if stretch > 0 else float(side > 0)
        probabilities.append(min(max(probability, edge), 1 - edge))
    low, high = (float(limit) for limit in np.quantile(resampled, probabilities, method="weibull"))
    return (low, high) if high - low >= ROUNDING else None


def bias_corrected_interval(
    value: float, resampled: FloatArray, null_resampled: FloatArray, critical: float
) -> Interval | None:
    """Return the bootstrap interval of a distance whose estimate is biased upwards by noise (calibration error).

    Resamples exceed ``value`` by about as much as ``value`` exceeds the true distance, so both excesses are
    subtracted. The upper limit is never below ``value``. If ``value`` is within what noise alone would produce (it may
    then be small by chance), the lower limit is 0 and only one excess is subtracted from the upper limit.

    Args:
        value: distance in the data, 0 or more.
        resampled: distance in each resample, shape (B,).
        null_resampled: distance in each resample if the true distance were 0, shape (B,).
        critical: critical value from `critical_value`.

    Returns:
        (low, high), or None if all resamples are equal.

    Reference: Davison & Hinkley, Bootstrap Methods and their Application, 1997, sections 4.4 and 5.2.

    >>> resampled, null = np.linspace(0.09, 0.15, 601), np.linspace(0.01, 0.03, 601)  # resamples exceed by 0.02
    >>> low, high = bias_corrected_interval(0.10, resampled, null, critical_value(0.95))
    >>> round(low, 3), round(high, 3)
    (0.052, 0.109)
    """
    if np.ptp(resampled) < ROUNDING:
        return None
    excess = float(resampled.mean()) - value
    tail = float(stats.norm.cdf(-critical))
    low, high = (float(limit) for limit in np.quantile(resampled, (tail, 1 - tail)))
    if value <= np.quantile(null_resampled, 1 - tail):
        return 0.0, max(high - excess, value)
    return max(0.0, low - 2 * excess), max(high - 2 * excess, value)


def linearized_interval(
    value: float, influence: FloatArray, max_number: float, fallback_number: float, level: float, max_df: float
) -> Interval:
    """Return the interval of a score between 0 and 1 from its linearized variance: Wilson, effective sample size.

    A score near 1 in few groups rests on very few errors, and resamples cannot vary more than the data do. This
    interval keeps a positive width there, as that of a proportion does, even if no error was observed.

    Args:
        value: score of the data, 0 to 1; rounding errors outside are clipped.
        influence: influence of each group on the score, shape (G,), on the scale of the score.
        max_number: upper bound of the effective sample size: the number of images, for a score that is a proportion
            of them.
        fallback_number: effective sample size if the groups show no variation, for example the number of groups.
        level: confidence level, between 0 and 1.
        max_df: maximal degrees of freedom, as for `effective_df`.

    References:
        As for `proportion_interval`; for AUROC Kottas, Kuss & Zapf, BMC Medical Research Methodology 14:26, 2014.
    """
    value = min(max(value, 0.0), 1.0)
    variance = float((influence**2).sum()) * len(influence) / max_df
    # below 1e-18 the variance is rounding error, and the number of trials would be meaningless
    number = value * (1 - value) / variance if variance > 1e-18 else 0.0
    critical = critical_value(level, effective_df(influence, max_df))
    return wilson_interval(value, min(number, max_number) if number > 0 else fallback_number, critical)


def format_interval(score: Score, digits: int = 3, *, counts: bool = False, group_word: str = "groups") -> str:
    """Format a score with its confidence interval as text.

    Args:
        score: a score, with or without an interval.
        digits: number of decimals; increased if both limits would read the same.
        counts: whether to append the numbers of images and groups.
        group_word: plural noun for the groups, for example "leaves".

    Returns:
        For example "0.912 [0.881, 0.938]". A score without interval or value is followed by the reason.

    >>> score = Score(value=0.9117, low=0.8809, high=0.9381, level=0.95, method="", images=412, groups=96)
    >>> format_interval(score)
    '0.912 [0.881, 0.938]'
    >>> format_interval(score, counts=True, group_word="leaves")
    '0.912 [0.881, 0.938] (412 images, 96 leaves)'
    """
    text = interval_text(score["value"], score["low"], score["high"], score.get("reason", ""), digits)
    if not counts or score["value"] is None:
        return text
    grouped = f", {score['groups']:,} {group_word}" if score["groups"] != score["images"] else ""
    return f"{text} ({score['images']:,} images{grouped})"
