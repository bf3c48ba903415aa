"""New images and a trained model: answers as a table, part by part, or in a file that can be gone on with."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import IO

import polars as pl

from coverslip._version import __version__
from coverslip.api.evaluating import load
from coverslip.core.errors import StoppedError, UserError
from coverslip.core.paths import expand
from coverslip.core.progress import SILENT, Progress
from coverslip.core.runs import Run
from coverslip.core.storage import digest, digest_of_files
from coverslip.core.tables import csv_text, read_csv
from coverslip.data.files import is_image
from coverslip.data.image import Pixels
from coverslip.data.sources.loose import KINDS, NO_IMAGE, LooseImages, find_images, left_out_words
from coverslip.data.sources.source import Files
from coverslip.evidence.threshold import DEFAULT
from coverslip.inference import predictor
from coverslip.inference.growing import GrowingFile, growing, refuse_existing
from coverslip.inference.predictor import Predictor

DECIMALS = 6
HEAD = b"path,label,group,predicted,confidence,"  # how every table of predictions begins


@dataclass(frozen=True, slots=True)
class Predicted:
    """What a call of `predict_to` came to.

    Attributes:
        images: rows that were written.
        classes: how many were named as each.
        unread: how many could not be read.
        unfamiliar: how many are unlike the training images.
        rule: from which probability on an image is named as the class that is looked for, in words; empty where the
            most probable class is named.
    """

    images: int
    classes: dict[str, int]
    unread: int
    unfamiliar: int = 0
    rule: str = ""


def predict(folder: str | Path, paths: Sequence[str | Path], *, progress: Progress = SILENT) -> pl.DataFrame:
    """Classify images with a trained model; nothing is trained.

    Args:
        folder: the run.
        paths: files and folders. A file that is no image by its name gets a row that says so, beside images.
        progress: told of the stage.

    Returns:
        A row an image: path (as given, or below the folder given), label (null), group (null), predicted, confidence,
        one column ``p:CLASS`` a class, set, familiar, nearest, and error, which says why a file could not be read.
    """
    return pl.concat(list(predict_in_parts(folder, paths, progress=progress)))


def predict_in_parts(
    folder: str | Path, paths: Sequence[str | Path], *, progress: Progress = SILENT
) -> Iterator[pl.DataFrame]:
    """The same rows in the same order, some hundred at a time, as they are ready: for more than fits into memory.

    >>> for rows in predict_in_parts("runs/leaves-1", ["images"]):            # doctest: +SKIP
    ...     print(rows.filter(~pl.col("familiar"))["path"].to_list())
    """
    found = find_images(paths, others=True)
    _say_left_out(found, progress)
    return (rows for rows, _ in _rows(load(folder), found, _Stamping(found.root), progress))


def predict_to(
    folder: str | Path,
    paths: Sequence[str | Path],
    out: str | Path | IO[str],
    *,
    resume: bool = False,
    progress: Progress = SILENT,
) -> Predicted:
    """Write the same rows as CSV, as they are ready, with flat memory.

    Args:
        folder: the run.
        paths: files and folders.
        out: a file, which must not exist; it grows as ``OUT.partial`` and gets its name when it is whole. Or an open
            text file, such as standard output.
        resume: go on with a file that an earlier call left unfinished. Rows are kept as long as they are those of the
            same images, unchanged; from the first that is not, all are computed again.
        progress: told of the stage.

    Raises:
        UserError: as `growing`, `find_images` and `load`.
        StoppedError: Ctrl+C, with the way to go on.
    """
    out = expand(out) if isinstance(out, str | Path) else out
    if isinstance(out, Path) and not resume:
        refuse_existing(out)
    found = find_images(paths, others=True)
    if isinstance(out, Path) and resume:
        _refuse_finished(out, found.shown)
        refuse_existing(out)
    model = load(folder)
    _say_left_out(found, progress)
    for note in model.notes:
        progress.note(f"note: {note}")
    source, counts, unfamiliar = _Stamping(found.root), Counter[str | None](), 0
    if not isinstance(out, Path):
        with _going_on(counts.total, len(found.paths), "with --out FILE, --resume goes on where it was stopped"):
            for rows, _ in _rows(model, found, source, progress):
                out.write(_csv(rows, header=not counts.total()))
                out.flush()
                counts.update(rows["predicted"].to_list())
                unfamiliar += _unfamiliar(rows)
        return _predicted(model, counts, unfamiliar)
    run = Run.open(folder)
    key = digest(digest_of_files(run.model_file, run.weights_file), model.extractor.weights)
    made_by = {"model": key, "version of coverslip": __version__}
    with growing(out, made_by, resume=resume) as file:
        if resume:
            _go_on(file, found, source, progress)
        with _going_on(lambda: file.rows, len(found.paths), "run the same command with --resume to go on"):
            for rows, made_of in _rows(model, found, source, progress, skip=file.rows):
                named = dict(Counter(str(name or "") for name in rows["predicted"]))  # no class has an empty name
                told = {"named": named, "unfamiliar": _unfamiliar(rows)}
                file.add(_csv(rows, header=file.rows == 0), rows.height, made_of, told)
        file.finish()
        for note in file.notes:
            counts.update({name or None: count for name, count in note["named"].items()})
            unfamiliar += note["unfamiliar"]
    return _predicted(model, counts, unfamiliar)


@contextmanager
def _going_on(done: Callable[[], int], total: int, how: str) -> Iterator[None]:
    """Ctrl+C says how far it came and how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        fix = how if done() else "run the same command again"
        raise StoppedError(f"interrupted; {done():,} of {total:,} images are done", fix) from None


