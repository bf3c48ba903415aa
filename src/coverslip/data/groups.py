"""Groups of images of one leaf, patient or slide, which must stay in one split."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace

import polars as pl

from coverslip.core.errors import UserError
from coverslip.data.columns import named
from coverslip.data.missing import missing_rows
from coverslip.data.shots import numbered_runs, time_runs
from coverslip.data.table import ImageTable

PARENT, SHOTS, BURST = "parent", "shots:", "burst:"
EXAMPLES = "give a column of the table, a regular expression such as '(leaf\\d+)_', 'parent', 'shots:6' or 'burst:10'"


def group_table(table: ImageTable, by: str) -> ImageTable:
    """Return the table with its groups, and with ``grouped_by`` set.

    Args:
        table: a table of images.
        by: see `read_group_names`; or ``burst:SECONDS``, of which only the syntax is checked here, since times are
            known once the files have been read (`group_by_time` assigns these groups).

    Raises:
        UserError: ``by`` is none of these, or matches no image.
    """
    if _is_burst(table, by):
        empty = table.with_columns(group=[None] * len(table))
        return replace(empty, grouped_by=f"EXIF times at most {parse_seconds(by):g} s apart")
    names = read_group_names(table, by)
    if by == PARENT and set(names) <= set(table.classes):
        raise UserError(
            "--group parent: the parent folder of every image is its class folder, so every class would be one group",
            "make one folder per leaf (patient, slide) inside the class folders, or give a pattern or a column",
        )
    table = replace(table.with_columns(group=names), grouped_by=_source(table, by))
    return note_ungrouped(table, f"--group {by!r} matches nothing in their paths")


def fill_in_time_groups(table: ImageTable, facts: pl.DataFrame, by: str) -> ImageTable:
    """Return the table with the groups of ``burst:SECONDS`` assigned; for any other ``by`` it is returned unchanged.

    Args:
        table: the table from `group_table`.
        facts: the columns ``camera`` and ``taken`` of the same rows.
        by: the argument of `group_table`.

    Raises:
        UserError: no image has a time.
    """
    return group_by_time(table, facts, parse_seconds(by)) if _is_burst(table, by) else table


def _is_burst(table: ImageTable, by: str) -> bool:
    """Return whether groups come from times; a column of that name takes precedence."""
    return by.startswith(BURST) and by not in table.extra_columns


def _source(table: ImageTable, by: str) -> str:
    if by in table.extra_columns:
        return f"column {by!r}"
    if by == PARENT:
        return "parent folder"
    return f"shot numbers at most {parse_gap(by)} apart" if by.startswith(SHOTS) else f"pattern {by!r}"


def note_ungrouped(table: ImageTable, why: str) -> ImageTable:
    """Return the table with a note on how many images have no group; ``why`` states the reason."""
    ungrouped = table.frame["group"].null_count()
    note = f"{ungrouped} of {len(table)} images have no group ({why}); each of them counts as a group by itself"
    return table.with_notes(note) if ungrouped else table


def read_group_names(table: ImageTable, by: str) -> list[str | None]:
    """Return the group name of each image; None for an image without one.

    Args:
        table: a table of images.
        by: a further column of the table; ``parent`` (the folder of the image); ``shots:K`` (runs of images whose
            numbers are at most K apart, see `numbered_runs`); or a regular expression that is searched in the path.
            The name is the first group of the expression, or the whole match if it has no group.

    Raises:
        UserError: K is not a positive integer, or the regular expression is invalid or matches no path.
    """
    by = named(table.extra_columns, by) or by
    if by in table.extra_columns:
        names = table.frame[by].to_list()
        for row in missing_rows(names):
            names[row] = None
        return names
    if by == PARENT:
        return [path.rpartition("/")[0] or "." for path in table.paths]
    if by.startswith(SHOTS):
        names = numbered_runs(table, parse_gap(by))
        if names.count(None) == len(names):
            raise UserError(f"{by!r}: no file name contains a number, for example {table.paths[0]!r}", EXAMPLES)
        return names
    closest = difflib.get_close_matches(by, table.extra_columns, n=1)
    try:
        pattern = re.compile(by)
    except re.error as error:
        hint = f"did you mean the column {closest[0]!r}?" if closest else "give for example '(leaf\\d+)_'"
        raise UserError(f"{by!r} is not a regular expression: {error}", hint) from error
    matches = [pattern.search(path) for path in table.paths]
    if not any(matches):
        raise UserError(
            f"{by!r} is not a column and matches no path, for example {table.paths[0]!r}",
            f"did you mean the column {closest[0]!r}?" if closest else EXAMPLES,
        )
    return [None if match is None else match.group(1 if pattern.groups else 0) or None for match in matches]


def group_by_time(table: ImageTable, facts: pl.DataFrame, seconds: float) -> ImageTable:
    """Return the table with the groups of ``--group burst:SECONDS``.

    Args:
        table: the images.
        facts: the columns ``camera`` and ``taken`` of the same rows.
        seconds: maximum time between two successive images of a group, which share camera and class.

    Raises:
        UserError: no image has a time.
    """
    names = time_runs(table.frame["label"].to_list(), facts, seconds)
    if names.count(None) == len(names):
        raise UserError(f"--group {BURST}{seconds:g}: no image has an EXIF time", EXAMPLES)
    table = replace(table.with_columns(group=names), grouped_by=f"EXIF times at most {seconds:g} s apart")
    return note_ungrouped(table, "no EXIF time")


def parse_gap(by: str) -> int:
    """Return the number in ``shots:6``.

    Raises:
        UserError: it is not an integer of 1 or more.
    """
    number = by.removeprefix(SHOTS)
    if not re.fullmatch("[1-9][0-9]{0,8}", number):
        raise UserError(f"{by!r} has no valid gap between shot numbers", "give for example 'shots:6'")
    return int(number)


def parse_seconds(by: str) -> float:
    """Return the number in ``burst:10``.

    Raises:
        UserError: it is not a finite number of 0 or more.
    """
    try:
        seconds = float(by.removeprefix(BURST))
    except ValueError:
        seconds = -1.0
    if not (math.isfinite(seconds) and seconds >= 0):
        raise UserError(f"{by!r} has no valid number of seconds", "give for example 'burst:10'")
    return seconds


def join_sets(table: ImageTable, sets: Sequence[Sequence[int]]) -> ImageTable:
    """Join the groups of the images in each set; sets that share an image or a group are joined too.

    Args:
        table: a table of images.
        sets: row numbers that belong together, such as the duplicates of one image.

    Returns:
        The table with a group for every row in a set or in a joined group; the other rows are unchanged.
    """
    all_rows = range(len(table))
    before, original = table.groups(list(all_rows)), table.frame["group"].to_list()
    duplicates = [rows for rows in sets if len(rows) > 1]
    joined = _joined(before, [[before[row] for row in rows] for rows in duplicates])
    affected = {row for rows in duplicates for row in rows}
    groups = [joined[row] if row in affected or joined[row] != before[row] else original[row] for row in all_rows]
    return table.with_columns(group=groups)


def join_groups(groups: Sequence[str], keys: Sequence[Hashable | None]) -> list[str]:
    """Join groups that share a key: rows with equal ``keys`` end up in one group.

    A joined group gets the name that sorts first.

    Args:
        groups: group name of each of N rows.
        keys: key of each row, such as the content of its image or its site; None joins nothing.

    >>> join_groups(["a", "b", "c", "d"], [1, 1, None, 2])
    ['a', 'a', 'c', 'd']
    """
    sets: dict[Hashable, list[str]] = {}
    for group, key in zip(groups, keys, strict=True):
        if key is not None:
            sets.setdefault(key, []).append(group)
    return _joined(groups, sets.values())


def _joined(groups: Sequence[str], sets: Iterable[Sequence[str]]) -> list[str]:
    """Return, for each group, the first name in its connected component; sets of names are edges (union-find)."""
    parent = {name: name for name in groups}

    def find(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for names in sets:
        for name in names[1:]:
            low, high = sorted((find(names[0]), find(name)))
            parent[high] = low
    return [find(name) for name in groups]
