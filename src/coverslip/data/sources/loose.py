"""Pictures that are named one by one, or by folders of any depth, without labels: what `predict` is given."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from coverslip.data.files import is_picture, need_text
from coverslip.data.sources.folder import scan_unlabeled
from coverslip.data.sources.source import Files
from coverslip.data.table import READ, SCHEMA, ImageTable
from coverslip.errors import UserError


def pictures_of(paths: Sequence[str | Path]) -> ImageTable:
    """A table of files and folders without labels; folders are searched at any depth.

    Raises:
        UserError: a path that is not there, a file that is no picture by name, or nothing found.
    """
    found: list[str] = []
    for path in map(Path, paths):
        if path.is_dir():
            table = scan_unlabeled(path)
            found += [(table.root / name).as_posix() for name in table.paths]
        elif not path.exists():
            raise UserError(f"there is no {str(path)!r}", "check the path")
        elif is_picture(path.name):
            need_text(path)
            found.append(path.absolute().as_posix())
        else:
            raise UserError(f"{str(path)!r} is no picture by its name", "give JPEG, PNG, TIFF, BMP, WebP or HEIC files")
    if not found:
        raise UserError(
            f"no picture in {', '.join(repr(str(path)) for path in paths)}", "name files, or a folder of them"
        )
    root = Path(_common_folder(found))
    names = [Path(name).relative_to(root).as_posix() for name in dict.fromkeys(found)]
    frame = pl.DataFrame({"path": names, "label": None, "group": None, "split": None, "status": READ}, schema=SCHEMA)
    return ImageTable(frame, Files(root), root.name, ())


def as_given(paths: Sequence[Path], given: Sequence[str | Path]) -> list[str]:
    """Paths as the user would write them: as given, or below the folder that was given."""
    written = {Path(each).absolute(): Path(each) for each in reversed(given)}  # thousands of files: no search in a list
    shown: list[str] = []
    for path in paths:
        above = next((each for each in (path, *path.parents) if each in written), None)
        shown.append(str(path if above is None else written[above] / path.relative_to(above)))
    return shown


def _common_folder(paths: Sequence[str]) -> str:
    folders = [str(Path(path).parent) for path in paths]
    try:
        return os.path.commonpath(folders)
    except ValueError as error:  # several drives, on Windows
        raise UserError("the pictures lie on several drives", "predict them drive by drive") from error
