"""Writer of a synthetic data set: one folder of images per class, their masks, and a table."""

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

QUALITY = 92  # JPEG quality, typical of a camera
COPY_TYPES = ("exact", "saved again", "smaller", "mirrored")  # of added duplicates, in turn


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
    """Rendering of one specimen ``shots`` times."""

    out: Path
    specimen: Specimen
    shots: int
    shortcut: bool


def paths_of(class_name: str, stem: str) -> tuple[str, str]:
    """Return the paths of an image and its mask, relative to the table."""
    return f"images/{class_name}/{stem}.jpg", f"masks/{class_name}/{stem}.png"


def write_specimen(job: Job) -> list[Row]:
    """Render and write all images of one specimen; return one row per image."""
    specimen, rows = job.specimen, []
    for shot, image in enumerate(shots_of(specimen, range(job.shots), shortcut=job.shortcut)):
        path, mask = paths_of(specimen.class_name, f"{specimen.name}_shot{shot}")
        Image.fromarray(image.image).save(job.out / path, quality=QUALITY)
        Image.fromarray(image.mask).save(job.out / mask)
        rows.append(
            Row(
                path=path,
                label=specimen.class_name,
                group=specimen.name,
                mask=mask,
                species=specimen.species,
                condition=specimen.condition,
                severity=round(image.severity, 4),
                background=image.background,
            )
        )
    return rows


def render_all(jobs: list[Job], stage: Stage) -> Iterator[list[Row]]:
    """Run all jobs and yield their rows in the order of ``jobs``; Ctrl+C cancels the waiting jobs.

    Threads are sufficient, since NumPy, SciPy and Pillow release the interpreter lock while they process pixels.
    """
    workers = min(os.cpu_count() or 1, 8)
    pool = ThreadPoolExecutor(workers)
    try:
        futures: list[Future[list[Row]]] = [pool.submit(write_specimen, job) for job in jobs]
        waiting = set(futures)
        while waiting:
            finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in finished:
                stage.advance(len(future.result()))
        for future in futures:
            yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def add_duplicates(out: Path, rows: list[Row], count: int, first: Specimen) -> list[Row]:
    """Copy ``count`` images under the names of other leaves, as happens when folders are merged.

    Every fourth copy is identical to the byte; the others are saved with another quality, made smaller, or mirrored.
    The copies get the numbers of specimens from ``first`` on, which is the specimen after the last one.
    """
    chosen = first.rng("duplicates").choice(len(rows), size=count, replace=False)
    used: Counter[str] = Counter()
    copies = []
    for number, index in enumerate(chosen):
        source = rows[int(index)]
        alias = replace(first, class_name=source.label, number=first.number + used[source.label])
        used[source.label] += 1
        path, mask = paths_of(source.label, f"{alias.name}_shot0")
        copy((out / source.path, out / source.mask), (out / path, out / mask), COPY_TYPES[number % len(COPY_TYPES)])
        copies.append(replace(source, path=path, mask=mask, group=alias.name, duplicate_of=source.path))
    return copies


def copy(source: tuple[Path, Path], target: tuple[Path, Path], copy_type: str) -> None:
    """Write a copy of an image and its mask; ``source`` and ``target`` are paths (image, mask)."""
    if copy_type == "exact":
        for old, new in zip(source, target, strict=True):
            shutil.copyfile(old, new)
        return
    with Image.open(source[0]) as original, Image.open(source[1]) as mask:
        image, areas = original.convert("RGB"), mask.copy()
    if copy_type == "smaller":
        size = (round(image.width * 0.9), round(image.height * 0.9))
        image, areas = image.resize(size, Image.Resampling.LANCZOS), areas.resize(size, Image.Resampling.NEAREST)
    if copy_type == "mirrored":
        image, areas = (item.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for item in (image, areas))
    image.save(target[0], quality=80)
    areas.save(target[1])


def write_table(path: Path, rows: list[Row]) -> None:
    """Write the table under a temporary name first, so that an existing table is always complete."""
    temporary = path.with_suffix(".part")
    with temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [column.name for column in fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    temporary.replace(path)


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
    """Write synthetic images, their masks and ``leaves.csv`` into a new folder; return the path of the table.

    Args:
        out: a folder that does not exist or is empty.
        look: ``leaf`` or ``tissue``.
        classes: number of classes, the first ones of `class_names`; by default 15 for leaves, 2 for tissue.
        leaves: leaves (or slides) per class.
        shots: photographs per leaf.
        size: side of the images in pixels, 32 to 2048.
        seed: random seed; another seed gives other leaves.
        shortcut: True gives each class a background of its own, as if each disease was photographed on another day.
        duplicates: number of copies of images added under other names.
        progress: receives one event per image.

    Raises:
        UserError: the folder is not empty, or a value is out of range.
    """
    out = expand(out)
    names = class_names(look, DEFAULT_CLASSES.get(look) if classes is None else classes)
    need_number("leaves", leaves, 1)
    need_number("shots", shots, 1)
    need_number("size", size, *SIZES)
    need_number("seed", seed, 0)
    need_number("duplicates", duplicates, 0, len(names) * leaves * shots)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{str(out)!r} exists and is not an empty folder", "choose a new folder, or empty this one")
    for name in names:
        (out / "images" / name).mkdir(parents=True)
        (out / "masks" / name).mkdir(parents=True)
    specimens = [Specimen(look, name, number, seed, size) for name in names for number in range(leaves)]
    jobs = [Job(out, specimen, shots, shortcut) for specimen in specimens]
    try:
        with progress.stage("rendering leaves", len(jobs) * shots) as stage:
            rows = [row for rows in render_all(jobs, stage) for row in rows]
        rows += add_duplicates(out, rows, duplicates, replace(specimens[0], number=leaves))
    except BaseException:  # also Ctrl+C: the folder was empty before, and an incomplete data set would be misleading
        shutil.rmtree(out / "images", ignore_errors=True)
        shutil.rmtree(out / "masks", ignore_errors=True)
        raise
    table = out / "leaves.csv"
    write_table(table, rows)
    return table
