"""Names of classes, labels and targets in ``model.json``."""

from __future__ import annotations

from typing import Any


def read_names(value: Any) -> tuple[str, ...]:
    """Return names in ``model.json``, a list of unique texts.

    Raises:
        ValueError: they are no list, or not unique.
    """
    names = tuple(map(str, value))
    if not isinstance(value, list) or len(set(names)) < len(names):
        raise ValueError("classes")
    return names
