"""The range or the choices of one setting, and their notation on the command line."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from coverslip.core.errors import UserError
from coverslip.tuning.keys import DESCRIPTIONS, Setting, Value, plain, setting

POINTS = 8  # of a sweep over a range without a number of values
LOG_RATIO = 100  # values whose maximum is this many times the minimum are drawn on a logarithmic axis
MAX_VALUES = 1000  # of one sweep


@dataclass(frozen=True, kw_only=True, slots=True)
class Dimension:
    """One setting with its range of numbers, or its choices.

    Attributes:
        key: dotted key, such as ``training.lr``.
        kind: ``float`` or ``int`` for a range (both ends included), ``choice`` for anything else.
        low: lower end of the range.
        high: upper end of the range.
        log: whether the range is sampled uniformly in the logarithm.
        choices: the values, if there is no range; the points of a sweep over numbers.

    Raises:
        UserError: the range is empty or includes the logarithm of zero, there are fewer than two choices, or a value
            is invalid for the setting.
    """

    key: str
    kind: str
    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[Value, ...] = ()

    def __post_init__(self) -> None:
        target = setting(self.key)
        if self.kind == "choice" or self.choices:
            if len(set(self.choices)) < 2:
                fixed = str(plain(self.choices[0])) if self.choices else "nothing"
                raise UserError(
                    f"{self.key}: {fixed} is a single value", "give two or more values, or fix it with --set"
                )
            if len(set(self.choices)) < len(self.choices):
                raise UserError(f"{self.key}: a value is given twice", "give each value once")
            for choice in self.choices:
                target.checked(choice)
        if self.kind == "choice":
            return
        if target.kind not in ("float", "int"):
            raise UserError(f"{self.key} is {DESCRIPTIONS[target.kind]}, which has no range", "give choices instead")
        if self.low is None or self.high is None:
            raise UserError(
                f"{self.key} needs low and high, or choices", "give values such as low = 0.0001, high = 0.1"
            )
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise UserError(
                f"{self.key}: from {self.low:g} to {self.high:g} is an empty range", "give the lower end first"
            )
        if self.log and self.low <= 0:
            raise UserError(f"{self.key}: {self.low:g} has no logarithm", "start above 0, such as 1e-05, or omit log")
        target.checked(typed(target, self.low))
        target.checked(typed(target, self.high))

    @property
    def name(self) -> str:
        """Name for readers."""
        return setting(self.key).name

    def as_json(self) -> dict[str, Any]:
        """Return the entry in ``study.json``: name, kind, log, low, high, choices (units of layers as text)."""
        choices = [plain(choice) for choice in self.choices]
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
    """One setting and the values to try."""

    key: str
    values: tuple[Value, ...]

    @property
    def dimension(self) -> Dimension:
        """The values as a dimension, for figures."""
        kind = setting(self.key).kind
        if kind not in ("float", "int"):
            return Dimension(key=self.key, kind="choice", choices=self.values)
        numbers = [float(value) for value in self.values]  # type: ignore[arg-type]
        low, high = min(numbers), max(numbers)
        ratios = [b / a for a, b in itertools.pairwise(numbers)] if low > 0 else []
        even = len(ratios) > 1 and max(ratios) < 1.05 * min(ratios)
        log = low > 0 and (high / low >= LOG_RATIO or even)
        return Dimension(key=self.key, kind=kind, low=low, high=high, log=log, choices=self.values)


def parse_sweep(text: str) -> Sweep:
    """Parse a sweep as given on the command line.

    Args:
        text: ``KEY=VALUE,VALUE,...``, or ``KEY=LOW..HIGH[:log][:COUNT]``. Without a count, an integer takes every
            value of the range (with ``:log``, every doubling). Units of layers are separated by commas, and their
            choices by semicolons: ``hidden=64;128;256,128``.

    Raises:
        UserError: the key or a value does not exist, there are fewer than two values, or the range is empty.

    >>> parse_sweep("lr=0.001..1:log:4").values
    (0.001, 0.01, 0.1, 1.0)
    >>> parse_sweep("hidden=64;256,128")
    Sweep(key='model.hidden', values=((64,), (256, 128)))
    >>> parse_sweep("seed=0..4").values
    (0, 1, 2, 3, 4)
    """
    name, equals, right = text.partition("=")
    if not equals or not name.strip() or not right.strip():
        raise UserError(f"{text!r} is not KEY=VALUES", "give a sweep such as lr=1e-5..1:log:16 or batch_size=8,32,128")
    target = setting(name)
    if ".." in right:
        values = _points(target, right)
    else:
        separator = ";" if target.kind == "units" else ","
        values = tuple(target.parse(value) for value in right.split(separator) if value.strip())
    sweep = Sweep(target.key, values)
    sweep.dimension  # noqa: B018  validates the values
    return sweep


def _points(target: Setting, text: str) -> tuple[Value, ...]:
    low, high, log, count = parse_range(target, text)
    integer = target.kind == "int"
    Dimension(key=target.key, kind=target.kind, low=low, high=high, log=log)
    if count is None:
        count = POINTS
        if integer:
            count = round(math.log2(high / low)) + 1 if log else round(high - low) + 1
    if not 2 <= count <= MAX_VALUES:
        amount = "too few" if count < 2 else "too many"
        raise UserError(f"{target.key}: {count} values are {amount}", f"give 2 to {MAX_VALUES}")
    grid = np.geomspace(low, high, count) if log else np.linspace(low, high, count)
    if integer:
        return tuple(dict.fromkeys(round(value) for value in grid))
    return tuple(float(f"{value:.6g}") for value in grid)


def parse_range(target: Setting, text: str) -> tuple[float, float, bool, int | None]:
    """Parse ``LOW..HIGH[:log][:COUNT]`` and return low, high, log and count.

    Raises:
        UserError: the text has another form, or the setting is not a number.
    """
    ends, *options = (part.strip() for part in text.split(":"))
    low, _, high = ends.partition("..")
    if target.kind not in ("float", "int"):
        raise UserError(
            f"{target.key} is {DESCRIPTIONS[target.kind]}, which has no range", "give values separated by commas"
        )
    count = None
    for option in options:
        if option != "log" and not option.isdigit():
            raise UserError(
                f"{target.key}: {option!r} is neither 'log' nor a number of values",
                "give a range such as 1e-5..1:log:16",
            )
        count = int(option) if option.isdigit() else count
    try:
        return float(low), float(high), "log" in options, count
    except ValueError:
        raise UserError(f"{target.key}: {ends!r} is not LOW..HIGH", "give a range such as 1e-5..1:log:16") from None


def typed(target: Setting, value: Value | None) -> Value | None:
    """Return the end of a range as the type of the setting."""
    return int(value) if target.kind == "int" and isinstance(value, float) and value.is_integer() else value
