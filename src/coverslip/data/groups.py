"""Groups: images of one leaf, patient or slide, which must never be on both sides of a split."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace

import polars as pl

from coverslip.core.errors import UserError
from coverslip.data.shots import shot_runs, time_runs
from coverslip.data.table import ImageTable

PARENT, SHOTS, BURST = "parent", "shots:", "burst:"
EXAMPLE = "give a column of the table, a regular expression such as '(leaf\\d+)_', 'parent', 'shots:6' or 'burst:10'"


def group_table(table: ImageTable, by: str) -> ImageTable:
    """Fill in the groups, and say what they come from.

    Args:
        table: a table of images.
        by: see `read_names`; or ``burst:SECONDS``, which is only checked here, since times are known once the files
            have been read: `group_by_time` fills those groups in.

    Raises:
        UserError: it is none of these, or fits no image.
    """
    if _is_burst(table, by):
        empty = table.with_columns(group=[None] * len(table))
        return replace(empty, grouped_by=f"EXIF times at most {seconds_of(by):g} s apart")
    names = read_names(table, by)
    if by == PARENT and set(names) <= set(table.classes):
        raise UserError(
            "--group parent: the parent folder of every image is its class folder, so classes cannot be split",
            "put a folder a leaf (patient, slide) inside the class folders, or give a pattern or a column",
        )
    table = replace(table.with_columns(group=names), grouped_by=_source(table, by))
    return note_lonely(table, f"which --group {by!r} does not name")


def fill_in_times(table: ImageTable, facts: pl.DataFrame, by: str) -> ImageTable:
    """The same table; with ``burst:SECONDS``, which `group_table` could only check, the groups are filled in.

    Args:
        table: from `group_table`.
        facts: of the same rows, with the columns ``camera`` and ``taken``.
        by: what `group_table` was given.

    Raises:
        UserError: no image says when it was taken.
    """
    return group_by_time(table, facts, seconds_of(by)) if _is_burst(table, by) else table


def _is_burst(table: ImageTable, by: str) -> bool:
    """A column that is really called so wins."""
    return by.startswith(BURST) and by not in table.further


def _source(table: ImageTable, by: str) -> str:
    if by in table.further:
        return f"column {by!r}"
    if by == PARENT:
        return "parent folder"
    return f"shot numbers at most {gap_of(by)} apart" if by.startswith(SHOTS) else f"pattern {by!r}"


def note_lonely(table: ImageTable, why: str) -> ImageTable:
    """Say how many images have no group; ``why`` begins with 'which'."""
    lonely = table.frame["group"].null_count()
    note = f"{lonely} of {len(table)} images, {why}, are each a group of their own"
    return table.noting(note) if lonely else table


def read_names(table: ImageTable, by: str) -> list[str | None]:
    """What each image belongs to; None where nothing says it.

    Args:
        table: a table of images.
        by: a further column of the table; ``parent`` (the folder an image lies in); ``shots:K`` (runs of shots whose
            numbers are at most K apart, see `shot_runs`); or a regular expression that is searched in the path: what
            its first parentheses hold is the name, or the whole match where there are none.

    Raises:
        UserError: a K that is no number, not a regular expression, or one that matches no path.
    """
    if by in table.further:
        column = table.frame[by]
        return column.set(column.str.strip_chars() == "", None).to_list()
    if by == PARENT:
        return [path.rpartition("/")[0] or "." for path in table.paths]
    if by.startswith(SHOTS):
        names = shot_runs(table, gap_of(by))
        if names.count(None) == len(names):
            raise UserError(f"{by!r}: no file name holds a number, for example not {table.paths[0]!r}", EXAMPLE)
        return names
    near = difflib.get_close_matches(by, table.further, n=1)
    try:
        pattern = re.compile(by)
    except re.error as error:
        hint = f"did you mean the column {near[0]!r}?" if near else "for example '(leaf\\d+)_'"
        raise UserError(f"{by!r} is not a regular expression: {error}", hint) from error
    matches = [pattern.search(path) for path in table.paths]
    if not any(matches):
        raise UserError(
            f"{by!r} is no column and matches no path, for example not {table.paths[0]!r}",
            f"did you mean the column {near[0]!r}?" if near else EXAMPLE,
        )
    return [None if match is None else match.group(1 if pattern.groups else 0) or None for match in matches]


def group_by_time(table: ImageTable, facts: pl.DataFrame, seconds: float) -> ImageTable:
    """Fill in the groups of ``--group burst:SECONDS``, once the files have been read.

    Args:
        table: the images.
        facts: columns ``camera`` and ``taken`` of the same rows.
        seconds: each image of a group is taken at most so long after the one before, by the same camera, of the
            same class.

    Raises:
        UserError: no image says when it was taken.
    """
    names = time_runs(table.frame["label"].to_list(), facts, seconds)
    if names.count(None) == len(names):
        raise UserError(f"--group {BURST}{seconds:g}: no image says when it was taken", EXAMPLE)
    table = replace(table.with_columns(group=names), grouped_by=f"EXIF times at most {seconds:g} s apart")
    return note_lonely(table, "which do not say when they were taken")


def gap_of(by: str) -> int:
    """The number in ``shots:6``.

    Raises:
        UserError: it is no whole number of 1 or more.
    """
    number = by.removeprefix(SHOTS)
    if not re.fullmatch("[1-9][0-9]{0,8}", number):
        raise UserError(f"{by!r} does not say how far apart shot numbers may be", "for example 'shots:6'")
    return int(number)


def seconds_of(by: str) -> float:
    """The number in ``burst:10``.

    Raises:
        UserError: it is no number of 0 or more.
    """
    try:
        seconds = float(by.removeprefix(BURST))
    except ValueError:
        seconds = -1.0
    if not (math.isfinite(seconds) and seconds >= 0):
        raise UserError(f"{by!r} does not say how many seconds apart images may be", "for example 'burst:10'")
    return seconds


def join_sets(table: ImageTable, sets: Sequence[Sequence[int]]) -> ImageTable:
    """Join the groups of the images of each set; sets that share an image or a group become one.

    Args:
        table: a table of images.
        sets: rows that belong together, such as the copies of one image.

    Returns:
        The table, with a group for every row of a set and of a group that was joined; others keep what they had.
    """
    everyone = range(len(table))
    before, given = table.groups(list(everyone)), table.frame["group"].to_list()
    twins = [rows for rows in sets if len(rows) > 1]
    joined = _joined(before, [[before[row] for row in rows] for rows in twins])
    touched = {row for rows in twins for row in rows}
    groups = [joined[row] if row in touched or joined[row] != before[row] else given[row] for row in everyone]
    return table.with_columns(group=groups)


def join_groups(groups: Sequence[str], twins: Sequence[Hashable | None]) -> list[str]:
    """Join groups that share an image: rows with one and the same ``twins`` value end up in one group.

    The joined group carries the name that sorts first.

    >>> join_groups(["a", "b", "c", "d"], [1, 1, None, 2])
    ['a', 'a', 'c', 'd']
    """
    sets: dict[Hashable, list[str]] = {}
    for group, twin in zip(groups, twins, strict=True):
        if twin is not None:
            sets.setdefault(twin, []).append(group)
    return _joined(groups, sets.values())


def _joined(groups: Sequence[str], sets: Iterable[Sequence[str]]) -> list[str]:
    """The name that sorts first among all that are chained to each group by these sets of names."""
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
