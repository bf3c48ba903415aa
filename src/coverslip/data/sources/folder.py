"""A folder of class folders, optionally inside folders for train, validation and test."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from coverslip.core.errors import UserError
from coverslip.data.files import subfolders, walk
from coverslip.data.sources.source import Files
from coverslip.data.table import SCHEMA, STATUS_OK, ImageTable

SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}


def scan_folder(folder: Path) -> ImageTable:
    """Return a table of the images below ``folder``; the label is the name of the class folder, at any depth.

    Raises:
        UserError: there is no class folder or no image, or there are class folders next to train and test folders.
    """
    tops = subfolders(folder)
    splits = {top: SPLIT_FOLDERS[top.name.lower()] for top in tops if top.name.lower() in SPLIT_FOLDERS}
    has_splits = "train" in splits.values()
    if has_splits and len(splits) < len(tops):
        others = ", ".join(repr(top.name) for top in tops if top not in splits)
        raise UserError(
            f"{str(folder)!r} contains split folders (train, test) and other folders: {others}",
            "use either class folders only, or only train/, validation/ and test/ with class folders inside",
        )
    rows: list[tuple[str, str, str | None]] = []
    num_ignored = 0
    for class_folder in [inner for top in tops for inner in subfolders(top)] if has_splits else tops:
        split = splits[class_folder.parent] if has_splits else None
        for path, is_image in walk(class_folder):
            if is_image:
                rows.append((path.relative_to(folder).as_posix(), class_folder.name, split))
            else:
                num_ignored += 1
    if not rows:
        raise _no_image_error(folder, tops)
    frame = pl.DataFrame(
        {
            "path": [row[0] for row in rows],
            "label": [row[1] for row in rows],
            "group": [None] * len(rows),
            "split": [row[2] for row in rows],
            "status": [STATUS_OK] * len(rows),
        },
        schema=SCHEMA,
    ).sort("path")
    classes = tuple(sorted({row[1] for row in rows}))
    return ImageTable(frame, Files(folder), folder.absolute().name, classes, num_ignored=num_ignored)


def _no_image_error(folder: Path, tops: list[Path]) -> UserError:
    outside = sum(is_image for _, is_image in walk(folder))
    if outside:
        return UserError(
            f"{str(folder)!r} contains {outside} images, but none in a class folder",
            "move the images into one folder per class inside it, or give a table with the columns path and label",
        )
    found = f"{len(tops)} folders without images" if tops else "nothing"
    return UserError(
        f"{str(folder)!r} contains no image (found: {found})", "give a folder that contains one folder per class"
    )
