"""A range of one setting, or its choices, and how they are written on the command line."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from coverslip.core.errors import UserError
from coverslip.tuning.keys import WANTED, Setting, Value, plain, setting

POINTS = 8  # of a sweep over a range, where nobody says how many
WIDE = 100  # numbers whose largest is so many times their least are drawn on a logarithmic axis
MANY = 1000  # values of one sweep


@dataclass(frozen=True, kw_only=True, slots=True)
class Dimension:
    """One setting and what it may be: a range of numbers, or choices.

    Attributes:
        key: dotted, such as ``training.lr``.
        kind: ``float`` or ``int`` for a range (both ends may be taken), ``choice`` for anything else.
        low: the least number.
        high: the largest.
        log: equal factors are equally likely, instead of equal differences.
        choices: the values, where there is no range; of a sweep over numbers its points.

    Raises:
        UserError: an empty range, a logarithm of zero, fewer than two choices, or a value the setting cannot take.
    """

    key: str
    kind: str
    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[Value, ...] = ()

    def __post_init__(self) -> None:
        own = setting(self.key)
        if self.kind == "choice" or self.choices:
            if len(set(self.choices)) < 2:
                fixed = str(plain(self.choices[0])) if self.choices else "nothing"
                raise UserError(
                    f"{self.key}: {fixed} alone is no choice", "give two or more, or set it once with --set"
                )
            if len(set(self.choices)) < len(self.choices):
                raise UserError(f"{self.key}: a value is given twice", "give each of them once")
            for each in self.choices:
                own.checked(each)
        if self.kind == "choice":
            return
        if own.kind not in ("float", "int"):
            raise UserError(f"{self.key} is {WANTED[own.kind]}, which has no range", "give choices instead")
        if self.low is None or self.high is None:
            raise UserError(f"{self.key} needs low and high, or choices", "for example low = 0.0001, high = 0.1")
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise UserError(
                f"{self.key}: from {self.low:g} to {self.high:g} is an empty range", "put the lower end first"
            )
        if self.log and self.low <= 0:
            raise UserError(f"{self.key}: {self.low:g} has no logarithm", "begin above 0, such as 1e-05, or drop log")
        own.checked(typed(own, self.low))
        own.checked(typed(own, self.high))

    @property
    def name(self) -> str:
        """In plain words."""
        return setting(self.key).name

    def as_json(self) -> dict[str, Any]:
        """For ``study.json``: name, kind, log, low, high, choices; units of layers are text, ``"256,128"``."""
        choices = [plain(each) for each in self.choices]
        return {
            "name": self.name,
            "kind": self.kind,
            "log": self.log,
            "low": self.low,
            "high": self.high,
            "choices": choices,
        }


@dataclass(frozen=True, slots=True)
class Sweep:
    """One setting and the values it takes, one after another."""

    key: str
    values: tuple[Value, ...]

    @property
    def dimension(self) -> Dimension:
        """The same as a dimension, for figures."""
        kind = setting(self.key).kind
        if kind not in ("float", "int"):
            return Dimension(key=self.key, kind="choice", choices=self.values)
        numbers = [float(each) for each in self.values]  # type: ignore[arg-type]
        low, high = min(numbers), max(numbers)
        ratios = [b / a for a, b in itertools.pairwise(numbers)] if low > 0 else []
        even = len(ratios) > 1 and max(ratios) < 1.05 * min(ratios)
        log = low > 0 and (high / low >= WIDE or even)
        return Dimension(key=self.key, kind=kind, low=low, high=high, log=log, choices=self.values)


def parse_sweep(text: str) -> Sweep:
    """A sweep as it stands on the command line.

    Args:
        text: ``KEY=VALUE,VALUE,...``, or ``KEY=LOW..HIGH`` with ``:log`` and a number of points behind it. A whole
            number without a number of points takes every one (with ``:log``, every doubling). Units of layers are
            separated by commas, and their choices by semicolons: ``hidden=64;128;256,128``.

    Raises:
        UserError: a key or a value that does not exist, fewer than two values, an empty range.

    >>> parse_sweep("lr=0.001..1:log:4").values
    (0.001, 0.01, 0.1, 1.0)
    >>> parse_sweep("hidden=64;256,128")
    Sweep(key='model.hidden', values=((64,), (256, 128)))
    >>> parse_sweep("seed=0..4").values
    (0, 1, 2, 3, 4)
    """
    name, equals, right = text.partition("=")
    if not equals or not name.strip() or not right.strip():
        raise UserError(f"{text!r} is not KEY=VALUES", "for example lr=1e-5..1:log:16, or batch_size=8,32,128")
    own = setting(name)
    if ".." in right:
        values = _points(own, right)
    else:
        separator = ";" if own.kind == "units" else ","
        values = tuple(own.read(each) for each in right.split(separator) if each.strip())
    sweep = Sweep(own.key, values)
    sweep.dimension  # noqa: B018  checks them
    return sweep


def _points(own: Setting, text: str) -> tuple[Value, ...]:
    low, high, log, count = parse_range(own, text)
    whole = own.kind == "int"
    Dimension(key=own.key, kind=own.kind, low=low, high=high, log=log)
    if count is None:
        count = POINTS
        if whole:
            count = round(math.log2(high / low)) + 1 if log else round(high - low) + 1
    if not 2 <= count <= MANY:
        raise UserError(f"{own.key}: {count} values are {'too few' if count < 2 else 'too many'}", f"give 2 to {MANY}")
    grid = np.geomspace(low, high, count) if log else np.linspace(low, high, count)
    if whole:
        return tuple(dict.fromkeys(round(each) for each in grid))
    return tuple(float(f"{each:.6g}") for each in grid)


def parse_range(own: Setting, text: str) -> tuple[float, float, bool, int | None]:
    """``LOW..HIGH[:log][:COUNT]`` -> low, high, log, count.

    Raises:
        UserError: it is written otherwise, or the setting is no number.
    """
    ends, *options = (each.strip() for each in text.split(":"))
    low, _, high = ends.partition("..")
    if own.kind not in ("float", "int"):
        raise UserError(f"{own.key} is {WANTED[own.kind]}, which has no range", "separate its values by commas")
    count = None
    for each in options:
        if each != "log" and not each.isdigit():
            raise UserError(
                f"{own.key}: {each!r} is neither 'log' nor a number of values", "for example 1e-5..1:log:16"
            )
        count = int(each) if each.isdigit() else count
    try:
        return float(low), float(high), "log" in options, count
    except ValueError:
        raise UserError(f"{own.key}: {ends!r} is not LOW..HIGH", "for example 1e-5..1:log:16") from None


def typed(own: Setting, value: Value | None) -> Value | None:
    """The end of a range as the setting's own type."""
    return int(value) if own.kind == "int" and isinstance(value, float) and value.is_integer() else value