def _refuse_finished(out: Path, shown: Sequence[str]) -> None:
    """A table of these very images has nothing left to go on with; which model it is of, it does not say.

    Raises:
        UserError: it is there; or a table of other images is, or a part of one that nothing is known of.
    """
    if not out.is_file() or GrowingFile(out).partial.exists():
        return
    there = _paths_in(out)
    if there is None:
        return
    if there == list(shown):
        raise UserError(
            f"{str(out)!r} is there and finished: nothing is left to go on with",
            "use it as it is; to predict again, choose another --out, or remove it first",
        )
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(there, shown, strict=False)))
    raise UserError(
        f"{str(out)!r} is there and holds something else: of its {len(there):,} rows the first {same:,} are of these "
        f"{len(shown):,} images, and it was not left by a 'predict --out' that was interrupted",
        "choose another --out, or remove it first",
    )


def _paths_in(out: Path) -> list[str] | None:
    """The images in a whole table of predictions, in order; None where it is something else."""
    try:
        with out.open("rb") as file:
            if file.read(len(HEAD)) != HEAD:
                return None
        paths: list[str] = read_csv(out, columns=["path"], text=True)["path"].to_list()
        with out.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return paths if file.read() == b"\n" else paths[:-1]  # the last row is cut short
    except (OSError, pl.exceptions.PolarsError):
        return None


def _say_left_out(found: LooseImages, progress: Progress) -> None:
    words = left_out_words(found.left_out)
    if words:
        progress.note(f"note: {words}")


def _predicted(model: Predictor, counts: Counter[str | None], unfamiliar: int) -> Predicted:
    classes = {name: count for name, count in counts.most_common() if name is not None}
    threshold, rule = model.threshold, ""
    if threshold is not None and threshold.chosen != DEFAULT:
        rule = f"{threshold.class_name} is said from a probability of {threshold.value:.3g} up"
    return Predicted(counts.total(), classes, counts[None], unfamiliar, rule)


def _unfamiliar(rows: pl.DataFrame) -> int:
    return int((~rows["familiar"]).sum() or 0)  # it is null where nobody knows


def _rows(
    model: Predictor, found: LooseImages, source: _Stamping, progress: Progress, skip: int = 0
) -> Iterator[tuple[pl.DataFrame, str]]:
    """Rows as users see them, and what they were made of."""
    first = skip
    for answers in model.stream(source, found.paths, progress, skip=skip):
        after = first + len(answers.facts)
        stamps = [source.stamps.pop(path) for path in found.paths[first:after]]
        yield model.told(answers, found.shown[first:after]), digest(found.shown[first:after], stamps)
        first = after


def _go_on(file: GrowingFile, found: LooseImages, source: Files, progress: Progress) -> None:
    """Keep what an earlier process wrote of these very images, and say so."""
    total = len(found.paths)
    if not file.partial.stat().st_size:
        return

    def made_of(first: int, rows: int) -> str:
        if rows < predictor.PART and first + rows < total:
            return ""  # it was the last and is not any more; parts begin at the same images, however it came about
        some = found.paths[first : first + rows]
        return digest(found.shown[first : first + rows], [source.stamp(path) for path in some])

    there = file.keep(made_of)
    if file.rows < there:
        name = found.shown[file.rows] if file.rows < total else "the end"
        progress.note(
            f"note: the images or the file have changed since (from about {name!r} on), so {there - file.rows:,} of "
            f"{there:,} rows are made again"
        )
    progress.note(f"going on after {file.rows:,} of {total:,} images")


def _csv(rows: pl.DataFrame, *, header: bool) -> str:
    return csv_text(rows, decimals=DECIMALS, header=header)


class _Stamping(Files):
    """Files that note size and time of each *before* it is read, so that a later change cannot go unseen.

    What is no image by its name is not opened.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.stamps: dict[str, tuple[int, int]] = {}

    def read(self, path: str) -> bytes | Pixels:  # type: ignore[override]
        """See `Source.read`."""
        self.stamps[path] = self.stamp(path)
        if not is_image(path.rpartition("/")[2]):
            raise OSError(errno.EINVAL, f"{NO_IMAGE}; only {KINDS} files are read")
        return super().read(path)
