"""Images as arrays in an ``.npz`` file."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from coverslip.core.errors import UserError
from coverslip.data.groups import note_ungrouped
from coverslip.data.image import Pixels
from coverslip.data.labels import ReadOptions, missing_labels_error, select_classes
from coverslip.data.missing import missing_rows
from coverslip.data.sources.stored import StoredArray, stored_array
from coverslip.data.table import SCHEMA, STATUS_OK, ImageTable, class_order

PAIRS = (
    ("x_train", "y_train", "train"),
    ("x_val", "y_val", "validation"),
    ("x_valid", "y_valid", "validation"),
    ("x_validation", "y_validation", "validation"),
    ("x_test", "y_test", "test"),
    ("x", "y", None),
    ("images", "labels", None),
    ("train_images", "train_labels", "train"),  # MedMNIST
    ("val_images", "val_labels", "validation"),
    ("test_images", "test_labels", "test"),
)

MAX_CHANNELS = 5  # an axis this short, beside two longer ones, is that of the channels


DEFAULTS = ReadOptions()


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
        if image.dtype == bool:
            image = image.astype(np.uint8) * 255
        elif not image.dtype.isnative:
            image = image.astype(image.dtype.newbyteorder("="))
        return image[:, :, None] if image.ndim == 2 else image

    def stamp(self, path: str) -> tuple[int, int]:
        """Return the stamp of the ``.npz`` file for every path; see `Source.stamp`."""
        return self._stamp


def scan_arrays(file: Path, options: ReadOptions = DEFAULTS) -> ImageTable:
    """Return a table of the images in ``x`` and ``y`` (or ``x_train`` and ``y_train``, ...; see `PAIRS`).

    Images are uint8, uint16 (of either byte order) or bool, shape (N, H, W) or (N, H, W, C). Labels are integers, names
    or one-hot rows; ``class_names`` contains the names for integers. An optional array ``groups`` (next to
    ``x``/``y``) contains the group of each image.

    Args:
        file: the ``.npz`` file.
        options: classes to merge, rename or leave out.

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
    twice = sorted({name for name in names or [] if (names or []).count(name) > 1})
    if twice:
        raise UserError(
            f"{file.name!r}: class_names contains {twice[0]!r} more than once", "give every class its own name"
        )
    arrays: dict[str, Pixels | StoredArray] = {}
    rows: list[tuple[str, str, str | None, str | None]] = []
    for x, y, split in PAIRS:
        if x not in data or y not in data:
            continue
        images, labels = data[x], _flat_labels(data[y])
        _check(file, x, y, images, labels)
        given, labels = labels, _without_fractions(file, y, labels)
        missing = _missing_labels(file, y, given, labels, options)
        arrays[x] = images
        groups = _groups(data["groups"].reshape(-1)) if split is None and "groups" in data else None
        for number, label in enumerate(labels):
            group = None if groups is None else groups[number]
            text = str(given[number]) if number in missing else _class_name(file, label, names)
            rows.append((f"{x}/{number:05d}", text, group, split))
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
    classes = class_order(columns[1])
    grouped_by = "array 'groups'" if frame["group"].null_count() < frame.height else None
    table = select_classes(ImageTable(frame, Arrays(file, arrays), file.stem, classes, grouped_by), options)
    return note_ungrouped(table, "a value of 'groups' is missing") if grouped_by else table


def _read(file: Path, content: Any, name: str) -> Any:
    """Return an array of an open ``.npz`` file; images stay in the file if possible."""
    stored = stored_array(file, name) if name in {x for x, _, _ in PAIRS} else None
    return content[name] if stored is None else stored


def _check(file: Path, x: str, y: str, images: Pixels | StoredArray, labels: Pixels) -> None:
    usable = images.dtype == bool or images.dtype.newbyteorder("=") in (np.uint8, np.uint16)
    if images.ndim not in (3, 4) or not usable:
        raise UserError(
            f"{file.name!r}: {x} has dtype {images.dtype} and shape {images.shape}",
            "give uint8 or uint16 of shape (N, H, W) or (N, H, W, C)",
        )
    if images.ndim == 4 and images.shape[1] <= MAX_CHANNELS < min(images.shape[2:]):
        raise UserError(
            f"{file.name!r}: {x} has shape {images.shape}, which has its channels first, (N, C, H, W)",
            f"save it channels last, (N, H, W, C): {x}.transpose(0, 2, 3, 1)",
        )
    if len(labels) != len(images):
        raise UserError(
            f"{file.name!r}: {x} has {len(images)} images, but {y} has {len(labels)} labels",
            "give one label per image",
        )


def _flat_labels(labels: Any) -> Any:
    """Return labels as (N,); of one-hot rows (N, K), the class ids.

    >>> _flat_labels(np.eye(3)[[2, 0]]).tolist(), _flat_labels(np.array([[4], [2]])).tolist()
    ([2, 0], [4, 2])
    """
    numbers = labels.ndim == 2 and labels.shape[1] > 1 and labels.dtype.kind in "biuf"
    if numbers and ((labels == 0) | (labels == 1)).all() and (labels.sum(axis=1) == 1).all():
        return labels.argmax(axis=1)
    return labels.reshape(-1)


def _without_fractions(file: Path, y: str, labels: Any) -> Any:
    """Return labels that are integers stored as floats as integers; NaN becomes -1."""
    if labels.dtype.kind != "f":
        return labels
    known = labels[~np.isnan(labels)]
    if not (np.isfinite(known).all() and (known == np.round(known)).all()):
        raise UserError(f"{file.name!r}: {y} contains numbers that are not integers", "give integers or names")
    return np.where(np.isnan(labels), -1, labels).astype(np.int64)


def _missing_labels(file: Path, y: str, given: Any, labels: Any, options: ReadOptions) -> set[int]:
    """Return the positions of missing labels that are renamed or left out.

    Args:
        file: the ``.npz`` file.
        y: name of the array.
        given: the labels in the file, as the user names them.
        labels: the same after `_without_fractions`.
        options: the labels that are renamed or left out.

    Raises:
        UserError: another label is missing.
    """
    if labels.dtype.kind in "iub" and not (labels < 0).any():
        return set()
    texts = [str(label) for label in labels]
    missing = missing_rows(texts)
    handled = {*options.leave_out, *options.new_names()}
    open_rows = [row for row in missing if str(given[row]) not in handled]
    if open_rows:
        shown = [str(label) for label in given[open_rows]]
        raise missing_labels_error(shown, open_rows, f"{file.name!r}: {y}", "row")
    return set(missing)


def _groups(groups: Any) -> list[str | None]:
    """Return the groups as text; None for words that stand for a missing value."""
    names: list[str | None] = [str(group) for group in groups]
    for row in missing_rows(names):
        names[row] = None
    return names


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
