"""Write rendered images as a person would hand them over: a folder a class, their masks, and a table."""

from __future__ import annotations

import csv
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from PIL import Image

from coverslip.core.errors import UserError
from coverslip.core.paths import expand
from coverslip.core.progress import SILENT, Progress, Stage
from coverslip.data.synthetic.image import SIZES, need_number
from coverslip.data.synthetic.image import shots as shots_of
from coverslip.data.synthetic.specimen import DEFAULT_CLASSES, Specimen, class_names

QUALITY = 92  # of the JPEGs, as a camera writes them
KINDS = ("exact", "saved again", "smaller", "mirrored")  # of planted copies, in turn


@dataclass(frozen=True)
class Row:
    """One row of ``leaves.csv``. Paths are relative to the folder of the table, with forward slashes."""

    path: str
    label: str
    group: str
    mask: str
    species: str
    condition: str
    severity: float
    background: str
    duplicate_of: str = ""


@dataclass(frozen=True)
class Job:
    """One specimen to be photographed ``shots`` times."""

    out: Path
    specimen: Specimen
    shots: int
    shortcut: bool


def paths_of(class_name: str, stem: str) -> tuple[str, str]:
    """Where an image and its mask go, relative to the table."""
    return f"images/{class_name}/{stem}.jpg", f"masks/{class_name}/{stem}.png"


def write_specimen(job: Job) -> list[Row]:
    """Render and write all images of one specimen; a row an image."""
    one, rows = job.specimen, []
    for shot, image in enumerate(shots_of(one, range(job.shots), shortcut=job.shortcut)):
        path, mask = paths_of(one.class_name, f"{one.name}_shot{shot}")
        Image.fromarray(image.image).save(job.out / path, quality=QUALITY)
        Image.fromarray(image.mask).save(job.out / mask)
        rows.append(
            Row(
                path=path,
                label=one.class_name,
                group=one.name,
                mask=mask,
                species=one.species,
                condition=one.condition,
                severity=round(image.severity, 4),
                background=image.background,
            )
        )
    return rows


def written(jobs: list[Job], stage: Stage) -> Iterator[list[Row]]:
    """Rows of every job, in the order of ``jobs``. Ctrl+C drops what has not begun and waits for what has.

    Threads are enough: NumPy, SciPy and Pillow let go of the interpreter while they work on pixels.
    """
    workers = min(os.cpu_count() or 1, 8)
    pool = ThreadPoolExecutor(workers)
    try:
        futures: list[Future[list[Row]]] = [pool.submit(write_specimen, job) for job in jobs]
        waiting = set(futures)
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                stage.advance(len(future.result()))
        for future in futures:
            yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def plant_duplicates(out: Path, rows: list[Row], count: int, first: Specimen) -> list[Row]:
    """Copy ``count`` images under names that look like other leaves, as happens when folders are merged.

    Every fourth copy is the same to the byte; the others are saved again at another quality, made smaller, or mirrored.
    ``first`` is the specimen after the last one: copies are numbered from there.
    """
    chosen = first.chance("duplicates").choice(len(rows), size=count, replace=False)
    taken: Counter[str] = Counter()
    copies = []
    for number, index in enumerate(chosen):
        source = rows[int(index)]
        posed = replace(first, class_name=source.label, number=first.number + taken[source.label])
        taken[source.label] += 1
        path, mask = paths_of(source.label, f"{posed.name}_shot0")
        copy((out / source.path, out / source.mask), (out / path, out / mask), KINDS[number % len(KINDS)])
        copies.append(replace(source, path=path, mask=mask, group=posed.name, duplicate_of=source.path))
    return copies


def copy(source: tuple[Path, Path], to: tuple[Path, Path], kind: str) -> None:
    """Write one copy of an image and its mask; both are given as (image, mask)."""
    if kind == "exact":
        for old, new in zip(source, to, strict=True):
            shutil.copyfile(old, new)
        return
    with Image.open(source[0]) as original, Image.open(source[1]) as mask:
        image, areas = original.convert("RGB"), mask.copy()
    if kind == "smaller":
        size = (round(image.width * 0.9), round(image.height * 0.9))
        image, areas = image.resize(size, Image.Resampling.LANCZOS), areas.resize(size, Image.Resampling.NEAREST)
    if kind == "mirrored":
        image, areas = (each.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for each in (image, areas))
    image.save(to[0], quality=80)
    areas.save(to[1])


def write_table(path: Path, rows: list[Row]) -> None:
    """Write the table under another name first, so that a table that exists is complete."""
    part = path.with_suffix(".part")
    with part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [each.name for each in fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    part.replace(path)


def write_leaves(
    out: Path,
    *,
    look: str = "leaf",
    classes: int | None = None,
    leaves: int = 12,
    shots: int = 3,
    size: int = 256,
    seed: int = 0,
    shortcut: bool = False,
    duplicates: int = 0,
    progress: Progress = SILENT,
) -> Path:
    """Write built-in images, their masks and ``leaves.csv`` into a new folder; returns the path of the table.

    Args:
        out: a folder that does not exist yet, or is empty.
        look: ``leaf`` or ``tissue``.
        classes: how many classes, from the front of `class_names`; without it 15 of leaves, 2 of tissue.
        leaves: leaves (or slides) a class.
        shots: photographs a leaf.
        size: pixels along a side, 32 to 2048.
        seed: another seed gives other leaves.
        shortcut: the background gives the class away, as when every disease was photographed on another day.
        duplicates: how many copies of images to plant under other names.
        progress: told of every image.
    """
    out = expand(out)
    names = class_names(look, DEFAULT_CLASSES.get(look) if classes is None else classes)
    need_number("leaves", leaves, 1)
    need_number("shots", shots, 1)
    need_number("size", size, *SIZES)
    need_number("seed", seed, 0)
    need_number("duplicates", duplicates, 0, len(names) * leaves * shots)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{str(out)!r} exists and is not an empty folder", "name a new folder, or empty this one")
    for name in names:
        (out / "images" / name).mkdir(parents=True)
        (out / "masks" / name).mkdir(parents=True)
    specimens = [Specimen(look, name, number, seed, size) for name in names for number in range(leaves)]
    jobs = [Job(out, specimen, shots, shortcut) for specimen in specimens]
    try:
        with progress.stage("rendering leaves", len(jobs) * shots) as stage:
            rows = [row for rows in written(jobs, stage) for row in rows]
        rows += plant_duplicates(out, rows, duplicates, replace(specimens[0], number=leaves))
    except BaseException:  # also Ctrl+C: the folder was empty, so all of this is ours, and half a data set misleads
        shutil.rmtree(out / "images", ignore_errors=True)
        shutil.rmtree(out / "masks", ignore_errors=True)
        raise
    table = out / "leaves.csv"
    write_table(table, rows)
    return table
