"""Readers and writers of table files. No other module calls those of polars, which treat a path as a pattern.

Given text, polars replaces ``~`` by the home folder and reads ``[``, ``*`` and ``?`` as wildcards. It is therefore
given open files here, so that a path refers to the file with exactly that name.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import polars as pl


def read_csv(path: Path, *, columns: Sequence[str] | None = None, text: bool = False) -> pl.DataFrame:
    """Read a CSV file.

    Args:
        path: path of the file.
        columns: names of the columns to read; None reads all.
        text: keep every column as text; otherwise types are inferred from all rows.

    Raises:
        OSError: the file cannot be read.
        polars.exceptions.PolarsError: the file is not a table, or a column is missing.
    """
    with path.open("rb") as file:
        return pl.read_csv(file, columns=columns, infer_schema=not text, infer_schema_length=None)


def parse_csv(content: bytes, separator: str) -> pl.DataFrame:
    """Return a table of text columns from the content of a CSV file; a blank line is a row of nulls.

    Args:
        content: UTF-8 text with a header line.
        separator: the character between cells.

    Raises:
        polars.exceptions.PolarsError: a row has more cells than the header, or there is no header.
    """
    return pl.read_csv(io.BytesIO(content), separator=separator, infer_schema=False)


def read_excel(path: Path) -> pl.DataFrame:
    """Read the first sheet of an Excel workbook.

    Raises:
        OSError: the file cannot be read.
        ImportError: the package fastexcel is not installed.
        Exception: the file is not a workbook (an exception of fastexcel).
    """
    with path.open("rb") as file:
        return pl.read_excel(io.BytesIO(file.read()), infer_schema_length=None)


def read_parquet(path: Path) -> pl.DataFrame:
    """Read a Parquet file.

    Raises:
        OSError: the file cannot be read.
        polars.exceptions.PolarsError: the file is not Parquet.
    """
    with path.open("rb") as file:
        return pl.read_parquet(file)


def write_csv(frame: pl.DataFrame, path: Path, *, decimals: int | None = None) -> None:
    """Write a CSV file; an existing file is replaced.

    Args:
        frame: the table.
        path: path of the file.
        decimals: digits after the decimal point of floating-point numbers; None writes as many as needed.
    """
    with path.open("wb") as file:
        frame.write_csv(file, float_precision=decimals)


def csv_text(frame: pl.DataFrame, *, decimals: int | None = None, header: bool = True) -> str:
    """Return the text that `write_csv` writes, with or without the header line."""
    return frame.write_csv(float_precision=decimals, include_header=header)


def write_parquet(frame: pl.DataFrame, path: Path) -> None:
    """Write a Parquet file; an existing file is replaced."""
    with path.open("wb") as file:
        frame.write_parquet(file)
