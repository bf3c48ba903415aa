"""Settings that a study may vary: their short names, how their values are written, and how a plan takes them."""

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
from coverslip.models.course import FILTERS, HIDDEN
from coverslip.models.design import Design
from coverslip.pipeline.config import InputConfig, ModelConfig, RunConfig
from coverslip.training.config import TrainingConfig

Plain = float | int | bool | str  # as tables and study files hold it: units of layers are text, such as "256,128"
Value = Plain | tuple[int, ...]
Kind = Literal["float", "int", "bool", "text", "units"]

SHAPES = ("hidden", "filters", "batch_norm", "dropout", "activation")  # of section model
PREPARING = ("network", "depth", "views")  # likewise: other images or features are prepared for each value
FIXED = ("monitor", "keep_best", "class_weights")  # of section training: decided elsewhere
SHORT = {
    "lr": "training.lr",
    "learning_rate": "training.lr",
    "batch": "training.batch_size",
    "wd": "training.weight_decay",
    "label_smoothing": "training.label_smoothing",
    "seed": "training.seed",
    "augment": "augment",
}
NAMES = {
    "training.lr": "learning rate",
    "training.l2": "L2 penalty",
    "training.label_smoothing": "label smoothing",
    "training.clip": "longest gradient",
    "training.ema": "moving average of weights",
    "training.gamma": "gamma of the focal loss",
    "model.hidden": "dense layers",
    "augment": "augmentation",
}
AS_SET = "as set"  # an augmentation that is no preset
OWN = {"model.hidden": HIDDEN, "model.filters": FILTERS}  # what () stands for in the networks that have them


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its dotted key, its name in plain words, and what kind of value it takes."""

    key: str
    name: str
    kind: Kind

    def read(self, text: str) -> Value:
        """A value as a user writes it.

        Raises:
            UserError: it is not of this kind, or cannot be the setting's value.
        """
        text = text.strip()
        value: Value = text
        try:
            if self.kind == "units":
                value = tuple(int(each) for each in text.split(",")) if text else ()
            elif self.kind == "bool":
                value = {"true": True, "yes": True, "false": False, "no": False}[text.lower()]
            elif self.kind != "text":
                number = float(text)
                value = int(number) if self.kind == "int" and number.is_integer() else number
        except (ValueError, KeyError):
            raise UserError(
                f"{self.key}: {text!r} is not {WANTED[self.kind]}", f"for example {EXAMPLES[self.kind]}"
            ) from None
        return self.checked(value)

    def checked(self, value: Any) -> Value:
        """The value, as the type that the setting has.

        Raises:
            UserError: it is of another kind, or out of the setting's range.
        """
        if self.kind == "units" and isinstance(value, str):
            return self.read(value)
        if self.kind == "units" and isinstance(value, list | tuple):
            value = tuple(value)
        if self.kind == "float" and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        kinds: dict[str, type] = {"float": float, "int": int, "bool": bool, "text": str, "units": tuple}
        fits = isinstance(value, kinds[self.kind]) and (isinstance(value, bool) == (self.kind == "bool"))
        if not fits or (self.kind == "units" and not all(type(each) is int for each in value)):
            raise UserError(f"{self.key}: {value!r} is not {WANTED[self.kind]}", f"for example {EXAMPLES[self.kind]}")
        if self.kind != "bool":  # whether a switch may be on depends on others
            section, _, field = self.key.partition(".")
            CHECKS[section](field, value)
        return typing.cast(Value, value)


WANTED = {
    "float": "a number",
    "int": "a whole number",
    "bool": "true or false",
    "text": "a name",
    "units": "a list of whole numbers",
}
EXAMPLES = {"float": "0.001", "int": "32", "bool": "true", "text": "adam", "units": "256,128"}
CHECKS: dict[str, Callable[[str, Any], object]] = {
    "training": lambda field, value: TrainingConfig(**{field: value}),
    "model": lambda field, value: (Design if field in SHAPES else ModelConfig)(**{field: value}),
    "input": lambda field, value: InputConfig(**{field: value}),
    "augment": lambda field, value: Augmentation(**{field: value}) if field else value == AS_SET or augmentation(value),
}


def setting(name: str) -> Setting:
    """The setting of a dotted key or a short name: ``training.lr``, ``lr``, ``batch_size``, ``hidden``, ``rotate``.

    Raises:
        UserError: there is none that a study may vary; the nearest is given.

    >>> setting("lr").key, setting("lr").name, setting("hidden").kind
    ('training.lr', 'learning rate', 'units')
    """
    known = _settings()
    name = name.strip().replace("-", "_")
    if (new := current_key(name)) != name:
        warn_renamed(f"the setting {name}", new)
        name = new
    key = SHORT.get(name, name)
    if "." not in key:
        key = next((each for each in known if each.partition(".")[2] == key), key)
    if key in known:
        return known[key]
    section, _, field = key.partition(".")
    if key == "training.seed":
        raise UserError("training.seed cannot be varied: it follows training.seed", "vary seed, such as seed=0..4")
    if field in typing.get_type_hints(typing.get_type_hints(RunConfig).get(section, object)):
        raise UserError(
            f"{key} cannot be varied in a study, whose trials are compared on the same images",
            "train one run for each value, and compare them: coverslip compare",
        )
    raise UserError(f"no setting is called {name!r}", nearest(name, _names(known)))


def value_of(config: RunConfig, key: str) -> Value:
    """What a (settled) plan has there; where layers are left to the network, the network's own.

    Raises:
        UserError: the plan leaves it open.
    """
    section, _, field = key.partition(".")
    if key == "augment":
        return next((name for name, preset in PRESETS.items() if preset == (config.augment or Augmentation())), AS_SET)
    there = config.augment or Augmentation() if section == "augment" else getattr(config, section)
    value = getattr(there, field)
    if value is None:
        raise UserError(f"{key} is open, so there is no default to compare with", f"set it: --set {key}=...")
    return typing.cast(Value, value or OWN.get(key, value))


def with_value(config: RunConfig, key: str, value: Any) -> RunConfig:
    """The plan with another value there.

    Raises:
        UserError: the settings refuse it.
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
    """A value as tables hold it.

    >>> plain((256, 128)), plain(0.1)
    ('256,128', 0.1)
    """
    return ",".join(str(each) for each in value) if isinstance(value, tuple) else value


@cache
def _settings() -> dict[str, Setting]:
    """Every setting that can be varied, by its key."""
    found: dict[str, Setting] = {}
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
            found[key] = Setting(key, name, _kind(hints[field]))
    found["augment"] = Setting("augment", NAMES["augment"], "text")
    return found


def _kind(hint: Any) -> Kind:
    kinds: tuple[Kind, ...] = ("float", "int", "bool", "text")
    types = [each for each in typing.get_args(hint) if each is not type(None)] or [hint]
    if typing.get_origin(hint) is tuple:
        return "units"
    return kinds[(float, int, bool, str).index(types[0])]


def _names(known: Iterable[str]) -> list[str]:
    """Every name that a user may write."""
    return [*known, *SHORT, *(key.partition(".")[2] for key in known if "." in key)]
