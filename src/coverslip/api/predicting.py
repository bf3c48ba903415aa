"""Predict new images with a trained model: as a table, in parts, or into a file that can be resumed."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import IO, Any

import polars as pl

from coverslip._version import __version__
from coverslip.api.evaluating import load
from coverslip.api.given_images import ImagesInMemory, given_images
from coverslip.core.errors import StoppedError, UserError
from coverslip.core.forks import unforked
from coverslip.core.paths import expand
from coverslip.core.progress import SILENT, Progress
from coverslip.core.runs import Run
from coverslip.core.storage import digest, digest_of_files
from coverslip.core.tables import csv_text, read_csv
from coverslip.data.files import is_image
from coverslip.data.image import Pixels
from coverslip.data.sources.source import Files
from coverslip.data.sources.unlabeled import FORMATS, NOT_AN_IMAGE, ImageFiles, find_images, ignored_text
from coverslip.inference import predictor
from coverslip.inference.predictor import Predictor
from coverslip.inference.resumable import ResumableFile, open_resumable, refuse_existing

DECIMALS = 6
HEADERS = (b"path,label,group,predicted,", b"path,target")  # the first bytes of tables of predictions


@dataclass(frozen=True, slots=True)
class PredictionSummary:
    """Summary of the predictions of `predict_to`.

    Attributes:
        images: number of rows.
        classes: predicted class -> number of images; for values, their position relative to the training range.
        unread: number of files that could not be read.
        unfamiliar: number of images unlike the training images.
        rule: the decision threshold in words; empty if the most probable class is predicted.
    """

    images: int
    classes: dict[str, int]
    unread: int
    unfamiliar: int = 0
    rule: str = ""


@unforked
def predict(folder: str | os.PathLike[str], paths: Any, *, progress: Progress = SILENT) -> pl.DataFrame:
    """Predict the classes of images with a trained model.

    Args:
        folder: a run folder, or an ONNX file.
        paths: files and folders: one, a list or a generator. A given file that is not an image by its name gets a row
            with an error. Or images in memory: arrays of shape (height, width, channels), uint8 or floats from 0 to 1,
            or images of Pillow, one or several; their paths are ``image 1``, ``image 2``, ...
        progress: receives one event per image.

    Returns:
        A row per image: path (as given, or relative to the given folder), label (null), group (null), predicted,
        confidence, one column ``p:CLASS`` per class, set, familiar, nearest, and error, the reason why a file could
        not be read.

    Raises:
        UserError: a path does not exist, there is no image, or ``paths`` contains something else.
    """
    return pl.concat(list(predict_in_parts(folder, paths, progress=progress)))


@unforked
def predict_in_parts(
    folder: str | os.PathLike[str], paths: Any, *, progress: Progress = SILENT
) -> Iterator[pl.DataFrame]:
    """Yield the rows of `predict` in the same order in parts of some hundred, for more images than fit into memory.

    >>> for rows in predict_in_parts("runs/leaves-1", ["images"]):            # doctest: +SKIP
    ...     print(rows.filter(~pl.col("familiar"))["path"].to_list())
    """
    given = given_images(paths)
    if isinstance(given, ImagesInMemory):
        model = load(folder)
        given.prepare(model.spec.channels)
        return _rows_in_memory(model, given, progress)
    images = find_images(given, include_others=True)
    _log_ignored(images, progress)
    return (rows for rows, _ in _rows(load(folder), images, StampedFiles(images.root), progress))


@unforked
def predict_to(
    folder: str | os.PathLike[str],
    paths: Any,
    out: str | Path | IO[str],
    *,
    resume: bool = False,
    progress: Progress = SILENT,
) -> PredictionSummary:
    """Write the rows of `predict` as CSV while they are computed, with constant memory.

    Args:
        folder: a run folder, or an ONNX file.
        paths: files and folders, as for `predict`, but no images in memory.
        out: path of the file, which must not exist; it is written as ``OUT.partial`` and renamed when complete. Or an
            open text file, such as standard output.
        resume: resume a file that an earlier call left incomplete. Its rows are kept up to the first image that has
            changed; from there on all are computed again.
        progress: receives one event per image.

    Raises:
        UserError: as `open_resumable`, `find_images` and `load`.
        StoppedError: Ctrl+C; its fix is the way to resume.
    """
    out = expand(out) if isinstance(out, str | Path) else out
    if isinstance(out, Path) and not resume:
        refuse_existing(out)
    given = given_images(paths)
    if isinstance(given, ImagesInMemory):
        raise UserError("images in memory were given, not paths", "use predict, and write_csv of its table")
    images = find_images(given, include_others=True)
    if isinstance(out, Path) and resume:
        _refuse_finished(out, images.display)
        refuse_existing(out)
    model = load(folder)
    _log_ignored(images, progress)
    for note in model.notes:
        progress.note(f"note: {note}")
    source, counts, unfamiliar = StampedFiles(images.root), Counter[str](), 0
    if not isinstance(out, Path):
        with _resumable(counts.total, len(images.paths), "use --out FILE, which --resume can complete"):
            for rows, _ in _rows(model, images, source, progress):
                out.write(_csv(rows, header=not counts.total()))
                out.flush()
                counts.update(model.task.tally(rows))
                unfamiliar += _unfamiliar(rows)
        return _summary(model, counts, unfamiliar)
    run = Run.open(folder)
    key = digest(digest_of_files(run.model_file, run.weights_file), model.extractor.weights)
    made_by = {"model": key, "version of coverslip": __version__}
    with open_resumable(out, made_by, resume=resume) as file:
        if resume:
            _restore(file, images, source, progress)
        with _resumable(lambda: file.rows, len(images.paths), "run the same command with --resume"):
            for rows, made_of in _rows(model, images, source, progress, skip=file.rows):
                counted = {"named": model.task.tally(rows), "unfamiliar": _unfamiliar(rows)}
                file.add(_csv(rows, header=file.rows == 0), rows.height, made_of, counted)
        file.finish()
        for note in file.notes:
            counts.update(note["named"])
            unfamiliar += note["unfamiliar"]
    return _summary(model, counts, unfamiliar)


@contextmanager
def _resumable(done: Callable[[], int], total: int, how: str) -> Iterator[None]:
    """On Ctrl+C, raise an error with the number of finished images and the way to resume."""
    try:
        yield
    except KeyboardInterrupt:
        fix = how if done() else "run the same command again"
        raise StoppedError(f"interrupted after {done():,} of {total:,} images", fix) from None


def _refuse_finished(out: Path, shown: Sequence[str]) -> None:
    """Refuse to resume a file of predictions that is complete, or that was not left by an interrupted call.

    Raises:
        UserError: the file contains all of these images, or other ones.
    """
    if not out.is_file() or ResumableFile(out).partial.exists():
        return
    existing = _paths_in(out)
    if existing is None:
        return
    if existing == list(shown):
        raise UserError(
            f"{str(out)!r} is complete: there is nothing to resume",
            "use the file; to predict again, give another --out or delete it first",
        )
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(existing, shown, strict=False)))
    raise UserError(
        f"{str(out)!r} is not an interrupted 'predict --out' of these images: {same:,} of its {len(existing):,} rows "
        f"match the first of these {len(shown):,} images",
        "give another --out, or delete the file first",
    )


def _paths_in(out: Path) -> list[str] | None:
    """Return the paths in a complete table of predictions, in order; None if the file is something else."""
    try:
        with out.open("rb") as file:
            if not file.read(max(map(len, HEADERS))).startswith(HEADERS):
                return None
        paths: list[str] = read_csv(out, columns=["path"], text=True)["path"].to_list()
        with out.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return paths if file.read() == b"\n" else paths[:-1]  # the last row is incomplete
    except (OSError, pl.exceptions.PolarsError):
        return None


def _log_ignored(images: ImageFiles, progress: Progress) -> None:
    text = ignored_text(images.ignored)
    if text:
        progress.note(f"note: {text}")


def _summary(model: Predictor, counts: Counter[str], unfamiliar: int) -> PredictionSummary:
    classes = {name: count for name, count in counts.most_common() if name}
    return PredictionSummary(counts.total(), classes, counts[""], unfamiliar, model.task.rule)


def _unfamiliar(rows: pl.DataFrame) -> int:
    return int((~rows["familiar"]).sum() or 0)  # null without a familiarity check


def _rows_in_memory(model: Predictor, images: ImagesInMemory, progress: Progress) -> Iterator[pl.DataFrame]:
    first = 0
    for batch in model.stream(images, images.paths, progress):
        after = first + len(batch.facts)
        yield model.to_frame(batch, images.paths[first:after])
        first = after


def _rows(
    model: Predictor, images: ImageFiles, source: StampedFiles, progress: Progress, skip: int = 0
) -> Iterator[tuple[pl.DataFrame, str]]:
    """Yield the rows of each chunk of images with a digest of the images and their time stamps."""
    first = skip
    for batch in model.stream(source, images.paths, progress, skip=skip):
        after = first + len(batch.facts)
        file_stamps = [source.file_stamps.pop(path) for path in images.paths[first:after]]
        yield model.to_frame(batch, images.display[first:after]), digest(images.display[first:after], file_stamps)
        first = after


def _restore(file: ResumableFile, images: ImageFiles, source: Files, progress: Progress) -> None:
    """Restore the rows of an interrupted call as far as its images are unchanged, and log their number."""
    total = len(images.paths)
    if not file.partial.stat().st_size:
        return

    def made_of(first: int, rows: int) -> str:
        if rows < predictor.CHUNK and first + rows < total:
            return ""  # an incomplete last chunk that is now followed by more images: chunk borders must stay the same
        paths = images.paths[first : first + rows]
        return digest(images.display[first : first + rows], [source.stamp(path) for path in paths])

    before = file.restore(made_of)
    if file.rows < before:
        name = images.display[file.rows] if file.rows < total else "the end"
        progress.note(
            f"note: images or the file have changed (from about {name!r} on): {before - file.rows:,} of {before:,} "
            "rows are computed again"
        )
    progress.note(f"resuming after {file.rows:,} of {total:,} images")


def _csv(rows: pl.DataFrame, *, header: bool) -> str:
    return csv_text(rows, decimals=DECIMALS, header=header)


class StampedFiles(Files):
    """Files whose size and modification time are recorded *before* they are read, so that later changes are detected.

    Files that are not images by their name are not opened.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.file_stamps: dict[str, tuple[int, int]] = {}

    def read(self, path: str) -> bytes | Pixels:  # type: ignore[override]
        """See `Source.read`."""
        self.file_stamps[path] = self.stamp(path)
        if not is_image(path.rpartition("/")[2]):
            raise OSError(errno.EINVAL, f"{NOT_AN_IMAGE}; only {FORMATS} files are read")
        return super().read(path)
