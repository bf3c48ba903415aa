"""A table (CSV, Excel, Parquet) with a path and a label per image, and optionally group, split and further columns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from coverslip.core.errors import UserError
from coverslip.core.registry import nearest
from coverslip.core.runs import Run
from coverslip.data.columns import (
    PATH_NAMES,
    SPLIT_NAMES,
    find_column,
    key,
    looks_like_split,
    named,
    split_of,
)
from coverslip.data.files import EXTENSIONS, is_image
from coverslip.data.labels import ReadOptions, refuse_missing_labels, select_labels
from coverslip.data.missing import is_missing, missing_rows, places
from coverslip.data.sources.source import Files
from coverslip.data.sources.table_targets import read_targets, required_column
from coverslip.data.sources.table_text import TextTable, read_table
from coverslip.data.table import SCHEMA, STATUS_OK, ImageTable, class_order

DEFAULTS = ReadOptions()


def scan_table(
    path: Path, group_column: str | None = None, options: ReadOptions = DEFAULTS, read: TextTable | None = None
) -> ImageTable:
    """Return the table of images of a file; its paths are absolute, or relative to the folder of the file.

    Columns are matched without case and surrounding blanks; `coverslip.data.columns` has further names for path, label
    and split. Unknown columns are kept after the known ones. A column status is ignored, since the files are read
    again. The ``table.csv`` of a run is accepted too; its paths are relative to the images of that run.

    Args:
        path: a CSV, Excel or Parquet file with a path and a label per image.
        group_column: the column with the groups; None uses a column named ``group`` if there is one.
        options: the columns to read, and classes to merge, rename or leave out.
        read: the content of the file, if it was read before.

    Raises:
        UserError: a column is missing or empty, a path or label is missing, a path occurs twice, a split has another
            name, or no path refers to a file.
    """
    read, run = read or read_table(path), _run_of(path)
    root = path.parent if run is None else _images_of(run)
    frame, lines, columns = read.frame, read.lines, read.frame.columns
    path_column = required_column(columns, options.path_column, PATH_NAMES, "path", path)
    targets = read_targets(read, options, path)
    read, values = targets.read, targets.values
    frame, lines = read.frame, read.lines
    groups, group_column, group_note = _groups(read, group_column, path)
    splits, split_column, split_notes = _splits(read, options.split_column, path)
    frame = pl.DataFrame(
        {
            "path": _with_slashes(frame[path_column], root).str.strip_prefix("./"),
            "label": pl.Series(targets.labels, dtype=pl.String),
            "group": groups,
            "split": splits,
            "status": [STATUS_OK] * frame.height,
        },
        schema=SCHEMA,
    )
    used = {path_column, *SCHEMA, *targets.columns} | ({split_column} if split_column else set())
    used |= {column for column in columns if key(column) == "group" and column == group_column}
    extra = read.frame.drop(*used, strict=False)
    numbers = pl.DataFrame({name: pl.Series(column, dtype=pl.Float64) for name, column in values.items()})
    frame = pl.concat([frame, numbers, extra], how="horizontal").with_columns(
        pl.Series("\0line", lines, dtype=pl.Int64)
    )
    label_notes = list(targets.notes)
    if (options.map or options.leave_out) and targets.task == "classification":
        frame, notes = select_labels(frame, options)
        label_notes += notes
    lines = frame["\0line"].to_list()
    if run is None and targets.task == "classification":  # the labels of a run are class names, even "NaN"
        refuse_missing_labels(frame["label"].to_list(), lines, repr(path.name))
    empty = (frame["path"].fill_null("") == "").arg_true()
    if len(empty):
        raise UserError(
            f"{path.name!r} has no path in {places([lines[row] for row in empty])}", "fill it in, or remove the line"
        )
    frame, path_notes = _with_extensions(frame, root)
    repeated = frame.filter(pl.col("path").is_duplicated())
    if repeated.height:
        first = repeated.filter(pl.col("path") == repeated["path"][0])
        where = places(first["\0line"].to_list())
        raise UserError(f"{path.name!r} lists {first['path'][0]!r} more than once ({where})", "keep one row per image")
    table = frame.drop("\0line").sort("path")
    classes = targets.classes or (() if values else class_order(table["label"].to_list()))
    grouped_by = f"column {group_column!r}" if group_column and table["group"].null_count() < table.height else None
    name = path.parent.absolute().name if path.stem in ("table", "leaves", "labels") else path.stem
    result = ImageTable(table, Files(root), name, classes, grouped_by, targets.task, tuple(values))
    if not any(result.source.stamp(image)[0] >= 0 for image in result.paths):
        raise UserError(
            f"no file listed in {path.name!r} exists, for example {table['path'][0]!r} below {str(root)!r}",
            "write paths relative to the folder of the table, with their extension",
        )
    notes = [*read.notes, *_column_notes({"path": path_column, "label": targets.label_column, "split": split_column})]
    notes += [*label_notes, *path_notes, *group_note, *split_notes]
    return result.with_notes(*notes, *_unused_notes(result, split_column))


def is_labeled(columns: Sequence[str]) -> bool:
    """Return whether columns are those of a table with path and label, and not of a result of `predict`."""
    names = {key(name) for name in columns}
    return "path" in names and "label" in names and "predicted" not in names


def _groups(read: TextTable, given: str | None, path: Path) -> tuple[pl.Series, str | None, list[str]]:
    """Return the groups (null for empty cells and words for missing values), their column, and notes."""
    frame, column = read.frame, named(read.frame.columns, given or "group")
    if column is None:
        if given is not None:
            raise UserError(f"{path.name!r} has no column {given!r}", nearest(given, frame.columns))
        return pl.Series([None] * frame.height, dtype=pl.String), None, []
    cells = frame[column].to_list()
    missing = missing_rows(cells)
    if given is not None and len(missing) == len(cells):
        raise UserError(f"the column {given!r} of {path.name!r} is empty", "fill it in, or give another column")
    groups = list(cells)
    for row in missing:
        groups[row] = None
    words = sorted({text for row in missing if (text := (cells[row] or "").strip())})
    if not words:
        return pl.Series(groups, dtype=pl.String), column, []
    rows = [row for row in missing if (cells[row] or "").strip()]
    where = places([read.lines[row] for row in rows])
    note = (
        f"{', '.join(map(repr, words))} in the column {column!r} was read as a missing value ({where}); "
        "each of these images counts as a group by itself"
    )
    return pl.Series(groups, dtype=pl.String), column, [note]


def _with_slashes(paths: pl.Series, root: Path) -> pl.Series:
    r"""Return paths with ``\`` (written on Windows) replaced by ``/``, unless a file of exactly that name exists."""
    return pl.Series(
        "path",
        [
            path.replace("\\", "/") if path and "\\" in path and not (root / path).is_file() else path
            for path in paths.to_list()
        ],
        dtype=pl.String,
    )


def _splits(read: TextTable, given: str, path: Path) -> tuple[list[str | None], str | None, list[str]]:
    """Return the splits (None for empty cells and words for missing values), their column, and notes."""
    frame = read.frame
    column = find_column(frame.columns, given, SPLIT_NAMES, "split", path.name)
    named_split = column is not None and (bool(given) or key(column) == "split")
    if column is None or not (named_split or looks_like_split(frame[column])):
        return [None] * frame.height, None, []
    splits: list[str | None] = []
    words: list[int] = []
    for line, name in zip(read.lines, frame[column].to_list(), strict=True):
        if is_missing(name):
            splits.append(None)
            words += [line] if name and name.strip() else []
        elif (split := split_of(name, column)) is not None:
            splits.append(split)
        else:
            raise UserError(
                f"{path.name!r} has the unknown split {name!r} in line {line}", "use 'train', 'validation' or 'test'"
            )
    where = (
        f"words for missing values in the column {column!r} were read as no split ({places(words)})" if words else ""
    )
    return splits, column, [where] if where else []


def _with_extensions(frame: pl.DataFrame, root: Path) -> tuple[pl.DataFrame, list[str]]:
    """Return the rows with paths completed by the extension of the one image with that name, and a note.

    Raises:
        UserError: several images have the name.
    """
    paths, added, folders = frame["path"].to_list(), [], {}
    for row, path in enumerate(paths):
        if is_image(path.rpartition("/")[2]) or (root / path).is_file():
            continue
        parent, _, name = path.rpartition("/")
        if parent not in folders:
            folders[parent] = _images_by_stem(root / parent)
        found = folders[parent].get(name, [])
        if len(found) > 1:
            raise UserError(
                f"{path!r} has no extension, and several images have this name: {', '.join(map(repr, found))}",
                "write the extension in the table",
            )
        if found:
            paths[row] = f"{parent}/{found[0]}" if parent else found[0]
            added.append(row)
    if not added:
        return frame, []
    count = f"{len(added):,} path{'s' if len(added) > 1 else ''}"
    note = (
        f"{count} without an extension {'were' if len(added) > 1 else 'was'} completed, for example {paths[added[0]]!r}"
    )
    return frame.with_columns(pl.Series("path", paths, dtype=pl.String)), [note]


def _images_by_stem(folder: Path) -> dict[str, list[str]]:
    images: dict[str, list[str]] = {}
    try:
        for file in sorted(folder.iterdir()):
            if file.suffix.lower() in EXTENSIONS:
                images.setdefault(file.stem, []).append(file.name)
    except OSError:
        pass  # the paths are then listed as unreadable
    return images


def _column_notes(columns: dict[str, str | None]) -> list[str]:
    """Return a note about columns that were recognized under another name."""
    other = [f"{name!r} as the {kind}" for kind, name in columns.items() if name is not None and name != kind]
    return [f"columns were read by other names: {', '.join(other)}"] if other else []


def _unused_notes(table: ImageTable, split_column: str | None) -> list[str]:
    """Return notes about columns that look like splits, but are not used."""
    notes = []
    if split_column is None:
        for name in table.extra_columns:
            if looks_like_split(table.frame[name]) or key(name) in SPLIT_NAMES:
                notes.append(
                    f"the column {name!r} looks like a split and is not used; to use it, add --split-column {name!r}"
                )
    return notes


def _run_of(path: Path) -> Run | None:
    """Return the run (or audit) that wrote a table as its ``table.csv``; None if none did."""
    run = Run(path.parent)
    return run if path.name == run.table_file.name and run.audit_file.is_file() else None


def _images_of(run: Run) -> Path:
    """Return the folder that the paths of a run's table are relative to."""
    try:
        root = str(json.loads(run.audit_file.read_text(encoding="utf-8"))["root"])
    except (ValueError, KeyError) as error:
        raise UserError(f"{str(run.audit_file)!r} has no valid entry 'root'", "train again") from error
    return (run.folder / root).resolve()
