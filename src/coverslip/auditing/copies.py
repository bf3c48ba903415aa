"""Findings about twins: one image several times, under one label or under several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from coverslip.auditing.findings import Finding, together
from coverslip.auditing.twins import Twins
from coverslip.data.table import ImageTable


def judge_twins(table: ImageTable, twins: Twins) -> list[Finding]:
    """Findings about copies.

    Args:
        table: with status; a split only where one was given.
        twins: from `coverslip.auditing.twins.find_twins` on the same rows.
    """
    rows = table.rows()
    if any(len(same) == len(rows) > 1 for same in twins.exact):
        return [
            Finding(
                name="one-image",
                severity="blocks",
                title=f"all {len(rows):,} images are one and the same",
                meaning="There is nothing to tell apart.",
                remedy="Check how the images were written or copied.",
                rows=(tuple(rows),),
            )
        ]
    return [*_conflicts(table, twins), *_copies(table, twins)]


def judge_leaks(table: ImageTable, twins: Twins, groups: Sequence[Sequence[int]]) -> list[Finding]:
    """Findings about a split that was given: groups and copies on both sides.

    Args:
        table: with the given split.
        twins: as for `judge_twins`.
        groups: rows of each group that lies in more than one part (`coverslip.data.split.straddling`).
    """
    found = []
    remedy = "Move them to one part: --fix does it (to the part that has most of them)."
    if groups:
        count = "1 group is" if len(groups) == 1 else f"{len(groups):,} groups are"
        names = ", ".join(repr(table.groups([rows[0]])[0]) for rows in groups[:3])
        found.append(
            Finding(
                name="group-leak",
                severity="blocks",
                title=f"{count} in more than one part of the given split ({names}{', ...' if len(groups) > 3 else ''})",
                meaning="The model is tested on what it was trained on: the scores would be too high.",
                remedy=remedy,
                rows=together(groups),
            )
        )
    split = table.frame["split"]
    leaking = [rows for rows in twins.sets if split.gather(list(rows)).drop_nulls().n_unique() > 1]
    if leaking:
        found.append(
            Finding(
                name="copy-leak",
                severity="blocks",
                title=f"{sum(map(len, leaking)):,} images have a copy in another part of the given split",
                meaning="The model is tested on images that it was trained on: the scores would be too high.",
                remedy=remedy,
                rows=together(leaking),
            )
        )
    return found


def conflicts(table: ImageTable, twins: Twins) -> list[list[int]]:
    """Rows of each image that is filed under more than one class."""
    labels = table.frame["label"]
    return [rows for rows in twins.sets if labels.gather(list(rows)).n_unique() > 1]


def _conflicts(table: ImageTable, twins: Twins) -> Iterator[Finding]:
    sets = conflicts(table, twins)
    if sets:
        one = len(sets) == 1
        yield Finding(
            name="label-conflict",
            severity="blocks",
            title=f"{len(sets):,} {'image is' if one else 'images are'} filed under two classes at once",
            meaning="One of the two labels is wrong, and nobody can tell which from here.",
            remedy="Correct the labels by hand; until then --fix (or --drop label-conflict) leaves out both.",
            rows=together(sets),
        )


def _copies(table: ImageTable, twins: Twins) -> Iterator[Finding]:
    mixed = {row for rows in conflicts(table, twins) for row in rows}
    exact = [rows for rows in twins.exact if not mixed.intersection(rows)]
    if exact:
        yield Finding(
            name="exact-copies",
            severity="warns",
            title=f"{sum(map(len, exact)):,} images are exact copies of one another",
            meaning="Copies count one image several times. They share a group, so none is on both sides.",
            remedy="Nothing is needed; --fix keeps one of each.",
            rows=together(exact),
        )
    near = [(a, b) for a, b, _ in twins.near if not mixed.intersection((a, b))]
    if near:
        images = len({row for pair in near for row in pair})
        yield Finding(
            name="near-copies",
            severity="warns",
            title=f"{images:,} images are near copies of another (saved again, resized, cropped, mirrored, turned)",
            meaning="Near copies count one image several times. They share a group, so none is on both sides.",
            remedy="Nothing is needed; look at them, and remove those that are no images of their own.",
            rows=together(near),
            numbers={"similarity": [round(each, 4) for a, b, each in twins.near if not mixed.intersection((a, b))]},
        )
    if twins.chains:
        yield Finding(
            name="look-alikes",
            severity="notes",
            title=f"{sum(map(len, twins.chains)):,} images form chains of look-alikes",
            meaning="Each looks like the next, but the ends do not: slices, frames of a film, or an empty background. "
            "They were not joined.",
            remedy="If they come from few specimens, name these with --group.",
            rows=together(twins.chains),
        )
