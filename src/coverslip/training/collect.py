"""Arrays from what users pass as images: lists, datasets and data loaders; a clear error for everything else."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sized
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from coverslip.core.errors import UserError

ON_FILES = "train on files with coverslip.train(FOLDER)"
MEMORY_FRACTION = 0.5  # of the machine's memory that the images of a data set may occupy


def is_dataset(x: Any) -> bool:
    """Return whether ``x`` is a data set or a data loader of PyTorch."""
    return isinstance(x, DataLoader | Dataset)


def split_pair(x: Any, y: Any) -> tuple[Any, Any]:
    """Return images and labels, which a data set, a data loader or a tuple contains together.

    The images of a data loader are those of its data set, each read once and in the order of the data set.

    Args:
        x: images; or a `torch.utils.data.Dataset` of (image, label), a `DataLoader` of one, or the tuple (x, y).
        y: labels; None if ``x`` contains them.

    Raises:
        UserError: labels are given twice or not at all, or the data set cannot be read into arrays.
    """
    is_pair = y is None and isinstance(x, tuple) and len(x) == 2
    if is_dataset(x) and y is not None:
        raise UserError(f"x is a {type(x).__name__}, which contains its own labels", "omit y")
    if is_dataset(x):
        return _collect(x.dataset if isinstance(x, DataLoader) else x)
    if is_pair:
        return x[0], x[1]
    if y is None:
        refuse_unknown(x)
        raise UserError("labels are missing", "give one label per image: x, y")
    return x, y


def as_array(x: Any) -> npt.NDArray[Any] | Tensor:
    """Return images as an array that torch can share: with its byte order, and without negative strides.

    Args:
        x: NumPy array, torch tensor, or a list of images of one size (arrays, tensors or images of Pillow).

    Raises:
        UserError: ``x`` is something else, or the images have several sizes.
    """
    if isinstance(x, Tensor):
        return x.detach().cpu()
    refuse_unknown(x)
    if isinstance(x, list | tuple) and x and isinstance(x[0], Tensor):
        x = [to_numpy(item) for item in x]
    try:
        array = np.asarray(x)
    except (ValueError, TypeError) as error:
        _refuse_sizes(x)
        raise UserError(f"x cannot be converted to an array: {error}", "give one NumPy array of all images") from error
    if array.dtype == object:
        _refuse_sizes(array)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype == np.longdouble and array.itemsize > 8:
        array = array.astype(np.float64)
    if any(stride < 0 or stride % max(array.itemsize, 1) for stride in array.strides):
        array = np.ascontiguousarray(array)
    return array


def to_numpy(value: Any) -> Any:
    """Return a tensor as a NumPy array; everything else unchanged."""
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else value


def refuse_unknown(x: Any) -> None:
    """Refuse what is not an array and cannot be converted to one.

    Raises:
        UserError: ``x`` is None, a path, a mapping, a generator, a data set, or another object without a length.
    """
    kind = type(x).__name__
    if x is None:
        raise UserError("x is None", "give an array of images of shape (N, height, width, channels)")
    if isinstance(x, str | bytes | os.PathLike):
        raise UserError(f"x is the text or path {str(x)!r}, not an array", ON_FILES)
    if is_dataset(x):
        raise UserError(f"x is a {kind}", "give its images as an array: numpy.stack([image for image, _ in dataset])")
    if isinstance(x, dict | set | frozenset):
        raise UserError(f"x is a {kind}, not an array", "give an array of images of shape (N, height, width, channels)")
    if isinstance(x, Iterator) or not (hasattr(x, "__array__") or isinstance(x, Sized)):
        raise UserError(f"x is a {kind}, not an array", "collect all images first: x = numpy.stack(list_of_images)")


def _refuse_sizes(x: Any) -> None:
    """Refuse images of several sizes.

    Raises:
        UserError: two elements of ``x`` have different shapes.
    """
    shapes = [_shape(image) for image in x]
    for number, shape in enumerate(shapes):
        if shape != shapes[0]:
            raise UserError(
                f"the images of x have several shapes: {shapes[0]} and {shape} (image {number})",
                "resize and convert them to one, such as image.convert('RGB').resize((64, 64)) with Pillow",
            )


def _shape(image: Any) -> tuple[int, ...]:
    try:
        return tuple(np.shape(image))
    except (ValueError, TypeError):
        return ()


def _collect(dataset: Any) -> tuple[Any, Any]:
    """Read a data set of (image, label) into an array of images and a list of labels.

    Raises:
        UserError: it has no length, its items are not pairs, or it would not fit into memory.
    """
    kind = type(dataset).__name__
    if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__len__"):
        raise UserError(f"the {kind} has no length", "collect its images and labels into arrays x and y")
    if len(dataset) == 0:
        raise UserError(f"the {kind} is empty", "give at least one image")
    images, labels, count = [], [], len(dataset)
    for row in range(count):
        item = dataset[row]
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise UserError(f"the items of the {kind} are not pairs of image and label", "give arrays x and y")
        image = np.asarray(to_numpy(item[0]))
        if row == 0:
            _check_memory(image.nbytes * count, kind)
        images.append(image)
        labels.append(to_numpy(item[1]))
    return as_array(images), np.asarray(labels)


def _check_memory(size: int, kind: str) -> None:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 1 << 33
    if size > MEMORY_FRACTION * total:
        raise UserError(
            f"the images of the {kind} need {size / 1e9:.1f} GB of memory",
            ON_FILES,
        )
