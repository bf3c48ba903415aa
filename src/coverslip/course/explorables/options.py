"""The kinds of values a piece has: what a notebook may set and read, and the limits both sides keep to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

from coverslip.core.errors import UserError
from coverslip.core.registry import nearest


@dataclass(frozen=True, kw_only=True, slots=True)
class Number:
    """One number between two limits, whole or not; ``stops`` (or ``step``) are where its slider rests."""

    value: float
    low: float
    high: float
    whole: bool = False
    step: float | None = None
    stops: tuple[float, ...] | None = None

    def checked(self, name: str, value: Any) -> float:
        """The value as an int or a float within the limits; anything else is a `UserError`."""
        fix = f"give a {'whole ' if self.whole else ''}number from {self.low:g} to {self.high:g}"
        if isinstance(value, bool) or not isinstance(value, Real):
            raise UserError(f"{name}={value!r} is not a number", fix)
        number = float(value)
        if not self.low <= number <= self.high or (self.whole and not number.is_integer()):  # NaN is not, either
            raise UserError(f"{name}={value!r} is not possible", fix)
        return int(number) if self.whole else number


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """One of some names; ``names`` holds the words a learner reads for each."""

    value: str
    names: Mapping[str, str]

    def checked(self, name: str, value: Any) -> str:
        """The value, where it is one of the names; else a `UserError` with the nearest."""
        if value not in self.names:
            raise UserError(f"{name}={value!r} is unknown", nearest(str(value), self.names))
        return str(value)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """Rows of numbers, all of one length: (rows, columns) from ``smallest`` to ``largest``."""

    value: tuple[tuple[float, ...], ...]
    smallest: tuple[int, int]
    largest: tuple[int, int]

    def checked(self, name: str, value: Any) -> list[list[float]]:
        """The rows as lists of floats (a NumPy array is welcome); a wrong shape or kind is a `UserError`."""
        fix = "give rows of numbers such as [[1, 0, -1], [1, 0, -1], [1, 0, -1]]"
        try:
            rows = [[float(each) for each in row] for row in value]
        except (TypeError, ValueError) as error:
            raise UserError(f"{name} is not rows of numbers", fix) from error
        if (
            not rows
            or not all(math.isfinite(each) for row in rows for each in row)
            or len({len(row) for row in rows}) != 1
        ):
            raise UserError(f"{name} has rows of different lengths, or numbers that are not finite", fix)
        (low_rows, low_columns), (high_rows, high_columns) = self.smallest, self.largest
        if not (low_rows <= len(rows) <= high_rows and low_columns <= len(rows[0]) <= high_columns):
            sizes = f"{low_rows} x {low_columns}"
            if self.smallest != self.largest:
                sizes += f" to {high_rows} x {high_columns}"
            raise UserError(f"{name} is {len(rows)} x {len(rows[0])}", f"give {sizes} numbers")
        return rows


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """Two numbers between two limits."""

    value: tuple[float, float]
    low: float
    high: float

    def checked(self, name: str, value: Any) -> list[float]:
        """The pair as a list of floats within the limits; anything else is a `UserError`."""
        fix = f"give two numbers from {self.low:g} to {self.high:g}, such as [1, 0.5]"
        try:
            pair = [float(each) for each in value]
        except (TypeError, ValueError) as error:
            raise UserError(f"{name}={value!r} is not two numbers", fix) from error
        if len(pair) != 2 or not all(self.low <= each <= self.high for each in pair):
            raise UserError(f"{name}={value!r} is not possible", fix)
        return pair


Option = Number | Choice | Rows | Point


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What the piece reports back: ``value`` before anything happened, of the kind it will be; ``says`` what it is."""

    value: Any
    says: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Suggestion:
    """Something to try, and the settings that make it ready."""

    text: str
    set: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """One explorable: its words, what can be set and what it reports. Its ES module is ``static/NAME.js``."""

    name: str
    short: str  # for links
    title: str
    opening: str
    suggestions: tuple[Suggestion, ...]
    options: Mapping[str, Option]
    results: Mapping[str, Result]

    def values(self, **given: Any) -> dict[str, Any]:
        """All values at the start, with those given in place of the defaults.

        Raises:
            UserError: an unknown option (the nearest is named), or a value that is not possible.
        """
        for name in given:
            if name not in self.options:
                raise UserError(f"{self.name}() has no option {name!r}", nearest(name, self.options))
        start = {name: option.checked(name, given.get(name, option.value)) for name, option in self.options.items()}
        return start | {name: result.value for name, result in self.results.items()}
