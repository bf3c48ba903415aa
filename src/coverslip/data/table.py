"""The table of images: a row an image. Every later step takes one and gives one back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from coverslip.data.sources.source import Source

PARTS = ("train", "validation", "test")
SCHEMA = {"path": pl.String, "label": pl.String, "group": pl.String, "split": pl.String, "status": pl.String}
"""The columns that every table has; whatever else the user's table holds (hospital, camera, severity) comes behind."""
READ = "ok"


@dataclass(frozen=True, slots=True)
class ImageTable:
    """What is known of each image.

    Attributes:
        frame: columns path (relative to ``root``, with ``/``), label, group (null: the image is a group of its own),
            split (``train``, ``validation``, ``test``; null: not decided), status (``ok``, or why it was skipped);
            then further columns of the user's table, as text. Rows are sorted by path, so that the order of a file
            system never matters.
        source: gives the bytes or pixels of a path.
        name: what the user named, for run folders and titles.
        classes: every class by name, sorted, fixed at the scan; a class missing from a part stays in its place.
        grouped_by: what the groups come from (``column leaf``); None where there are none.
        passed_over: files that are no images by name, and so are not rows.
        notes: what the user should know of the scan.
    """

    frame: pl.DataFrame
    source: Source
    name: str
    classes: tuple[str, ...]
    grouped_by: str | None = None
    passed_over: int = 0
    notes: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return self.frame.height

    @property
    def root(self) -> Path:
        """The folder that paths are relative to."""
        return self.source.root

    @property
    def further(self) -> list[str]:
        """The names of the user's own columns, behind those that every table has."""
        return [name for name in self.frame.columns if name not in SCHEMA]

    @property
    def paths(self) -> list[str]:
        """The path of every row."""
        return self.frame["path"].to_list()

    def rows(self, part: str | None = None) -> list[int]:
        """Row numbers of the readable images, of one part or of all."""
        wanted = pl.col("status") == READ
        if part is not None:
            wanted &= pl.col("split") == part
        return self.frame.select(wanted.arg_true()).to_series().to_list()

    def labels(self, rows: Sequence[int]) -> list[int]:
        """The class number of each of these rows, by the order of ``classes``."""
        number = {name: index for index, name in enumerate(self.classes)}
        return [number[label] for label in self.frame["label"].gather(list(rows)).to_list()]

    def groups(self, rows: Sequence[int]) -> list[str]:
        """The group of each of these rows; an image without one is its own, by its path."""
        named = self.frame.select(pl.coalesce("group", "path").alias("group"))["group"]
        return named.gather(list(rows)).to_list()

    def group_codes(self, rows: Sequence[int]) -> npt.NDArray[np.int64] | None:
        """The groups of these rows as numbers; None where none of them has one, so that each stands for itself."""
        if self.frame["group"].gather(list(rows)).null_count() == len(rows):
            return None
        return np.unique(np.asarray(self.groups(rows)), return_inverse=True)[1]

    def with_columns(self, **columns: Iterable[str | None]) -> ImageTable:
        """The same table with whole columns replaced."""
        series = [pl.Series(name, list(values), dtype=pl.String) for name, values in columns.items()]
        return replace(self, frame=self.frame.with_columns(series))

    def noting(self, *notes: str) -> ImageTable:
        """The same table with notes added."""
        return replace(self, notes=(*self.notes, *notes))
