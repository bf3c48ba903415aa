"""Sweeps: train a network with several values of one setting and compare the scores with confidence intervals."""

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
from coverslip.training.array_data import Subset, read_groups, read_images, read_labels
from coverslip.training.arrays import hold_out
from coverslip.training.config import TrainingConfig
from coverslip.training.forward import compute_logits
from coverslip.training.held_out import group_codes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]
SETTINGS = {setting.name for setting in dataclasses.fields(TrainingConfig)} - {"keep_best", "monitor"}
DEFAULTS: dict[str, Any] = {"optimizer": "adam", "schedule": "constant", "weight_decay": 0.0, "epochs": 20, "lr": 1e-3}


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """Result of one value of a sweep, with the network after its last epoch.

    Attributes:
        value: value of the setting.
        frame: one row per epoch: epoch, train_loss, train_accuracy, validation_loss, validation_accuracy.
        network: the trained network.
        train: accuracy on the training images with its confidence interval; None if training diverged.
        held_out: accuracy on the held-out images; None if training diverged.
        loss: log loss on the held-out images; None if training diverged.
        probabilities: predicted probabilities of the held-out images, float (M, K); empty if training diverged.
        diverged: why training diverged, or "".
    """

    value: Any
    frame: pl.DataFrame = field(repr=False)
    network: nn.Module = field(repr=False)
    train: Score | None
    held_out: Score | None
    loss: Score | None
    probabilities: Floats = field(repr=False)
    diverged: str = ""


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """Networks trained with several values of one setting, all else equal, and evaluated on the same images.

    Attributes:
        name: name of the setting.
        trained: one result per value, in the given order.
        classes: number of classes K.
        labels: integer class ids of the held-out images, shape (M,).
        groups: integer group ids of the held-out images, shape (M,); None if no groups were given.
        seconds: total running time.
    """

    name: str
    trained: tuple[Trained, ...]
    classes: int
    labels: npt.NDArray[np.int64] = field(repr=False)
    groups: npt.NDArray[np.int64] | None = field(repr=False)
    seconds: float

    @property
    def values(self) -> tuple[Any, ...]:
        """Values of the setting, in the given order."""
        return tuple(result.value for result in self.trained)

    def __getitem__(self, value: Any) -> Trained:
        """Return the result of one value.

        Raises:
            UserError: the sweep does not contain this value.
        """
        for result in self.trained:
            if result.value == value:
                return result
        raise UserError(f"{self.name}={value!r} is not in this sweep", f"choose from {self.values}")

    @property
    def best(self) -> Any:
        """Value with the highest accuracy on the held-out images; ties are broken by the lower loss."""
        finished = [result for result in self.trained if result.held_out is not None]
        if not finished:
            raise UserError("training diverged with every value", "try lower learning rates")
        by_accuracy = max(finished, key=lambda result: (score_value(result.held_out), -score_value(result.loss)))
        return by_accuracy.value

    def plot(self) -> Figure:
        """Draw the accuracy by value on the training and the held-out images, with confidence intervals."""
        points = [SweepPoint(result.value, result.train, result.held_out) for result in self.trained]
        return draw_scores(self.name, points, self.guess)

    def curves(self) -> Figure:
        """Draw the loss by epoch, one panel per value."""
        return draw_curves(self.name, {result.value: result.frame for result in self.trained}, math.log(self.classes))

    def compare(self, reference: Any) -> list[str]:
        """Compare every value with a reference value on the same images, and return one sentence per comparison.

        Differences are paired, over groups, and their confidence intervals are simultaneous
        (see `coverslip.evidence.compare.compare`).
        """
        return [str(comparison["sentence"]) for comparison in self._comparisons(reference)]

    def wins(self, reference: Any) -> bool:
        """Return whether a value is significantly better than every other value that did not diverge; see `compare`."""
        comparisons = self._comparisons(reference)
        return bool(comparisons) and all(item["better"] == self._name(reference) for item in comparisons)

    def _comparisons(self, reference: Any) -> list[dict[str, Any]]:
        candidates = {self._name(result.value): result.probabilities for result in self.trained if not result.diverged}
        if self._name(reference) not in candidates:
            raise UserError(
                f"{self.name}={reference!r} is not in this sweep, or its training diverged",
                f"choose from {list(candidates)}",
            )
        if len(candidates) < 2:
            return []
        classes = [str(number) for number in range(self.classes)]
        compared = compare(self.labels, candidates, self.groups, classes, reference=self._name(reference))
        return list(compared["comparisons"])

    def _name(self, value: Any) -> str:
        return f"{self.name} {show(value)}"

    @property
    def guess(self) -> float:
        """Accuracy of always predicting the most frequent class of the held-out images."""
        return float(np.bincount(self.labels).max() / len(self.labels))

    def __repr__(self) -> str:
        rows = [(self.name, "training", "held out", "loss")]
        for result in self.trained:
            if result.train is None or result.held_out is None or result.loss is None:
                rows.append((show(result.value), f"diverged: {result.diverged}", "", ""))
                continue
            scores = (
                f"{score_value(result.train):.3f}",
                format_interval(result.held_out),
                f"{score_value(result.loss):.3f}",
            )
            rows.append((show(result.value), *scores))
        widths = [max(len(row[column]) for row in rows if row[2]) for column in range(4)]
        lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        size = f"{len(self.labels):,} images"
        size += f" of {len(np.unique(self.groups)):,} groups" if self.groups is not None else ""
        return "\n".join([*lines, f"(accuracy; held out: {size}; guessing: {self.guess:.3f}; {self.seconds:.0f} s)"])


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

    Networks of the same shape start with the same random weights. All networks see the same training images in the same
    order and are evaluated on the same held-out images. Networks of one shape are trained in one pass
    (`coverslip.training.lanes`).

    Args:
        make: function that builds a new network; called with the value if the setting is not one of training
            (``units=[4, 16]``), otherwise without arguments.
        x: images, as for `coverslip.fit`.
        y: integer class ids, shape (N,).
        groups: group of each image, length N; whole groups are held out.
        validation_split: fraction of the images held out, above 0 and below 1.
        seed: seed of weights, split and order.
        settings: training settings as for `coverslip.fit`, such as ``epochs=20``, ``batch_size=32`` or ``lr=1e-3``, or
            an argument of ``make``. Exactly one of them is a list of values.

    Raises:
        UserError: not exactly one setting is a list, a setting is unknown, or the arrays do not match.

    >>> from torch import nn
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.integers(0, 256, (40, 8, 8, 3), np.uint8), np.arange(40) % 2
    >>> by_lr = sweep(lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 2)), x, y, lr=[1e-3, 1e-2], epochs=2)
    >>> by_lr.values, by_lr[0.01].frame.height
    ((0.001, 0.01), 2)
    """
    start = time.monotonic()
    name, values = _varied_setting(settings)
    fixed = DEFAULTS | {key: value for key, value in settings.items() if key != name}
    inputs, _ = read_images(x)
    labels, names = read_labels(y, len(inputs), None)
    units = read_groups(groups, len(inputs))
    if not 0 < validation_split < 1:
        raise UserError(f"validation_split={validation_split} is not between 0 and 1", "0.25 is usual")
    splits = hold_out(labels, units, validation_split, seed)
    train_rows, held_rows = np.flatnonzero(splits == 0), np.flatnonzero(splits == 1)
    codes = None if units is None else group_codes(units)
    networks, configs = [], []
    for value in values:
        torch.manual_seed(seed)
        networks.append(make() if name in SETTINGS else make(value))
        configs.append(_training_config({**fixed, name: value} if name in SETTINGS else fixed, seed))
    held_out = Subset(inputs, held_rows), labels[held_rows]
    frames, reasons = train_all(networks, configs, Subset(inputs, train_rows), labels[train_rows], len(names), held_out)
    trained = []
    for value, network, frame, reason in zip(values, networks, frames, reasons, strict=True):
        train_scores: dict[str, Score] = {}
        held_scores, probabilities = train_scores, np.zeros((0, len(names)))
        if not reason:
            train_scores, _ = _evaluate(network, inputs, train_rows, labels, codes, names)
            held_scores, probabilities = _evaluate(network, inputs, held_rows, labels, codes, names)
        trained.append(
            Trained(
                value=value,
                frame=frame,
                network=network,
                train=train_scores.get("accuracy"),
                held_out=held_scores.get("accuracy"),
                loss=held_scores.get("log_loss"),
                probabilities=probabilities,
                diverged=reason,
            )
        )
    return Sweep(
        name=name.replace("_", " "),
        trained=tuple(trained),
        classes=len(names),
        labels=labels[held_rows],
        groups=None if codes is None else codes[held_rows],
        seconds=time.monotonic() - start,
    )


def _varied_setting(settings: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """Return the name and the values of the one setting that is a list."""
    lists = {key: value for key, value in settings.items() if isinstance(value, list | tuple | range | np.ndarray)}
    if len(lists) != 1:
        problem = "no setting is a list" if not lists else f"{' and '.join(lists)} are lists"
        raise UserError(
            f"{problem}; exactly one setting must be a list", "give one list, such as lr=[1e-4, 1e-3, 1e-2]"
        )
    ((name, items),) = lists.items()
    values = [item.item() if isinstance(item, np.generic) else item for item in items]
    if not values or len(set(values)) < len(values):
        raise UserError(f"{name}={values} is empty or contains a value twice", "give one or more different values")
    return name, values


def _training_config(settings: Mapping[str, Any], seed: int) -> TrainingConfig:
    for key in settings:
        if key not in SETTINGS:
            raise UserError(f"unknown setting {key!r} of a sweep", nearest(key, SETTINGS))
    return TrainingConfig(**{**settings, "keep_best": False, "seed": seed})


def _evaluate(
    network: nn.Module,
    inputs: Any,
    rows: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int64],
    codes: npt.NDArray[np.int64] | None,
    names: Sequence[str],
) -> tuple[dict[str, Score], Floats]:
    """Return the scores of a network on some rows, and its predicted probabilities there."""
    probabilities = Classification(tuple(names)).probabilities(compute_logits(network, inputs, rows))
    groups = None if codes is None else codes[rows]
    evidence = classification_evidence(labels[rows], probabilities, groups, names, resamples=200)
    return evidence["scores"], probabilities
