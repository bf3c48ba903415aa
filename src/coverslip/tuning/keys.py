"""Settings that a study can vary: their short names, their values as text, and how a config stores them."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

from coverslip.core.errors import UserError
from coverslip.core.registry import nearest
from coverslip.core.renamed import current_key, warn_renamed
from coverslip.data.augment import PRESETS, Augmentation, augmentation
from coverslip.models.basic import DEFAULT_FILTERS, DEFAULT_HIDDEN
from coverslip.models.design import Design
from coverslip.pipeline.config import InputConfig, ModelConfig, RunConfig
from coverslip.training.config import TrainingConfig

Plain = float | int | bool | str  # as in tables and study files: units of layers are text, such as "256,128"
Value = Plain | tuple[int, ...]
Kind = Literal["float", "int", "bool", "text", "units"]

SHAPES = ("hidden", "filters", "batch_norm", "dropout", "activation")  # of section model
PREPARING = ("network", "depth", "views")  # of section model: each value needs other images or features
FIXED = ("monitor", "keep_best", "class_weights")  # of section training: not varied
SHORT = {
    "lr": "training.lr",
    "learning_rate": "training.lr",
    "batch": "training.batch_size",
    "wd": "training.weight_decay",
    "label_smoothing": "training.label_smoothing",
    "seed": "training.seed",
    "augment": "augment",
}
OLD_SHORT = {"rate": "lr", "smoothing": "label_smoothing"}  # short names of version 0.1
NAMES = {
    "training.lr": "learning rate",
    "training.l2": "L2 penalty",
    "training.label_smoothing": "label smoothing",
    "training.clip": "gradient clipping",
    "training.ema": "moving average of weights",
    "training.gamma": "gamma of the focal loss",
    "model.hidden": "dense layers",
    "augment": "augmentation",
}
AS_SET = "as set"  # an augmentation that is not a preset
DEFAULT_UNITS = {"model.hidden": DEFAULT_HIDDEN, "model.filters": DEFAULT_FILTERS}  # meaning of ()


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting that a study can vary.

    Attributes:
        key: dotted key, such as ``training.lr``.
        name: name for readers, such as "learning rate".
        kind: type of its values.
    """

    key: str
    name: str
    kind: Kind

    def parse(self, text: str) -> Value:
        """Parse a value.

        Raises:
            UserError: the text is not of this kind, or out of the setting's range.
        """
        text = text.strip()
        value: Value = text
        try:
            if self.kind == "units":
                value = tuple(int(units) for units in text.split(",")) if text else ()
            elif self.kind == "bool":
                value = {"true": True, "yes": True, "false": False, "no": False}[text.lower()]
            elif self.kind != "text":
                number = float(text)
                value = int(number) if self.kind == "int" and number.is_integer() else number
        except (ValueError, KeyError):
            raise UserError(
                f"{self.key}: {text!r} is not {DESCRIPTIONS[self.kind]}", f"give a value such as {EXAMPLES[self.kind]}"
            ) from None
        return self.checked(value)

    def checked(self, value: Any) -> Value:
        """Return a value as the type of the setting.

        Raises:
            UserError: the value is of another kind, or out of the setting's range.
        """
        if self.kind == "units" and isinstance(value, str):
            return self.parse(value)
        if self.kind == "units" and isinstance(value, list | tuple):
            value = tuple(value)
        if self.kind == "float" and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        kinds: dict[str, type] = {"float": float, "int": int, "bool": bool, "text": str, "units": tuple}
        fits = isinstance(value, kinds[self.kind]) and (isinstance(value, bool) == (self.kind == "bool"))
        if not fits or (self.kind == "units" and not all(type(units) is int for units in value)):
            raise UserError(
                f"{self.key}: {value!r} is not {DESCRIPTIONS[self.kind]}",
                f"give a value such as {EXAMPLES[self.kind]}",
            )
        if self.kind != "bool":  # whether a switch is valid depends on other settings
            section, _, field = self.key.partition(".")
            CHECKS[section](field, value)
        return typing.cast(Value, value)


