"""One setting, many values: train a network with each and see which scores differ, with their intervals."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from torch import nn

from coverslip.core.errors import UserError
from coverslip.core.registry import nearest
from coverslip.course.sweep_figures import SweepPoint, draw_curves, draw_scores, score_value, show
from coverslip.course.sweep_training import train_all
from coverslip.evidence import Score, classification_evidence, format_interval
from coverslip.evidence.compare import compare
from coverslip.tasks.classification import Classification
from coverslip.training.array_data import Part, read_groups, read_images, read_labels
from coverslip.training.arrays import hold_out
from coverslip.training.config import TrainingConfig
from coverslip.training.held_out import number_groups
from coverslip.training.scoring import score_network

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]
SETTINGS = {each.name for each in dataclasses.fields(TrainingConfig)} - {"keep_best", "monitor"}
DEFAULTS: dict[str, Any] = {"optimizer": "adam", "schedule": "constant", "weight_decay": 0.0, "epochs": 20, "lr": 1e-3}


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """What one value came to, with the weights of its last epoch.

    Attributes:
        value: of the setting.
        frame: a row an epoch: epoch, train_loss, train_accuracy, validation_loss, validation_accuracy.
        network: trained.
        train: accuracy on the images it learned from, with its interval; None where training broke.
        held_out: likewise on those that were held out.
        loss: log loss on those.
        probabilities: float (M, K), of those; empty where training broke.
        broken: "", or why.
    """

    value: Any
    frame: pl.DataFrame = field(repr=False)
    network: nn.Module = field(repr=False)
    train: Score | None
    held_out: Score | None
    loss: Score | None
    probabilities: Floats = field(repr=False)
    broken: str = ""


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A network trained with each value of one setting, all else equal; every one was scored on the same images.

    Attributes:
        name: of the setting.
        trained: one a value, in the order given.
        classes: how many.
        labels: int (M,), of the images that were held out.
        groups: what each of those is of; None where nobody said.
        seconds: all together.
    """

    name: str
    trained: tuple[Trained, ...]
    classes: int
    labels: npt.NDArray[np.int64] = field(repr=False)
    groups: npt.NDArray[np.int64] | None = field(repr=False)
    seconds: float

    @property
    def values(self) -> tuple[Any, ...]:
        """Of the setting, in the order given."""
        return tuple(each.value for each in self.trained)

    def __getitem__(self, value: Any) -> Trained:
        """What one value came to.

        Raises:
            UserError: it was not tried.
        """
        for each in self.trained:
            if each.value == value:
                return each
        raise UserError(f"{self.name}={value!r} was not tried", f"those that were: {self.values}")

    @property
    def best(self) -> Any:
        """The value with the highest accuracy on the images held out; of equals the one with the lower loss."""
        there = [each for each in self.trained if each.held_out is not None]
        if not there:
            raise UserError("every training broke", "try lower learning rates")
        return max(there, key=lambda each: (each.held_out["value"], -score_value(each.loss))).value  # type: ignore[index]

    def plot(self) -> Figure:
        """Accuracy by value, on images that were learned from and on those held out, with intervals."""
        points = [SweepPoint(each.value, each.train, each.held_out) for each in self.trained]
        return draw_scores(self.name, points, self.guess)

    def curves(self) -> Figure:
        """The loss by epoch, a panel a value."""
        return draw_curves(self.name, {each.value: each.frame for each in self.trained}, math.log(self.classes))

    def compare(self, reference: Any) -> list[str]:
        """Whether any value is better or worse than one of them, on the same images: a sentence each.

        Differences are paired, over groups, and their intervals hold for all at once
        (see `coverslip.evidence.compare.compare`).
        """
        return [str(each["sentence"]) for each in self._compared(reference)]

    def wins(self, reference: Any) -> bool:
        """Whether this value is clearly better than every other one that did not break; see `compare`."""
        found = self._compared(reference)
        return bool(found) and all(each["better"] == self._name(reference) for each in found)

    def _compared(self, reference: Any) -> list[dict[str, Any]]:
        there = {self._name(each.value): each.probabilities for each in self.trained if not each.broken}
        if self._name(reference) not in there:
            raise UserError(f"{self.name}={reference!r} was not tried, or broke", f"those to compare: {list(there)}")
        if len(there) < 2:
            return []
        classes = [str(number) for number in range(self.classes)]
        found = compare(self.labels, there, self.groups, classes, reference=self._name(reference))
        return list(found["comparisons"])

    def _name(self, value: Any) -> str:
        return f"{self.name} {show(value)}"

    @property
    def guess(self) -> float:
        """The accuracy of always naming the most frequent class of the images held out."""
        return float(np.bincount(self.labels).max() / len(self.labels))

    def __repr__(self) -> str:
        rows = [(self.name, "learned from", "held out", "loss")]
        for each in self.trained:
            if each.train is None or each.held_out is None or each.loss is None:
                rows.append((show(each.value), f"broke: {each.broken}", "", ""))
                continue
            told = f"{score_value(each.train):.3f}", format_interval(each.held_out), f"{score_value(each.loss):.3f}"
            rows.append((show(each.value), *told))
        widths = [max(len(row[place]) for row in rows if row[2]) for place in range(4)]
        lines = ["  ".join(cell.rjust(wide) for cell, wide in zip(row, widths, strict=True)).rstrip() for row in rows]
        unit = f"{len(self.labels):,} images"
        unit += f" of {len(np.unique(self.groups)):,} groups" if self.groups is not None else ""
        return "\n".join([*lines, f"(accuracy; held out: {unit}; guessing: {self.guess:.3f}; {self.seconds:.0f} s)"])


