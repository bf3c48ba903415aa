"""Images as arrays in an ``.npz`` file."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from coverslip.core.errors import UserError
from coverslip.data.image import Pixels
from coverslip.data.sources.stored import StoredArray, stored_array
from coverslip.data.table import SCHEMA, STATUS_OK, ImageTable

PAIRS = (
    ("x_train", "y_train", "train"),
    ("x_val", "y_val", "validation"),
    ("x_valid", "y_valid", "validation"),
    ("x_validation", "y_validation", "validation"),
    ("x_test", "y_test", "test"),
    ("x", "y", None),
    ("images", "labels", None),
)


class Arrays:
    """A source of images in an ``.npz`` file, with paths such as ``x_train/00017``.

    Args:
        file: the ``.npz`` file.
        arrays: name -> images, shape (N, H, W) or (N, H, W, C).
    """

    def __init__(self, file: Path, arrays: dict[str, Pixels | StoredArray]) -> None:
        self.root = file.parent.absolute()
        self.file, self.arrays = file, arrays
        status = file.stat()
        self._stamp = (status.st_size, status.st_mtime_ns)

    def read(self, path: str) -> Pixels:
        """See `Source.read`."""
        name, _, number = path.partition("/")
        image: Pixels = self.arrays[name][int(number)]
        return image[:, :, None] if image.ndim == 2 else image

    def stamp(self, path: str) -> tuple[int, int]:
        """Return the stamp of the ``.npz`` file for every path; see `Source.stamp`."""
        return self._stamp


def scan_arrays(file: Path) -> ImageTable:
    """Return a table of the images in ``x`` and ``y`` (or ``x_train`` and ``y_train``, ...; see `PAIRS`).

    Images are uint8 or uint16, shape (N, H, W) or (N, H, W, C). Labels are integers or names; ``class_names`` contains
    the names for integers. An optional array ``groups`` (next to ``x``/``y``) contains the group of each image.

    Raises:
        UserError: the arrays are missing or have another dtype or shape, or the labels do not match them. Pickled
            objects are never loaded.
    """
    try:
        with np.load(file, allow_pickle=False) as content:
            data = {name: _read(file, content, name) for name in content.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(
            f"{str(file)!r} cannot be opened: {error}", "save it with numpy.savez, without objects"
        ) from error
    names = [str(name) for name in data["class_names"]] if "class_names" in data else None
    arrays: dict[str, Pixels | StoredArray] = {}
    rows: list[tuple[str, str, str | None, str | None]] = []
    for x, y, split in PAIRS:
        if x not in data or y not in data:
            continue
        images, labels = data[x], data[y].reshape(-1)
        _check(file, x, y, images, labels)
        arrays[x] = images
        groups = data["groups"].reshape(-1) if split is None and "groups" in data else None
        for number, label in enumerate(labels):
            group = None if groups is None else str(groups[number])
            rows.append((f"{x}/{number:05d}", _class_name(file, label, names), group, split))
    if not rows:
        found = ", ".join(sorted(data)) or "nothing"
        raise UserError(f"{file.name!r} contains no images with labels (found: {found})", "name the arrays x and y")
    columns = list(zip(*rows, strict=True))
    frame = pl.DataFrame(
        {
            "path": columns[0],
            "label": columns[1],
            "group": columns[2],
            "split": columns[3],
            "status": [STATUS_OK] * len(rows),
        },
        schema=SCHEMA,
        strict=False,
    ).sort("path")
    classes = tuple(sorted(set(columns[1])))
    grouped_by = "array 'groups'" if frame["group"].null_count() < frame.height else None
    return ImageTable(frame, Arrays(file, arrays), file.stem, classes, grouped_by)


def _read(file: Path, content: Any, name: str) -> Any:
    """Return an array of an open ``.npz`` file; images stay in the file if possible."""
    stored = stored_array(file, name) if name in {x for x, _, _ in PAIRS} else None
    return content[name] if stored is None else stored


def _check(file: Path, x: str, y: str, images: Pixels | StoredArray, labels: Pixels) -> None:
    if images.ndim not in (3, 4) or images.dtype not in (np.uint8, np.uint16):
        raise UserError(
            f"{file.name!r}: {x} has dtype {images.dtype} and shape {images.shape}",
            "give uint8 or uint16 of shape (N, H, W) or (N, H, W, C)",
        )
    if len(labels) != len(images):
        raise UserError(
            f"{file.name!r}: {x} has {len(images)} images, but {y} has {len(labels)} labels",
            "give one label per image",
        )


def _class_name(file: Path, label: object, names: list[str] | None) -> str:
    if not isinstance(label, np.integer):
        return str(label)
    if names is None:
        return f"{int(label):03d}"
    if not 0 <= int(label) < len(names):
        raise UserError(
            f"{file.name!r} has the label {label}, but only {len(names)} class names",
            "give a name for every class, starting with label 0",
        )
    return names[int(label)]
