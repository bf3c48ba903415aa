"""JPEG thumbnails of images, for pages and for models that show examples of their training data."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from coverslip.data.image import Pixels

QUALITY = 78


def thumbnail_jpeg(pixels: Pixels, side: int) -> bytes:
    """Return an image as a JPEG whose longer side has at most ``side`` pixels.

    Args:
        pixels: uint8, uint16 or float32, shape (H, W, C). All but 8-bit images are stretched from the 0.5th to the
            99.5th percentile.
            Of two channels the first is shown, of more than three the first three.
        side: maximum length of the longer side, pixels.
    """
    visible = pixels[:, :, :3] if pixels.shape[2] >= 3 else pixels[:, :, 0]
    if visible.dtype != np.uint8:
        low, high = np.percentile(visible, (0.5, 99.5))
        stretched = np.clip((visible.astype(np.float32) - low) / ((high - low) or 1), 0, 1) * 255
        visible = stretched.round().astype(np.uint8)
    thumbnail = Image.fromarray(np.ascontiguousarray(visible)).convert("RGB")
    thumbnail.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    thumbnail.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return buffer.getvalue()
