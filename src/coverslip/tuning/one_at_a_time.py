"""One hyperparameter after another: from the rules of thumb, change one, keep it where it is shown to be better."""

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

ORDERS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
# In the order in which they are taught: the largest effects first, then capacity, then what keeps a network in check.
STEPS: dict[str, tuple[Value, ...]] = {
    "training.lr": ORDERS,
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
    """The plan to begin with: Adam at 0.001, batches of 32, ReLU, nothing that regularizes, a funnel of powers of two.

    A part of a pretrained network keeps its own schedule and rate, which the rules were not made for.
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
    """What is changed, one after another, in a settled plan; its own value is always among those tried."""
    options, head = network_entry(config.model.network).options, config.model.depth == "head"
    found = []
    for key, values in STEPS.items():
        section, _, field = key.partition(".")
        if section == "model" and (head or field not in options):
            continue
        own = value_of(config, key)
        if key == "training.lr" and config.training.lr not in values:  # of a pretrained part: around its own
            values = tuple(float(f"{config.training.lr * factor:.3g}") for factor in (0.01, 0.1, 1, 10, 100))  # type: ignore[operator]  # noqa: PLW2901
        found.append(Sweep(key, values if own in values else (own, *values)))
    return found


@dataclass(frozen=True, slots=True)
class Step:
    """One setting changed, all others as they were.

    Attributes:
        key: of it.
        values: tried, the first being what it was before.
        numbers: of their trials.
        chosen: the value that is kept.
        sentence: why.
    """

    key: str
    values: tuple[Value, ...]
    numbers: tuple[int, ...]
    chosen: Value
    sentence: str

    def as_json(self) -> dict[str, Any]:
        """For ``study.json``."""
        return {
            "key": self.key,
            "values": [plain(each) for each in self.values],
            "numbers": list(self.numbers),
            "chosen": plain(self.chosen),
            "sentence": self.sentence,
        }


def decide(
    key: str,
    values: Sequence[Value],
    numbers: Sequence[int],
    present: Value,
    told: Mapping[int, tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]],
    groups: npt.NDArray[np.int64],
) -> Step:
    """Keep the present value, unless another is shown to be better on the choose half, paired over groups.

    Args:
        key: of the setting.
        values: tried.
        numbers: of their trials.
        present: one of the values.
        told: for each trial that was trained to the end, losses (M,) and right (M,).
        groups: (M,).
    """
    name, trials = setting(key).name, dict(zip(values, numbers, strict=True))
    there = [value for value in values if trials[value] in told]
    shown = {value: _shown(value) for value in values}
    if present not in there:
        better = min(there, key=lambda value: float(told[trials[value]][0].mean()), default=present)
        said = f"{name}: {shown[present]} could not be trained"
        said += f"; {shown[better]} was best" if better != present else ""
        return Step(key, tuple(values), tuple(numbers), better, said)
    losses = np.stack([told[trials[value]][0] for value in there])
    right = np.stack([told[trials[value]][1] for value in there])
    best = int(losses.mean(axis=1).argmin())
    if there[best] == present:
        rivals = f" of {len(there)}" if len(there) > 1 else ""
        return Step(key, tuple(values), tuple(numbers), present, f"{name}: {shown[present]} was the best{rivals}")
    names = (shown[there[best]], shown[present])
    found = compare_trials(losses, right, groups, best, there.index(present), names=names)
    chosen = there[best] if found["better"] == names[0] else present
    kept = "" if chosen != present else f", so {shown[present]} is kept"
    return Step(key, tuple(values), tuple(numbers), chosen, f"{name}: {found['sentence']}{kept}")


def _shown(value: Value) -> str:
    text = plain(value)
    return f"{text:g}" if isinstance(text, float) else str(text)
