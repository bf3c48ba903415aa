"""Types of an explorable's values: options that a notebook may set, with limits, and results that it may read."""

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
    """A number between two limits; its slider has the positions ``stops``, or one every ``step``."""

    value: float
    low: float
    high: float
    whole: bool = False
    step: float | None = None
    stops: tuple[float, ...] | None = None

    def checked(self, name: str, value: Any) -> float:
        """Return the value as an int or a float.

        Raises:
            UserError: the value is not a number within the limits.
        """
        fix = f"give a {'whole ' if self.whole else ''}number from {self.low:g} to {self.high:g}"
        if isinstance(value, bool) or not isinstance(value, Real):
            raise UserError(f"{name}={value!r} is not a number", fix)
        number = float(value)
        if not self.low <= number <= self.high or (self.whole and not number.is_integer()):  # NaN is not, either
            raise UserError(f"{name}={value!r} is not possible", fix)
        return int(number) if self.whole else number


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """One of several names; ``names`` maps each to its label."""

    value: str
    names: Mapping[str, str]

    def checked(self, name: str, value: Any) -> str:
        """Return the value.

        Raises:
            UserError: the value is not one of the names; the fix suggests the nearest one.
        """
        if value not in self.names:
            raise UserError(f"{name}={value!r} is unknown", nearest(str(value), self.names))
        return str(value)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """A table of numbers; its size (rows, columns) is between ``smallest`` and ``largest``."""

    value: tuple[tuple[float, ...], ...]
    smallest: tuple[int, int]
    largest: tuple[int, int]

    def checked(self, name: str, value: Any) -> list[list[float]]:
        """Return the table, which may be a NumPy array, as lists of floats.

        Raises:
            UserError: the value is not a table of finite numbers, or its size is not allowed.
        """
        fix = "give rows of numbers such as [[1, 0, -1], [1, 0, -1], [1, 0, -1]]"
        try:
            rows = [[float(number) for number in row] for row in value]
        except (TypeError, ValueError) as error:
            raise UserError(f"{name} is not a table of numbers", fix) from error
        if (
            not rows
            or not all(math.isfinite(number) for row in rows for number in row)
            or len({len(row) for row in rows}) != 1
        ):
            raise UserError(f"{name} is empty, has rows of different lengths, or numbers that are not finite", fix)
        (low_rows, low_columns), (high_rows, high_columns) = self.smallest, self.largest
        if not (low_rows <= len(rows) <= high_rows and low_columns <= len(rows[0]) <= high_columns):
            sizes = f"{low_rows} x {low_columns}"
            if self.smallest != self.largest:
                sizes += f" to {high_rows} x {high_columns}"
            raise UserError(f"{name} is {len(rows)} x {len(rows[0])}", f"give {sizes} numbers")
        return rows


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """A pair of numbers between two limits."""

    value: tuple[float, float]
    low: float
    high: float

    def checked(self, name: str, value: Any) -> list[float]:
        """Return the pair as a list of floats.

        Raises:
            UserError: the value is not a pair of numbers within the limits.
        """
        fix = f"give two numbers from {self.low:g} to {self.high:g}, such as [1, 0.5]"
        try:
            pair = [float(number) for number in value]
        except (TypeError, ValueError) as error:
            raise UserError(f"{name}={value!r} is not two numbers", fix) from error
        if len(pair) != 2 or not all(self.low <= number <= self.high for number in pair):
            raise UserError(f"{name}={value!r} is not possible", fix)
        return pair


Option = Number | Choice | Rows | Point


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """A result of an explorable, with its initial ``value`` and its ``meaning``."""

    value: Any
    meaning: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Suggestion:
    """A suggestion to the learner, with the settings that prepare it."""

    text: str
    set: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Explorable:
    """One explorable: its texts, options and results. Its ES module is ``static/NAME.js``."""

    name: str
    short: str  # short title for links
    title: str
    opening: str
    suggestions: tuple[Suggestion, ...]
    options: Mapping[str, Option]
    results: Mapping[str, Result]

    def values(self, **changes: Any) -> dict[str, Any]:
        """Return the initial values of all options and results.

        Args:
            changes: option -> value that replaces its default.

        Raises:
            UserError: an option is unknown (the fix suggests the nearest one), or a value is not possible.
        """
        for name in changes:
            if name not in self.options:
                raise UserError(f"{self.name}() has no option {name!r}", nearest(name, self.options))
        options = {name: option.checked(name, changes.get(name, option.value)) for name, option in self.options.items()}
        return options | {name: result.value for name, result in self.results.items()}
