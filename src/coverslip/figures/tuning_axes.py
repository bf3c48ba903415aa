"""Scales that a study needs: losses from the best to a little above guessing, and settings by powers of ten."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from coverslip.figures.labels import wrap_name
from coverslip.figures.tuning import Setting, TrialRow, Value, value_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDE = 3.0  # from this ratio of the ends on a loss has a logarithmic axis
MOST_CHOICES = 12
FEW, STEEP = 8, 8  # so few values, the last so many times the first, are evenly spaced


@dataclass(frozen=True, slots=True)
class LossScale:
    """From ``low`` to ``high``; what lies above is drawn at the upper edge, as a cross."""

    low: float
    high: float
    log: bool

    def place(self, loss: float | None) -> float:
        """Where a loss is drawn: at the upper edge where it is beyond the axis, or no number."""
        return self.high if self.beyond(loss) or loss is None else loss

    def beyond(self, loss: float | None) -> bool:
        """Whether a cross has to stand for it."""
        return loss is None or not loss <= self.high

    def unit(self, loss: float) -> float:
        """0 at the lower end, 1 at the upper one."""
        low, high, at = ((math.log(x) if self.log else x) for x in (self.low, self.high, min(loss, self.high)))
        return (at - low) / (high - low)

    def draw(self, ax: Axes, *, named: bool = True, ticks: int = 4) -> None:
        """Set the vertical axis."""
        ax.set_yscale("log" if self.log else "linear")
        ax.set_ylim(self.low, self.high)
        _set_ticks(ax, "y", round_values(self.low, self.high, log=self.log, few=ticks), named=named)


def trials_scale(trials: Sequence[TrialRow], chance: float | None = None) -> LossScale:
    """The scale of the trials that count, those that finished or still run; a pruned one may lie above it."""
    counted = [each.loss for each in trials if each.state in ("finished", "running") and each.loss is not None]
    if len(counted) < 2:
        return loss_scale([each.loss for each in trials], chance)
    return loss_scale([*counted, 1.5 * min(counted)], chance)


def loss_scale(losses: Iterable[float | None], chance: float | None = None) -> LossScale:
    """A scale on which the good trials can be told apart.

    Args:
        losses: of any number of trials or epochs; None, NaN and infinity are left out.
        chance: the loss of guessing, ln K of K classes. A loss well above it is of no interest however far it is.

    >>> loss_scale([0.2, 0.4, 900.0], chance=2.3).high < 4
    True
    """
    there = sorted(loss for loss in losses if loss is not None and math.isfinite(loss))
    if not there:
        return LossScale(0.0, chance or 1.0, log=False)
    least, middle = there[0], there[len(there) // 2]
    most = min(there[-1], max(1.2 * chance, 1.05 * least) if chance else 4 * middle)
    if least > 0 and most / least >= WIDE:
        room = (most / least) ** 0.07
        return LossScale(least / room, most * room, log=True)
    room = 0.08 * (most - least) or 0.1 * max(abs(most), 0.1)
    return LossScale(max(least - room, min(least, 0.0)), most + room, log=False)


@dataclass(frozen=True, slots=True)
class SettingScale:
    """Where each value of a setting is on an axis from 0 to 1, and which of them are named there."""

    setting: Setting
    low: float
    high: float
    log: bool
    choices: tuple[Value, ...]

    @property
    def numeric(self) -> bool:
        """Whether its values have an order."""
        return not any(isinstance(each, str | bool) for each in self.choices)

    def unit(self, value: Value) -> float:
        """The place of a value, NaN for one that has none."""
        if self.choices:
            at = self.choices.index(value) if value in self.choices else math.nan
            return (at + 0.5) / len(self.choices)
        if isinstance(value, str) or (self.log and value <= 0):
            return math.nan
        if self.high == self.low:
            return 0.5
        low, high, at = ((math.log(x) if self.log else float(x)) for x in (self.low, self.high, value))
        return (at - low) / (high - low)

    def named(self, most: int = 5) -> list[tuple[float, str]]:
        """(place, text) of the values that an axis names."""
        if self.choices:
            every = math.ceil(len(self.choices) / MOST_CHOICES)
            shown = self.choices[::every]
            return [(self.unit(each), wrap_name(value_label(each), 11, 2)) for each in shown]
        whole = self.setting.kind == "int"
        values = round_values(self.low, self.high, log=self.log, few=min(most, 4))
        values = sorted({float(round(each)) for each in values}) if whole else values
        values = [each for each in values if self.low <= each <= self.high] or [self.low, self.high]
        keep = math.ceil(len(values) / most)
        return [(self.unit(each), value_label(int(each) if whole else each)) for each in values[::keep]]

    def draw(self, ax: Axes, axis: Literal["x", "y"] = "x", most: int = 5) -> None:
        """Set an axis of ``ax`` that runs from 0 to 1."""
        names = self.named(most)
        ticks = [place for place, _ in names]
        (ax.set_xlim if axis == "x" else ax.set_ylim)(-0.04, 1.04)
        (ax.set_xticks if axis == "x" else ax.set_yticks)(ticks, [text for _, text in names])


def setting_scale(setting: Setting, trials: Sequence[TrialRow]) -> SettingScale:
    """The axis of one setting: the range that was searched, and every value that was tried."""
    tried = [each.values[setting.key] for each in trials if setting.key in each.values]
    choices = tuple(dict.fromkeys([*setting.choices, *tried]))
    words = any(isinstance(each, str | bool) for each in choices)
    if setting.kind == "choice" or words:
        return SettingScale(setting, 0.0, 1.0, False, choices if words else tuple(sorted(choices, key=float)))
    ends = [float(each) for each in (setting.low, setting.high, *choices) if each is not None]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    some = sorted(set(choices), key=float)
    if not setting.log and 1 < len(some) <= FEW and 0 < STEEP * low <= high:  # 8, 32, 128: they would crowd at the left
        return SettingScale(setting, 0.0, 1.0, False, tuple(some))
    return SettingScale(setting, low, high, setting.log and low > 0, ())


def round_values(low: float, high: float, *, log: bool, few: int = 4) -> list[float]:
    """About ``few`` to three times as many round numbers from ``low`` to ``high``.

    >>> round_values(0.0001, 0.1, log=True), round_values(0.17, 0.9, log=True)
    ([0.0001, 0.001, 0.01, 0.1], [0.2, 0.3, 0.5, 0.7])
    """
    from matplotlib.ticker import MaxNLocator

    if not low < high:
        return [low]
    if log:
        first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
        found: list[float] = []
        for steps in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
            powers = range(first, last + 1)
            found = [float(f"{step}e{power}") for power in powers for step in steps]
            found = [each for each in found if low * 0.999 <= each <= high * 1.001]
            if len(found) >= min(few, 4):
                return found
    ticks = MaxNLocator(few + 1, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    return [float(each) for each in ticks if low - 1e-12 <= each <= high + 1e-12]


def _set_ticks(ax: Axes, axis: Literal["x", "y"], values: Sequence[float], *, named: bool) -> None:
    from matplotlib.ticker import NullLocator

    line = ax.yaxis if axis == "y" else ax.xaxis
    line.set_minor_locator(NullLocator())
    (ax.set_yticks if axis == "y" else ax.set_xticks)(
        values, [f"{x:g}" for x in values] if named else [""] * len(values)
    )
