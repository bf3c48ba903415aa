"""The images to explain, with labels, groups, masks and preparation."""

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
from coverslip.data.agreement import ImageFormats
from coverslip.data.cache import read_pixels, with_status
from coverslip.data.decoding import PixelFormat, decode_all
from coverslip.data.image import Pixels
from coverslip.data.sources.arrays import scan_arrays
from coverslip.data.sources.source import Files, Source
from coverslip.data.sources.unlabeled import display_paths, scan_unlabeled
from coverslip.data.table import SCHEMA, STATUS_OK, ImageTable
from coverslip.explaining.areas import Areas, find_masks
from coverslip.inference.predictor import Predictor

MAX_IMAGES = 64  # images that can be explained one by one
BATCH_SIZE = 32  # images per forward pass


@dataclass(frozen=True)
class ImageSet:
    """N images at the input size of the network.

    Attributes:
        names: paths as the user wrote them, or as in the table of the run.
        pixels: images resized to the input of the network, shape (M, H, W, C); may be memory-mapped.
        rows: the N rows of ``pixels`` that belong to this set.
        labels: true class ids; None for an unknown class.
        groups: group of each image; None if images are independent.
        trained_on: whether the model was trained on the image.
        keys: content hash of each of the M rows, the key of cached features.
        areas: areas marked by masks.
        notes: notes for the user.
    """

    names: list[str]
    pixels: Pixels
    rows: list[int]
    labels: list[int | None]
    groups: list[str] | None
    trained_on: list[bool]
    keys: list[str]
    areas: Areas = field(default_factory=Areas)
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def images(self, predictor: Predictor, device: torch.device, places: Sequence[int] | None = None) -> Tensor:
        """Return prepared images at some positions (None: all), float32 (n, C, H, W)."""
        rows = self.rows if places is None else [self.rows[place] for place in places]
        images = torch.from_numpy(predictor.spec.prepare(np.stack([self.pixels[row] for row in rows])))
        return images.to(device).contiguous(memory_format=torch.channels_last)  # the fastest layout for convolutions

    def batches(self) -> Iterator[range]:
        """Yield the positions of all images in batches."""
        for start in range(0, len(self), BATCH_SIZE):
            yield range(start, min(start + BATCH_SIZE, len(self)))

    def shown(self, predictor: Predictor, place: int) -> npt.NDArray[Any]:
        """Return one image for display, (H, W, C): uint8, or float from 0 to 1 for more than 8 bits."""
        pixels = np.ascontiguousarray(self.pixels[self.rows[place]])
        if pixels.dtype == np.uint8:
            return pixels
        scaled = predictor.spec.scaled(pixels[None])[0].transpose(1, 2, 0)
        return np.asarray(np.clip(scaled, 0, 1))


def load_images(
    predictor: Predictor, run: Run, paths: Sequence[str | Path], masks: Path | None, progress: Progress = SILENT
) -> ImageSet:
    """Load images from files and folders.

    The true class is that of the file in the table of the run, or otherwise the name of its folder if this is a class.

    Args:
        predictor: trained model.
        run: run of the model.
        paths: image files and folders.
        masks: folder of masks; None to use the masks listed in the table of the run.
        progress: receives the stages.

    Raises:
        UserError: a file does not exist, there are too many images, or none can be read.
    """
    table = scan_unlabeled(paths)
    if len(table) > MAX_IMAGES:
        raise UserError(
            f"{len(table):,} images are too many to explain one by one (at most {MAX_IMAGES})",
            "give fewer images, or explain the whole test set with --test",
        )
    spec, classes = predictor.spec, predictor.task.names
    pixel_format = PixelFormat(spec.channels, spec.depth)
    with progress.stage("reading images", len(table)) as stage:
        chunks = list(decode_all(table.source, table.paths, pixel_format, spec.size, spec.fit, stage, widen=False))
    facts = [fact for chunk in chunks for fact in chunk.facts]
    notes = [
        f"{path!r} cannot be read: {fact['status']}"
        for path, fact in zip(table.paths, facts, strict=True)
        if fact["status"] != STATUS_OK
    ]
    formats = ImageFormats()
    formats.add(facts)
    notes += predictor.image_notes(formats)
    rows = [row for row, fact in enumerate(facts) if fact["status"] == STATUS_OK]
    if not rows:
        raise UserError(notes[0], "use another image")
    files = [table.root / table.paths[row] for row in rows]
    known = _known_files(run)
    labels = [known.get(str(file.resolve()), {}).get("label") or file.parent.name for file in files]
    keys = [str(fact["row_hash"]) for fact in facts]
    mask_files = find_masks(files, masks, [known.get(str(file.resolve()), {}).get("mask") for file in files])
    return ImageSet(
        names=display_paths(files, paths),
        pixels=np.concatenate([chunk.pixels for chunk in chunks]),
        rows=rows,
        labels=[classes.index(label) if label in classes else None for label in labels],
        groups=None,
        trained_on=[keys[row] in predictor.known_hashes for row in rows],
        keys=keys,
        areas=Areas.read(mask_files, spec.size, spec.fit),
        notes=tuple(notes),
    )


