"""Conversion of settings between frozen dataclasses and TOML; an unknown key is an error."""

from __future__ import annotations

import dataclasses
import tomllib
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

import tomli_w

from coverslip.core.errors import UserError
from coverslip.core.registry import nearest

T = TypeVar("T")


def option(default: T, description: str) -> T:
    """Return a dataclass field with a default and the sentence that documents it.

    ``--help``, the docs and the JSON schema read the sentence from the field's metadata.

    >>> @dataclasses.dataclass
    ... class Example:
    ...     size: int = option(64, "Side in pixels.")
    >>> Example().size, describe(Example, "size")
    (64, 'Side in pixels.')
    """
    return dataclasses.field(default=default, metadata={"description": description})


def describe(kind: Any, name: str) -> str:
    """Return the description of a field of a config dataclass; "" if it has none."""
    fields = {field.name: field for field in dataclasses.fields(kind)}
    return str(fields[name].metadata.get("description", ""))


def to_mapping(settings: Any) -> dict[str, Any]:
    """Return a dataclass of settings as plain values; None is omitted, since TOML cannot express it."""
    mapping: dict[str, Any] = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if value is None:
            continue
        mapping[field.name] = to_mapping(value) if dataclasses.is_dataclass(value) else _plain(value)
    return mapping


def to_toml(settings: Any) -> str:
    """Return every setting as TOML, including defaults."""
    return tomli_w.dumps(to_mapping(settings))


def from_mapping(kind: type[T], mapping: dict[str, Any], where: str = "settings") -> T:
    """Build settings from plain values.

    Args:
        kind: the dataclass.
        mapping: key -> value; nested dataclasses are mappings of their own, and lists become tuples.
        where: name of the mapping in error messages.

    Raises:
        UserError: a key does not exist (the fix names the nearest), is missing, or has a value of the wrong type; or
            the dataclass rejects a value.
    """
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, value in mapping.items():
        if key not in fields:
            raise UserError(f"{where} has no key {key!r}", nearest(key, fields))
        factory = fields[key].default_factory
        if isinstance(value, dict) and factory is not dataclasses.MISSING:  # missing keys keep their defaults
            value = {**to_mapping(factory()), **value}  # noqa: PLW2901
        values[key] = _checked(hints[key], value, f"{where}.{key}")
    missing = [name for name, field in fields.items() if _required(field) and name not in values]
    if missing:
        raise UserError(f"{where} lacks {', '.join(repr(name) for name in missing)}", f"add {missing[0]} = ...")
    return kind(**values)


def read_toml(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file.

    Raises:
        UserError: the file does not exist or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {str(path)!r}: {error.strerror}", "check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(
            f"{str(path)!r} is not TOML: {error}", "fix that line, or start from the experiment.toml of a run"
        ) from error


def override(mapping: dict[str, Any], assignments: list[str]) -> dict[str, Any]:
    """Return settings with ``section.key=value`` assignments applied; a value that is not TOML is taken as text.

    >>> override({"model": {"views": 2}}, ["model.views=3", "model.name=tiny"])
    {'model': {'views': 3, 'name': 'tiny'}}
    """
    result = {key: dict(value) if isinstance(value, dict) else value for key, value in mapping.items()}
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        section, dot, key = path.strip().partition(".")
        if not (equals and dot and key):
            raise UserError(
                f"--set {assignment!r} is not of the form section.key=value", "use for example --set model.views=3"
            )
        if not isinstance(result.setdefault(section, {}), dict):
            raise UserError(f"--set {assignment!r}: {section!r} is not a section", nearest(section, result))
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        result[section][key] = value
    return result


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def _checked(hint: Any, value: Any, where: str) -> Any:
    """Return ``value`` as the type ``hint``; lists become tuples, and integers become floats if a float is needed."""
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, dict):
            raise UserError(f"{where} is {value!r}, not a section", f"write [{where}] and its keys below")
        return from_mapping(hint, value, where)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return _checked(next(argument for argument in arguments if argument is not type(None)), value, where)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise UserError(f"{where} is {value!r}, not a list", "write it in brackets, such as [1, 2]")
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(_checked(arguments[0], item, where) for item in value)
        if len(value) != len(arguments):
            raise UserError(f"{where} has {len(value)} values", f"give {len(arguments)} values")
        return tuple(_checked(argument, item, where) for argument, item in zip(arguments, value, strict=True))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise UserError(f"{where} is {value!r}", f"give a value of type {hint.__name__}")
    return value
