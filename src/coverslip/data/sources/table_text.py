"""Tables as programs and people write them: CSV with any separator and encoding, Excel and Parquet."""

from __future__ import annotations

import codecs
import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from coverslip.core.errors import UserError
from coverslip.core.tables import parse_csv, read_excel, read_parquet
from coverslip.data.columns import LABEL_NAMES, PATH_NAMES, key

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
TEXT_EXTENSIONS, EXCEL_EXTENSIONS = (".csv", ".tsv"), (".xlsx", ".xlsm")
TABLE_EXTENSIONS = (*TEXT_EXTENSIONS, ".parquet", *EXCEL_EXTENSIONS)
DECIMAL = re.compile(r"[+-]?\d+(,\d+)?")
THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})*")


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table with all columns as text.

    Attributes:
        frame: the columns, under their names in the file.
        lines: line number of each row in the file.
        notes: remarks on how the file was read.
    """

    frame: pl.DataFrame
    lines: list[int]
    notes: tuple[str, ...] = ()


def read_table(path: Path) -> TextTable:
    """Read a table by its extension: CSV, TSV, Excel or Parquet. Empty rows are skipped.

    Raises:
        UserError: the file cannot be read, is not a table, or has no rows.
    """
    suffix = path.suffix.lower()
    try:
        if suffix in (".parquet", *EXCEL_EXTENSIONS):
            read = _as_text(read_parquet(path) if suffix == ".parquet" else _read_excel(path))
        else:
            read = _read_text(path)
    except OSError as error:
        raise UserError(f"cannot read {str(path)!r}: {error.strerror or error}", "check the path") from error
    except pl.exceptions.PolarsError as error:
        first = str(error).splitlines()[0]
        raise UserError(
            f"{str(path)!r} is not a table: {first}", "save it as CSV with commas, or as Parquet"
        ) from error
    read = _without_empty_rows(read)
    if read.frame.height == 0:
        raise UserError(f"{str(path)!r} has no rows", "add one row per image with path and label")
    return read


def _as_text(frame: pl.DataFrame) -> TextTable:
    """Return a typed table as text; columns of floats that hold only integers become integers, NaN becomes null."""
    columns = []
    for column in frame.iter_columns():
        converted = column
        if column.dtype.is_float():
            numbers = column.fill_nan(None)
            whole = key(column.name) in LABEL_NAMES and bool((numbers.drop_nulls() % 1 == 0).all())
            converted = numbers.cast(pl.Int64) if whole else numbers
        columns.append(converted.cast(pl.String))
    return TextTable(pl.DataFrame(columns), list(range(2, frame.height + 2)))


def _read_excel(path: Path) -> pl.DataFrame:
    try:
        return read_excel(path)
    except ImportError as error:
        raise UserError(
            f"{path.name!r} is an Excel workbook, and the package fastexcel, which reads it, is not installed",
            "pip install 'coverslip[excel]', or save the sheet as 'CSV UTF-8'",
        ) from error
    except OSError:
        raise
    except Exception as error:  # fastexcel has exceptions of its own for files that are no workbook
        raise UserError(
            f"{str(path)!r} is not a table: {str(error).splitlines()[0]}", "save the sheet as 'CSV UTF-8'"
        ) from error


def _read_text(path: Path) -> TextTable:
    text, notes = _decode(path)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = text.split("\n")
    separator, start = "", 0
    while start < len(lines) and _is_before_header(lines[start]):
        declared = re.fullmatch(r"sep=(.)", lines[start].strip("\n "), re.IGNORECASE)  # Excel's first line
        separator = declared[1] if declared else separator
        start += 1
    if start == len(lines):
        raise UserError(f"{str(path)!r} is not a table: it has no header", "write a first line 'path,label'")
    separator = separator or ("\t" if path.suffix.lower() == ".tsv" and "\t" in lines[start] else "")
    separator = separator or _separator(path, lines[start])
    content = "\n".join(lines[start:])
    try:
        frame = parse_csv(content.encode(), separator)
    except pl.exceptions.PolarsError as error:
        raise _ragged(path, content, separator, start + 1) or error from error
    if separator != "," and path.suffix.lower() == ".csv":
        notes.append(f"the columns of {path.name!r} are separated by {SEPARATORS.get(separator, repr(separator))}")
    if separator != ",":
        frame, changed = _with_decimal_points(frame)
        notes += [f"decimal commas in the column {name!r} were read as decimal points" for name in changed]
    first = start + 2
    return TextTable(frame, list(range(first, first + frame.height)), tuple(notes))


def _decode(path: Path) -> tuple[str, list[str]]:
    """Return the text of a file: UTF-8, UTF-16 with a byte order mark, or else Windows-1252, with a note."""
    content = path.read_bytes()
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encodings = ["utf-16"]
    else:
        encodings = ["utf-8-sig"] if b"\0" in content else ["utf-8-sig", "cp1252"]
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if encoding != "cp1252":
            return text, []
        word = next(found for found in re.findall(r"[^\s,;|\"]+", text) if not found.isascii())
        return text, [f"{path.name!r} is not UTF-8 and was read as Windows-1252 (Latin-1), for example {word!r}"]
    raise UserError(
        f"{str(path)!r} is not a table: it is not text in UTF-8", "save it as CSV in UTF-8 ('CSV UTF-8' in Excel)"
    )


def _is_before_header(line: str) -> bool:
    """Return whether a line at the top is blank, a comment, or Excel's ``sep=;``."""
    text = line.strip()
    if not text.startswith("#"):
        return text == "" or re.fullmatch("sep=.", text, re.IGNORECASE) is not None
    names = {key(name) for name in re.split(r"[,;\t|]", text)}
    return not (names & set(PATH_NAMES) and names & set(LABEL_NAMES))  # '#,path,label' is a header


