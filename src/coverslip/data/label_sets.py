"""Several labels per image: cells such as ``rust;spot``, or columns of 0 and 1."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from coverslip.core.errors import UserError
from coverslip.core.registry import nearest
from coverslip.data.columns import named
from coverslip.data.missing import places
from coverslip.data.table import class_order
from coverslip.data.target import NO_LABEL, SEPARATOR

YES = frozenset({"1", "1.0", "true", "yes", "y", "x"})
NO = frozenset({"0", "0.0", "false", "no", "n"})
WRITE = "write 1 where the image has the label and 0 where it has not"


def has_several(cells: Sequence[str | None]) -> bool:
    """Return whether a cell holds several labels.

    >>> has_several(["rust", "rust;spot"]), has_several(["rust", "spot"])
    (True, False)
    """
    return any(cell is not None and SEPARATOR in cell for cell in cells)


def read_label_sets(cells: Sequence[str | None]) -> tuple[list[str | None], tuple[str, ...], list[str]]:
    """Read cells of labels separated by ``;``; ``none`` is the empty set.

    Returns:
        The cells with labels in the order of `class_order`, each once; the names of all labels; and notes.

    >>> read_label_sets(["b; a", "a;a", "none"])[:2]
    (['a;b', 'a', 'none'], ('a', 'b'))
    """
    sets: list[list[str] | None] = []
    for cell in cells:
        if cell is None or not cell.strip():
            sets.append(None)
            continue
        parts = [part.strip() for part in cell.split(SEPARATOR)]
        sets.append([part for part in parts if part and part.lower() != NO_LABEL])
    names = class_order(name for members in sets if members for name in members)
    if not names:
        raise UserError("no image has a label", f"write labels separated by {SEPARATOR!r}, and {NO_LABEL!r} for none")
    texts = [
        None if members is None else SEPARATOR.join(name for name in names if name in members) or NO_LABEL
        for members in sets
    ]
    blanks = [cell for cell in cells if cell and any(part != part.strip() for part in cell.split(SEPARATOR))]
    repeated = sum(members is not None and len(set(members)) < len(members) for members in sets)
    notes = []
    if blanks:
        count = f"{len(blanks):,} cell{'s have' if len(blanks) > 1 else ' has'}"
        notes.append(f"{count} blanks around labels, for example {blanks[0]!r}; they are ignored")
    if repeated:
        count = f"{repeated:,} cell{'s name' if repeated > 1 else ' names'}"
        notes.append(f"{count} a label more than once; it counts once")
    return texts, names, notes


def read_label_columns(
    frame: pl.DataFrame, labels: Sequence[str], lines: Sequence[int], where: str
) -> tuple[list[str], tuple[str, ...]]:
    """Read a column of 0 and 1 (or no and yes) per label.

    Returns:
        The label set of each row as text, and the columns that were read, the names of the labels.

    Raises:
        UserError: a column does not exist or has the name of a separator or of no label, or a cell is neither 0 nor 1.
    """
    columns = []
    members: list[list[bool]] = []
    for label in labels:
        column = named(frame.columns, label)
        if column is None:
            raise UserError(f"{where} has no column {label!r}", nearest(label, frame.columns))
        if SEPARATOR in column or column.strip().lower() == NO_LABEL:
            raise UserError(
                f"the column {column!r} of {where} cannot be a label: {SEPARATOR!r} separates labels, and {NO_LABEL!r} "
                "stands for none",
                "rename the column",
            )
        cells = ["" if cell is None else cell.strip().lower() for cell in frame[column].to_list()]
        wrong = [row for row, cell in enumerate(cells) if cell and cell not in YES | NO]
        if wrong:
            example = f"neither 0 nor 1 in {places([lines[row] for row in wrong])}, for example {cells[wrong[0]]!r}"
            raise UserError(f"the column {column!r} of {where} is {example}", WRITE)
        empty = [row for row, cell in enumerate(cells) if not cell]
        if empty:
            raise UserError(
                f"the column {column!r} of {where} is empty in {places([lines[row] for row in empty])}", WRITE
            )
        columns.append(column)
        members.append([cell in YES for cell in cells])
    texts = [
        SEPARATOR.join(name for name, member in zip(columns, row, strict=True) if member) or NO_LABEL
        for row in zip(*members, strict=True)
    ]
    return texts, tuple(columns)
