"""Images, labels and groups as a notebook has them, made into what the loop takes; what is unclear is refused."""

from __future__ import annotations

from collections.abc import Sequence
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

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows of `Inputs`; nothing is copied, and an image's augmentation is that of its own row."""

    whole: ArrayInputs
    rows: IntArray

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: IntArray, epoch: int | None, device: torch.device) -> Tensor:
        """See `coverslip.training.batches.Inputs.take`."""
        return self.whole.take(self.rows[rows], epoch, device)


def read_images(
    x: Any, layout: str | None = None, augment: Augmentation | None = None, seed: int = 0
) -> tuple[ArrayInputs, str]:
    """Arrays of images, or of rows of numbers, as the loop takes them.

    Args:
        x: NumPy array or torch tensor. Images (N, H, W, C), (N, C, H, W) or, grey, (N, H, W), uint8 or floats 0 to 1;
            or (N, D) numbers of any size, for networks that take no images.
        layout: "NHWC" or "NCHW", where the shape does not tell.
        augment: of training images.
        seed: of that.

    Returns:
        The inputs, float32 (N, C, H, W) from 0 to 1 or (N, D), and what was taken for what, in words.

    Raises:
        UserError: another shape or type, a value outside 0 to 1, or a shape that can be read in two ways.
    """
    pixels = x.detach().cpu() if isinstance(x, Tensor) else np.asarray(x)
    if len(pixels.shape) < 2 or len(pixels) == 0:
        raise UserError(f"x is of shape {tuple(pixels.shape)}", "give images: (N, height, width, channels)")
    kind = str(pixels.dtype).removeprefix("torch.")
    if kind != "uint8" and not kind.startswith(("float", "bfloat")):
        fix = "divide by the largest value that they can have (65535 for uint16), or convert them to uint8"
        raise UserError(f"x holds {kind}; images are uint8, or floats from 0 to 1", fix)
    if kind == "bfloat16":
        pixels = torch.as_tensor(pixels).float()
    if len(pixels.shape) == 2:
        if kind != "uint8" and not np.isfinite([float(pixels.min()), float(pixels.max())]).all():
            raise UserError("x holds NaN or infinite values", "look for them: numpy.isfinite(x).all(axis=1)")
        if augment is not None:
            raise UserError("only images can be augmented, and x holds rows of numbers", "leave augment away")
        return ArrayInputs(pixels), f"{len(pixels):,} rows of {pixels.shape[1]:,} numbers ({kind})"
    if kind != "uint8":
        need_scale(float(pixels.min()), float(pixels.max()))
    if len(pixels.shape) == 3:
        pixels, found, said = pixels[:, None], "NCHW", "grey"
    else:
        found = find_layout(pixels.shape, layout)
        said = f"{found}, channels {'last' if found == 'NHWC' else 'second'}"
    if found == "NHWC":
        pixels = pixels.permute(0, 3, 1, 2) if isinstance(pixels, Tensor) else pixels.transpose(0, 3, 1, 2)
    count, channels, height, width = pixels.shape
    what = f"{count:,} images of {height} × {width} pixels, {channels} channel{'s' if channels > 1 else ''}"
    return ArrayInputs(pixels, augment, seed), f"{what} ({said}; {kind})"


def read_labels(y: Any, count: int, classes: Sequence[str] | None) -> tuple[IntArray, tuple[str, ...]]:
    """Labels in any usual form as class numbers.

    Args:
        y: numbers (N,) or (N, 1), one-hot rows (N, K), or names (N,).
        count: of images.
        classes: names in the order of the network's outputs; with labels that are names, without it their
            alphabetical order counts.

    Returns:
        int64 (N,), and the names of the classes: ``classes``, else the names in ``y``, else numbers as text up to the
        largest.

    Raises:
        UserError: another number of labels, a name that is not among ``classes``, a number that is none of a class.
    """
    values = np.asarray(y.detach().cpu() if isinstance(y, Tensor) else y)
    if values.ndim == 0 or len(values) != count:
        found = 0 if values.ndim == 0 else len(values)
        raise UserError(f"{count:,} images and {found:,} labels", "give one label an image")
    if values.ndim == 2 and values.shape[1] > 1:
        if not (np.isin(values, (0, 1)).all() and (values.sum(axis=1) == 1).all()):
            fix = "give class numbers, names, or rows with a single 1"
            raise UserError(f"the rows of y (of shape {values.shape}) are not one-hot", fix)
        numbers, names = values.argmax(axis=1), classes or [str(each) for each in range(values.shape[1])]
        return _checked(numbers, names)
    if values.ndim > 2 or (values.ndim == 2 and values.shape[1] != 1):
        raise UserError(f"y is of shape {values.shape}", "give (N,) class numbers or names, or (N, K) one-hot rows")
    flat = values.reshape(-1)
    if flat.dtype.kind in "OUS":
        return _by_name([str(each) for each in flat.tolist()], classes)
    if flat.dtype.kind == "f" and not (np.isfinite(flat).all() and (flat == np.round(flat)).all()):
        raise UserError("y holds numbers that are not whole", "give class numbers 0, 1, 2 ...")
    numbers = flat.astype(np.int64)
    return _checked(numbers, classes or [str(each) for each in range(max(int(numbers.max()), 0) + 1)])


def _by_name(labels: list[str], classes: Sequence[str] | None) -> tuple[IntArray, tuple[str, ...]]:
    names = tuple(classes or sorted(set(labels)))
    place = {name: number for number, name in enumerate(names)}
    for name in labels:
        if name not in place:
            raise UserError(f"y holds the class {name!r}, which is not among classes", nearest(name, names))
    return np.array([place[name] for name in labels], np.int64), names


def _checked(numbers: npt.NDArray[Any], names: Sequence[str]) -> tuple[IntArray, tuple[str, ...]]:
    least, most = int(numbers.min()), int(numbers.max())
    if least < 0 or most >= len(names):
        raise UserError(
            f"labels go from {least} to {most}, and there are {len(names)} classes (0 to {len(names) - 1})",
            "count classes from 0, and name all of them in classes",
        )
    return numbers.astype(np.int64), tuple(names)


def read_groups(groups: Any, count: int) -> list[str] | None:
    """Names of groups, one an image; an image whose group is None stands for itself.

    Raises:
        UserError: another number of groups than images.
    """
    if groups is None:
        return None
    values = (groups.detach().cpu() if isinstance(groups, Tensor) else np.asarray(groups, dtype=object)).tolist()
    if not isinstance(values, list) or len(values) != count:
        found = len(values) if isinstance(values, list) else 0
        raise UserError(f"{count:,} images and {found:,} groups", "give the group of each image")
    return [f"\0{row}" if name is None else str(name) for row, name in enumerate(values)]
