"""A score with its confidence interval, as a run stores it and as text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

MOST_DIGITS = 9


def interval_text(value: float | None, low: float | None, high: float | None, reason: str = "", digits: int = 3) -> str:
    """Return a score and its confidence interval as text.

    Args:
        value: the score; None if it cannot be computed.
        low: lower limit of the interval; None if there is none.
        high: upper limit of the interval; None if there is none.
        reason: why there is no value or no interval.
        digits: number of decimals; increased if both limits would read the same.

    >>> interval_text(0.9117, 0.8809, 0.9381), interval_text(1.0, None, None, "4 images are too few")
    ('0.912 [0.881, 0.938]', '1.000 (no interval: 4 images are too few)')
    """
    if value is None:
        return f"no value: {reason}"
    if low is None or high is None:
        return f"{value:.{digits}f} (no interval: {reason})"
    while digits < MOST_DIGITS and f"{low:.{digits}f}" == f"{high:.{digits}f}":
        digits += 1
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


@dataclass(frozen=True, slots=True)
class RunScore:
    """A score on the test set; as text, it reads ``0.969 [0.845, 0.994]``, and ``float(score)`` is its value.

    Attributes:
        value: the score; None if it cannot be computed.
        low: lower limit of the confidence interval; None if there is none.
        high: upper limit of the confidence interval; None if there is none.
        level: confidence level, such as 0.95.
        images: number of images.
        groups: number of groups of images.
        reason: why there is no value or no interval.
    """

    value: float | None
    low: float | None
    high: float | None
    level: float
    images: int
    groups: int
    reason: str = ""

    @classmethod
    def of(cls, score: Mapping[str, Any]) -> RunScore:
        """Return the score of an entry of ``test.json``."""
        return cls(**{field.name: score[field.name] for field in fields(cls) if field.name in score})

    def __str__(self) -> str:
        return interval_text(self.value, self.low, self.high, self.reason)

    def __repr__(self) -> str:
        return str(self)

    def __float__(self) -> float:
        return math.nan if self.value is None else self.value
