"""Listing of image files: the extensions of images, and the folders that are ignored."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from coverslip.core.errors import UserError

EXTENSIONS = frozenset({".jpg", ".jpeg", ".jfif", ".png", ".tif", ".tiff", ".bmp", ".webp", ".heic", ".heif", ".avif"})
EXTENSIONS |= {".gif", ".jp2", ".j2k", ".jpf", ".jpx", ".j2c", ".jpc"}
IGNORED_FOLDERS = frozenset({"__pycache__", "__macosx", "@eadir", "$recycle.bin", "node_modules"})
OUTPUT_FILES = frozenset({"experiment.toml", "audit.json", "study.json", "explain.json", "comparison.json"})
"""A folder with one of these files was written by Coverslip: a run, audit, evaluation, study or explanation."""
EXPORT_FILES = frozenset({"model.json"}), frozenset({"README.md", "weights.safetensors"})
"""A folder with a file of each set was written by Coverslip: an exported model, or the model of a run."""


def is_image(name: str) -> bool:
    """Return whether a file is an image by its extension; hidden files (with a leading dot) are not.

    >>> is_image("IMG_01.JPG"), is_image("._IMG_01.JPG"), is_image("Thumbs.db")
    (True, False, False)
    """
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in EXTENSIONS  # noqa: PTH122


def is_ignored_folder(name: str) -> bool:
    """Return whether a folder is ignored because of its name.

    >>> is_ignored_folder(".ipynb_checkpoints"), is_ignored_folder("__MACOSX"), is_ignored_folder("runs")
    (True, True, False)
    """
    return name.startswith(".") or name.lower() in IGNORED_FOLDERS


def is_output(names: Collection[str]) -> bool:
    """Return whether Coverslip wrote a folder, from the names of the files in it; the folder's own name is irrelevant.

    >>> is_output(["experiment.toml", "table.csv"]), is_output(["IMG_01.jpg"])
    (True, False)
    """
    files = set(names)
    return bool(OUTPUT_FILES & files) or all(files & each for each in EXPORT_FILES)


def is_output_folder(folder: Path) -> bool:
    """Return whether Coverslip wrote a folder; see `is_output`."""
    names = [*OUTPUT_FILES, *EXPORT_FILES[0], *EXPORT_FILES[1]]
    return is_output([name for name in names if (folder / name).is_file()])


def subfolders(folder: Path) -> list[Path]:
    """Return the direct subfolders, sorted by name, without ignored ones and those that Coverslip wrote.

    Raises:
        UserError: the folder cannot be read.
    """
    try:
        folders = sorted(path for path in folder.iterdir() if path.is_dir() and not is_ignored_folder(path.name))
        return [path for path in folders if not is_output_folder(path)]
    except OSError as error:
        raise _unreadable(error) from error


def walk(folder: Path) -> Iterator[tuple[Path, bool]]:
    """Yield every file below a folder, sorted, and whether it is an image by its extension.

    Ignored folders, and those below it that Coverslip wrote, are not entered.

    Raises:
        UserError: a folder cannot be read.
    """
    return ((folder / name, image) for name, image in walk_names(folder))


def walk_names(folder: Path) -> Iterator[tuple[str, bool]]:
    """Yield the same as `walk`, with paths relative to the folder, with ``/``.

    It works on text, since pathlib would be slow: a hundred thousand files take half a second.

    Raises:
        UserError: a folder cannot be read.
    """
    visited: set[str] = set()
    checked = False
    skip = len(os.path.join(folder, ""))  # noqa: PTH118
    for parent, folders, names in os.walk(folder, onerror=_raise_unreadable, followlinks=True):
        real = os.path.realpath(parent)
        if real in visited:  # a link to a folder above would make the walk endless
            folders[:] = []
            continue
        visited.add(real)
        if visited != {real} and is_output(names):
            folders[:] = []
            continue
        folders[:] = sorted(subfolder for subfolder in folders if not is_ignored_folder(subfolder))
        prefix = os.path.join(parent, "")[skip:].replace(os.sep, "/")  # noqa: PTH118
        for name in sorted(names):
            image, path = is_image(name), prefix + name
            if image and not checked:
                require_utf8_path(folder.absolute())
                checked = True
            if image and not path.isascii():
                require_utf8_path(folder / path)
            yield path, image


def require_utf8_path(path: Path) -> None:
    """Check that a path can be written to tables and pages, which are UTF-8.

    Raises:
        UserError: the path contains bytes that are not UTF-8.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        shown = str(path).encode(errors="replace").decode()
        raise UserError(
            f"the name of {shown!r} is not UTF-8 (it was created on an older system)",
            "rename it, or all files at once: convmv -f latin1 -t utf8 -r --notest FOLDER",
        ) from error


def _raise_unreadable(error: OSError) -> None:
    raise _unreadable(error) from error


def _unreadable(error: OSError) -> UserError:
    return UserError(
        f"cannot read the folder {str(error.filename)!r}: {error.strerror}", "check that it exists and its permissions"
    )
