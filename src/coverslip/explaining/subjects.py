"""The images that are explained: prepared, with all that is known of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from torch import Tensor

from coverslip.core.config import read_toml
from coverslip.core.errors import UserError
from coverslip.core.progress import SILENT, Progress
from coverslip.core.runs import Run
from coverslip.core.tables import read_csv
from coverslip.data.cache import read_pixels, with_status
from coverslip.data.decoding import PixelFormat, decode_all
from coverslip.data.image import Pixels
from coverslip.data.sources.arrays import scan_arrays
from coverslip.data.sources.loose import as_given, images_of
from coverslip.data.sources.source import Files, Source
from coverslip.data.table import READ, SCHEMA, ImageTable
from coverslip.explaining.areas import Areas, find_masks
from coverslip.inference.predictor import Predictor

MOST = 64  # images that are named one by one
TOGETHER = 32  # images that go through the network at once


@dataclass(frozen=True)
class Subjects:
    """N images as the network sees them.

    Attributes:
        names: as the user wrote them, or as the run names them.
        pixels: (M, H, W, C), resized as the network takes them; may be memory-mapped.
        rows: rows of ``pixels`` that are meant, N of them.
        labels: true class by number; None where nobody knows.
        groups: what keeps images together; None where each stands for itself.
        seen: whether the model was trained on it.
        keys: what the pixels of each of the M rows are known by.
        areas: masks, where there are any.
        notes: what the user should know.
    """

    names: list[str]
    pixels: Pixels
    rows: list[int]
    labels: list[int | None]
    groups: list[str] | None
    seen: list[bool]
    keys: list[str]
    areas: Areas = field(default_factory=Areas)
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def images(self, predictor: Predictor, device: torch.device, some: Sequence[int] | None = None) -> Tensor:
        """Prepared images, float32 (n, C, H, W): those at these places, or all."""
        rows = self.rows if some is None else [self.rows[place] for place in some]
        images = torch.from_numpy(predictor.spec.prepare(np.stack([self.pixels[row] for row in rows])))
        return images.to(device).contiguous(memory_format=torch.channels_last)  # as convolutions are fastest

    def batches(self) -> Iterator[range]:
        """Places of all of them, a few at a time, in order."""
        for start in range(0, len(self), TOGETHER):
            yield range(start, min(start + TOGETHER, len(self)))

    def shown(self, predictor: Predictor, place: int) -> npt.NDArray[Any]:
        """One image to be drawn: (H, W, C), uint8, or float 0 to 1 where it has more than 8 bits."""
        pixels = np.ascontiguousarray(self.pixels[self.rows[place]])
        if pixels.dtype == np.uint8:
            return pixels
        scaled = predictor.spec.scaled(pixels[None])[0].transpose(1, 2, 0)
        return np.asarray(np.clip(scaled, 0, 1))


def load_images(
    predictor: Predictor, run: Run, paths: Sequence[str | Path], masks: Path | None, progress: Progress = SILENT
) -> Subjects:
    """Images that are named one by one, or in folders.

    The true class is what the run's table says of the file, or else the name of the folder that it lies in, where that
    is one of the classes.

    Raises:
        UserError: one is not there, they are too many, or none can be read.
    """
    table = images_of(paths)
    if len(table) > MOST:
        raise UserError(
            f"{len(table):,} images are too many to draw one by one (at most {MOST})",
            "name fewer, or look at the whole test set with --test",
        )
    spec, classes = predictor.spec, predictor.task.classes
    form = PixelFormat(spec.channels, spec.depth)
    with progress.stage("reading images", len(table)) as stage:
        chunks = list(decode_all(table.source, table.paths, form, spec.size, spec.fit, stage, widen=False))
    facts = [fact for chunk in chunks for fact in chunk.facts]
    notes = [
        f"{path!r} cannot be read: {fact['status']}"
        for path, fact in zip(table.paths, facts, strict=True)
        if fact["status"] != READ
    ]
    rows = [row for row, fact in enumerate(facts) if fact["status"] == READ]
    if not rows:
        raise UserError(notes[0], "give another image")
    files = [table.root / table.paths[row] for row in rows]
    known = _known(run)
    labels = [known.get(str(file.resolve()), {}).get("label") or file.parent.name for file in files]
    keys = [str(fact["row_hash"]) for fact in facts]
    found = find_masks(files, masks, [known.get(str(file.resolve()), {}).get("mask") for file in files])
    return Subjects(
        names=as_given(files, paths),
        pixels=np.concatenate([chunk.pixels for chunk in chunks]),
        rows=rows,
        labels=[classes.index(label) if label in classes else None for label in labels],
        groups=None,
        seen=[keys[row] in predictor.seen for row in rows],
        keys=keys,
        areas=Areas.read(found, spec.size, spec.fit),
        notes=tuple(notes),
    )


def load_test(predictor: Predictor, run: Run, masks: Path | None, progress: Progress = SILENT) -> Subjects:
    """The test set of a run, from where its images are now.

    Raises:
        UserError: the run has no table, its images are gone, or they are others than those it was trained on.
    """
    table, spec, classes = run_table(run), predictor.spec, predictor.task.classes
    cache = read_pixels(table, spec.size, spec.fit, progress=progress)
    there = with_status(table, cache.facts)
    rows = there.rows("test")
    if not rows:
        gone = not any(each == READ for each in there.frame["status"])
        raise UserError(
            f"the test images of {str(run.folder)!r} are no longer at {str(table.root)!r}"
            if gone
            else f"{str(run.folder)!r} has no test images",
            "bring them back, or name images instead of --test",
        )
    if cache.format != PixelFormat(spec.channels, spec.depth):
        raise UserError(
            f"the images now have {cache.format.channels} channels of {cache.format.depth}; the model takes "
            f"{spec.channels} of {spec.depth}",
            "bring back those it was trained on, or train again",
        )
    part = there.frame[rows]
    tested = table.frame.filter(pl.col("split") == "test").height
    number = {name: index for index, name in enumerate(classes)}
    files = [table.root / path for path in part["path"]]
    beside = part["mask"].to_list() if "mask" in part.columns else [None] * len(files)
    found = find_masks(files, masks, [str(table.root / each) if each else None for each in beside])
    keys = cache.facts["row_hash"].to_list()
    return Subjects(
        names=part["path"].to_list(),
        pixels=cache.pixels,
        rows=rows,
        labels=[number.get(label) for label in part["label"]],
        groups=None if part["group"].null_count() == part.height else there.groups(rows),
        seen=[keys[row] in predictor.seen for row in rows],
        keys=keys,
        areas=Areas.read(found, spec.size, spec.fit),
        notes=(f"{tested - len(rows):,} of {tested:,} test images are no longer there",) if tested > len(rows) else (),
    )


def run_table(run: Run) -> ImageTable:
    """The table of a run with its parts, as it was, and the way to its images.

    Raises:
        UserError: there is no such table, or it cannot be read.
    """
    fix = "restore it, or train again"
    if not run.table_file.is_file():
        raise UserError(f"{str(run.folder)!r} has no {run.table_file.name}", fix)
    try:
        frame = read_csv(run.table_file, text=True)
    except (pl.exceptions.PolarsError, OSError) as error:
        first = str(error).splitlines()[0]
        raise UserError(f"{str(run.table_file)!r} cannot be read: {first}", fix) from error
    if not set(SCHEMA) <= set(frame.columns):
        raise UserError(f"{str(run.table_file)!r} is no table of a run", fix)
    classes = tuple(sorted(set(frame["label"].drop_nulls())))
    return ImageTable(frame, _source(run), run.folder.name, classes)


def _source(run: Run) -> Source:
    """Where the images of a run are: the folder that audit.json names, or the file of arrays."""
    settings = read_toml(run.experiment_file) if run.experiment_file.is_file() else {}
    given = Path(str(settings.get("data", {}).get("source", "")))
    file = (run.folder / given).resolve()
    if file.suffix.lower() == ".npz" and file.is_file():
        return scan_arrays(file).source
    root = run.read_json(run.audit_file).get("root") if run.audit_file.is_file() else None
    return Files((run.folder / str(root or given)).resolve())


def _known(run: Run) -> dict[str, dict[str, str]]:
    """File -> label and mask, where the run's table says so; nothing where there is no such table."""
    try:
        table = run_table(run)
    except UserError:
        return {}
    masks = table.frame["mask"].to_list() if "mask" in table.frame.columns else [None] * len(table)
    known = {}
    for path, label, mask in zip(table.paths, table.frame["label"], masks, strict=True):
        row = {"label": label or ""}
        if mask:
            row["mask"] = str(table.root / mask)
        known[str(table.root / path)] = row
    return known
