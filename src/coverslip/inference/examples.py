"""Small images of the training images, in a bundle: what a page shows as the nearest to a new one.

Training images may be patients'. So a bundle holds them only where its training was told to (``train
--with-examples``), in a file of their own that can be deleted: the model answers the same without it. Paths are not in
it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from coverslip.core.errors import UserError
from coverslip.core.runs import Run
from coverslip.core.storage import writing
from coverslip.data.cache import PixelCache
from coverslip.data.image import Pixels
from coverslip.data.inputs import InputSpec, content_box
from coverslip.data.thumbnail import thumbnail_jpeg
from coverslip.inference.predictor import Predictor

SIDE = 112  # pixels of the longer side
JPEG = b"\xff\xd8\xff"  # how each begins


def example(row: Pixels, width: int, height: int, spec: InputSpec) -> bytes:
    """The JPEG of one prepared image, without the frame that was filled.

    Args:
        row: (H, W, C), resized as the network takes it.
        width: of the image before that, upright, pixels.
        height: likewise.
        spec: how it was prepared.
    """
    top, left, tall, wide = content_box(width, height, spec.size, spec.fit)
    return thumbnail_jpeg(row[top : top + tall, left : left + wide], SIDE)


def write_examples(run: Run, predictor: Predictor, paths: Sequence[str], pixels: PixelCache) -> int:
    """Write a small image of every reference image of a model into its bundle.

    Args:
        run: where the bundle is.
        predictor: the model, whose references are among ``paths``.
        paths: of the table, in the order of ``pixels``.
        pixels: all images, decoded.

    Returns:
        How many: 0, and no file, where the model has no references (see `Predictor.trust`).
    """
    row_of = {path: row for row, path in enumerate(paths)}
    widths, heights = pixels.facts["width"], pixels.facts["height"]
    found = {}
    for number, path in enumerate(predictor.trust.references):
        row = row_of[path]
        jpeg = example(pixels.pixels[row], int(widths[row]), int(heights[row]), predictor.spec)
        found[str(number)] = torch.from_numpy(np.frombuffer(jpeg, np.uint8).copy())
    if found:
        with writing(run.examples_file) as temporary:
            temporary.write_bytes(save(found))
    return len(found)


def read_examples(run: Run, predictor: Predictor) -> dict[int, bytes]:
    """Number of a reference image -> its JPEG; nothing where the bundle was made without.

    Raises:
        UserError: the file is broken, or of another model.
    """
    if not run.examples_file.is_file():
        return {}
    try:
        found = {int(name): tensor.numpy().tobytes() for name, tensor in load_file(run.examples_file).items()}
    except (OSError, ValueError, TypeError, SafetensorError) as error:
        raise _broken(run) from error
    known = range(len(predictor.trust.references))
    if not all(number in known and jpeg.startswith(JPEG) for number, jpeg in found.items()):
        raise _broken(run)
    return found


def _broken(run: Run) -> UserError:
    return UserError(
        f"{str(run.examples_file)!r} does not hold small images of this model's training images",
        "delete it (the model answers the same without), or restore it",
    )
