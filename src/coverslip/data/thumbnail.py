"""One image made small, as a JPEG: for pages, and for models that show what they were trained on."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from coverslip.data.image import Pixels

QUALITY = 78


def thumbnail_jpeg(pixels: Pixels, side: int) -> bytes:
    """An image as a JPEG, its longer side at most ``side`` pixels.

    Args:
        pixels: uint8 or uint16, (H, W, C). 16 bits are stretched from the 0.5th to the 99.5th percentile; of two
            channels the first is shown, of more than three the first three.
        side: pixels.
    """
    shown = pixels[:, :, :3] if pixels.shape[2] >= 3 else pixels[:, :, 0]
    if shown.dtype != np.uint8:
        low, high = np.percentile(shown, (0.5, 99.5))
        stretched = np.clip((shown.astype(np.float32) - low) / max(high - low, 1), 0, 1) * 255
        shown = stretched.round().astype(np.uint8)
    small = Image.fromarray(np.ascontiguousarray(shown)).convert("RGB")
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return buffer.getvalue()