def _separator(path: Path, header: str) -> str:
    """Return the separator of a header line: the one that gives columns for path and label, else the only one."""
    columns = {separator: next(csv.reader([header], delimiter=separator)) for separator in SEPARATORS}
    columns = {separator: names for separator, names in columns.items() if len(names) > 1}
    for separator, names in columns.items():
        keys = {key(name) for name in names}
        if keys & set(PATH_NAMES) and keys & set(LABEL_NAMES):
            return separator
    if len(columns) > 1 and "," not in columns:
        listed = " and ".join(SEPARATORS[separator] for separator in columns)
        raise UserError(f"the header of {path.name!r} contains {listed}: {header!r}", "save it as CSV with commas")
    return "," if "," in columns else next(iter(columns), ",")


def _ragged(path: Path, content: str, separator: str, first: int) -> UserError | None:
    """Return an error that names the first row with more cells than the header; None if there is none."""
    rows = csv.reader(io.StringIO(content), delimiter=separator)
    width = len(next(rows, []))
    for row in rows:
        if width and len(row) > width:
            line = first + rows.line_num - 1
            return UserError(
                f"{str(path)!r} is not a table: line {line} has {len(row)} cells, and the header has {width}",
                f"remove the extra cells, or put cells that contain {separator!r} in quotes",
            )
    return None


def _with_decimal_points(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """Return a table whose cells such as ``0,75`` have a decimal point, and the names of these columns.

    A column stays text if its commas may separate thousands.
    """
    changed = []
    for column in frame.iter_columns():
        values = [value for value in column.unique().to_list() if value]
        numbers = bool(values) and all(DECIMAL.fullmatch(value.strip()) for value in values)
        if not numbers or all(THOUSANDS.fullmatch(value.strip()) or "," not in value for value in values):
            continue
        frame = frame.with_columns(column.str.replace(",", "."))
        changed.append(column.name)
    return frame, changed


def _without_empty_rows(read: TextTable) -> TextTable:
    """Return a table without rows whose cells are all empty, and without comment lines below the header."""
    frame = read.frame
    if frame.height == 0 or frame.width == 0:
        return read
    filled = [column.fill_null("").str.strip_chars() != "" for column in frame.iter_columns()]
    used = pl.DataFrame(filled).select(pl.any_horizontal(pl.all())).to_series()
    if frame.width > 1:
        alone = ~pl.DataFrame(filled[1:]).select(pl.any_horizontal(pl.all())).to_series()
        used &= ~(frame.to_series(0).fill_null("").str.starts_with("#") & alone)
    if used.all():
        return read
    lines = [line for line, keep in zip(read.lines, used.to_list(), strict=True) if keep]
    return TextTable(frame.filter(used), lines, read.notes)
