"""Registries of named components; a misspelt name gets the nearest existing name as an answer."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from coverslip.core.errors import UserError

T = TypeVar("T")


def nearest(name: str, names: Iterable[str]) -> str:
    """Return a hint for a name that does not exist: the closest existing name, or the list of all names.

    >>> nearest("heathy", ["healthy", "rust"])
    "did you mean 'healthy'?"
    >>> nearest("zebra", ["healthy", "rust"])
    "choose from 'healthy', 'rust'"
    """
    known = sorted(names)
    matches = difflib.get_close_matches(name, known, n=5)
    if matches:  # of equally close names take the first in alphabetical order: lite0, not lite2
        best = min(matches, key=lambda match: (-difflib.SequenceMatcher(None, match, name).ratio(), match))
        return f"did you mean {best!r}?"
    return "choose from " + ", ".join(repr(candidate) for candidate in known)


class Registry(Generic[T]):
    """A mapping from names to components of one kind, in the order of registration.

    Args:
        kind: what the components are, in the singular, such as ``network``; used in error messages.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._components: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that adds a component under ``name``.

        Raises:
            ValueError: the name is registered already, which is a programming error.
        """

        def add(component: T) -> T:
            if name in self._components:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            self._components[name] = component
            return component

        return add

    def __getitem__(self, name: str) -> T:
        if name not in self._components:
            raise UserError(f"unknown {self.kind} {name!r}", nearest(name, self._components))
        return self._components[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._components)

    def __len__(self) -> int:
        return len(self._components)
