"""Which files are images by name, and which folders are never looked into."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from coverslip.core.errors import UserError

EXTENSIONS = frozenset({".jpg", ".jpeg", ".jfif", ".png", ".tif", ".tiff", ".bmp", ".webp", ".heic", ".heif"})
JUNK_FOLDERS = frozenset({"runs", "__pycache__", "__macosx", "@eadir", "$recycle.bin", "node_modules"})


def is_image(name: str) -> bool:
    """Whether a file is an image by its name; files that start with a dot are a system's own.

    >>> is_image("IMG_01.JPG"), is_image("._IMG_01.JPG"), is_image("Thumbs.db")
    (True, False, False)
    """
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in EXTENSIONS  # noqa: PTH122


def is_junk_folder(name: str) -> bool:
    """Whether a folder is left out by its name.

    >>> is_junk_folder(".ipynb_checkpoints"), is_junk_folder("runs"), is_junk_folder("rust")
    (True, True, False)
    """
    return name.startswith(".") or name.lower() in JUNK_FOLDERS


def subfolders(folder: Path) -> list[Path]:
    """The folders directly inside, sorted by name, without junk.

    Raises:
        UserError: the folder cannot be read.
    """
    try:
        return sorted(each for each in folder.iterdir() if each.is_dir() and not is_junk_folder(each.name))
    except OSError as error:
        raise _unreadable(error) from error


def walk(folder: Path) -> Iterator[tuple[Path, bool]]:
    """Every file below, sorted, with whether it is an image by name; junk folders are not entered.

    Raises:
        UserError: a folder cannot be read.
    """
    return ((folder / name, image) for name, image in walk_names(folder))


def walk_names(folder: Path) -> Iterator[tuple[str, bool]]:
    """Like `walk`, with names relative to the folder, with ``/``: a hundred thousand take half a second.

    Raises:
        UserError: a folder cannot be read.
    """
    seen: set[str] = set()
    checked = False
    skip = len(os.path.join(folder, ""))  # noqa: PTH118
    for home, folders, names in os.walk(folder, onerror=_refuse, followlinks=True):
        real = os.path.realpath(home)
        if real in seen:  # a link to a folder above: without this the walk would never end
            folders[:] = []
            continue
        seen.add(real)
        folders[:] = sorted(each for each in folders if not is_junk_folder(each))
        above = os.path.join(home, "")[skip:].replace(os.sep, "/")  # noqa: PTH118
        for name in sorted(names):
            image, path = is_image(name), above + name
            if image and not checked:
                need_text(folder.absolute())
                checked = True
            if image and not path.isascii():
                need_text(folder / path)
            yield path, image


def need_text(path: Path) -> None:
    """Tables and pages are UTF-8, and cannot name a file whose name is not.

    Raises:
        UserError: the path holds bytes that are no UTF-8.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        shown = str(path).encode(errors="replace").decode()
        raise UserError(
            f"the name of {shown!r} is not UTF-8 (it comes from an older system)",
            "rename it, or all at once: convmv -f latin1 -t utf8 -r --notest FOLDER",
        ) from error


def _refuse(error: OSError) -> None:
    raise _unreadable(error) from error


def _unreadable(error: OSError) -> UserError:
    return UserError(
        f"cannot read the folder {str(error.filename)!r}: {error.strerror}", "check that it exists and its permissions"
    )
