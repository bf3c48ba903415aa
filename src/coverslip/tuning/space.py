"""What a study varies: several settings, each within its own range or choices; from a TOML file, or by default."""

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
from coverslip.core.storage import write_text
from coverslip.models.catalog import network_entry
from coverslip.pipeline.config import RunConfig
from coverslip.pipeline.resolve import is_pretrained, resolve_config
from coverslip.tuning.dimension import Dimension, Sweep, parse_range, parse_sweep, typed
from coverslip.tuning.keys import Plain, Value, plain, setting, value_of, with_value

__all__ = ["Dimension", "Space", "Sweep", "default_space", "parse_sweep", "read_space", "space_from", "write_space"]

WORDS = ("low", "high", "log", "choices")  # of one setting in a TOML file
RATES = {"head": "3e-4..0.1:log", "tail": "5e-5..5e-3:log", "all": "1e-5..2e-3:log", "scratch": "1e-4..0.01:log"}
SHAPES: dict[str, Sequence[Value]] = {
    "model.hidden": ((64,), (128,), (256,), (256, 128)),
    "model.filters": ((16, 32, 64), (32, 64, 128), (16, 32, 64, 128)),
    "model.batch_norm": (False, True),
}


@dataclass(frozen=True, slots=True)
class Space:
    """The settings that a study varies, each within its own range or choices."""

    dimensions: tuple[Dimension, ...]

    def __post_init__(self) -> None:
        keys = self.keys
        if not keys:
            raise UserError("nothing is varied", "name one setting or more, such as [training.lr] low, high")
        if len(set(keys)) < len(keys):
            raise UserError(f"{max(keys, key=keys.count)} is given twice", "leave one of them")
        if "augment" in keys and any(key.startswith("augment.") for key in keys):
            raise UserError("augment is varied, and a part of it too", "vary the presets, or single strengths")

    @property
    def keys(self) -> list[str]:
        """Dotted keys, in order."""
        return [each.key for each in self.dimensions]

    @property
    def combinations(self) -> float:
        """How many different trials there can be; infinite where a number is not whole."""
        total = 1.0
        for each in self.dimensions:
            whole = each.kind == "int" and each.low is not None and each.high is not None
            total *= len(each.choices) or (each.high - each.low + 1 if whole else math.inf)  # type: ignore[operator]
        return total

    def with_values(self, config: RunConfig, values: Mapping[str, Value]) -> RunConfig:
        """The plan with these values in their places.

        Raises:
            UserError: the settings refuse them.
        """
        for key in sorted(values, key=lambda key: "." in key):  # "augment" before its parts
            config = with_value(config, key, values[key])
        return config

    def values_of(self, config: RunConfig) -> dict[str, Plain]:
        """What a settled plan has in these places: the trial that all others are compared with."""
        return {key: plain(value_of(config, key)) for key in self.keys}

    def around(self, config: RunConfig) -> Space:
        """The same space, with the plan's own value among the choices."""
        return Space(tuple(_with_own(each, value_of(config, each.key)) for each in self.dimensions))

    def check(self, config: RunConfig) -> None:
        """Try both ends of every range, and every choice, in a settled plan.

        Raises:
            UserError: the network or the settings refuse one.
        """
        for each in self.dimensions:
            for value in each.choices or (each.low, each.high):
                resolve_config(with_value(config, each.key, typed(setting(each.key), value)))


def read_space(path: Path) -> Space:
    """A space from a TOML file.

    ::

        [training.lr]
        low = 1e-4
        high = 0.1
        log = true

        [training]
        batch_size = [16, 32, 64]        # choices
        label_smoothing = "0..0.3"            # a range, in short

    Raises:
        UserError: it cannot be read; a key that does not exist (with the nearest); what `Dimension` refuses.
    """
    return space_from(read_toml(path))


def space_from(mapping: Mapping[str, Any]) -> Space:
    """The same from plain values, as ``space=`` of the Python function takes them; short names will do.

    >>> space_from({"lr": "1e-4..0.1:log", "batch_size": [16, 32]}).keys
    ['training.lr', 'training.batch_size']
    """
    return Space(tuple(_dimension(key, value) for key, value in _flat(mapping)))


