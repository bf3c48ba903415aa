"""Words that stand for a missing value in a label, a group or a split."""

from __future__ import annotations

import re
from collections.abc import Sequence

MISSING_WORDS = frozenset({"", "nan", "na", "n/a", "<na>", "none", "null", "#n/a"})
"""Cells that pandas, spreadsheets and databases write for a missing value, in lower case."""
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
SHOWN = 6  # lines that a message lists


def is_missing(cell: str | None) -> bool:
    """Return whether a cell is empty or holds a word for a missing value.

    >>> is_missing(" NaN "), is_missing(None), is_missing("-1"), is_missing("nancy")
    (True, True, False, False)
    """
    return cell is None or cell.strip().lower() in MISSING_WORDS


def missing_rows(cells: Sequence[str | None]) -> list[int]:
    """Return the positions of missing values.

    In a column of numbers, -1 stands for a missing value too, unless the only other number is 1 (two classes).

    >>> missing_rows(["rust", "nan", None]), missing_rows(["0", "-1", "2"]), missing_rows(["-1", "1"])
    ([1, 2], [1], [])
    """
    different = set(cells)
    words = {cell for cell in different if is_missing(cell)}
    values = {cell.strip() for cell in different if cell is not None and cell not in words}
    if all(NUMBER.fullmatch(value) for value in values) and {float(value) for value in values} != {-1.0, 1.0}:
        words |= {cell for cell in different - words if cell is not None and float(cell) == -1.0}
    return [position for position, cell in enumerate(cells) if cell in words] if words else []


def places(numbers: Sequence[int], word: str = "line") -> str:
    """Return line numbers as text.

    >>> places([7]), places([2, 4, 5]), places(list(range(2, 40)))
    ('line 7', 'lines 2, 4 and 5', 'lines 2, 3, 4, 5, 6, 7 and 32 others')
    """
    if len(numbers) == 1:
        return f"{word} {numbers[0]}"
    if len(numbers) <= SHOWN:
        return f"{word}s {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"
    rest = len(numbers) - SHOWN
    return f"{word}s {', '.join(map(str, numbers[:SHOWN]))} and {rest} other{'s' if rest > 1 else ''}"