DESCRIPTIONS = {
    "float": "a number",
    "int": "an integer",
    "bool": "true or false",
    "text": "a name",
    "units": "a list of integers",
}
EXAMPLES = {"float": "0.001", "int": "32", "bool": "true", "text": "adam", "units": "256,128"}
CHECKS: dict[str, Callable[[str, Any], object]] = {
    "training": lambda field, value: TrainingConfig(**{field: value}),
    "model": lambda field, value: (Design if field in SHAPES else ModelConfig)(**{field: value}),
    "input": lambda field, value: InputConfig(**{field: value}),
    "augment": lambda field, value: Augmentation(**{field: value}) if field else value == AS_SET or augmentation(value),
}


def setting(name: str) -> Setting:
    """Return the setting of a dotted key or a short name: ``training.lr``, ``lr``, ``batch_size``, ``hidden``.

    Raises:
        UserError: the setting does not exist or cannot be varied.

    >>> setting("lr").key, setting("lr").name, setting("hidden").kind
    ('training.lr', 'learning rate', 'units')
    """
    known = _settings()
    name = name.strip().replace("-", "_")
    if (new := OLD_SHORT.get(name) or current_key(name)) != name:
        warn_renamed(f"the setting {name}", new)
        name = new
    key = SHORT.get(name, name)
    if "." not in key:
        key = next((candidate for candidate in known if candidate.partition(".")[2] == key), key)
    if key in known:
        return known[key]
    section, _, field = key.partition(".")
    if field in typing.get_type_hints(typing.get_type_hints(RunConfig).get(section, object)):
        raise UserError(
            f"{key} cannot be varied in a study, since all trials are compared on the same images",
            "train one run for each value, and compare them: coverslip compare",
        )
    raise UserError(f"unknown setting {name!r}", nearest(name, _names(known)))


def value_of(config: RunConfig, key: str) -> Value:
    """Return the value of a setting in a resolved config; for layers without units, the network's default.

    Raises:
        UserError: the setting has no value.
    """
    section, _, field = key.partition(".")
    if key == "augment":
        return next((name for name, preset in PRESETS.items() if preset == (config.augment or Augmentation())), AS_SET)
    settings = config.augment or Augmentation() if section == "augment" else getattr(config, section)
    value = getattr(settings, field)
    if value is None:
        raise UserError(f"{key} has no value, so there is no default to compare with", f"set it: --set {key}=...")
    return typing.cast(Value, value or DEFAULT_UNITS.get(key, value))


def with_value(config: RunConfig, key: str, value: Any) -> RunConfig:
    """Return the config with another value of a setting.

    Raises:
        UserError: the value is invalid.
    """
    value = setting(key).checked(value)
    section, _, field = key.partition(".")
    if key == "augment":
        return config if value == AS_SET else replace(config, augment=augmentation(str(value)))
    if section == "augment":
        return replace(config, augment=replace(config.augment or Augmentation(), **{field: value}))
    changed = replace(getattr(config, section), **{field: value})
    return replace(config, **{section: changed})


def plain(value: Value) -> Plain:
    """Return a value as tables store it.

    >>> plain((256, 128)), plain(0.1)
    ('256,128', 0.1)
    """
    return ",".join(str(units) for units in value) if isinstance(value, tuple) else value


@cache
def _settings() -> dict[str, Setting]:
    """Return every setting that can be varied, by its key."""
    known: dict[str, Setting] = {}
    sections: list[tuple[str, type, Iterable[str]]] = [
        ("training", TrainingConfig, [name for name in typing.get_type_hints(TrainingConfig) if name not in FIXED]),
        ("model", Design, SHAPES),
        ("model", ModelConfig, PREPARING),
        ("input", InputConfig, ("size", "fit")),
        ("augment", Augmentation, typing.get_type_hints(Augmentation)),
    ]
    for section, owner, names in sections:
        hints = typing.get_type_hints(owner)
        for field in names:
            key = f"{section}.{field}"
            name = NAMES.get(key, field.replace("_", " "))
            known[key] = Setting(key, name, _kind(hints[field]))
    known["augment"] = Setting("augment", NAMES["augment"], "text")
    return known


def _kind(hint: Any) -> Kind:
    kinds: tuple[Kind, ...] = ("float", "int", "bool", "text")
    types = [argument for argument in typing.get_args(hint) if argument is not type(None)] or [hint]
    if typing.get_origin(hint) is tuple:
        return "units"
    return kinds[(float, int, bool, str).index(types[0])]


def _names(known: Iterable[str]) -> list[str]:
    """Return every name that a user may write."""
    return [*known, *SHORT, *(key.partition(".")[2] for key in known if "." in key)]
