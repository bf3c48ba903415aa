"""Tables in files. No other module calls the readers and writers of polars: they take a path for a pattern.

Given text, polars replaces ``~`` by the home folder and reads ``[``, ``*`` and ``?`` as wildcards. It is therefore
given files that are open already, and a path leads to the file of exactly that name or to none.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl


def read_csv(path: Path, *, columns: Sequence[str] | None = None, text: bool = False) -> pl.DataFrame:
    """Read a CSV file.

    Args:
        path: of the file.
        columns: names of those that are read; all of them without it.
        text: keep every column as text; else types are inferred from all rows.

    Raises:
        OSError: the file cannot be read.
        polars.exceptions.PolarsError: it is not a table, or lacks a column.
    """
    with path.open("rb") as file:
        return pl.read_csv(file, columns=columns, infer_schema=not text, infer_schema_length=None)


def read_parquet(path: Path) -> pl.DataFrame:
    """Read a Parquet file.

    Raises:
        OSError: the file cannot be read.
        polars.exceptions.PolarsError: it is not Parquet.
    """
    with path.open("rb") as file:
        return pl.read_parquet(file)


def write_csv(frame: pl.DataFrame, path: Path, *, decimals: int | None = None) -> None:
    """Write a CSV file; one that exists is replaced.

    Args:
        frame: the table.
        path: of the file.
        decimals: of floating-point numbers; without it as many as a number needs.
    """
    with path.open("wb") as file:
        frame.write_csv(file, float_precision=decimals)


def csv_text(frame: pl.DataFrame, *, decimals: int | None = None, header: bool = True) -> str:
    """Return what `write_csv` writes as text, with or without the line of names."""
    return frame.write_csv(float_precision=decimals, include_header=header)


def write_parquet(frame: pl.DataFrame, path: Path) -> None:
    """Write a Parquet file; one that exists is replaced."""
    with path.open("wb") as file:
        frame.write_parquet(file)
