"""Groups: pictures of one leaf, patient or slide, which must never be on both sides of a split."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from pathlib import PurePosixPath

from coverslip.data.table import ImageTable
from coverslip.errors import UserError

PARENT = "parent"


def group_table(table: ImageTable, by: str) -> ImageTable:
    """Fill in the groups.

    Args:
        table: a table of pictures.
        by: ``parent`` (the folder a picture lies in), or a regular expression that is searched in the path: what its
            first parentheses hold is the group, or the whole match where there are none. Pictures without a match
            are groups of their own, and a note says how many.

    Raises:
        UserError: not a regular expression, or one that matches no path.
    """
    if by == PARENT:
        groups: list[str | None] = [str(PurePosixPath(path).parent) for path in table.paths]
        if set(groups) <= set(table.classes):
            raise UserError(
                "--group parent: the parent folder of every picture is its class folder, so classes cannot be split",
                "put a folder a leaf (patient, slide) inside the class folders, or give a pattern or a column",
            )
        return table.with_columns(group=groups)
    try:
        pattern = re.compile(by)
    except re.error as error:
        raise UserError(f"--group {by!r} is not a regular expression: {error}", "for example '(leaf\\d+)_'") from error
    matches = [pattern.search(path) for path in table.paths]
    if not any(matches):
        raise UserError(
            f"--group {by!r} matches no path, for example not {table.paths[0]!r}",
            "give a column of the table, a regular expression such as '(leaf\\d+)_', or 'parent'",
        )
    named = [None if match is None else match.group(1 if pattern.groups else 0) for match in matches]
    lonely = named.count(None)
    table = table.with_columns(group=named)
    if lonely:
        table = table.noting(f"{lonely} of {len(named)} paths do not match --group {by!r}: each is its own group")
    return table


def join_groups(groups: Sequence[str], twins: Sequence[Hashable | None]) -> list[str]:
    """Join groups that share a picture: rows with one and the same ``twins`` value end up in one group.

    The joined group carries the name that sorts first.

    >>> join_groups(["a", "b", "c", "d"], [1, 1, None, 2])
    ['a', 'a', 'c', 'd']
    """
    parent = {name: name for name in groups}

    def find(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    first: dict[Hashable, str] = {}
    for group, twin in zip(groups, twins, strict=True):
        if twin is None:
            continue
        low, high = sorted((find(group), find(first.setdefault(twin, group))))
        parent[high] = low
    return [find(name) for name in groups]


def join_twins(table: ImageTable, hashes: Sequence[Hashable | None]) -> tuple[ImageTable, list[list[int]]]:
    """Put exact copies (the same decoded pixels under several names) into one group.

    Args:
        table: a table of pictures.
        hashes: for every row what its decoded pixels are known by; None for one that cannot be read.

    Returns:
        The table, with a group for every row that has a twin; and the rows of each set of twins.
    """
    sets: dict[Hashable, list[int]] = {}
    for row, value in enumerate(hashes):
        if value is not None:
            sets.setdefault(value, []).append(row)
    twins = [rows for rows in sets.values() if len(rows) > 1]
    if not twins:
        return table, []
    everyone = range(len(table))
    given = table.frame["group"].to_list()
    before = table.groups(list(everyone))
    joined = join_groups(before, hashes)
    touched = {row for rows in twins for row in rows}
    groups = [joined[row] if row in touched or joined[row] != before[row] else given[row] for row in everyone]
    return table.with_columns(group=groups), twins
