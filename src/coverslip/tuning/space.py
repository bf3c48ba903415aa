"""The search space of a study: settings with their ranges or choices, from a TOML file or by default."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tomli_w

from coverslip.core.config import read_toml
from coverslip.core.errors import UserError
from coverslip.core.registry import nearest
from coverslip.core.renamed import upgrade_settings, with_study_keys
from coverslip.core.storage import write_text
from coverslip.models.catalog import network_entry
from coverslip.pipeline.config import RunConfig
from coverslip.pipeline.resolve import is_pretrained, resolve_config
from coverslip.tuning.dimension import Dimension, Sweep, parse_range, parse_sweep, typed
from coverslip.tuning.keys import Plain, Value, plain, setting, value_of, with_value

__all__ = ["Dimension", "Space", "Sweep", "default_space", "parse_sweep", "read_space", "space_from", "write_space"]

OPTIONS = ("low", "high", "log", "choices")  # of one setting in a TOML file
LEARNING_RATES = {
    "head": "3e-4..0.1:log",
    "tail": "5e-5..5e-3:log",
    "all": "1e-5..2e-3:log",
    "scratch": "1e-4..0.01:log",
}
SHAPES: dict[str, Sequence[Value]] = {
    "model.hidden": ((64,), (128,), (256,), (256, 128)),
    "model.filters": ((16, 32, 64), (32, 64, 128), (16, 32, 64, 128)),
    "model.batch_norm": (False, True),
}


@dataclass(frozen=True, slots=True)
class Space:
    """The settings that a study varies, each with its range or choices.

    Raises:
        UserError: no setting is varied, or the same setting is varied twice.
    """

    dimensions: tuple[Dimension, ...]

    def __post_init__(self) -> None:
        keys = self.keys
        if not keys:
            raise UserError("no setting is varied", "give one or more settings, such as [training.lr] low, high")
        if len(set(keys)) < len(keys):
            raise UserError(f"{max(keys, key=keys.count)} is given twice", "omit one of the two")
        if "augment" in keys and any(key.startswith("augment.") for key in keys):
            raise UserError(
                "both augment and one of its settings are varied", "vary either the presets or single settings"
            )

    @property
    def keys(self) -> list[str]:
        """Dotted keys, in order."""
        return [dimension.key for dimension in self.dimensions]

    @property
    def combinations(self) -> float:
        """Number of different trials; infinite with a continuous setting."""
        total = 1.0
        for dimension in self.dimensions:
            low, high = dimension.low, dimension.high
            integer = dimension.kind == "int" and low is not None and high is not None
            total *= len(dimension.choices) or (high - low + 1 if integer else math.inf)  # type: ignore[operator]
        return total

    def with_values(self, config: RunConfig, values: Mapping[str, Value]) -> RunConfig:
        """Return the config with these values.

        Raises:
            UserError: a value is invalid.
        """
        for key in sorted(values, key=lambda key: "." in key):  # "augment" before its settings
            config = with_value(config, key, values[key])
        return config

    def values_of(self, config: RunConfig) -> dict[str, Plain]:
        """Return the values of a resolved config, such as the default that all trials are compared with."""
        return {key: plain(value_of(config, key)) for key in self.keys}

    def around(self, config: RunConfig) -> Space:
        """Return the space with the config's value added to the choices."""
        return Space(tuple(_with_default(dimension, value_of(config, dimension.key)) for dimension in self.dimensions))

    def check(self, config: RunConfig) -> None:
        """Validate both ends of every range, and every choice, in a resolved config.

        Raises:
            UserError: a value is invalid for its setting or for the network.
        """
        for dimension in self.dimensions:
            for value in dimension.choices or (dimension.low, dimension.high):
                resolve_config(with_value(config, dimension.key, typed(setting(dimension.key), value)))


def read_space(path: Path) -> Space:
    """Read a space from a TOML file.

    ::

        [training.lr]
        low = 1e-4
        high = 0.1
        log = true

        [training]
        batch_size = [16, 32, 64]        # choices
        label_smoothing = "0..0.3"       # a range in short notation

    Raises:
        UserError: the file cannot be read, a key does not exist, or a `Dimension` is invalid.
    """
    return space_from(with_study_keys(upgrade_settings(read_toml(path))))


