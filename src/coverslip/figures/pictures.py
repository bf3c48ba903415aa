"""Contact sheets: many pictures on one, each with its caption."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from coverslip.figures.labels import wrap_name
from coverslip.figures.style import CARD, MUTED


def contact_sheet(
    pictures: Sequence[Image.Image], captions: Sequence[str] = (), *, columns: int = 6, side: int = 160, gap: int = 12
) -> Image.Image:
    """Pictures in rows, each whole (nothing is cut off) inside a square of ``side`` pixels.

    Args:
        pictures: at least one; any mode that PIL can turn into RGB.
        captions: none, or one for each picture, set under it on at most two lines.
        columns: most pictures in a row.
        side: pixels of the square, >= 16.
        gap: pixels between squares and around the sheet.

    Returns:
        RGB, as wide as ``min(columns, N)`` squares and their gaps.
    """
    if not pictures:
        raise ValueError("a contact sheet needs a picture")
    if captions and len(captions) != len(pictures):
        raise ValueError(f"{len(captions)} captions for {len(pictures)} pictures")
    font = ImageFont.load_default(11)
    text_height = 32 if captions else 0
    across = min(columns, len(pictures))
    down = math.ceil(len(pictures) / across)
    sheet = Image.new("RGB", (gap + across * (side + gap), gap + down * (side + text_height + gap)), CARD)
    draw = ImageDraw.Draw(sheet)
    for index, picture in enumerate(pictures):
        left = gap + index % across * (side + gap)
        top = gap + index // across * (side + text_height + gap)
        small = picture.convert("RGB")
        small.thumbnail((side, side))
        sheet.paste(small, (left + (side - small.width) // 2, top + (side - small.height) // 2))
        if captions:
            text = wrap_name(captions[index], max(side // 7, 4), 2)
            draw.multiline_text((left, top + side + 4), text, fill=MUTED, font=font, spacing=2)
    return sheet
