"""The first step of every command: what images are there, of which classes, in which groups."""

from __future__ import annotations

from pathlib import Path

from coverslip.core.errors import UserError
from coverslip.core.paths import expand
from coverslip.data.files import need_text
from coverslip.data.groups import PARENT, group_table, note_lonely
from coverslip.data.sources.arrays import scan_arrays
from coverslip.data.sources.folder import scan_folder
from coverslip.data.sources.table_file import TABLE_EXTENSIONS, is_labeled_table, read_frame, scan_table
from coverslip.data.table import ImageTable


def scan(source: str | Path, group: str = "", classes: int = 2) -> ImageTable:
    """Find the images of a folder, a table (CSV, Parquet) or an ``.npz`` file; nothing is decoded.

    A folder that itself holds one table with the columns path and label is read by that table, and a note says so.

    Args:
        source: the folder or file.
        group: a column of the table, a regular expression on the path, ``parent``, ``shots:K``, ``burst:SECONDS``
            (`coverslip.data.groups.group_by_time` fills those groups in, once the files are read), or nothing.
        classes: how many there must be at least.

    Raises:
        UserError: nothing there, no image, too few classes, a column or pattern that fits nothing.
    """
    path = expand(source)
    if not path.exists():
        raise UserError(f"there is no {str(source)!r}", "check the path; 'coverslip demo' runs without any images")
    need_text(path.absolute())
    note = ""
    if path.is_dir():
        tables = [each for each in sorted(path.iterdir()) if is_labeled_table(each)] if _can_list(path) else []
        if len(tables) == 1:
            path, note = tables[0], f"the table {tables[0].name!r} in this folder was used"
    table = _scan(path, group)
    if len(table.classes) < classes:
        raise UserError(
            f"{str(source)!r} has one class, {table.classes[0]!r}",
            "a model needs two or more; add a folder for another",
        )
    return table.noting(note) if note else table


def _scan(path: Path, group: str) -> ImageTable:
    if path.is_dir():
        return _grouped(scan_folder(path), group)
    if path.suffix.lower() == ".npz":
        return _grouped(scan_arrays(path), group)
    if path.suffix.lower() not in TABLE_EXTENSIONS:
        raise UserError(
            f"{str(path)!r} is neither a folder, a table nor arrays", "give a folder, a .csv, a .parquet or a .npz"
        )
    if group and group != PARENT and (group.isidentifier() or group in read_frame(path).columns):
        return note_lonely(scan_table(path, group), f"for which the column {group!r} is empty")
    table = scan_table(path)
    if group or table.grouped_by is None:
        return _grouped(table, group)
    return note_lonely(table, "for which the column 'group' is empty")


def _grouped(table: ImageTable, group: str) -> ImageTable:
    return group_table(table, group) if group else table


def _can_list(folder: Path) -> bool:
    try:
        next(folder.iterdir(), None)
    except OSError:
        return False  # the folder scan says what is wrong with it
    return True
