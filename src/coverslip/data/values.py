"""Numbers in the target columns of a table, for regression."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import polars as pl

from coverslip.core.errors import UserError
from coverslip.core.registry import nearest
from coverslip.data.columns import named
from coverslip.data.missing import is_missing, places

DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
PERCENT = re.compile(r"[+-]?\d+([.,]\d+)?\s*%")
MIN_VALUES = 2  # different values of a target


def read_values(
    frame: pl.DataFrame, targets: Sequence[str], lines: Sequence[int], where: str, *, leave_out: bool = False
) -> dict[str, list[float | None]]:
    """Read the target columns of a table as numbers.

    Args:
        frame: the table, all text.
        targets: names of the columns.
        lines: line number of each row, for messages.
        where: name of the file.
        leave_out: read missing values as None, instead of refusing them.

    Returns:
        The values of each column, under the name that it has in the table.

    Raises:
        UserError: a column does not exist, or a cell is no finite number; the lines are listed.
    """
    values: dict[str, list[float | None]] = {}
    for target in targets:
        column = named(frame.columns, target)
        if column is None:
            raise UserError(f"{where} has no column {target!r}", nearest(target, frame.columns))
        values[column] = _numbers(frame[column].to_list(), lines, f"the column {column!r} of {where}", leave_out)
    return values


def _numbers(cells: Sequence[str | None], lines: Sequence[int], column: str, leave_out: bool) -> list[float | None]:
    """Return the numbers of a column; None for missing values that are left out."""
    texts = ["" if is_missing(cell) else str(cell).strip() for cell in cells]
    missing = [row for row, text in enumerate(texts) if not text]
    if len(missing) == len(texts):
        raise UserError(f"{column} is empty", "name a column of numbers with --target")
    if missing and not leave_out:
        raise UserError(
            f"{column} has no value in {places([lines[row] for row in missing])}",
            "fill in the values, or leave these images out with --leave-out nan",
        )
    found: list[float | None] = []
    wrong: list[int] = []
    for row, text in enumerate(texts):
        try:
            if "_" in text:  # Python would read 1_000 as 1000
                raise ValueError(text)
            found.append(float(text) if text else None)
        except ValueError:
            found.append(None)
            wrong.append(row)
    if wrong:
        where, example = places([lines[row] for row in wrong]), texts[wrong[0]]
        fix = "give a column of numbers, or correct these cells"
        if all(DECIMAL_COMMA.fullmatch(texts[row]) for row in wrong):
            fix = "write a decimal point instead of the comma, for example " + example.replace(",", ".")
        elif all(PERCENT.fullmatch(texts[row]) for row in wrong):
            fix = "remove the percent signs; if some cells are fractions, use one unit for all"
        raise UserError(f"{column} has no number in {where}, for example {example!r}", fix)
    infinite = [row for row, value in enumerate(found) if value is not None and not math.isfinite(value)]
    if infinite:
        listed = places([lines[row] for row in infinite])
        raise UserError(f"{column} has infinite values in {listed}", "correct these cells, or remove the rows")
    if len({value for value in found if value is not None}) < MIN_VALUES:
        value = next(value for value in found if value is not None)
        raise UserError(f"all values of {column} are {value:g}", "a regression needs different values")
    return found
