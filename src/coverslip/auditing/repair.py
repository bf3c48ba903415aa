"""What is done about findings: images left out, groups brought together. The images are never touched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from coverslip.auditing.copies import conflicts
from coverslip.auditing.findings import Finding
from coverslip.auditing.twins import Twins
from coverslip.core.errors import UserError
from coverslip.core.storage import writing
from coverslip.core.tables import write_csv
from coverslip.data.groups import join_sets
from coverslip.data.sources.source import Files
from coverslip.data.split import move_to_one_part, straddling
from coverslip.data.table import READ, ImageTable


def drop_found(table: ImageTable, findings: Sequence[Finding]) -> ImageTable:
    """Leave out the images of these findings; the reason stands in their status."""
    reasons = {row: f"dropped: {each.name}" for each in findings for members in each.rows for row in members}
    return _leave_out(table, reasons)


def fix_table(table: ImageTable, twins: Twins) -> ImageTable:
    """Mend what can be mended without looking at the images.

    Of exact copies under one label the first by path is kept; of one image under several labels none, until a person
    decides; groups (with their copies) that lie in several parts of a given split move to the part that has most of
    them.
    """
    paths = table.paths
    mixed = conflicts(table, twins)
    reasons = {row: "dropped: filed under several classes" for rows in mixed for row in rows}
    for same in twins.exact:
        kept = min(same, key=lambda row: paths[row])
        reasons |= {row: f"dropped: copy of {paths[kept]}" for row in same if row != kept and row not in reasons}
    table = _leave_out(table, reasons)
    joined = join_sets(table, twins.sets)
    return move_to_one_part(joined, straddling(joined))


def write_corrected(table: ImageTable, path: Path, root: str) -> None:
    """Write the images that are left as a table that can be trained on.

    Args:
        table: after `drop_found` or `fix_table`; its split is written as it stands.
        path: of the CSV file.
        root: the folder of the images, as seen from the folder of ``path``.

    Raises:
        UserError: the images are arrays of one file, which a table of paths cannot name.
    """
    if not isinstance(table.source, Files):
        raise UserError(
            "a corrected table names image files, and these are arrays of one file",
            "leave the rows out of the arrays yourself; audit.json names them",
        )
    kept = table.frame.filter(pl.col("status") == READ).drop("status")
    paths = kept["path"] if root == "." else pl.Series([_below(root, each) for each in kept["path"]], dtype=pl.String)
    with writing(path) as part:
        write_csv(kept.with_columns(paths.alias("path")), part)


def _below(root: str, path: str) -> str:
    return path if Path(path).is_absolute() else f"{root}/{path}"


def _leave_out(table: ImageTable, reasons: Mapping[int, str]) -> ImageTable:
    status = table.frame["status"].to_list()
    return table.with_columns(status=[reasons.get(row, was) if was == READ else was for row, was in enumerate(status)])
