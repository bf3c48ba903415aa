"""What is to be predicted, one row per image: classes, values, or sets of labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
NO_LABEL = "none"  # the text of an empty set of labels
SEPARATOR = ";"  # between labels, or values, in one cell
BINS = 5  # quantile bins of values, which splits balance


class Target(Protocol):
    """Targets of N images."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of classes, of target columns, or of labels."""
        ...

    def __len__(self) -> int: ...

    def take(self, rows: Sequence[int] | IntArray) -> Self:
        """Return the targets of some rows."""
        ...

    @property
    def array(self) -> npt.NDArray[Any]:
        """What losses and scores take: class ids (N,), values (N, T), or members (N, L)."""
        ...

    def strata(self) -> IntArray:
        """Return the stratum of each image, int64 (N,), values from 0: what splits and folds balance."""
        ...

    def texts(self) -> list[str]:
        """Return the text of each target in one cell of a table."""
        ...


@dataclass(frozen=True, slots=True)
class ClassTarget:
    """One class per image.

    Attributes:
        ids: class ids, int64 (N,), values in 0..K-1.
        names: names of the K classes.
    """

    ids: IntArray
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Sequence[int] | IntArray) -> ClassTarget:
        """See `Target.take`."""
        return replace(self, ids=self.ids[np.asarray(rows, np.int64)])

    @property
    def array(self) -> IntArray:
        """The class ids."""
        return self.ids

    def strata(self) -> IntArray:
        """Return the class ids."""
        return self.ids

    def texts(self) -> list[str]:
        """Return the class names."""
        return [self.names[class_id] for class_id in self.ids.tolist()]


@dataclass(frozen=True, slots=True)
class ValueTarget:
    """One or several values per image.

    Attributes:
        values: float64 (N, T).
        names: names of the T target columns.
    """

    values: npt.NDArray[np.float64]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: Sequence[int] | IntArray) -> ValueTarget:
        """See `Target.take`."""
        return replace(self, values=self.values[np.asarray(rows, np.int64)])

    @property
    def array(self) -> npt.NDArray[np.float64]:
        """The values."""
        return self.values

    def strata(self) -> IntArray:
        """Return quantile bins of the values; of several targets, of the mean of their ranks.

        Equal values share a bin, so there are fewer bins than `BINS` where one value is frequent.

        >>> ValueTarget(np.array([[0.0], [0.0], [0.0], [1.0], [2.0], [3.0]]), ("share",)).strata().tolist()
        [0, 0, 0, 1, 2, 2]
        """
        if not len(self.values):
            return np.zeros(0, np.int64)
        combined = self.values[:, 0]
        if len(self.names) > 1:
            combined = np.mean([np.unique(column, return_inverse=True)[1] for column in self.values.T], axis=0)
        edges = np.unique(np.quantile(combined, np.arange(1, BINS) / BINS))
        return np.unique(np.searchsorted(edges, combined, side="right"), return_inverse=True)[1].astype(np.int64)

    def texts(self) -> list[str]:
        """Return the values, separated by ``;``."""
        return [SEPARATOR.join(f"{value:.12g}" for value in row) for row in self.values.tolist()]


@dataclass(frozen=True, slots=True)
class LabelTarget:
    """Any number of labels per image.

    Attributes:
        members: whether an image has each label, bool (N, L).
        names: names of the L labels.
    """

    members: npt.NDArray[np.bool_]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.members)

    def take(self, rows: Sequence[int] | IntArray) -> LabelTarget:
        """See `Target.take`."""
        return replace(self, members=self.members[np.asarray(rows, np.int64)])

    @property
    def array(self) -> npt.NDArray[np.bool_]:
        """The members."""
        return self.members

    def strata(self) -> IntArray:
        """Return the rarest label of each image; images without labels form a stratum of their own.

        >>> LabelTarget(np.array([[1, 0], [1, 1], [0, 0], [1, 0]], bool), ("rust", "spot")).strata().tolist()
        [1, 2, 0, 1]
        """
        counts = self.members.sum(axis=0)
        rarity = np.where(self.members, counts, np.inf)
        rarest = rarity.argmin(axis=1) + 1
        strata = np.where(self.members.any(axis=1), rarest, 0)
        return np.unique(strata, return_inverse=True)[1].astype(np.int64)

    def texts(self) -> list[str]:
        """Return the names of the labels, separated by ``;``; ``none`` for an image without labels."""
        return [
            SEPARATOR.join(name for name, member in zip(self.names, row, strict=True) if member) or NO_LABEL
            for row in self.members.tolist()
        ]


def parse_labels(texts: Sequence[str], names: tuple[str, ...]) -> LabelTarget:
    """Read the texts that `LabelTarget.texts` returns.

    >>> parse_labels(["rust;spot", "none"], ("rust", "spot")).members.tolist()
    [[True, True], [False, False]]
    """
    position = {name: index for index, name in enumerate(names)}
    members = np.zeros((len(texts), len(names)), bool)
    for row, text in enumerate(texts):
        for name in text.split(SEPARATOR) if text != NO_LABEL else []:
            members[row, position[name]] = True
    return LabelTarget(members, names)