def write_space(space: Space, path: Path) -> None:
    """Write the TOML file that `read_space` reads."""
    content: dict[str, Any] = {}
    for each in space.dimensions:
        section, _, field = each.key.partition(".")
        value: dict[str, Any] = {"low": each.low, "high": each.high, "log": each.log}
        if each.choices:
            value = {"choices": [list(choice) if isinstance(choice, tuple) else choice for choice in each.choices]}
        (content.setdefault(section, {}) if field else content)[field or section] = value
    text = tomli_w.dumps(content)
    assert tomllib.loads(text) == content
    write_text(path, text)


def _flat(mapping: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Keys and what they may be; sections are walked through."""
    found: list[tuple[str, Any]] = []
    for key, value in mapping.items():
        section = isinstance(value, Mapping) and not set(value) & set(WORDS)
        found += [(f"{key}.{field}", each) for field, each in value.items()] if section else [(key, value)]
    return found


def _dimension(key: str, value: Any) -> Dimension:
    own = setting(key)
    if isinstance(value, str) and ".." in value:
        low, high, log, count = parse_range(own, value)
        if count is not None:
            raise UserError(f"{own.key}: a space has no number of values", "leave it out; a sweep has one")
        return Dimension(key=own.key, kind=own.kind, low=low, high=high, log=log)
    if isinstance(value, list | tuple):
        value = {"choices": value}
    if not isinstance(value, Mapping):
        raise UserError(
            f"{own.key}: {value!r} alone is no choice", "give a range or choices, or set it once with --set"
        )
    for word in value:
        if word not in WORDS:
            raise UserError(f"{own.key} has no {word!r}", nearest(word, WORDS))
    if "choices" in value:
        if set(value) & {"low", "high"} or not isinstance(value["choices"], list | tuple):
            raise UserError(f"{own.key} needs a range or a list of choices", "give low and high, or choices = [...]")
        return Dimension(key=own.key, kind="choice", choices=tuple(own.checked(each) for each in value["choices"]))
    for word in ("low", "high"):
        if not isinstance(value.get(word, 0.0), int | float) or isinstance(value.get(word), bool):
            raise UserError(f"{own.key}: {word} = {value[word]!r} is not a number", "for example 0.001")
    if not isinstance(value.get("log", False), bool):
        raise UserError(f"{own.key}: log = {value['log']!r} is not true or false", "write log = true")
    return Dimension(
        key=own.key, kind=own.kind, low=value.get("low"), high=value.get("high"), log=value.get("log", False)
    )


def default_space(config: RunConfig) -> Space:
    """A space that suits the network and the depth of a settled plan, without reading anything.

    Rates and decays are searched over factors, since what matters is their order of magnitude. How strongly labels
    are smoothed and features dropped is searched where the network knows it, its shape where it is trained from
    scratch. The number of epochs stays: it is what trials are given, or denied, as they prove themselves.
    """
    depth, options = config.model.depth, network_entry(config.model.network).options
    kind = ("head" if depth == "head" else "all" if depth == "all" else "tail") if is_pretrained(config) else "scratch"
    varied: dict[str, Any] = {
        "training.lr": RATES[kind],
        "training.weight_decay": "1e-4..1:log",
        "training.label_smoothing": "0..0.3",
    }
    if kind != "head":  # heads of one batch size are trained in one pass, and it matters little to a convex loss
        varied["training.batch_size"] = [16, 32, 64, 128] if kind == "scratch" else [16, 32, 64]
    if kind in ("tail", "all"):
        varied["augment.cutmix"] = "0..1"
    if kind != "head" and "dropout" in options:
        varied["model.dropout"] = "0..0.6"
    if kind == "scratch":
        varied |= {key: each for key, each in SHAPES.items() if key.partition(".")[2] in options}
    return space_from(varied)


def _with_own(dimension: Dimension, own: Value) -> Dimension:
    if dimension.kind != "choice" or own in dimension.choices:
        return dimension
    return replace(dimension, choices=(own, *dimension.choices))
