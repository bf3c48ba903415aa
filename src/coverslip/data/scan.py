"""The first step of every command: listing the images with their classes and groups."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from coverslip.core.errors import UserError
from coverslip.core.forks import unforked
from coverslip.core.paths import expand, require_source
from coverslip.data.columns import named
from coverslip.data.files import require_utf8_path, walk_names
from coverslip.data.groups import PARENT, group_table, note_ungrouped
from coverslip.data.labels import ReadOptions, select_classes, with_order
from coverslip.data.proposals import unused_subjects
from coverslip.data.sources.arrays import scan_arrays
from coverslip.data.sources.folder import scan_folder
from coverslip.data.sources.folder_layout import container_of_classes
from coverslip.data.sources.table_file import is_labeled, scan_table
from coverslip.data.sources.table_text import TABLE_EXTENSIONS, TextTable, read_table
from coverslip.data.table import ImageTable

DEFAULTS = ReadOptions()
LISTED = 8  # columns listed in a note


@unforked
def scan(source: str | Path, group: str = "", classes: int = 2, options: ReadOptions = DEFAULTS) -> ImageTable:
    """List the images of a folder, a table (CSV, Excel, Parquet) or an ``.npz`` file, without decoding them.

    If a folder directly contains exactly one table with the columns path and label, that table is used, with a note.

    Args:
        source: the folder or file.
        group: where groups come from: a column of the table, a regular expression on the path, ``parent``,
            ``shots:K``, ``burst:SECONDS`` (`coverslip.data.groups.group_by_time` assigns these groups once the files
            are read), or "" for none.
        classes: minimum number of classes.
        options: the columns of a table to read, and classes to merge, rename or leave out.

    Raises:
        UserError: the source does not exist, contains no image or too few classes, or the column or pattern of
            ``group`` matches nothing.
    """
    path = expand(source)
    require_source(source)
    require_utf8_path(path.absolute())
    folder = path
    found: list[str] = []
    read: TextTable | None = None
    if path.is_dir():
        path, read, found = _table_in(path, options)
    table = with_order(_scan(path, group, options, read), options)
    if folder != path:
        found += _unlisted_images(table, folder)
    if table.task in ("classification", "ordinal") and len(table.classes) < classes:
        _refuse_container(path)
        raise UserError(
            f"{str(source)!r} has only one class, {table.classes[0]!r}",
            "add a folder for another class; a model needs two or more",
        )
    unused = unused_subjects(table) if not group and table.grouped_by is None else []
    notes = [
        f"the column {name!r} looks like subjects (patients, leaves) and is not used; to keep the images of each in "
        f"one split, add --group {name!r}"
        for name in unused
    ]
    return table.with_notes(*found, *notes)


def _has_targets(columns: Sequence[str], options: ReadOptions) -> bool:
    """Return whether columns are those of a table with paths and what the options say is to be predicted."""
    wanted = options.target or options.labels
    if not wanted:
        return is_labeled(columns)
    return named(columns, "path") is not None and all(named(columns, name) is not None for name in wanted)


def _scan(path: Path, group: str, options: ReadOptions, read: TextTable | None) -> ImageTable:
    by_column = "--target" if options.target else "--labels" if options.labels else ""
    if by_column and (path.is_dir() or path.suffix.lower() == ".npz"):
        kind = "a folder without such a table" if path.is_dir() else "an array file"
        raise UserError(
            f"{by_column} names columns of a table, and {str(path)!r} is {kind}",
            f"give a table with the columns path and {(options.target or options.labels)[0]}",
        )
    if options.task == "multilabel" and (path.is_dir() or path.suffix.lower() == ".npz"):
        raise UserError(
            f"the task 'multilabel' needs a table, and {str(path)!r} has one class per image",
            "omit --task, or give a table with the columns path and label and cells such as rust;spot",
        )
    if path.is_dir():
        return _grouped(select_classes(scan_folder(path, grouped=bool(group)), options), group)
    if path.suffix.lower() == ".npz":
        return _grouped(scan_arrays(path, options), group)
    if path.suffix.lower() not in TABLE_EXTENSIONS:
        raise UserError(
            f"{str(path)!r} is neither a folder nor a table nor an array file",
            "give a folder, a .csv, .tsv, .xlsx, .parquet or .npz file",
        )
    read = read or read_table(path)
    if group and group != PARENT and (group.isidentifier() or named(read.frame.columns, group) is not None):
        return note_ungrouped(scan_table(path, group, options, read), f"the column {group!r} is empty")
    table = scan_table(path, options=options, read=read)
    if group or table.grouped_by is None:
        return _grouped(table, group)
    return note_ungrouped(table, "the column 'group' is empty")


def _grouped(table: ImageTable, group: str) -> ImageTable:
    return group_table(table, group) if group else table


def _table_in(folder: Path, options: ReadOptions) -> tuple[Path, TextTable | None, list[str]]:
    """Return the one table with the columns path and label in a folder, with its content, or the folder; and notes."""
    if not _can_list(folder):
        return folder, None, []
    files = [file for file in sorted(folder.iterdir()) if file.suffix.lower() in TABLE_EXTENSIONS and file.is_file()]
    tables: dict[Path, TextTable] = {}
    unused: list[str] = []
    for file in files:
        if file.name.startswith("."):
            continue
        try:
            read = read_table(file)
        except UserError as error:
            reason = error.problem
        else:
            columns = read.frame.columns
            if _has_targets(columns, options):
                tables[file] = read
                continue
            listed = ", ".join(repr(name) for name in columns[:LISTED])
            predictions = "predicted" in columns
            reason = "it contains predictions" if predictions else f"it has the columns {listed}, not path and label"
        if not file.name.startswith("~"):  # the lock file of an open document
            unused.append(f"the table {file.name!r} is not used: {reason}")
    if len(tables) == 1:
        (file, read), *_ = tables.items()
        return file, read, [f"the table {file.name!r} in this folder was used"]
    if tables:
        names = ", ".join(repr(file.name) for file in tables)
        note = f"{len(tables)} tables in this folder have the columns path and label, and none is used: {names}"
        unused.insert(0, note)
    return folder, None, unused


def _refuse_container(path: Path) -> None:
    """Refuse a folder whose only folder contains the class folders."""
    inside = container_of_classes(path) if path.is_dir() else None
    if inside is not None:
        container, count = inside
        raise UserError(
            f"the class folders are not directly in {str(path)!r}: its folder "
            f"{container.relative_to(path).as_posix()!r} contains {count} folders with images",
            f"give {str(container)!r}",
        )


def _unlisted_images(table: ImageTable, folder: Path) -> list[str]:
    """Return a note on the images of a folder that its table does not list."""
    prefix = folder.absolute().as_posix().rstrip("/") + "/"
    listed = {path.removeprefix(prefix) for path in table.paths}
    unlisted = sorted(name for name, image in walk_names(folder) if image and name not in listed)
    if not unlisted:
        return []
    count = f"{len(unlisted):,} images in this folder are" if len(unlisted) > 1 else "1 image in this folder is"
    return [f"{count} not used: the table does not list them, for example {unlisted[0]!r}"]


def _can_list(folder: Path) -> bool:
    try:
        next(folder.iterdir(), None)
    except OSError:
        return False  # scan_folder then raises the error
    return True
