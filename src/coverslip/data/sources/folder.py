"""A folder of class folders, with or without folders for train, validation and test above them."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from coverslip.core.errors import UserError
from coverslip.data.files import subfolders, walk
from coverslip.data.sources.source import Files
from coverslip.data.table import READ, SCHEMA, ImageTable

PART_FOLDERS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}


def scan_folder(folder: Path) -> ImageTable:
    """One row an image below ``folder``; the class is the name of the class folder it is in, at any depth.

    Raises:
        UserError: no class folder, one class only, no image at all, or train/test folders beside class folders.
    """
    tops = subfolders(folder)
    parts = {top: PART_FOLDERS[top.name.lower()] for top in tops if top.name.lower() in PART_FOLDERS}
    split = "train" in parts.values()
    if split and len(parts) < len(tops):
        others = ", ".join(repr(top.name) for top in tops if top not in parts)
        raise UserError(
            f"{str(folder)!r} has folders for parts beside others: {others}",
            "keep either class folders, or train/, validation/ and test/ with class folders inside",
        )
    rows: list[tuple[str, str, str | None]] = []
    passed_over = 0
    for class_folder in [inner for top in tops for inner in subfolders(top)] if split else tops:
        part = parts[class_folder.parent] if split else None
        for path, is_image in walk(class_folder):
            if is_image:
                rows.append((path.relative_to(folder).as_posix(), class_folder.name, part))
            else:
                passed_over += 1
    if not rows:
        raise _nothing_found(folder, tops)
    frame = pl.DataFrame(
        {
            "path": [row[0] for row in rows],
            "label": [row[1] for row in rows],
            "group": [None] * len(rows),
            "split": [row[2] for row in rows],
            "status": [READ] * len(rows),
        },
        schema=SCHEMA,
    ).sort("path")
    classes = tuple(sorted({row[1] for row in rows}))
    return ImageTable(frame, Files(folder), folder.absolute().name, classes, passed_over=passed_over)


def _nothing_found(folder: Path, tops: list[Path]) -> UserError:
    loose = sum(is_image for _, is_image in walk(folder))
    if loose:
        return UserError(
            f"{str(folder)!r} holds {loose} images, but none in a class folder",
            "make one folder a class inside it and move the images there, or give a table of path and label",
        )
    found = f"{len(tops)} folders without images" if tops else "nothing"
    return UserError(
        f"{str(folder)!r} holds no image (found: {found})", "name a folder with one folder of images a class"
    )
