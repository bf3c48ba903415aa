"""Axes of the figures of a study: losses from the best to slightly above guessing, and settings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from coverslip.figures.labels import wrap_name
from coverslip.figures.tuning import Setting, TrialRow, Value, value_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LOG_RATIO = 3.0  # losses have a logarithmic axis if their largest is at least this many times the smallest
MAX_CHOICES = 12
FEW, STEEP = 8, 8  # at most this many values, whose last is at least this many times the first, are evenly spaced


@dataclass(frozen=True, slots=True)
class LossScale:
    """An axis of losses; losses above it are drawn at its upper edge.

    Attributes:
        low: lower end.
        high: upper end.
        log: whether the axis is logarithmic.
    """

    low: float
    high: float
    log: bool

    def place(self, loss: float | None) -> float:
        """Return the position of a loss: the upper edge if it is above the axis, NaN or None."""
        return self.high if self.beyond(loss) or loss is None else loss

    def beyond(self, loss: float | None) -> bool:
        """Return whether a loss is above the axis, NaN or None."""
        return loss is None or not loss <= self.high

    def unit(self, loss: float) -> float:
        """Return the position of a loss from 0 (lower end) to 1 (upper end)."""
        low, high, at = ((math.log(x) if self.log else x) for x in (self.low, self.high, min(loss, self.high)))
        return (at - low) / (high - low)

    def draw(self, ax: Axes, *, named: bool = True, ticks: int = 4) -> None:
        """Set up the vertical axis of ``ax``, with tick labels if ``named``."""
        ax.set_yscale("log" if self.log else "linear")
        ax.set_ylim(self.low, self.high)
        _set_ticks(ax, "y", round_values(self.low, self.high, log=self.log, few=ticks), named=named)


def trials_scale(trials: Sequence[TrialRow], chance: float | None = None) -> LossScale:
    """Return a scale for the finished and running trials; pruned ones may lie above it."""
    counted = [trial.loss for trial in trials if trial.state in ("finished", "running") and trial.loss is not None]
    if len(counted) < 2:
        return loss_scale([trial.loss for trial in trials], chance)
    return loss_scale([*counted, 1.5 * min(counted)], chance)


def loss_scale(losses: Iterable[float | None], chance: float | None = None) -> LossScale:
    """Return a scale on which the good trials are distinguishable.

    Args:
        losses: losses of trials or epochs; None, NaN and infinity are ignored.
        chance: log loss of uniform guessing, ln K; the scale ends slightly above it.

    >>> loss_scale([0.2, 0.4, 900.0], chance=2.3).high < 4
    True
    """
    finite = sorted(loss for loss in losses if loss is not None and math.isfinite(loss))
    if not finite:
        return LossScale(0.0, chance or 1.0, log=False)
    lowest, median = finite[0], finite[len(finite) // 2]
    highest = min(finite[-1], max(1.2 * chance, 1.05 * lowest) if chance else 4 * median)
    if lowest > 0 and highest / lowest >= LOG_RATIO:
        margin = (highest / lowest) ** 0.07
        return LossScale(lowest / margin, highest * margin, log=True)
    margin = 0.08 * (highest - lowest) or 0.1 * max(abs(highest), 0.1)
    return LossScale(max(lowest - margin, min(lowest, 0.0)), highest + margin, log=False)


@dataclass(frozen=True, slots=True)
class SettingScale:
    """An axis of a setting from 0 to 1.

    Attributes:
        setting: the setting.
        low: value at 0.
        high: value at 1.
        log: whether the axis is logarithmic.
        choices: evenly spaced values, instead of a range.
    """

    setting: Setting
    low: float
    high: float
    log: bool
    choices: tuple[Value, ...]

    @property
    def numeric(self) -> bool:
        """Whether the values are numbers."""
        return not any(isinstance(choice, str | bool) for choice in self.choices)

    def unit(self, value: Value) -> float:
        """Return the position of a value; NaN if it has none."""
        if self.choices:
            position = self.choices.index(value) if value in self.choices else math.nan
            return (position + 0.5) / len(self.choices)
        if isinstance(value, str) or (self.log and value <= 0):
            return math.nan
        if self.high == self.low:
            return 0.5
        low, high, at = ((math.log(x) if self.log else float(x)) for x in (self.low, self.high, value))
        return (at - low) / (high - low)

    def ticks(self, most: int = 5) -> list[tuple[float, str]]:
        """Return position and label of at most about ``most`` ticks."""
        if self.choices:
            every = math.ceil(len(self.choices) / MAX_CHOICES)
            return [(self.unit(choice), wrap_name(value_label(choice), 11, 2)) for choice in self.choices[::every]]
        integer = self.setting.kind == "int"
        values = round_values(self.low, self.high, log=self.log, few=min(most, 4))
        values = sorted({float(round(value)) for value in values}) if integer else values
        values = [value for value in values if self.low <= value <= self.high] or [self.low, self.high]
        every = math.ceil(len(values) / most)
        return [(self.unit(value), value_label(int(value) if integer else value)) for value in values[::every]]

    def draw(self, ax: Axes, axis: Literal["x", "y"] = "x", most: int = 5) -> None:
        """Set up an axis of ``ax`` that runs from 0 to 1."""
        names = self.ticks(most)
        ticks = [position for position, _ in names]
        (ax.set_xlim if axis == "x" else ax.set_ylim)(-0.04, 1.04)
        (ax.set_xticks if axis == "x" else ax.set_yticks)(ticks, [text for _, text in names])


def setting_scale(setting: Setting, trials: Sequence[TrialRow]) -> SettingScale:
    """Return the axis of a setting, which includes its range and every tried value."""
    tried = [trial.values[setting.key] for trial in trials if setting.key in trial.values]
    choices = tuple(dict.fromkeys([*setting.choices, *tried]))
    words = any(isinstance(choice, str | bool) for choice in choices)
    if setting.kind == "choice" or words:
        return SettingScale(setting, 0.0, 1.0, False, choices if words else tuple(sorted(choices, key=float)))
    ends = [float(end) for end in (setting.low, setting.high, *choices) if end is not None]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    numbers = sorted(set(choices), key=float)
    if not setting.log and 1 < len(numbers) <= FEW and 0 < STEEP * low <= high:  # 8, 32, 128 would crowd at the left
        return SettingScale(setting, 0.0, 1.0, False, tuple(numbers))
    return SettingScale(setting, low, high, setting.log and low > 0, ())


def round_values(low: float, high: float, *, log: bool, few: int = 4) -> list[float]:
    """Return round numbers from ``low`` to ``high``, about ``few`` to three times as many.

    >>> round_values(0.0001, 0.1, log=True), round_values(0.17, 0.9, log=True)
    ([0.0001, 0.001, 0.01, 0.1], [0.2, 0.3, 0.5, 0.7])
    """
    from matplotlib.ticker import MaxNLocator

    if not low < high:
        return [low]
    if log:
        first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
        values: list[float] = []
        for steps in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
            powers = range(first, last + 1)
            values = [float(f"{step}e{power}") for power in powers for step in steps]
            values = [value for value in values if low * 0.999 <= value <= high * 1.001]
            if len(values) >= min(few, 4):
                return values
    ticks = MaxNLocator(few + 1, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    return [float(tick) for tick in ticks if low - 1e-12 <= tick <= high + 1e-12]


def _set_ticks(ax: Axes, axis: Literal["x", "y"], values: Sequence[float], *, named: bool) -> None:
    from matplotlib.ticker import NullLocator

    line = ax.yaxis if axis == "y" else ax.xaxis
    line.set_minor_locator(NullLocator())
    (ax.set_yticks if axis == "y" else ax.set_xticks)(
        values, [f"{x:g}" for x in values] if named else [""] * len(values)
    )
