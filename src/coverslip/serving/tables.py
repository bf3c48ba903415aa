"""Answers as a CSV table, with the same columns as `coverslip predict` where the service has them."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from coverslip.serving.schemas import AnyAnswer, Model
from coverslip.serving.task_answers import cells_of, columns_of
from coverslip.tasks.task import SEPARATOR

TRAILING_COLUMNS = ("familiar", "unfamiliarity", "nearest_labels", "error")
FORMULA_PREFIXES = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would evaluate a cell that begins with one of these


def to_csv(answers: Sequence[AnyAnswer], model: Model) -> str:
    """Return a CSV table (RFC 4180) of the answers of a model, with a header and one row per image."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(["path", *columns_of(model), *TRAILING_COLUMNS])
    for answer in answers:
        row: list[object] = [escape_formula(answer.file)]
        row += [_number(cell) if isinstance(cell, float) else cell for cell in cells_of(answer, model)]
        row += [None if answer.familiar is None else str(answer.familiar).lower(), _number(answer.unfamiliarity)]
        row += [SEPARATOR.join(neighbor.label for neighbor in answer.nearest), answer.error]
        writer.writerow(row)
    return text.getvalue()


def escape_formula(name: str) -> str:
    """Return a file name that a spreadsheet does not evaluate as a formula.

    >>> escape_formula("=1+1.jpg"), escape_formula("leaf.jpg")
    ("'=1+1.jpg", 'leaf.jpg')
    """
    return f"'{name}" if name.startswith(FORMULA_PREFIXES) else name


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"
