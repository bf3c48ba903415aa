"""A folder of class folders, optionally inside folders for train, validation and test."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from coverslip.core.errors import UserError
from coverslip.data.files import (
    is_ignored_folder,
    is_output,
    is_output_folder,
    require_utf8_path,
    subfolders,
    walk,
    walk_names,
)
from coverslip.data.foreign_formats import DICOM, export_advice, extension, is_dicom
from coverslip.data.sources.folder_layout import (
    SPLIT_FOLDERS,
    check_classes,
    class_parent,
    direct_images,
    find_splits,
)
from coverslip.data.sources.source import Files
from coverslip.data.sources.unlabeled import NO_EXTENSION, ignored_text
from coverslip.data.table import SCHEMA, STATUS_OK, ImageTable, class_order

SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini", "ehthumbs.db"})
LISTED = 5  # names listed in a note
Row = tuple[str, str, str | None]
"""Path, label and split of an image."""


@dataclass(slots=True)
class LeftOut:
    """What a scan leaves out of the table.

    Attributes:
        folders: notes on class or split folders of which no image is used.
        loose: names of images in no class folder, relative to the scanned folder.
        files: number of files by extension that are not images, in class folders with images.
        num_files: number of files that are not images in all class folders, with those of the system.
    """

    folders: list[str] = field(default_factory=list)
    loose: list[str] = field(default_factory=list)
    files: Counter[str] = field(default_factory=Counter)
    num_files: int = 0

    def notes(self) -> list[str]:
        """Return a sentence per reason."""
        notes = list(self.folders)
        if self.loose:
            count = f"{len(self.loose):,} images are" if len(self.loose) > 1 else "1 image is"
            notes.append(f"{count} not used: no class folder contains them, for example {self.loose[0]!r}")
        if self.files:
            advice = export_advice(self.files)
            notes.append(ignored_text(self.files) + (f" ({advice})" if advice else ""))
        return notes


def scan_folder(folder: Path, *, grouped: bool = False) -> ImageTable:
    """Return a table of the images below ``folder``; the label is the name of the class folder, at any depth.

    The notes of the table state what is left out, and why.

    Args:
        folder: a folder of class folders, or of split folders (see `find_splits`) of class folders.
        grouped: see `check_classes`.

    Raises:
        UserError: there is no class folder or no image, or the folders do not look like classes.
    """
    tops = subfolders(folder)
    for top in tops:
        require_utf8_path(top.absolute())
    splits = find_splits(folder, tops)
    left_out = LeftOut()
    notes = [_split_note(splits)] if any(top.name.lower() not in SPLIT_FOLDERS for top in splits) else []
    _note_links_and_outputs(folder, folder, left_out)
    rows: list[Row] = []
    for top, split in splits.items() if splits else [(folder, None)]:
        parent = class_parent(top) if splits else folder
        class_folders = subfolders(parent) if splits else tops
        notes += check_classes(parent, class_folders, grouped=grouped or bool(splits))
        if splits:
            _note_links_and_outputs(folder, parent, left_out)
        found = [row for each in class_folders for row in _read_class(folder, each, split, left_out)]
        rows += found
        loose = direct_images(parent)
        if splits and not found:
            reason = f"its {len(loose):,} images are not in class folders" if loose else "it contains no image"
            left_out.folders.append(f"the folder {top.name!r} gives no {split} set: {reason}")
        else:
            left_out.loose += [(parent / name).relative_to(folder).as_posix() for name in loose]
    if splits:
        left_out.loose += direct_images(folder)
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
    classes = class_order(row[1] for row in rows)
    notes += left_out.notes()
    return ImageTable(
        frame, Files(folder), folder.absolute().name, classes, num_ignored=left_out.num_files, notes=tuple(notes)
    )


def _read_class(folder: Path, class_folder: Path, split: str | None, left_out: LeftOut) -> list[Row]:
    """Return the images of one class folder, and record what is left out."""
    rows: list[Row] = []
    files: Counter[str] = Counter()
    for path, is_image in walk(class_folder):
        if is_image:
            rows.append((path.relative_to(folder).as_posix(), class_folder.name, split))
        else:
            left_out.num_files += 1
            _count(files, path)
    if rows:
        left_out.files += files
    else:
        name = class_folder.relative_to(folder).as_posix()
        left_out.folders.append(f"the folder {name!r} is not a class: it contains {_contents(class_folder, files)}")
    return rows


def _split_note(splits: dict[Path, str]) -> str:
    used = ", ".join(f"{top.name!r} as the {split} set" for top, split in splits.items())
    return f"these folders give the split: {used}"


def _note_links_and_outputs(folder: Path, parent: Path, left_out: LeftOut) -> None:
    """Note broken links and folders that Coverslip wrote, both directly in ``parent``."""
    for path in sorted(parent.iterdir()):
        name = path.relative_to(folder).as_posix()
        if is_ignored_folder(path.name):
            continue
        if path.is_symlink() and not path.exists():
            left_out.folders.append(f"{name!r} is not used: it is a broken link")
        elif path.is_dir() and is_output_folder(path):
            left_out.folders.append(f"the folder {name!r} is not a class: it is an output of Coverslip")


def _contents(folder: Path, files: Counter[str]) -> str:
    """Describe a folder without images, for an error or a note."""
    if files:
        advice = export_advice(files)
        counts = ", ".join(f"{name} {count:,}" for name, count in files.most_common(LISTED))
        return f"no image ({counts})" + (f"; {advice}" if advice else "")
    below = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    if any(is_output([path.name]) for path in below):
        return "only outputs of Coverslip"
    return "no file" if not below else "no image"


def _count(files: Counter[str], path: Path) -> None:
    """Count a file that is not an image by its extension; hidden files and those of the system are not counted."""
    if path.name.startswith(".") or path.name.lower() in SYSTEM_FILES:
        return
    kind = extension(path)
    files[kind or (DICOM if is_dicom(path) else NO_EXTENSION)] += 1


def _no_image_error(folder: Path, tops: list[Path]) -> UserError:
    files: Counter[str] = Counter()
    outside = 0
    for name, is_image in walk_names(folder):
        outside += is_image
        if not is_image:
            _count(files, folder / name)
    if outside:
        return UserError(
            f"{str(folder)!r} contains {outside} images, but none in a class folder",
            "move the images into one folder per class inside it, or give a table with the columns path and label",
        )
    found = f"{len(tops)} folders without images" if tops else "no folder" if files else "nothing"
    found += "".join(f", {name} {count:,}" for name, count in files.most_common(LISTED))
    return UserError(
        f"{str(folder)!r} contains no image (found: {found})",
        export_advice(files) or "give a folder that contains one folder per class",
    )
