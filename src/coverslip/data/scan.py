"""The first step of every command: listing the images with their classes and groups."""

from __future__ import annotations

from pathlib import Path

from coverslip.core.errors import UserError
from coverslip.core.forks import unforked
from coverslip.core.paths import expand
from coverslip.data.files import require_utf8_path
from coverslip.data.groups import PARENT, group_table, note_ungrouped
from coverslip.data.sources.arrays import scan_arrays
from coverslip.data.sources.folder import scan_folder
from coverslip.data.sources.table_file import TABLE_EXTENSIONS, is_labeled_table, read_frame, scan_table
from coverslip.data.table import ImageTable


@unforked
def scan(source: str | Path, group: str = "", classes: int = 2) -> ImageTable:
    """List the images of a folder, a table (CSV, Parquet) or an ``.npz`` file, without decoding them.

    If a folder directly contains exactly one table with the columns path and label, that table is used, with a note.

    Args:
        source: the folder or file.
        group: where groups come from: a column of the table, a regular expression on the path, ``parent``,
            ``shots:K``, ``burst:SECONDS`` (`coverslip.data.groups.group_by_time` assigns these groups once the files
            are read), or "" for none.
        classes: minimum number of classes.

    Raises:
        UserError: the source does not exist, contains no image or too few classes, or the column or pattern of
            ``group`` matches nothing.
    """
    path = expand(source)
    if not path.exists():
        raise UserError(f"{str(source)!r} does not exist", "check the path; 'coverslip demo' runs without any images")
    require_utf8_path(path.absolute())
    note = ""
    if path.is_dir():
        tables = [file for file in sorted(path.iterdir()) if is_labeled_table(file)] if _can_list(path) else []
        if len(tables) == 1:
            path, note = tables[0], f"the table {tables[0].name!r} in this folder was used"
    table = _scan(path, group)
    if len(table.classes) < classes:
        raise UserError(
            f"{str(source)!r} has only one class, {table.classes[0]!r}",
            "add a folder for another class; a model needs two or more",
        )
    return table.with_notes(note) if note else table


def _scan(path: Path, group: str) -> ImageTable:
    if path.is_dir():
        return _grouped(scan_folder(path), group)
    if path.suffix.lower() == ".npz":
        return _grouped(scan_arrays(path), group)
    if path.suffix.lower() not in TABLE_EXTENSIONS:
        raise UserError(
            f"{str(path)!r} is neither a folder nor a table nor an array file",
            "give a folder, a .csv, a .parquet or a .npz file",
        )
    if group and group != PARENT and (group.isidentifier() or group in read_frame(path).columns):
        return note_ungrouped(scan_table(path, group), f"the column {group!r} is empty")
    table = scan_table(path)
    if group or table.grouped_by is None:
        return _grouped(table, group)
    return note_ungrouped(table, "the column 'group' is empty")


def _grouped(table: ImageTable, group: str) -> ImageTable:
    return group_table(table, group) if group else table


def _can_list(folder: Path) -> bool:
    try:
        next(folder.iterdir(), None)
    except OSError:
        return False  # scan_folder then raises the error
    return True
