"""Fields of a task in ``model.json``, with errors that name the field."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


class InvalidFieldError(ValueError):
    """A field of ``model.json`` has an invalid value; the message is its name."""


def read_field(content: Mapping[str, Any], name: str, read: Callable[[Any], T]) -> T:
    """Return a field of ``model.json``.

    Args:
        content: the content of the file.
        name: the name of the field.
        read: converts and validates its value.

    Raises:
        KeyError: the field is missing.
        InvalidFieldError: its value is invalid.
    """
    value = content[name]
    try:
        return read(value)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidFieldError(name) from error


def read_names(value: Any) -> tuple[str, ...]:
    """Return names in ``model.json``, a list of unique texts.

    Raises:
        ValueError: they are no list, or not unique.
    """
    names = tuple(map(str, value))
    if not isinstance(value, list) or len(set(names)) < len(names):
        raise ValueError("names")
    return names