def space_from(mapping: Mapping[str, Any]) -> Space:
    """Return a space from plain values, as given to ``space=`` of `coverslip.tune`; keys may be short names.

    >>> space_from({"lr": "1e-4..0.1:log", "batch_size": [16, 32]}).keys
    ['training.lr', 'training.batch_size']
    """
    return Space(tuple(_dimension(key, value) for key, value in _flat(mapping)))


def write_space(space: Space, path: Path) -> None:
    """Write the TOML file that `read_space` reads."""
    content: dict[str, Any] = {}
    for dimension in space.dimensions:
        section, _, field = dimension.key.partition(".")
        value: dict[str, Any] = {"low": dimension.low, "high": dimension.high, "log": dimension.log}
        if dimension.choices:
            value = {"choices": [list(choice) if isinstance(choice, tuple) else choice for choice in dimension.choices]}
        (content.setdefault(section, {}) if field else content)[field or section] = value
    text = tomli_w.dumps(content)
    assert tomllib.loads(text) == content
    write_text(path, text)


def _flat(mapping: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return dotted keys with their values; sections are flattened."""
    pairs: list[tuple[str, Any]] = []
    for key, value in mapping.items():
        section = isinstance(value, Mapping) and not set(value) & set(OPTIONS)
        pairs += [(f"{key}.{field}", inner) for field, inner in value.items()] if section else [(key, value)]
    return pairs


def _dimension(key: str, value: Any) -> Dimension:
    target = setting(key)
    if isinstance(value, str) and ".." in value:
        low, high, log, count = parse_range(target, value)
        if count is not None:
            raise UserError(
                f"{target.key}: a range of a space has no number of values", "omit it; only sweeps have one"
            )
        return Dimension(key=target.key, kind=target.kind, low=low, high=high, log=log)
    if isinstance(value, list | tuple):
        value = {"choices": value}
    if not isinstance(value, Mapping):
        raise UserError(f"{target.key}: {value!r} is a single value", "give a range or choices, or fix it with --set")
    for option in value:
        if option not in OPTIONS:
            raise UserError(f"{target.key} has no {option!r}", nearest(option, OPTIONS))
    if "choices" in value:
        if set(value) & {"low", "high"} or not isinstance(value["choices"], list | tuple):
            raise UserError(f"{target.key} needs a range or a list of choices", "give low and high, or choices = [...]")
        choices = tuple(target.checked(choice) for choice in value["choices"])
        return Dimension(key=target.key, kind="choice", choices=choices)
    for end in ("low", "high"):
        if not isinstance(value.get(end, 0.0), int | float) or isinstance(value.get(end), bool):
            raise UserError(f"{target.key}: {end} = {value[end]!r} is not a number", "give a number such as 0.001")
    if not isinstance(value.get("log", False), bool):
        raise UserError(f"{target.key}: log = {value['log']!r} is not true or false", "give log = true")
    return Dimension(
        key=target.key, kind=target.kind, low=value.get("low"), high=value.get("high"), log=value.get("log", False)
    )


def default_space(config: RunConfig) -> Space:
    """Return the default space for the network and the depth of a resolved config.

    Learning rate and weight decay are searched on a logarithmic scale. Dropout is searched if the network has it, and
    the architecture if it is trained from scratch. The number of epochs is fixed: it is the resource that Hyperband
    allocates to trials.
    """
    depth, options = config.model.depth, network_entry(config.model.network).options
    kind = ("head" if depth == "head" else "all" if depth == "all" else "tail") if is_pretrained(config) else "scratch"
    varied: dict[str, Any] = {
        "training.lr": LEARNING_RATES[kind],
        "training.weight_decay": "1e-4..1:log",
        "training.label_smoothing": "0..0.3",
    }
    if kind != "head":  # heads of one batch size are trained in one pass, and a convex loss hardly depends on it
        varied["training.batch_size"] = [16, 32, 64, 128] if kind == "scratch" else [16, 32, 64]
    if kind in ("tail", "all"):
        varied["augment.cutmix"] = "0..1"
    if kind != "head" and "dropout" in options:
        varied["model.dropout"] = "0..0.6"
    if kind == "scratch":
        varied |= {key: choices for key, choices in SHAPES.items() if key.partition(".")[2] in options}
    return space_from(varied)


def _with_default(dimension: Dimension, default: Value) -> Dimension:
    if dimension.kind != "choice" or default in dimension.choices:
        return dimension
    return replace(dimension, choices=(default, *dimension.choices))
