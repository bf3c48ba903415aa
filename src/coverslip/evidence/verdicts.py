"""Verdict and sentence for the comparison of two models."""

from __future__ import annotations

from typing import Any

from coverslip.evidence.intervals import MIN_GROUPS, Interval


def too_few_groups(groups: int, unit: str) -> str:
    """Return why a number of groups cannot show a difference; empty if there are enough.

    Args:
        groups: number of independent groups.
        unit: plural noun for them, for example "leaves".
    """
    if groups >= MIN_GROUPS:
        return ""
    if groups == 1:
        return f"all images belong to one of the {unit}, so the result does not generalize to others"
    return f"{groups} {unit} are too few (at least {MIN_GROUPS} are needed)"


def _gain(comparison: dict[str, Any], lower_is_better: bool) -> tuple[float, Interval | None]:
    """Return the advantage of the second model with simultaneous limits; positive if it is better."""
    sign = -1 if lower_is_better else 1
    ends = (comparison["low_all"], comparison["high_all"])
    interval = None if ends[0] is None else (min(sign * ends[0], sign * ends[1]), max(sign * ends[0], sign * ends[1]))
    return sign * comparison["difference"], interval


def better_model(comparison: dict[str, Any], lower_is_better: bool, level: float) -> str | None:
    """Return the name of the better model if test and interval agree; None if neither model can be called better.

    Args:
        comparison: one entry of ``comparisons`` of `compare`.
        lower_is_better: whether a lower score is better.
        level: confidence level; the significance level is ``1 - level``.
    """
    if comparison["p_adjusted"] is None or comparison["p_adjusted"] > 1 - level or comparison["difference"] == 0:
        return None
    gain, interval = _gain(comparison, lower_is_better)
    if interval is not None and interval[0] <= 0 <= interval[1]:
        return None
    return str(comparison["second"] if gain > 0 else comparison["first"])


def comparison_sentence(
    comparison: dict[str, Any], lower_is_better: bool, smallest: float, groups: int, unit: str
) -> str:
    """Return the result of a comparison as one sentence.

    Args:
        comparison: one entry of ``comparisons`` of `compare`, with its ``better``.
        lower_is_better: whether a lower score is better.
        smallest: smallest difference of interest.
        groups: number of groups in the test set.
        unit: plural noun for them, for example "leaves".
    """
    first, second = comparison["first"], comparison["second"]
    if comparison["identical"]:
        return f"{second} predicts the same probabilities as {first} for every image: the difference is 0"
    if comparison["p"] is None:
        return f"{second} and {first} cannot be compared: {comparison['reason']}"
    gain, interval = _gain(comparison, lower_is_better)
    if gain < 0:  # the model with the better score comes first in the sentence
        first, second, gain = second, first, -gain
        interval = None if interval is None else (-interval[1], -interval[0])
    limits = f"[{interval[0]:z.3f}, {interval[1]:z.3f}]" if interval else f"(no interval: {comparison['reason']})"
    if comparison["better"]:
        return f"{second} is better than {first} by {gain:.3f} {limits}"
    difference = f"{second} is ahead by {gain:.3f}" if gain else "the difference is 0"
    text = f"{second} and {first} are not distinguishable: {difference} {limits}"
    if interval is not None and not interval[0] <= 0 <= interval[1]:
        text += f", but the permutation test is not significant (p = {comparison['p_adjusted']:.3f})"
    if comparison["needed"] is None:
        return text
    needed = f"{_two_digits(comparison['needed']):,} {unit}"
    if comparison["needed"] <= groups:
        return (
            f"{text}; detecting a difference of {smallest:g} requires about {needed}, and the test set has {groups:,}"
        )
    return f"{text}; detecting a difference of {smallest:g} requires about {needed}"


def _two_digits(number: int) -> int:
    """Round to two significant digits; an estimate from a variance has no more precision."""
    step = int(10 ** max(0, len(str(number)) - 2))
    return round(number / step) * step
