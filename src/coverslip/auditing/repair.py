"""Corrections of the image table: excluded images, groups moved to one set. Image files are never changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from coverslip.auditing.conflicts import conflict_reason, label_conflicts
from coverslip.auditing.duplicates import Duplicates
from coverslip.auditing.findings import Finding
from coverslip.core.errors import UserError
from coverslip.core.storage import atomic_write
from coverslip.core.tables import write_csv
from coverslip.data.groups import join_sets
from coverslip.data.sources.source import Files
from coverslip.data.split import groups_across_splits, move_to_one_split
from coverslip.data.table import STATUS_OK, ImageTable


def drop_images(table: ImageTable, findings: Sequence[Finding]) -> ImageTable:
    """Exclude the images of these findings; their status states the reason."""
    reasons = {row: f"dropped: {finding.name}" for finding in findings for members in finding.rows for row in members}
    return _exclude(table, reasons)


def fix_table(table: ImageTable, duplicates: Duplicates) -> ImageTable:
    """Fix the findings that can be fixed without looking at the images (see `coverslip.auditing.findings.FIXED`).

    Of exact copies with one label, or with values that differ only by noise, the first by path is kept. Copies with
    contradicting targets are all excluded until these are corrected. Groups (and their copies) in several sets of a
    given split are moved to the set that contains most of their images.
    """
    paths = table.paths
    conflicting = label_conflicts(table, duplicates)
    reasons = {row: f"dropped: {conflict_reason(table.task)}" for rows in conflicting for row in rows}
    for same in duplicates.exact:
        kept = min(same, key=lambda row: paths[row])
        reasons |= {row: f"dropped: copy of {paths[kept]}" for row in same if row != kept and row not in reasons}
    table = _exclude(table, reasons)
    joined = join_sets(table, duplicates.sets)
    return move_to_one_split(joined, groups_across_splits(joined))


def write_corrected(table: ImageTable, path: Path, root: str) -> None:
    """Write the images that were not excluded as a table that ``coverslip train`` accepts.

    Args:
        table: result of `drop_images` or `fix_table`; its split is written unchanged.
        path: CSV file to write.
        root: folder of the images, relative to the folder of ``path``.

    Raises:
        UserError: the images are arrays in one file, so they have no paths.
    """
    if not isinstance(table.source, Files):
        raise UserError(
            "a corrected table lists image files, but these images are arrays in one file",
            "remove the rows listed in audit.json from the arrays",
        )
    kept = table.frame.filter(pl.col("status") == STATUS_OK).drop("status")
    paths = kept["path"] if root == "." else pl.Series([_join(root, image) for image in kept["path"]], dtype=pl.String)
    with atomic_write(path) as part:
        write_csv(kept.with_columns(paths.alias("path")), part)


def _join(root: str, path: str) -> str:
    return path if Path(path).is_absolute() else f"{root}/{path}"


def _exclude(table: ImageTable, reasons: Mapping[int, str]) -> ImageTable:
    status = table.frame["status"].to_list()
    return table.with_columns(
        status=[reasons.get(row, old) if old == STATUS_OK else old for row, old in enumerate(status)]
    )
