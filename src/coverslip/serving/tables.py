"""Answers as a table for a spreadsheet: the columns of `coverslip predict`, as far as the service tells them."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from coverslip.inference.trust import BETWEEN
from coverslip.serving.schemas import Answer

BEHIND = ("set", "familiar", "unfamiliarity", "nearest_labels", "error")
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would compute instead of showing


def to_csv(answers: Sequence[Answer], classes: Sequence[str]) -> str:
    """A head, and a row an image; CSV as RFC 4180 has it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    columns = [f"p:{name}" for name in classes]
    writer.writerow(["path", "predicted", "confidence", *columns, *BEHIND])
    for each in answers:
        probabilities = each.probabilities or {}
        row: list[object] = [plain(each.file), each.label, _number(each.confidence)]
        row += [_number(probabilities.get(name)) for name in classes]
        row += [None if each.members is None else BETWEEN.join(each.members)]
        row += [None if each.familiar is None else str(each.familiar).lower(), _number(each.unfamiliarity)]
        row += [BETWEEN.join(neighbor.label for neighbor in each.nearest), each.error]
        writer.writerow(row)
    return text.getvalue()


def plain(name: str) -> str:
    """A file's name that no spreadsheet takes for a formula.

    >>> plain("=1+1.jpg"), plain("leaf.jpg")
    ("'=1+1.jpg", 'leaf.jpg')
    """
    return f"'{name}" if name.startswith(FORMULA) else name


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"