def sweep(
    make: Callable[..., nn.Module],
    x: Any,
    y: Any,
    *,
    groups: Sequence[str] | None = None,
    validation_split: float = 0.25,
    seed: int = 0,
    **settings: Any,
) -> Sweep:
    """Train a network with each of several values of one setting.

    Every network begins with the same random weights where its shape is the same, learns from the same images in the
    same order, and is scored on the same images held out. Networks of one shape are trained in one pass
    (`coverslip.training.lanes`).

    Args:
        make: builds a new network; called with the value where what varies is no setting of training
            (``units=[4, 16]``), else with nothing.
        x: images, as for `coverslip.fit`.
        y: class numbers (N,).
        groups: what each image is of; whole groups are held out.
        validation_split: share that is held out, above 0 and below 1.
        seed: of weights, split and order.
        settings: those of `coverslip.fit`, such as ``epochs=20``, ``batch_size=32``, ``lr=1e-3``, or what ``make``
            takes. Exactly one is a list of values.

    Raises:
        UserError: no list or two, an unknown setting, arrays that do not fit.

    >>> from torch import nn
    >>> chance = np.random.default_rng(0)
    >>> x, y = chance.integers(0, 256, (40, 8, 8, 3), np.uint8), np.arange(40) % 2
    >>> tried = sweep(lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 2)), x, y, lr=[1e-3, 1e-2], epochs=2)
    >>> tried.values, tried[0.01].frame.height
    ((0.001, 0.01), 2)
    """
    began = time.monotonic()
    name, values = _varied(settings)
    fixed = DEFAULTS | {key: value for key, value in settings.items() if key != name}
    inputs, _ = read_images(x)
    truth, names = read_labels(y, len(inputs), None)
    units = read_groups(groups, len(inputs))
    if not 0 < validation_split < 1:
        raise UserError(f"validation_split={validation_split} is not between 0 and 1", "0.25 is a good share")
    parts = hold_out(truth, units, validation_split, seed)
    learn, held = (np.flatnonzero(parts == part) for part in (0, 1))
    codes = None if units is None else number_groups(units)
    networks, recipes = [], []
    for value in values:
        torch.manual_seed(seed)
        networks.append(make() if name in SETTINGS else make(value))
        recipes.append(_recipe({**fixed, name: value} if name in SETTINGS else fixed, seed))
    frames, broken = train_all(
        networks, recipes, Part(inputs, learn), truth[learn], len(names), (Part(inputs, held), truth[held])
    )
    trained = []
    for value, network, frame, why in zip(values, networks, frames, broken, strict=True):
        own: dict[str, Score] = {}
        other, probabilities = own, np.zeros((0, len(names)))
        if not why:
            own, _ = _scored(network, inputs, learn, truth, codes, names)
            other, probabilities = _scored(network, inputs, held, truth, codes, names)
        trained.append(
            Trained(
                value=value,
                frame=frame,
                network=network,
                train=own.get("accuracy"),
                held_out=other.get("accuracy"),
                loss=other.get("log_loss"),
                probabilities=probabilities,
                broken=why,
            )
        )
    return Sweep(
        name=name.replace("_", " "),
        trained=tuple(trained),
        classes=len(names),
        labels=truth[held],
        groups=None if codes is None else codes[held],
        seconds=time.monotonic() - began,
    )


def _varied(settings: Mapping[str, Any]) -> tuple[str, list[Any]]:
    lists = {key: value for key, value in settings.items() if isinstance(value, list | tuple | range | np.ndarray)}
    if len(lists) != 1:
        what = "no setting is a list" if not lists else f"{' and '.join(lists)} are lists"
        raise UserError(f"{what}, so it is not clear what is to vary", "give one list, such as lr=[1e-4, 1e-3, 1e-2]")
    ((name, values),) = lists.items()
    found = [each.item() if isinstance(each, np.generic) else each for each in values]
    if not found or len(set(found)) < len(found):
        raise UserError(f"{name}={found} has no values, or one twice", "give different ones")
    return name, found


def _recipe(given: Mapping[str, Any], seed: int) -> TrainingConfig:
    for key in given:
        if key not in SETTINGS:
            raise UserError(f"a sweep knows no setting {key!r}", nearest(key, SETTINGS))
    told = dict(given)
    return TrainingConfig(**{**told, "keep_best": False, "seed": seed})


def _scored(
    network: nn.Module,
    inputs: Any,
    rows: npt.NDArray[np.int64],
    truth: npt.NDArray[np.int64],
    codes: npt.NDArray[np.int64] | None,
    names: Sequence[str],
) -> tuple[dict[str, Score], Floats]:
    probabilities = Classification(tuple(names)).probabilities(score_network(network, inputs, rows))
    own = None if codes is None else codes[rows]
    found = classification_evidence(truth[rows], probabilities, own, names, resamples=200)
    return found["scores"], probabilities
