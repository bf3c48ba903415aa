"""Images that are named one by one, or by folders of any depth, without labels: what `predict` is given."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from coverslip.core.errors import UserError
from coverslip.core.paths import expand
from coverslip.data.files import is_image, need_text, walk_names
from coverslip.data.sources.source import Files
from coverslip.data.table import READ, SCHEMA, ImageTable

NO_IMAGE = "no image by its name"
NO_KIND, MOST_KINDS = "without extension", 6
KINDS = "JPEG, PNG, TIFF, BMP, WebP or HEIC"


@dataclass(frozen=True, slots=True)
class LooseImages:
    """Images in the order they were given, those of a folder sorted by path; each once.

    Attributes:
        root: the folder that holds them all.
        paths: of each below it, with ``/``.
        shown: of each as the user would write it: as given, or below the folder that was given.
        left_out: of the files in folders that are no images by their names, how many have each extension.
    """

    root: Path
    paths: list[str]
    shown: list[str]
    left_out: Counter[str] = field(default_factory=Counter)


def find_images(paths: Sequence[str | Path], *, others: bool = False) -> LooseImages:
    """Files and folders, which are searched at any depth; a hundred thousand files take a second or two.

    Args:
        paths: files and folders.
        others: also list files that were named one by one and are no images by their name, each at its place, where
            there are images beside them; whoever reads them gives each its reason.

    Raises:
        UserError: a path that is not there, a file that is no image by name, or nothing found.
    """
    found: dict[str, None] = {}  # in order, each once
    strange: list[Path] = []
    passed: set[str] = set()
    given = [expand(path) for path in paths]
    for path in given:
        if path.is_dir():
            home = path.absolute().as_posix().rstrip("/") + "/"
            ours = []
            for name, image in walk_names(path):
                ours.append(name) if image else passed.add(home + name)
            found.update((home + name, None) for name in sorted(ours))
        elif not path.exists():
            raise UserError(f"there is no {str(path)!r}", "check the path")
        else:
            need_text(path.absolute())
            found[path.absolute().as_posix()] = None
            strange += [] if is_image(path.name) else [path]
    if strange and not (others and any(is_image(name.rpartition("/")[2]) for name in found)):
        raise UserError(f"{str(strange[0])!r} is {NO_IMAGE}", f"give {KINDS} files")
    left_out = _extensions(passed - found.keys())
    if not found:
        only = f" ({left_out_words(left_out)})" if left_out else ""
        raise UserError(
            f"no image in {', '.join(repr(str(path)) for path in given)}{only}",
            f"name {KINDS} files, or a folder of them",
        )
    root = _common_folder(found)
    skip = len(root.as_posix().rstrip("/")) + 1
    return LooseImages(root, [name[skip:] for name in found], as_given(list(found), given), left_out)


def left_out_words(left_out: Counter[str]) -> str:
    """How many files of folders were left out by their names; empty where none was.

    >>> left_out_words(Counter({".gif": 1, ".txt": 2}))
    '3 files are no images by their names and were left out: .txt 2, .gif 1'
    """
    total, kinds = left_out.total(), sorted(left_out, key=lambda each: (-left_out[each], each))
    if not total:
        return ""
    some = ", ".join(f"{each} {left_out[each]:,}" for each in kinds[:MOST_KINDS])
    more = ", ..." if len(kinds) > MOST_KINDS else ""
    said = "file is no image by its name and was" if total == 1 else "files are no images by their names and were"
    return f"{total:,} {said} left out: {some}{more}"


def _extensions(paths: set[str]) -> Counter[str]:
    """How many have each; files that start with a dot are a system's own."""
    names = [path.rpartition("/")[2] for path in paths]
    return Counter(os.path.splitext(name)[1].lower() or NO_KIND for name in names if name[0] != ".")  # noqa: PTH122


def images_of(paths: Sequence[str | Path]) -> ImageTable:
    """The same as a table without labels.

    Raises:
        UserError: as `find_images`.
    """
    found = find_images(paths)
    columns = {"path": found.paths, "label": None, "group": None, "split": None, "status": READ}
    return ImageTable(pl.DataFrame(columns, schema=SCHEMA), Files(found.root), found.root.name, ())


def as_given(paths: Sequence[str | Path], given: Sequence[str | Path]) -> list[str]:
    """Absolute paths as the user would write them: as given, or below the folder that was given."""
    written = {each.absolute().as_posix(): str(each) for each in map(expand, reversed(given))}
    folders: dict[str, str] = {}  # how each is written: a hundred thousand files lie in few
    shown: list[str] = []
    for path in paths:
        name = path if isinstance(path, str) else path.as_posix()
        alone = written.get(name)
        if alone is None:
            folder, _, file = name.rpartition("/")
            if folder not in folders:
                folders[folder] = _written_folder(Path(folder or "/"), written)
            alone = folders[folder] + file
        shown.append(alone)
    return shown


def _written_folder(folder: Path, written: dict[str, str]) -> str:
    """A folder as the user would write it, up to the name of a file in it."""
    above = next((each for each in (folder, *folder.parents) if each.as_posix() in written), None)
    shown = folder if above is None else Path(written[above.as_posix()]) / folder.relative_to(above)
    return str(shown / "x")[:-1]


def _common_folder(paths: dict[str, None]) -> Path:
    folders = {path.rpartition("/")[0] or "/" for path in paths}
    try:
        return Path(os.path.commonpath(folders))
    except ValueError as error:  # several drives, on Windows
        raise UserError("the images lie on several drives", "predict them drive by drive") from error
