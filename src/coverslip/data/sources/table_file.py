"""A CSV or Parquet table with the columns path and label, and optionally group, split and further columns."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl

from coverslip.core.errors import UserError
from coverslip.core.registry import nearest
from coverslip.core.runs import Run
from coverslip.core.tables import read_csv, read_parquet
from coverslip.data.sources.folder import SPLIT_FOLDERS
from coverslip.data.sources.source import Files
from coverslip.data.table import SCHEMA, STATUS_OK, ImageTable

TABLE_EXTENSIONS = (".csv", ".parquet")


def read_frame(path: Path) -> pl.DataFrame:
    """Return a table with all columns as text.

    Raises:
        UserError: the file cannot be read, is not a table, or has no rows.
    """
    try:
        # Every column is read as text, so that a group 007 stays 007.
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
        raise UserError(f"{str(path)!r} has no rows", "add one row per image with path and label")
    return frame


def scan_table(path: Path, group_column: str | None = None) -> ImageTable:
    """Return the table of images of a file; its paths are absolute, or relative to the folder of the file.

    Unknown columns are kept after the known ones. A column status is ignored, since the files are read again. The
    ``table.csv`` of a run is accepted too; its paths are relative to the images of that run.

    Args:
        path: a CSV or Parquet file with the columns path and label.
        group_column: the column with the groups; None uses a column named ``group`` if there is one.

    Raises:
        UserError: a column is missing or empty, a path or label is missing, a path occurs twice, a split has another
            name, or no path refers to a file.
    """
    frame = read_frame(path)
    for column in ("path", "label"):
        if column not in frame.columns:
            found = ", ".join(repr(name) for name in frame.columns)
            raise UserError(
                f"{path.name!r} has no column {column!r} (found: {found})", f"rename the column with the {column}"
            )
    if group_column is not None and group_column not in frame.columns:
        raise UserError(f"{path.name!r} has no column {group_column!r}", nearest(group_column, frame.columns))
    if group_column is not None and _groups(frame, group_column).null_count() == frame.height:
        raise UserError(f"the column {group_column!r} of {path.name!r} is empty", "fill it in, or give another column")
    group_column = group_column or ("group" if "group" in frame.columns else None)
    frame = frame.with_columns(_with_slashes(frame["path"], path).str.strip_prefix("./"))
    for column in ("path", "label"):
        empty = (frame[column].fill_null("") == "").arg_true()
        if len(empty):
            raise UserError(f"{path.name!r} has no {column} in line {empty[0] + 2}", "fill it in, or remove the line")
    repeated = frame.filter(pl.col("path").is_duplicated())["path"]
    if len(repeated):
        raise UserError(f"{path.name!r} lists {repeated[0]!r} more than once", "keep one row per image")
    root, groups = _root(path), _groups(frame, group_column)
    table = pl.DataFrame(
        {
            "path": frame["path"],
            "label": frame["label"],
            "group": groups,
            "split": _splits(frame, path),
            "status": [STATUS_OK] * frame.height,
        },
        schema=SCHEMA,
    )
    table = pl.concat([table, frame.drop(*SCHEMA, strict=False)], how="horizontal").sort("path")
    classes = tuple(sorted(set(table["label"].to_list())))
    grouped_by = f"column {group_column!r}" if groups.null_count() < frame.height else None
    name = path.parent.absolute().name if path.stem in ("table", "leaves", "labels") else path.stem
    result = ImageTable(table, Files(root), name, classes, grouped_by)
    if not any(result.source.stamp(image)[0] >= 0 for image in result.paths):
        raise UserError(
            f"no file listed in {path.name!r} exists, for example {table['path'][0]!r} below {str(root)!r}",
            "write paths relative to the folder of the table",
        )
    return result


def is_labeled_table(path: Path) -> bool:
    """Return whether a file is a table with the columns path and label, and not a result of `predict`."""
    if path.suffix.lower() not in TABLE_EXTENSIONS or path.name.startswith("."):
        return False
    try:
        columns = read_frame(path).columns
    except UserError:
        return False
    return "path" in columns and "label" in columns and "predicted" not in columns


def _groups(frame: pl.DataFrame, column: str | None) -> pl.Series:
    """Return the groups in a column, null for empty or blank cells."""
    if column is None:
        return pl.Series([None] * frame.height, dtype=pl.String)
    return frame[column].set(frame[column].str.strip_chars() == "", None)


def _with_slashes(paths: pl.Series, table: Path) -> pl.Series:
    r"""Return paths with ``\`` (written on Windows) replaced by ``/``, unless a file of exactly that name exists."""
    root = _root(table)
    return pl.Series(
        "path",
        [
            path.replace("\\", "/") if path and "\\" in path and not (root / path).is_file() else path
            for path in paths.to_list()
        ],
        dtype=pl.String,
    )


def _splits(frame: pl.DataFrame, path: Path) -> list[str | None]:
    if "split" not in frame.columns:
        return [None] * frame.height
    splits: list[str | None] = []
    for line, name in enumerate(frame["split"].to_list(), start=2):
        if not name:
            splits.append(None)
        elif name.lower() in SPLIT_FOLDERS:
            splits.append(SPLIT_FOLDERS[name.lower()])
        else:
            raise UserError(
                f"{path.name!r} has the unknown split {name!r} in line {line}", "use 'train', 'validation' or 'test'"
            )
    return splits


def _root(path: Path) -> Path:
    """Return the folder that the paths of a table are relative to: its own, or for a run's table that in the audit."""
    run = Run(path.parent)
    if path.name == run.table_file.name and run.audit_file.is_file():
        try:
            root = str(json.loads(run.audit_file.read_text(encoding="utf-8"))["root"])
            return (run.folder / root).resolve()
        except (ValueError, KeyError) as error:
            raise UserError(f"{str(run.audit_file)!r} has no valid entry 'root'", "train again") from error
    return path.parent
