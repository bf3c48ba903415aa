"""What the pass over the files found, in the words of `audit.json`: facts only; judging them is another part's job."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from coverslip.data.sources.arrays import Arrays
from coverslip.data.table import READ, ImageTable

SIZES_LISTED = 8
EXAMPLES = 10


def summarize(
    table: ImageTable, facts: pl.DataFrame, twins: Sequence[Sequence[int]], size: tuple[int, int], fit: str, root: str
) -> dict[str, Any]:
    """Counts of what was found, skipped, turned, and found twice.

    Args:
        table: after the files were read and twins were joined.
        facts: columns of `coverslip.data.decoding.FACTS`.
        twins: rows of each set of images with equal pixels.
        size: (height, width) that images were resized to.
        fit: ``pad``, ``squash`` or ``crop``.
        root: what paths are relative to, as it is to be written down.
    """
    read = facts.filter(pl.col("status") == READ)
    skipped = facts.filter(pl.col("status") != READ)
    sizes = read.group_by("width", "height").len("count").sort("count", "width", "height", descending=True)
    share = read["survives"]
    labels, paths = table.frame["label"], table.paths
    conflicts = [rows for rows in twins if labels.gather(list(rows)).n_unique() > 1]
    first = sorted(twins, key=lambda rows: rows not in conflicts)[:EXAMPLES]
    return {
        "source": table.source.file.name if isinstance(table.source, Arrays) else table.name,
        "root": root,
        "images": len(table),
        "read": read.height,
        "skipped": [{"path": row["path"], "reason": row["status"]} for row in skipped.iter_rows(named=True)],
        "junk": table.passed_over,
        "modes": _counts(read["mode"]),
        "formats": _counts(read["format"]),
        "sizes": sizes.head(SIZES_LISTED).to_dicts(),
        "sizes_more": max(sizes.height - SIZES_LISTED, 0),
        "turned": int(read["turned"].sum()),
        "fit": fit,
        "size": list(size),
        "survives": {"mean": share.mean(), "min": share.min()} if read.height else None,
        "twins": {
            "images": sum(len(rows) for rows in twins),
            "sets": len(twins),
            "conflicts": len(conflicts),
            "examples": [[paths[row] for row in rows] for rows in first],
        },
        "grouped_by": table.grouped_by,
        "notes": list(table.notes),
    }


def relative_root(root: Path, folder: Path) -> str:
    """``root`` as seen from ``folder``, so that a run folder tells nothing of the machine; absolute across drives."""
    import os

    try:
        return Path(os.path.relpath(root, folder)).as_posix()
    except ValueError:  # another drive, on Windows
        return str(root)


def file_notes(table: ImageTable, facts: pl.DataFrame, fit: str) -> list[str]:
    """What a user should be told of the files, a line each; nothing where all is well."""
    notes = list(table.notes)
    skipped = facts.filter(pl.col("status") != READ)
    if skipped.height:
        first = skipped.row(0, named=True)
        notes.append(f"{skipped.height} files skipped, for example {first['path']!r}: {first['status']}")
    notes += fit_notes(facts, fit)
    pages = facts.filter((pl.col("status") == READ) & (pl.col("pages") > 1)).height
    if pages:
        notes.append(f"{pages} files hold more than one page or plane; the first of each is used")
    return notes


def fit_notes(facts: pl.DataFrame, fit: str) -> list[str]:
    """What resizing cuts off, in a line; nothing where it cuts off nothing."""
    read = facts.filter(pl.col("status") == READ)
    if fit != "crop" or not read.height:
        return []
    lost = read.filter(pl.col("survives") < 1).height
    return [f"crop cuts {lost} images; {sum(read['survives']) / read.height:.0%} of each survives on average"]


def _counts(column: pl.Series) -> dict[str, int]:
    table = column.drop_nulls().value_counts(sort=True)
    return dict(zip(table.to_series(0).to_list(), table.to_series(1).to_list(), strict=True))
