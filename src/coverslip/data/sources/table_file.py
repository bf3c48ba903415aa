"""A CSV or Parquet table: path, label, and optionally group, split and any other column to group by."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl

from coverslip.core.errors import UserError
from coverslip.core.registry import nearest
from coverslip.core.runs import Run
from coverslip.core.tables import read_csv, read_parquet
from coverslip.data.sources.folder import PART_FOLDERS
from coverslip.data.sources.source import Files
from coverslip.data.table import READ, SCHEMA, ImageTable

TABLE_EXTENSIONS = (".csv", ".parquet")


def read_frame(path: Path) -> pl.DataFrame:
    """A table as text columns.

    Raises:
        UserError: the file cannot be read as a table, or is empty.
    """
    try:
        # A comma inside quotes is part of a name; every column is text, so that a group 007 stays 007.
        frame = read_parquet(path) if path.suffix.lower() == ".parquet" else read_csv(path, text=True)
        frame = frame.with_columns(pl.all().cast(pl.String))
    except OSError as error:
        raise UserError(f"cannot read {str(path)!r}: {error.strerror or error}", "check the path") from error
    except pl.exceptions.PolarsError as error:
        first = str(error).splitlines()[0]
        raise UserError(
            f"{str(path)!r} is not a table: {first}", "save it as CSV with commas, or as Parquet"
        ) from error
    if frame.height == 0:
        raise UserError(f"{str(path)!r} has no rows", "give a row an image: path, label")
    return frame


def scan_table(path: Path, group_column: str | None = None) -> ImageTable:
    """One row an image of a table; paths are relative to the table's folder, or absolute.

    Columns that Coverslip does not know are kept behind its own. A column status is not believed: files are read anew.
    The ``table.csv`` of a run can be given back in: its paths are found where that run found them.

    Args:
        path: a CSV or Parquet file with the columns path and label.
        group_column: the column that holds the group; without it, a column named ``group`` is used if there is one.

    Raises:
        UserError: a column is missing or says nothing, a label is empty, a split has another name, or no path leads to
            a file.
    """
    frame = read_frame(path)
    for column in ("path", "label"):
        if column not in frame.columns:
            found = ", ".join(repr(each) for each in frame.columns)
            raise UserError(
                f"{path.name!r} has no column {column!r} (found: {found})", f"rename the column that holds the {column}"
            )
    if group_column is not None and group_column not in frame.columns:
        raise UserError(f"{path.name!r} has no column {group_column!r}", nearest(group_column, frame.columns))
    if group_column is not None and _groups(frame, group_column).null_count() == frame.height:
        raise UserError(f"the column {group_column!r} of {path.name!r} is empty", "fill it in, or name another")
    group_column = group_column or ("group" if "group" in frame.columns else None)
    frame = frame.with_columns(_with_slashes(frame["path"], path).str.strip_prefix("./"))
    for column in ("path", "label"):
        lacking = (frame[column].fill_null("") == "").arg_true()
        if len(lacking):
            raise UserError(f"{path.name!r} has no {column} in line {lacking[0] + 2}", "fill it in, or remove the line")
    twice = frame.filter(pl.col("path").is_duplicated())["path"]
    if len(twice):
        raise UserError(f"{path.name!r} names {twice[0]!r} more than once", "keep one row an image")
    root, groups = _root(path), _groups(frame, group_column)
    table = pl.DataFrame(
        {
            "path": frame["path"],
            "label": frame["label"],
            "group": groups,
            "split": _parts(frame, path),
            "status": [READ] * frame.height,
        },
        schema=SCHEMA,
    )
    table = pl.concat([table, frame.drop(*SCHEMA, strict=False)], how="horizontal").sort("path")
    classes = tuple(sorted(set(table["label"].to_list())))
    grouped_by = f"column {group_column!r}" if groups.null_count() < frame.height else None
    name = path.parent.absolute().name if path.stem in ("table", "leaves", "labels") else path.stem
    result = ImageTable(table, Files(root), name, classes, grouped_by)
    if not any(result.source.stamp(each)[0] >= 0 for each in result.paths):
        raise UserError(
            f"no path of {path.name!r} leads to a file, for example {table['path'][0]!r} below {str(root)!r}",
            "write paths relative to the table's own folder",
        )
    return result


def is_labeled_table(path: Path) -> bool:
    """Whether this file is a table with the two columns that a table of images needs, and no result of `predict`."""
    if path.suffix.lower() not in TABLE_EXTENSIONS or path.name.startswith("."):
        return False
    try:
        columns = read_frame(path).columns
    except UserError:
        return False
    return "path" in columns and "label" in columns and "predicted" not in columns


def _groups(frame: pl.DataFrame, column: str | None) -> pl.Series:
    """What the column says, null where it is empty or blank."""
    if column is None:
        return pl.Series([None] * frame.height, dtype=pl.String)
    return frame[column].set(frame[column].str.strip_chars() == "", None)


def _with_slashes(paths: pl.Series, table: Path) -> pl.Series:
    r"""Paths written on Windows with ``\``; where a file of exactly that name is there, the character is part of it."""
    root = _root(table)
    return pl.Series(
        "path",
        [
            each.replace("\\", "/") if each and "\\" in each and not (root / each).is_file() else each
            for each in paths.to_list()
        ],
        dtype=pl.String,
    )


def _parts(frame: pl.DataFrame, path: Path) -> list[str | None]:
    if "split" not in frame.columns:
        return [None] * frame.height
    parts: list[str | None] = []
    for line, name in enumerate(frame["split"].to_list(), start=2):
        if not name:
            parts.append(None)
        elif name.lower() in PART_FOLDERS:
            parts.append(PART_FOLDERS[name.lower()])
        else:
            raise UserError(
                f"{path.name!r} has the split {name!r} in line {line}", "use 'train', 'validation' or 'test'"
            )
    return parts


def _root(path: Path) -> Path:
    """The folder that a table's paths are relative to: its own, or for a run's table the one that run wrote down."""
    run = Run(path.parent)
    if path.name == run.table_file.name and run.audit_file.is_file():
        try:
            root = str(json.loads(run.audit_file.read_text(encoding="utf-8"))["root"])
            return (run.folder / root).resolve()
        except (ValueError, KeyError) as error:
            raise UserError(f"{str(run.audit_file)!r} does not say where the images are", "train again") from error
    return path.parent
