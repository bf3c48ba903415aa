"""Contact sheets: many images in one, each with a caption."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from coverslip.figures.labels import wrap_name
from coverslip.figures.style import CARD, MUTED


def contact_sheet(
    images: Sequence[Image.Image], captions: Sequence[str] = (), *, columns: int = 6, side: int = 160, gap: int = 12
) -> Image.Image:
    """Arrange images in rows, each uncropped inside a square of ``side`` pixels.

    Args:
        images: at least one; any mode that PIL can convert to RGB.
        captions: one per image, shown on at most two lines; empty: none.
        columns: maximum number of images per row.
        side: side of the square in pixels, >= 16.
        gap: pixels between squares and around the sheet.

    Returns:
        An RGB image with the width of ``min(columns, N)`` squares and their gaps.
    """
    if not images:
        raise ValueError("a contact sheet needs at least one image")
    if captions and len(captions) != len(images):
        raise ValueError(f"{len(captions)} captions for {len(images)} images")
    font = ImageFont.load_default(11)
    text_height = 32 if captions else 0
    across = min(columns, len(images))
    down = math.ceil(len(images) / across)
    sheet = Image.new("RGB", (gap + across * (side + gap), gap + down * (side + text_height + gap)), CARD)
    draw = ImageDraw.Draw(sheet)
    for index, image in enumerate(images):
        left = gap + index % across * (side + gap)
        top = gap + index // across * (side + text_height + gap)
        small = image.convert("RGB")
        small.thumbnail((side, side))
        sheet.paste(small, (left + (side - small.width) // 2, top + (side - small.height) // 2))
        if captions:
            text = wrap_name(captions[index], max(side // 7, 4), 2)
            draw.multiline_text((left, top + side + 4), text, fill=MUTED, font=font, spacing=2)
    return sheet
