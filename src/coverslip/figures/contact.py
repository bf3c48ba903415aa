"""Contact sheet with one row per image: the image, then its versions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from coverslip.figures.labels import wrap_name
from coverslip.figures.style import CARD, INK, MUTED, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INCHES = 1.5  # side of an image
MARGIN = 1.7  # for names, left of the images, inches
GAP, WIDE_GAP = 0.06, 0.22  # between versions, and between the image and its versions, inches
MIN_PIXELS, MAX_PIXELS = 150, 256  # side of an image; smaller images are enlarged without interpolation


def contact_figure(
    images: npt.NDArray[Any],
    names: Sequence[str],
    *,
    notes: Sequence[str] = (),
    titles: tuple[str, str] = ("as prepared", "versions"),
    caption: str = "",
) -> Figure:
    """Draw images and their versions, pixel by pixel if they are 150 to 256 pixels wide.

    Args:
        images: shape (rows, columns, H, W, C), float in 0..1 or uint8. One channel is shown as grey, two as red and
            green; of more than three, the first three are shown.
        names: title of each row, such as the class; wrapped.
        notes: subtitle of each row; empty: none.
        titles: titles of the first column and of the others.
        caption: a sentence below the sheet.

    Returns:
        A figure; save it with ``figure.savefig(path, dpi="figure")`` to keep pixels unchanged.
    """
    from matplotlib.figure import Figure

    rows, columns, height, width = images.shape[:4]
    if len(names) != rows or (notes and len(notes) != rows):
        raise ValueError(f"{len(names)} names and {len(notes)} notes for {rows} rows")
    cells = as_rgb(images)
    tall = INCHES * height / width
    breadth = MARGIN + columns * INCHES + (columns - 2) * GAP + WIDE_GAP + 0.15
    bottom = 0.15 + 0.17 * (caption.count("\n") + 1 if caption else 0)
    length = 0.4 + rows * (tall + GAP) + bottom
    dpi = round(min(max(width, MIN_PIXELS), MAX_PIXELS) / INCHES)
    with style():
        figure = Figure(figsize=(breadth, length), dpi=dpi, facecolor=CARD)
        lefts = [MARGIN + column * (INCHES + GAP) + (WIDE_GAP - GAP) * (column > 0) for column in range(columns)]
        for row in range(rows):
            top = length - 0.4 - row * (tall + GAP)
            for column, left in enumerate(lefts):
                place = (left / breadth, (top - tall) / length, INCHES / breadth, tall / length)
                # Images are added to the figure directly: hundreds of axes would take many seconds.
                _draw(figure, cells[row, column], place)
            name = wrap_name(names[row], 20, 3)
            middle = (top - tall / 2) / length
            figure.text(0.12 / breadth, middle, name, color=INK, weight="bold", size=8, va="bottom")
            if notes:
                note = wrap_name(notes[row], 24, 2)
                figure.text(0.12 / breadth, middle - 0.04 / length, note, color=MUTED, size=6.5, va="top")
        for title, left in zip(titles, lefts, strict=False):
            figure.text(left / breadth, 1 - 0.28 / length, title, color=INK, size=9, weight="bold")
        figure.text(0.12 / breadth, 0.12 / length, caption, color=MUTED, size=8, va="bottom")
    return figure


def _draw(figure: Figure, cell: npt.NDArray[np.uint8], place: tuple[float, float, float, float]) -> None:
    from matplotlib.image import BboxImage
    from matplotlib.transforms import Bbox, TransformedBbox

    box = TransformedBbox(Bbox.from_bounds(*place), figure.transFigure)
    image = BboxImage(box, interpolation="nearest" if cell.shape[1] < MIN_PIXELS else "auto", origin="upper")
    image.set_data(cell)
    figure.add_artist(image)


def as_rgb(images: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Convert images with any number of channels, float in 0..1 or uint8, to uint8, shape (..., 3)."""
    if images.dtype != np.uint8:
        images = (np.clip(images, 0, 1) * 255 + 0.5).astype(np.uint8)
    channels = images.shape[-1]
    if channels == 1:
        return np.repeat(images, 3, axis=-1)
    if channels == 2:
        return np.concatenate([images, np.zeros_like(images[..., :1])], axis=-1)
    return images[..., :3]
