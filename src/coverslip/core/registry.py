"""Named parts: a part is added by one decorator, and a typo is answered with the nearest name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from coverslip.core.errors import UserError

T = TypeVar("T")


def nearest(name: str, names: Iterable[str]) -> str:
    """A hint for a name that does not exist.

    >>> nearest("heathy", ["healthy", "rust"])
    "did you mean 'healthy'?"
    >>> nearest("zebra", ["healthy", "rust"])
    "choose from 'healthy', 'rust'"
    """
    known = sorted(names)
    near = difflib.get_close_matches(name, known, n=5)
    if near:  # of names that are equally near the first: lite0, not lite2
        best = min(near, key=lambda each: (-difflib.SequenceMatcher(None, each, name).ratio(), each))
        return f"did you mean {best!r}?"
    return "choose from " + ", ".join(repr(each) for each in known)


class Registry(Generic[T]):
    """Name -> part of one kind, in the order in which the parts were registered."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._parts: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that adds a part under ``name``; the same name twice is our own mistake."""

        def add(part: T) -> T:
            if name in self._parts:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            self._parts[name] = part
            return part

        return add

    def __getitem__(self, name: str) -> T:
        if name not in self._parts:
            raise UserError(f"no {self.kind} is called {name!r}", nearest(name, self._parts))
        return self._parts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)