def load_test_set(predictor: Predictor, run: Run, masks: Path | None, progress: Progress = SILENT) -> ImageSet:
    """Load the test set of a run from the current location of its images.

    Args:
        predictor: trained model.
        run: run of the model.
        masks: folder of masks; None to use the masks listed in the table of the run.
        progress: receives the stages.

    Raises:
        UserError: the run has no table, its images no longer exist, or they differ in format from those the model was
            trained on.
    """
    table, spec, classes = run_table(run), predictor.spec, predictor.task.names
    cache = read_pixels(table, spec.size, spec.fit, progress=progress)
    current = with_status(table, cache.facts)
    rows = current.rows("test")
    if not rows:
        missing = not any(status == STATUS_OK for status in current.frame["status"])
        raise UserError(
            f"the test images of {str(run.folder)!r} no longer exist at {str(table.root)!r}"
            if missing
            else f"the run {str(run.folder)!r} has no test images",
            "restore them, or give images instead of --test",
        )
    if cache.format != PixelFormat(spec.channels, spec.depth):
        raise UserError(
            f"the images now have {cache.format.channels} channels of {cache.format.depth}, but the model needs "
            f"{spec.channels} of {spec.depth}",
            "restore the images that the model was trained on, or train again",
        )
    test = current.frame[rows]
    total = table.frame.filter(pl.col("split") == "test").height
    class_ids = {name: index for index, name in enumerate(classes)}
    files = [table.root / path for path in test["path"]]
    listed = test["mask"].to_list() if "mask" in test.columns else [None] * len(files)
    mask_files = find_masks(files, masks, [str(table.root / mask) if mask else None for mask in listed])
    keys = cache.facts["row_hash"].to_list()
    return ImageSet(
        names=test["path"].to_list(),
        pixels=cache.pixels,
        rows=rows,
        labels=[class_ids.get(label) for label in test["label"]],
        groups=None if test["group"].null_count() == test.height else current.groups(rows),
        trained_on=[keys[row] in predictor.known_hashes for row in rows],
        keys=keys,
        areas=Areas.read(mask_files, spec.size, spec.fit),
        notes=(f"{total - len(rows):,} of {total:,} test images no longer exist",) if total > len(rows) else (),
    )


def run_table(run: Run) -> ImageTable:
    """Return the image table of a run with its split and the source of the images.

    Raises:
        UserError: the table does not exist or cannot be read.
    """
    fix = "restore the file, or train again"
    if not run.table_file.is_file():
        raise UserError(f"the run {str(run.folder)!r} has no {run.table_file.name}", fix)
    try:
        frame = read_csv(run.table_file, text=True)
    except (pl.exceptions.PolarsError, OSError) as error:
        first = str(error).splitlines()[0]
        raise UserError(f"{str(run.table_file)!r} cannot be read: {first}", fix) from error
    if not set(SCHEMA) <= set(frame.columns):
        raise UserError(f"{str(run.table_file)!r} is not the table of a run (columns are missing)", fix)
    classes = tuple(sorted(set(frame["label"].drop_nulls())))
    return ImageTable(frame, _source(run), run.folder.name, classes)


def _source(run: Run) -> Source:
    """Return the source of the images of a run: the folder stated in audit.json, or the file of arrays."""
    settings = read_toml(run.experiment_file) if run.experiment_file.is_file() else {}
    configured = Path(str(settings.get("data", {}).get("source", "")))
    file = (run.folder / configured).resolve()
    if file.suffix.lower() == ".npz" and file.is_file():
        return scan_arrays(file).source
    root = run.read_json(run.audit_file).get("root") if run.audit_file.is_file() else None
    return Files((run.folder / str(root or configured)).resolve())


def _known_files(run: Run) -> dict[str, dict[str, str]]:
    """Return label and mask of every file in the table of the run; empty if the run has no table."""
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
