"""Convert images, labels and groups in NumPy arrays or tensors to inputs of the training loop; reject invalid ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from coverslip.core.errors import UserError
from coverslip.core.registry import nearest
from coverslip.data.augment import Augmentation
from coverslip.figures.pixels import find_layout, need_scale
from coverslip.training.batches import ArrayInputs
from coverslip.training.collect import as_array, to_numpy

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Subset:
    """Some rows of `Inputs`, without copying; the augmentation of an image depends on its row in ``inputs``."""

    inputs: ArrayInputs
    rows: IntArray

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: IntArray, epoch: int | None, device: torch.device) -> Tensor:
        """See `coverslip.training.batches.Inputs.take`."""
        return self.inputs.take(self.rows[rows], epoch, device)


def read_images(
    x: Any, layout: str | None = None, augment: Augmentation | None = None, seed: int = 0
) -> tuple[ArrayInputs, str]:
    """Convert an array of images, or of feature vectors, to inputs of the training loop.

    Args:
        x: NumPy array, torch tensor or list of images. Images have shape (N, H, W, C), (N, C, H, W) or, if grayscale,
            (N, H, W), and are uint8 or floats from 0 to 1. For networks without image inputs, (N, D) with any values.
        layout: "NHWC" or "NCHW"; required if the shape is ambiguous.
        augment: augmentation of training images.
        seed: random seed of the augmentation.

    Returns:
        The inputs, float32 (N, C, H, W) scaled to 0 to 1 or (N, D), and a description of how ``x`` was interpreted.

    Raises:
        UserError: ``x`` is not an array, or has an unsupported shape or dtype, another range of values than 0 to 1, or
            an ambiguous shape.
    """
    pixels = as_array(x)
    if len(pixels.shape) < 2 or len(pixels) == 0:
        raise UserError(
            f"x has shape {tuple(pixels.shape)}", "give images of shape (N, height, width, channels), N at least 1"
        )
    dtype = str(pixels.dtype).removeprefix("torch.")
    if dtype != "uint8" and not dtype.startswith(("float", "bfloat")):
        fix = "divide by the largest possible value (65535 for uint16), or convert to uint8"
        raise UserError(f"x has dtype {dtype}; images must be uint8, or floats from 0 to 1", fix)
    if dtype == "bfloat16":
        pixels = torch.as_tensor(pixels).float()
    if len(pixels.shape) == 2:
        if dtype != "uint8" and not np.isfinite([float(pixels.min()), float(pixels.max())]).all():
            raise UserError("x contains NaN or infinite values", "find them with numpy.isfinite(x).all(axis=1)")
        if augment is not None:
            raise UserError("x contains feature vectors, and only images can be augmented", "omit augment")
        return ArrayInputs(pixels), f"{len(pixels):,} feature vectors of {pixels.shape[1]:,} values ({dtype})"
    if dtype != "uint8":
        need_scale(float(pixels.min()), float(pixels.max()))
    if len(pixels.shape) == 3:
        pixels, layout, description = pixels[:, None], "NCHW", "grayscale"
    else:
        layout = find_layout(pixels.shape, layout)
        description = f"{layout}, channels {'last' if layout == 'NHWC' else 'first'}"
    if dtype == "uint8" and int(pixels.max()) == 1:
        raise UserError(
            "x has dtype uint8 and values 0 and 1, so the images are black: uint8 images have values 0 to 255",
            "convert to float32 before dividing by 255; multiply masks of 0 and 1 by 255",
        )
    if layout == "NHWC":
        pixels = pixels.permute(0, 3, 1, 2) if isinstance(pixels, Tensor) else pixels.transpose(0, 3, 1, 2)
    count, channels, height, width = pixels.shape
    size = f"{count:,} images of {height} × {width} pixels, {channels} channel{'s' if channels > 1 else ''}"
    return ArrayInputs(pixels, augment, seed), f"{size} ({description}; {dtype})"


def read_labels(y: Any, count: int, classes: Sequence[str] | None) -> tuple[IntArray, tuple[str, ...]]:
    """Convert labels in any common form to class ids.

    Args:
        y: class ids (N,) or (N, 1), one-hot rows (N, K), or class names (N,).
        count: number of images N.
        classes: class names in the order of the network's outputs; by default, the names in ``y`` in alphabetical
            order.

    Returns:
        Class ids, int64 (N,), and the class names: ``classes``, else the names in ``y``, else "0", "1", ... up to the
        largest id.

    Raises:
        UserError: the number of labels is not N, a name is not in ``classes``, or an id is out of range.
    """
    y = list(y) if isinstance(y, Iterator) else y
    try:
        values = np.asarray(to_numpy(y))
    except (ValueError, TypeError) as error:
        raise UserError("the labels in y have different lengths", "give one class id or name per image") from error
    if values.ndim == 0 or len(values) != count:
        given = 0 if values.ndim == 0 else len(values)
        raise UserError(f"x has {count:,} images and y has {given:,} labels", "give one label per image")
    if values.ndim == 2 and values.shape[1] > 1:
        if not (np.isin(values, (0, 1)).all() and (values.sum(axis=1) == 1).all()):
            fix = "give class ids, class names, or rows with a single 1"
            raise UserError(f"y has shape {values.shape}, but its rows are not one-hot", fix)
        ids, names = values.argmax(axis=1), classes or [str(number) for number in range(values.shape[1])]
        return _check_ids(ids, names)
    if values.ndim > 2 or (values.ndim == 2 and values.shape[1] != 1):
        raise UserError(f"y has shape {values.shape}", "give class ids or names (N,), or one-hot rows (N, K)")
    flat = values.reshape(-1)
    if flat.dtype.kind in "OUS":
        return _ids_of_names([str(name) for name in flat.tolist()], classes)
    if flat.dtype.kind == "f" and not (np.isfinite(flat).all() and (flat == np.round(flat)).all()):
        raise UserError("y contains values that are not integers", "give class ids 0, 1, 2, ...")
    ids = flat.astype(np.int64)
    return _check_ids(ids, classes or [str(number) for number in range(max(int(ids.max()), 0) + 1)])


def _ids_of_names(labels: list[str], classes: Sequence[str] | None) -> tuple[IntArray, tuple[str, ...]]:
    names = tuple(classes or sorted(set(labels)))
    id_of_name = {name: number for number, name in enumerate(names)}
    for name in labels:
        if name not in id_of_name:
            raise UserError(f"y contains the class {name!r}, which is not in classes", nearest(name, names))
    return np.array([id_of_name[name] for name in labels], np.int64), names


def _check_ids(ids: npt.NDArray[Any], names: Sequence[str]) -> tuple[IntArray, tuple[str, ...]]:
    smallest, largest = int(ids.min()), int(ids.max())
    if smallest < 0 or largest >= len(names):
        raise UserError(
            f"y has class ids from {smallest} to {largest}, but there are {len(names)} classes (0 to {len(names) - 1})",
            "number the classes from 0, and list all of them in classes",
        )
    return ids.astype(np.int64), tuple(names)


def read_groups(groups: Any, count: int) -> list[str] | None:
    """Return the group name of each image; an image whose group is None is its own group.

    Raises:
        UserError: the number of groups is not the number of images.
    """
    if groups is None:
        return None
    groups = list(groups) if isinstance(groups, Iterator) else groups
    values = (groups.detach().cpu() if isinstance(groups, Tensor) else np.asarray(groups, dtype=object)).tolist()
    if not isinstance(values, list) or len(values) != count:
        given = len(values) if isinstance(values, list) else 0
        raise UserError(f"x has {count:,} images and groups has {given:,} values", "give one group per image")
    return [f"\0{row}" if name is None else str(name) for row, name in enumerate(values)]
