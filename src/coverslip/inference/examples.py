"""Thumbnails of the reference training images, which the web page shows as nearest neighbors of a new image.

Training images may show patients, so thumbnails are stored only on request (``train --with-examples``), without paths,
and in a separate file. Deleting the file does not change any prediction.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from coverslip.core.errors import UserError
from coverslip.core.runs import Run
from coverslip.core.storage import atomic_write
from coverslip.data.cache import PixelCache
from coverslip.data.image import Pixels
from coverslip.data.inputs import InputSpec, content_box
from coverslip.data.thumbnail import thumbnail_jpeg
from coverslip.inference.predictor import Predictor

SIDE = 112  # length of the longer side in pixels
JPEG_MAGIC = b"\xff\xd8\xff"


def example(row: Pixels, width: int, height: int, spec: InputSpec) -> bytes:
    """Return the thumbnail of one prepared image as JPEG bytes, without padding.

    Args:
        row: the image resized to the input size of the network, shape (H, W, C).
        width: width of the original image in pixels, with EXIF orientation applied.
        height: height of the original image in pixels.
        spec: the preparation that was applied.
    """
    top, left, box_height, box_width = content_box(width, height, spec.size, spec.fit)
    return thumbnail_jpeg(row[top : top + box_height, left : left + box_width], SIDE)


def write_examples(run: Run, predictor: Predictor, paths: Sequence[str], pixels: PixelCache) -> int:
    """Write a thumbnail of every reference image of a model to the run folder.

    Args:
        run: the run whose examples file is written.
        predictor: the model; its reference images are among ``paths``.
        paths: image paths of the table, in the order of ``pixels``.
        pixels: all decoded images.

    Returns:
        The number of thumbnails. If it is 0 (the model has no reference images), no file is written.
    """
    row_of = {path: row for row, path in enumerate(paths)}
    widths, heights = pixels.facts["width"], pixels.facts["height"]
    tensors = {}
    for number, path in enumerate(predictor.trust.references):
        row = row_of[path]
        jpeg = example(pixels.pixels[row], int(widths[row]), int(heights[row]), predictor.spec)
        tensors[str(number)] = torch.from_numpy(np.frombuffer(jpeg, np.uint8).copy())
    if tensors:
        with atomic_write(run.examples_file) as temporary:
            temporary.write_bytes(save(tensors))
    return len(tensors)


def read_examples(run: Run, predictor: Predictor) -> dict[int, bytes]:
    """Return index of a reference image -> its thumbnail as JPEG bytes; empty if the run has no examples file.

    Raises:
        UserError: the file is damaged, or belongs to another model.
    """
    if not run.examples_file.is_file():
        return {}
    try:
        jpegs = {int(name): tensor.numpy().tobytes() for name, tensor in load_file(run.examples_file).items()}
    except (OSError, ValueError, TypeError, SafetensorError) as error:
        raise _damaged(run) from error
    known = range(len(predictor.trust.references))
    if not all(number in known and jpeg.startswith(JPEG_MAGIC) for number, jpeg in jpegs.items()):
        raise _damaged(run)
    return jpegs


def _damaged(run: Run) -> UserError:
    return UserError(
        f"{str(run.examples_file)!r} does not contain thumbnails of this model's training images",
        "delete it (predictions do not change), or restore it",
    )
