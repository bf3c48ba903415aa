"""Images without labels, given as files and folders: the input of `predict`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from coverslip.core.errors import UserError
from coverslip.core.paths import expand, require_path
from coverslip.data.files import is_image, require_utf8_path, walk_names
from coverslip.data.foreign_formats import export_advice, extension
from coverslip.data.sources.source import Files
from coverslip.data.table import SCHEMA, STATUS_OK, ImageTable

NOT_AN_IMAGE = "not an image file"
NO_EXTENSION, MAX_EXTENSIONS = "without extension", 6
FORMATS = "JPEG, PNG, TIFF, BMP, WebP, HEIC, AVIF, JPEG 2000 or GIF"


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """Image files in the order in which they were given, those of a folder sorted by path, without repetitions.

    Attributes:
        root: the folder that contains all of them.
        paths: path of each file relative to ``root``, with ``/``.
        display: path of each file as the user would write it: as given, or below the folder that was given.
        ignored: number of ignored files in the folders by extension.
    """

    root: Path
    paths: list[str]
    display: list[str]
    ignored: Counter[str] = field(default_factory=Counter)


def find_images(paths: Iterable[str | Path] | str | Path, *, include_others: bool = False) -> ImageFiles:
    """List image files; folders are searched recursively (a hundred thousand files take a second or two).

    Args:
        paths: files and folders; a single path is a list of one.
        include_others: also list files that were given by name and are not images by their extension, unless there is
            no image at all; reading them then yields the reason for each.

    Raises:
        UserError: a path does not exist, a given file is not an image, or there is no image.
    """
    files: dict[str, None] = {}  # an ordered set
    others: list[Path] = []
    ignored_files: set[str] = set()
    given = [expand(path) for path in ([paths] if isinstance(paths, str | os.PathLike) else paths)]
    if not given:
        raise UserError("no image was given", f"give {FORMATS} files, or a folder of them")
    for path in given:
        require_path(path)
        if path.is_dir():
            prefix = path.absolute().as_posix().rstrip("/") + "/"
            images = []
            for name, image in walk_names(path):
                images.append(name) if image else ignored_files.add(prefix + name)
            files.update((prefix + name, None) for name in sorted(images))
        else:
            require_utf8_path(path.absolute())
            files[path.absolute().as_posix()] = None
            others += [] if is_image(path.name) else [path]
    if others and not (include_others and any(is_image(name.rpartition("/")[2]) for name in files)):
        raise UserError(f"{str(others[0])!r} is {NOT_AN_IMAGE}", _fix([extension(others[0])]))
    ignored = _extensions(ignored_files - files.keys())
    if not files:
        remark = f" ({ignored_text(ignored)})" if ignored else ""
        raise UserError(
            f"no image in {', '.join(repr(str(path)) for path in given)}{remark}",
            _fix(ignored, ", or a folder of them"),
        )
    root = _common_folder(files)
    skip = len(root.as_posix().rstrip("/")) + 1
    return ImageFiles(root, [name[skip:] for name in files], display_paths(list(files), given), ignored)


def ignored_text(ignored: Counter[str]) -> str:
    """Return a sentence on how many files were ignored; empty if none was.

    >>> ignored_text(Counter({".mp4": 1, ".txt": 2}))
    '3 files are not images and were ignored: .txt 2, .mp4 1'
    """
    total, extensions = ignored.total(), sorted(ignored, key=lambda extension: (-ignored[extension], extension))
    if not total:
        return ""
    counts = ", ".join(f"{extension} {ignored[extension]:,}" for extension in extensions[:MAX_EXTENSIONS])
    more = ", ..." if len(extensions) > MAX_EXTENSIONS else ""
    verb = "file is not an image and was" if total == 1 else "files are not images and were"
    return f"{total:,} {verb} ignored: {counts}{more}"


def _fix(extensions: Iterable[str], more: str = "") -> str:
    return export_advice(extensions) or f"give {FORMATS} files{more}"


def _extensions(paths: set[str]) -> Counter[str]:
    """Return the number of files by extension, without hidden files."""
    names = [path.rpartition("/")[2] for path in paths]
    return Counter(os.path.splitext(name)[1].lower() or NO_EXTENSION for name in names if name[0] != ".")  # noqa: PTH122


def scan_unlabeled(paths: Iterable[str | Path] | str | Path) -> ImageTable:
    """Return a table of images without labels.

    Args:
        paths: files and folders; see `find_images`.

    Raises:
        UserError: see `find_images`.
    """
    files = find_images(paths)
    columns = {"path": files.paths, "label": None, "group": None, "split": None, "status": STATUS_OK}
    return ImageTable(pl.DataFrame(columns, schema=SCHEMA), Files(files.root), files.root.name, ())


def display_paths(paths: Sequence[str | Path], given: Sequence[str | Path]) -> list[str]:
    """Return absolute paths as the user would write them: as given, or below the folder that was given.

    Args:
        paths: absolute paths.
        given: the files and folders as the user gave them.
    """
    written = {path.absolute().as_posix(): str(path) for path in map(expand, reversed(given))}
    folders: dict[str, str] = {}  # display form of each folder: a hundred thousand files are in few folders
    display: list[str] = []
    for path in paths:
        name = path if isinstance(path, str) else path.as_posix()
        as_written = written.get(name)
        if as_written is None:
            folder, _, file = name.rpartition("/")
            if folder not in folders:
                folders[folder] = _display_folder(Path(folder or "/"), written)
            as_written = folders[folder] + file
        display.append(as_written)
    return display


def _display_folder(folder: Path, written: dict[str, str]) -> str:
    """Return the display form of a folder, to which the name of a file in it can be appended."""
    given = next((path for path in (folder, *folder.parents) if path.as_posix() in written), None)
    display = folder if given is None else Path(written[given.as_posix()]) / folder.relative_to(given)
    return str(display / "x")[:-1]


def _common_folder(paths: dict[str, None]) -> Path:
    folders = {path.rpartition("/")[0] or "/" for path in paths}
    try:
        return Path(os.path.commonpath(folders))
    except ValueError as error:  # several drives, on Windows
        raise UserError("the images are on several drives", "predict the images of each drive separately") from error
