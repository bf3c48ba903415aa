"""Summaries of the files of a data set: the facts in ``audit.json``, and notes for the user."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from coverslip.data.sources.arrays import Arrays
from coverslip.data.table import STATUS_OK, ImageTable

SIZES_LISTED = 8
EXAMPLES = 10


def summarize(
    table: ImageTable,
    facts: pl.DataFrame,
    duplicates: Sequence[Sequence[int]],
    size: tuple[int, int],
    fit: str,
    root: str,
) -> dict[str, Any]:
    """Return the facts about the files for ``audit.json``, such as the numbers of skipped and duplicate images.

    Args:
        table: the images, after the files were read and the groups of duplicates were joined.
        facts: the columns `coverslip.data.decoding.FACTS` of the same rows.
        duplicates: row numbers of each set of images with equal pixels.
        size: (height, width) of the resized images, pixels.
        fit: ``pad``, ``squash`` or ``crop``.
        root: the folder that paths are relative to, as it is written into the file.
    """
    read = facts.filter(pl.col("status") == STATUS_OK)
    skipped = facts.filter(pl.col("status") != STATUS_OK)
    sizes = read.group_by("width", "height").len("count").sort("count", "width", "height", descending=True)
    kept_area = read["survives"]
    labels, paths = table.frame["label"], table.paths
    conflicts = [rows for rows in duplicates if labels.gather(list(rows)).n_unique() > 1]
    examples = sorted(duplicates, key=lambda rows: rows not in conflicts)[:EXAMPLES]
    return {
        "source": table.source.file.name if isinstance(table.source, Arrays) else table.name,
        "root": root,
        "images": len(table),
        "read": read.height,
        "skipped": [{"path": row["path"], "reason": row["status"]} for row in skipped.iter_rows(named=True)],
        "junk": table.num_ignored,
        "modes": _counts(read["mode"]),
        "formats": _counts(read["format"]),
        "sizes": sizes.head(SIZES_LISTED).to_dicts(),
        "sizes_more": max(sizes.height - SIZES_LISTED, 0),
        "turned": int(read["turned"].sum()),
        "fit": fit,
        "size": list(size),
        "survives": {"mean": kept_area.mean(), "min": kept_area.min()} if read.height else None,
        "duplicates": {
            "images": sum(len(rows) for rows in duplicates),
            "sets": len(duplicates),
            "conflicts": len(conflicts),
            "examples": [[paths[row] for row in rows] for rows in examples],
        },
        "grouped_by": table.grouped_by,
        "notes": list(table.notes),
    }


def relative_root(root: Path, folder: Path) -> str:
    """Return ``root`` relative to ``folder``, so that a run folder reveals no paths of the machine.

    On Windows the path is absolute if the two are on different drives.
    """
    import os

    try:
        return Path(os.path.relpath(root, folder)).as_posix()
    except ValueError:  # another drive, on Windows
        return str(root)


def file_notes(table: ImageTable, facts: pl.DataFrame, fit: str) -> list[str]:
    """Return one note per problem with the files: skipped files, cropped images, files with several pages."""
    notes = list(table.notes)
    skipped = facts.filter(pl.col("status") != STATUS_OK)
    if skipped.height:
        first = skipped.row(0, named=True)
        notes.append(f"{skipped.height} files skipped, for example {first['path']!r}: {first['status']}")
    notes += fit_notes(facts, fit)
    pages = facts.filter((pl.col("status") == STATUS_OK) & (pl.col("pages") > 1)).height
    if pages:
        notes.append(f"{pages} files contain more than one page or plane; only the first is used")
    return notes


def fit_notes(facts: pl.DataFrame, fit: str) -> list[str]:
    """Return a note on how much of the images is cropped; empty if nothing is."""
    read = facts.filter(pl.col("status") == STATUS_OK)
    if fit != "crop" or not read.height:
        return []
    cropped = read.filter(pl.col("survives") < 1).height
    kept = sum(read["survives"]) / read.height
    return [f"{cropped} images are cropped; on average {kept:.0%} of the area of an image is kept"]


def _counts(column: pl.Series) -> dict[str, int]:
    table = column.drop_nulls().value_counts(sort=True)
    return dict(zip(table.to_series(0).to_list(), table.to_series(1).to_list(), strict=True))
