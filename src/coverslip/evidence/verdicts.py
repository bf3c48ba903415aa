"""What a comparison of two models says, in a word and in one plain sentence."""

from __future__ import annotations

from typing import Any

from coverslip.evidence.intervals import FEWEST_GROUPS, Limits


def too_few(groups: int, unit: str) -> str:
    """Why so few groups cannot show a difference; empty where they are enough."""
    if groups >= FEWEST_GROUPS:
        return ""
    if groups == 1:
        return f"all images are of one of the {unit}, which says nothing about others"
    return f"{groups} {unit} are too few ({FEWEST_GROUPS} are needed)"


def _gain(told: dict[str, Any], lower: bool) -> tuple[float, Limits | None]:
    """The second's advantage and its limits (those for all pairs), above 0 where it is better."""
    sign = -1 if lower else 1
    ends = (told["low_all"], told["high_all"])
    limits = None if ends[0] is None else (min(sign * ends[0], sign * ends[1]), max(sign * ends[0], sign * ends[1]))
    return sign * told["difference"], limits


def better_of(told: dict[str, Any], lower: bool, level: float) -> str | None:
    """The better of two where the test and the limits agree; None where they do not, or see nothing."""
    if told["p_adjusted"] is None or told["p_adjusted"] > 1 - level or told["difference"] == 0:
        return None
    gain, limits = _gain(told, lower)
    if limits is not None and limits[0] <= 0 <= limits[1]:
        return None
    return str(told["second"] if gain > 0 else told["first"])


def sentence_of(told: dict[str, Any], lower: bool, smallest: float, groups: int, unit: str) -> str:
    """What the comparison says, in one plain sentence."""
    first, second = told["first"], told["second"]
    if told["identical"]:
        return f"{second} gives the same probabilities as {first} for every image: the difference is 0"
    if told["p"] is None:
        return f"{second} and {first} cannot be compared: {told['reason']}"
    gain, limits = _gain(told, lower)
    if gain < 0:  # the one that is ahead is named first
        first, second, gain = second, first, -gain
        limits = None if limits is None else (-limits[1], -limits[0])
    spread = f"[{limits[0]:z.3f}, {limits[1]:z.3f}]" if limits else f"(no interval: {told['reason']})"
    if told["better"]:
        return f"{second} is better than {first} by {gain:.3f} {spread}"
    ahead = f"{second} is ahead by {gain:.3f}" if gain else "the difference is 0"
    text = f"{second} and {first} are not distinguishable: {ahead} {spread}"
    if limits is not None and not limits[0] <= 0 <= limits[1]:
        text += f", though exchanging their answers at random gives as much in {told['p_adjusted']:.0%} of tries"
    if told["needed"] is None:
        return text
    about = f"{_two_digits(told['needed']):,} {unit}"
    if told["needed"] <= groups:
        return f"{text}; a difference of {smallest:g} takes about {about} to see, and there are {groups:,}"
    return f"{text}; to see a difference of {smallest:g} you need about {about}"


def _two_digits(number: int) -> int:
    """An estimate from a variance is not worth more digits."""
    step = int(10 ** max(0, len(str(number)) - 2))
    return round(number / step) * step
