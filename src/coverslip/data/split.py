"""The split: seeded, stratified, groups whole.

Each part has one job: train fits, validation chooses and calibrates, test is opened once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from coverslip.data.table import PARTS, ImageTable
from coverslip.errors import UserError
from coverslip.seeds import generator

FRACTIONS = (0.70, 0.15, 0.15)


def split_table(table: ImageTable, fractions: tuple[float, float, float] = FRACTIONS, seed: int = 0) -> ImageTable:
    """Fill in the part of every readable picture that has none yet.

    Parts that the source gives (folders, a column) stay as they are; what it does not give is cut from its train part.

    Raises:
        UserError: a class has no picture to train on, too few groups, or a given group straddles given parts.
    """
    rows = table.rows()
    given = [table.frame["split"][row] for row in rows]
    labels, groups = np.array(table.labels(rows)), table.groups(rows)
    _check_counts(table, rows, labels, groups)
    _check_given(groups, given)
    parts = np.array([PARTS.index(part) if part else -1 for part in given])
    missing = [index for index in range(3) if not (parts == index).any()] if (parts >= 0).any() else [0, 1, 2]
    if missing:
        # A source that names only train and test lacks a validation part: it is cut from train.
        free = (parts == -1) | ((parts == 0) & bool(missing))
        wanted = np.array([fractions[index] if index in missing or index == 0 else 0.0 for index in range(3)])
        numbers = np.flatnonzero(free)
        parts[numbers] = assign_parts(labels[numbers], [groups[number] for number in numbers], wanted, seed)
    elif (parts == -1).any():
        raise UserError(f"{int((parts == -1).sum())} pictures have no split, the others have", "fill it in, or drop it")
    _check_parts(table, labels, parts)
    named: list[str | None] = [None] * len(table)
    for row, part in zip(rows, parts, strict=True):
        named[row] = PARTS[part]
    return table.with_columns(split=named)


def assign_parts(
    labels: npt.NDArray[np.integer], groups: Sequence[str], fractions: npt.ArrayLike, seed: int
) -> npt.NDArray[np.int64]:
    """Give every group one part so that each class is divided as nearly by ``fractions`` as whole groups allow.

    Groups are dealt from the largest to the smallest, equal ones in seeded order; each goes to the part that lacks the
    most of its classes. The order of rows does not matter.

    Args:
        labels: (N,) class numbers.
        groups: N group names.
        fractions: wanted share of each part; any positive scale, 0 for a part that gets nothing.
        seed: of the order among equal groups.

    Returns:
        (N,) part numbers.
    """
    share = np.asarray(fractions, np.float64)
    share = share / share.sum()
    names, members = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)
    counts = np.zeros((len(names), int(labels.max()) + 1))
    np.add.at(counts, (members, labels), 1)
    target = np.outer(share, counts.sum(0))  # (parts, classes)
    order = generator(seed, "split").permutation(len(names))
    order = order[np.argsort(-counts[order].sum(1), kind="stable")]
    filled = np.zeros_like(target)
    scale = 1 / np.maximum(counts.sum(0), 1)  # a rare class counts as much as a common one
    chosen = np.zeros(len(names), np.int64)
    open_parts = np.flatnonzero(share > 0)
    for group in order:
        has = np.flatnonzero(counts[group])
        lacking = (target[np.ix_(open_parts, has)] - filled[np.ix_(open_parts, has)]) / target[np.ix_(open_parts, has)]
        gain = (lacking * (counts[group, has] * scale[has])).sum(1)
        part = open_parts[int(np.argmax(np.round(gain, 12)))]
        chosen[group] = part
        filled[part] += counts[group]
    return chosen[members]


def _check_counts(table: ImageTable, rows: list[int], labels: npt.NDArray[np.integer], groups: list[str]) -> None:
    if not rows:
        first = table.frame["status"].to_list()[0]
        raise UserError(f"none of the {len(table)} pictures can be read (the first: {first})", "check the files")
    for number, name in enumerate(table.classes):
        mine = labels == number
        pictures, unique = int(mine.sum()), len({groups[index] for index in np.flatnonzero(mine)})
        if pictures == 0:
            raise UserError(f"class {name!r} has no readable picture", "mend its files, or remove its folder")
        if unique < len(PARTS):
            what = f"{pictures} pictures" if unique == pictures else f"{pictures} pictures of {unique} groups"
            what = what.replace("1 pictures", "1 picture").replace("1 groups", "1 group")
            raise UserError(
                f"class {name!r} has {what}; train, validation and test need one each",
                "add pictures of other leaves (patients, slides) to it, or leave the class out",
            )


def _check_given(groups: list[str], given: list[str | None]) -> None:
    seen: dict[str, str] = {}
    for group, part in zip(groups, given, strict=True):
        if part is not None and seen.setdefault(group, part) != part:
            raise UserError(
                f"group {group!r} is in {seen[group]!r} and in {part!r} of the given split: the test would leak",
                "move the whole group to one part, or leave the split out and let Coverslip make it",
            )


def _check_parts(table: ImageTable, labels: npt.NDArray[np.integer], parts: npt.NDArray[np.int64]) -> None:
    for number, name in enumerate(table.classes):
        if not ((labels == number) & (parts == 0)).any():
            raise UserError(
                f"class {name!r} has no picture in the train part",
                "add some there; a class that is never seen is unknown",
            )
