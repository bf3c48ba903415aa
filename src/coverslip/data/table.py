"""The table of images, with one row per image, that every later step takes and returns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from coverslip.data.sources.source import Source
from coverslip.data.target import ClassTarget, Target, ValueTarget, parse_labels

SPLITS = ("train", "validation", "test")
SCHEMA = {"path": pl.String, "label": pl.String, "group": pl.String, "split": pl.String, "status": pl.String}
"""The columns of every table; further columns of the user's table (hospital, camera, severity) follow them."""
STATUS_OK = "ok"
NUMBERED = re.compile(r"(?P<text>.*?)[0-9]+")  # only ASCII digits


def class_order(names: Iterable[str]) -> tuple[str, ...]:
    """Return class names sorted; by value if they are whole numbers, or one text followed by numbers.

    >>> class_order(["10", "9", "1"]), class_order(["grade 10", "grade 9"]), class_order(["b10", "a9"])
    (('1', '9', '10'), ('grade 9', 'grade 10'), ('a9', 'b10'))
    """
    ordered = sorted(set(names))
    numbered = [NUMBERED.fullmatch(name) for name in ordered]
    if len({match["text"] if match else None for match in numbered}) == 1 and all(numbered):
        ordered.sort(key=lambda name: (int(name[len(numbered[0]["text"]) :]), name) if numbered[0] else (0, name))
    return tuple(ordered)


@dataclass(frozen=True, slots=True)
class ImageTable:
    """Paths, labels, groups and splits of images.

    Attributes:
        frame: columns path (relative to ``root``, with ``/``), label, group (null: the image is a group by itself),
            split (``train``, ``validation``, ``test``; null: not assigned), status (``ok``, or why the image was
            skipped); then further columns of the user's table, as text. Rows are sorted by path, so that the order of
            the file system does not matter.
        source: reads the bytes or pixels of a path.
        name: name of the data set, for run folders and titles.
        classes: names of all classes, in the order of `class_order`, fixed by the scan, even if a split lacks one; of
            ordered classes in their order; of all labels, for several labels per image; empty for a regression.
        grouped_by: where the groups come from (``column leaf``); None if there are none.
        task: the task that the targets are for: classification, ordinal, multilabel or regression.
        targets: the columns with the values of a regression, float64; empty for other tasks.
        num_ignored: number of files that were ignored because of their extension.
        notes: remarks of the scan for the user.
    """

    frame: pl.DataFrame
    source: Source
    name: str
    classes: tuple[str, ...]
    grouped_by: str | None = None
    task: str = "classification"
    targets: tuple[str, ...] = ()
    num_ignored: int = 0
    notes: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return self.frame.height

    @property
    def root(self) -> Path:
        """The folder that paths are relative to."""
        return self.source.root

    @property
    def extra_columns(self) -> list[str]:
        """Names of the further columns of the user's table."""
        return [name for name in self.frame.columns if name not in SCHEMA and name not in self.targets]

    @property
    def paths(self) -> list[str]:
        """Path of every row."""
        return self.frame["path"].to_list()

    def rows(self, split: str | None = None) -> list[int]:
        """Return the row numbers of the readable images of one split; None: of all."""
        selected = pl.col("status") == STATUS_OK
        if split is not None:
            selected &= pl.col("split") == split
        return self.frame.select(selected.arg_true()).to_series().to_list()

    def labels(self, rows: Sequence[int]) -> list[int]:
        """Return the class ids of these rows: positions in ``classes``."""
        ids = {name: index for index, name in enumerate(self.classes)}
        return [ids[label] for label in self.frame["label"].gather(list(rows)).to_list()]

    def target(self, rows: Sequence[int]) -> Target:
        """Return the targets of these rows."""
        if self.task == "regression":
            values = self.frame.select(self.targets)[list(rows)].to_numpy().astype(np.float64)
            return ValueTarget(values.reshape(len(rows), len(self.targets)), self.targets)
        if self.task == "multilabel":
            return parse_labels(self.frame["label"].gather(list(rows)).to_list(), self.classes)
        return ClassTarget(np.asarray(self.labels(rows), np.int64), self.classes)

    def label_names(self, rows: Sequence[int]) -> list[str]:
        """Return the labels of these rows as names to count by; equal names for values, which are all different."""
        if self.task == "regression":
            return [""] * len(rows)
        return self.frame["label"].gather(list(rows)).to_list()

    def strata(self, rows: Sequence[int]) -> list[int]:
        """Return the strata of these rows, which splits and folds balance."""
        strata: list[int] = self.target(rows).strata().tolist()
        return strata

    def groups(self, rows: Sequence[int]) -> list[str]:
        """Return the group names of these rows; an image without a group gets its path as a group of its own."""
        names = self.frame.select(pl.coalesce("group", "path").alias("group"))["group"]
        return names.gather(list(rows)).to_list()

    def group_codes(self, rows: Sequence[int]) -> npt.NDArray[np.int64] | None:
        """Return the groups of these rows as integers, shape (N,); None if none of the rows has a group."""
        if self.frame["group"].gather(list(rows)).null_count() == len(rows):
            return None
        return np.unique(np.asarray(self.groups(rows)), return_inverse=True)[1]

    def with_columns(self, **columns: Iterable[str | None]) -> ImageTable:
        """Return a copy with these columns replaced or added."""
        series = [pl.Series(name, list(values), dtype=pl.String) for name, values in columns.items()]
        return replace(self, frame=self.frame.with_columns(series))

    def with_notes(self, *notes: str) -> ImageTable:
        """Return a copy with these notes added."""
        return replace(self, notes=(*self.notes, *notes))
