"""Names of the columns of a user's table: which of them hold paths, labels and splits, and which look like subjects."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import polars as pl

from coverslip.core.errors import UserError
from coverslip.core.registry import nearest
from coverslip.data.missing import is_missing, missing_rows
from coverslip.data.sources.folder_layout import SPLIT_FOLDERS

PATH_NAMES = ("path", "file", "filename", "filepath", "image", "imagepath", "imagefile", "imagename")
LABEL_NAMES = ("label", "labels", "class", "target")
SPLIT_NAMES = ("split", "set", "subset", "isvalid")
"""Recognized names, without case, blanks, ``_`` and ``-``."""
BOOLEAN_SPLITS = {"true": "validation", "1": "validation", "yes": "validation"}
BOOLEAN_SPLITS |= {"false": "train", "0": "train", "no": "train"}
"""Values of a column ``is_valid``."""
SUBJECTS = re.compile(r"(^|[\W_])(patient|subject|leaf|slide|case|plant|specimen)s?([\W_]|id|no|nr|$)", re.IGNORECASE)
IDENTIFIER = re.compile(r".[\W_](?i:id)$|[a-z]ID$")
LARGEST = 0.5  # a value of more of the images is no subject
USUAL_IMAGES = (2, 50)  # images per subject, for a column that is named *_id only


def key(name: str) -> str:
    """Return a column name without case, blanks, ``_`` and ``-``.

    >>> key(" Image_Path")
    'imagepath'
    """
    return re.sub(r"[\s_\-]+", "", name).casefold()


def named(columns: Sequence[str], name: str) -> str | None:
    """Return the column of that name: exactly, or without case and surrounding blanks; None if there is none.

    >>> named(["path", " Patient "], "patient")
    ' Patient '
    """
    if name in columns:
        return name
    alike = [column for column in columns if column.strip().casefold() == name.strip().casefold()]
    return alike[0] if len(alike) == 1 else None


def find_column(columns: Sequence[str], given: str, names: Sequence[str], kind: str, file: str) -> str | None:
    """Return the column with the paths, labels or splits of a table; None if no column has one of the names.

    Args:
        columns: names of all columns.
        given: the configured column; "" finds it by name.
        names: recognized names, as `key` returns them, the standard one first.
        kind: ``path``, ``label`` or ``split``.
        file: name of the file, for messages.

    Raises:
        UserError: the configured column does not exist, or several columns could be meant.
    """
    if given:
        column = named(columns, given)
        if column is None:
            raise UserError(f"{file!r} has no column {given!r}", nearest(given, columns))
        return column
    if names[0] in columns:
        return names[0]
    found = [column for column in columns if key(column) == names[0]]
    found = found or [column for column in columns if key(column) in names]
    if len(found) > 1:
        listed = ", ".join(repr(column) for column in found)
        raise UserError(
            f"{file!r} has several columns that could be the {kind}: {listed}",
            f"choose one with --{kind}-column {found[0]!r}",
        )
    return found[0] if found else None


def split_of(cell: str, column: str) -> str | None:
    """Return the split that a cell names; None if it names none."""
    word = cell.strip().lower()
    return SPLIT_FOLDERS.get(word) or (BOOLEAN_SPLITS.get(word) if key(column) == "isvalid" else None)


def looks_like_split(cells: pl.Series) -> bool:
    """Return whether every cell that is not empty names a split, and at least two different ones are named."""
    if cells.n_unique() > 2 * len(SPLIT_FOLDERS):
        return False
    values = [value for value in cells.unique().to_list() if not is_missing(value)]
    splits = {split_of(value, cells.name) for value in values}
    if None in splits or len(splits) < 2:
        return False
    if key(cells.name) == "isvalid":  # mostly True: probably a mark of usable images
        return 2 * sum(split_of(cell or "", cells.name) == "validation" for cell in cells.to_list()) <= len(cells)
    return True


def subject_columns(frame: pl.DataFrame, columns: Iterable[str]) -> list[str]:
    """Return the columns that look like subjects, by name, and whose values are shared by several images.

    Args:
        frame: the table.
        columns: names of the columns to look at.
    """
    found: list[tuple[bool, str]] = []
    for name in columns:
        by_word = SUBJECTS.search(name) is not None
        if not (by_word or IDENTIFIER.search(name)):
            continue
        cells = frame[name].to_list()
        missing = set(missing_rows(cells))
        sizes = sorted(Counter(cell for row, cell in enumerate(cells) if row not in missing).values())
        if len(sizes) < 2 or sizes[-1] < 2 or sizes[-1] > LARGEST * len(cells):
            continue
        if by_word or USUAL_IMAGES[0] <= sum(sizes) / len(sizes) <= USUAL_IMAGES[1]:
            found.append((not by_word, name))
    return [name for _, name in sorted(found, key=lambda entry: entry[0])]
