"""Findings about duplicate images: under one label, under several labels, and in several sets of a given split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from coverslip.auditing.conflicts import conflict_findings, label_conflicts
from coverslip.auditing.duplicates import Duplicates
from coverslip.auditing.findings import Finding, row_sets
from coverslip.data.table import ImageTable


def duplicate_findings(table: ImageTable, duplicates: Duplicates) -> list[Finding]:
    """Return findings about duplicate images.

    Args:
        table: the images with their status.
        duplicates: result of `coverslip.auditing.duplicates.find_duplicates` for the same rows.
    """
    rows = table.rows()
    if any(len(same) == len(rows) > 1 for same in duplicates.exact):
        return [
            Finding(
                name="one-image",
                severity="blocks",
                title=f"all {len(rows):,} images are identical",
                meaning="There is nothing to learn from them.",
                remedy="Check how the images were written or copied.",
                rows=(tuple(rows),),
            )
        ]
    return [*conflict_findings(table, duplicates), *_copies(table, duplicates)]


def leakage_findings(table: ImageTable, duplicates: Duplicates, groups: Sequence[Sequence[int]]) -> list[Finding]:
    """Return findings about a given split: groups and copies in more than one set.

    Args:
        table: the images with the given split.
        duplicates: as for `duplicate_findings`.
        groups: rows of each group that is in more than one set (`coverslip.data.split.groups_across_splits`).
    """
    findings = []
    remedy = "Keep them in one set: --fix moves them to the set that contains most of them."
    if groups:
        count = "1 group is" if len(groups) == 1 else f"{len(groups):,} groups are"
        names = ", ".join(repr(table.groups([rows[0]])[0]) for rows in groups[:3])
        findings.append(
            Finding(
                name="group-leak",
                severity="blocks",
                title=f"{count} in more than one set of the given split ({names}{', ...' if len(groups) > 3 else ''})",
                meaning="The model would be tested on subjects it was trained on, so the scores would be too high.",
                remedy=remedy,
                rows=row_sets(groups),
            )
        )
    split = table.frame["split"]
    leaking = [rows for rows in duplicates.sets if split.gather(list(rows)).drop_nulls().n_unique() > 1]
    if leaking:
        findings.append(
            Finding(
                name="copy-leak",
                severity="blocks",
                title=f"{sum(map(len, leaking)):,} images have a copy in another set of the given split",
                meaning="The model would be tested on images it was trained on, so the scores would be too high.",
                remedy=remedy,
                rows=row_sets(leaking),
            )
        )
    return findings


def _copies(table: ImageTable, duplicates: Duplicates) -> Iterator[Finding]:
    conflicting = {row for rows in label_conflicts(table, duplicates) for row in rows}
    exact = [rows for rows in duplicates.exact if not conflicting.intersection(rows)]
    if exact:
        yield Finding(
            name="exact-copies",
            severity="warns",
            title=f"{sum(map(len, exact)):,} images are exact copies of one another",
            meaning="Copies count one image several times. They share a group, so they stay in the same set.",
            remedy="No action is needed; --fix keeps one of each.",
            rows=row_sets(exact),
        )
    near = [(a, b) for a, b, _ in duplicates.near if not conflicting.intersection((a, b))]
    if near:
        images = len({row for pair in near for row in pair})
        yield Finding(
            name="near-copies",
            severity="warns",
            title=f"{images:,} images are near-duplicates (recompressed, resized, cropped, mirrored or rotated copies)",
            meaning="Near-duplicates count one image several times. They share a group, so they stay in the same set.",
            remedy="No action is needed; inspect them, and delete those that are not independent images.",
            rows=row_sets(near),
            numbers={
                "similarity": [
                    round(value, 4) for a, b, value in duplicates.near if not conflicting.intersection((a, b))
                ]
            },
        )
    if duplicates.chains:
        yield Finding(
            name="look-alikes",
            severity="notes",
            title=f"{sum(map(len, duplicates.chains)):,} images form chains of similar images",
            meaning="Each image resembles the next, but the two ends of a chain differ: slices, video frames, "
            "or an empty background. They were not grouped.",
            remedy="If they come from few specimens, specify the specimens with --group.",
            rows=row_sets(duplicates.chains),
        )
