"""Tune one hyperparameter at a time: start from rules of thumb and keep a change if it is significantly better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.evidence.winner import compare_trials
from coverslip.models.catalog import network_entry
from coverslip.pipeline.config import RunConfig
from coverslip.pipeline.resolve import is_pretrained, resolve_config
from coverslip.tuning.keys import Value, plain, setting, value_of
from coverslip.tuning.space import Sweep

LEARNING_RATES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
# In the order of the course: the largest effects first, then capacity, then regularization.
STEPS: dict[str, tuple[Value, ...]] = {
    "training.lr": LEARNING_RATES,
    "training.batch_size": (8, 16, 32, 64, 128),
    "training.optimizer": ("sgd", "adam", "adamw"),
    "model.hidden": ((16,), (64,), (128, 64, 32), (256, 128, 64)),
    "model.filters": ((8, 16, 32), (16, 32, 64), (32, 64, 128)),
    "model.activation": ("relu", "tanh", "sigmoid"),
    "model.batch_norm": (False, True),
    "training.l2": (0.0, 1e-4, 1e-3, 1e-2),
    "model.dropout": (0.0, 0.2, 0.5),
    "training.label_smoothing": (0.0, 0.1, 0.2),
}
FUNNEL = (128, 64, 32)


def rules_of_thumb(config: RunConfig) -> RunConfig:
    """Return the config to start from: Adam at 0.001, batches of 32, ReLU, no regularization, shrinking dense layers.

    Pretrained layers keep their schedule and learning rate, which the rules do not cover.
    """
    entry, head = network_entry(config.model.network), resolve_config(config).model.depth == "head"
    training = replace(config.training, batch_size=32, weight_decay=0.0, l2=0.0, label_smoothing=0.0)
    if head or not is_pretrained(config):
        training = replace(training, optimizer="adam", lr=1e-3, schedule="constant")
    model = replace(config.model, dropout=0.0, activation="relu", batch_norm=False)
    if "hidden" in entry.options and "filters" not in entry.options and not config.model.hidden:
        model = replace(model, hidden=FUNNEL)
    return resolve_config(replace(config, training=training, model=model))


def steps(config: RunConfig) -> list[Sweep]:
    """Return the sweeps of a resolved config, one per step; the config's value is always among those tried."""
    options, head = network_entry(config.model.network).options, config.model.depth == "head"
    sweeps = []
    for key, values in STEPS.items():
        section, _, field = key.partition(".")
        if section == "model" and (head or field not in options):
            continue
        current = value_of(config, key)
        if key == "training.lr" and config.training.lr not in values:  # pretrained layers: around their own rate
            values = tuple(float(f"{config.training.lr * factor:.3g}") for factor in (0.01, 0.1, 1, 10, 100))  # type: ignore[operator]  # noqa: PLW2901
        sweeps.append(Sweep(key, values if current in values else (current, *values)))
    return sweeps


@dataclass(frozen=True, slots=True)
class Step:
    """The decision about one setting, with all others unchanged.

    Attributes:
        key: key of the setting.
        values: the values tried.
        numbers: numbers of their trials.
        chosen: the value that is kept.
        sentence: the reason.
    """

    key: str
    values: tuple[Value, ...]
    numbers: tuple[int, ...]
    chosen: Value
    sentence: str

    def as_json(self) -> dict[str, Any]:
        """Return the entry in ``study.json``."""
        return {
            "key": self.key,
            "values": [plain(value) for value in self.values],
            "numbers": list(self.numbers),
            "chosen": plain(self.chosen),
            "sentence": self.sentence,
        }


def decide(
    key: str,
    values: Sequence[Value],
    numbers: Sequence[int],
    current: Value,
    outcomes: Mapping[int, tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]],
    groups: npt.NDArray[np.int64],
) -> Step:
    """Keep the current value, unless another is significantly better on the selection half, paired over groups.

    Args:
        key: key of the setting.
        values: the values tried.
        numbers: numbers of their trials.
        current: the value so far, one of ``values``.
        outcomes: trial number -> log loss (M,) and correctness (M,) of the M images, for trials that finished.
        groups: group codes of the images, shape (M,).
    """
    name, trials = setting(key).name, dict(zip(values, numbers, strict=True))
    finished = [value for value in values if trials[value] in outcomes]
    texts = {value: _text(value) for value in values}
    if current not in finished:
        better = min(finished, key=lambda value: float(outcomes[trials[value]][0].mean()), default=current)
        sentence = f"{name}: {texts[current]} could not be trained"
        sentence += f"; {texts[better]} was best" if better != current else ""
        return Step(key, tuple(values), tuple(numbers), better, sentence)
    losses = np.stack([outcomes[trials[value]][0] for value in finished])
    correct = np.stack([outcomes[trials[value]][1] for value in finished])
    best = int(losses.mean(axis=1).argmin())
    if finished[best] == current:
        among = f" of {len(finished)} values" if len(finished) > 1 else ""
        return Step(key, tuple(values), tuple(numbers), current, f"{name}: {texts[current]} was the best{among}")
    names = (texts[finished[best]], texts[current])
    comparison = compare_trials(losses, correct, groups, best, finished.index(current), names=names)
    chosen = finished[best] if comparison["better"] == names[0] else current
    kept = "" if chosen != current else f", so {texts[current]} is kept"
    return Step(key, tuple(values), tuple(numbers), chosen, f"{name}: {comparison['sentence']}{kept}")


def _text(value: Value) -> str:
    text = plain(value)
    return f"{text:g}" if isinstance(text, float) else str(text)
