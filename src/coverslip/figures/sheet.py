"""A figure measured in inches from its top left, for pages of many images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from coverslip.figures.style import INK

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 150  # of figures full of images: about 2,000 pixels across
LETTERS = 13.8  # of a sentence, an inch
TEXT = 0.165  # inches of a line of small text


class Sheet:
    """Draws in inches from the top left: matplotlib's own layout takes seconds for many axes.

    Args:
        figure: what is drawn on.
        breadth: its width, inches.
        length: its height, inches.
    """

    def __init__(self, figure: Figure, breadth: float, length: float) -> None:
        self.figure, self.breadth, self.length = figure, breadth, length

    def place(self, left: float, top: float, width: float, height: float) -> tuple[float, float, float, float]:
        """A box as matplotlib wants it: shares of the figure, from the bottom left."""
        return left / self.breadth, 1 - (top + height) / self.length, width / self.breadth, height / self.length

    def text(self, left: float, base: float, text: str, *, size: float, color: str = INK, **look: Any) -> None:
        """Text whose first letter stands at ``left`` on the line ``base``."""
        look = {"va": "baseline", **look}
        self.figure.text(left / self.breadth, 1 - base / self.length, text, size=size, color=color, **look)

    def image(self, pixels: npt.NDArray[np.uint8], left: float, top: float, width: float, height: float) -> None:
        """An image, uint8 (H, W, 3), stretched over a box; its pixels are smoothed where there are many."""
        from matplotlib.image import BboxImage
        from matplotlib.transforms import Bbox, TransformedBbox

        box = TransformedBbox(Bbox.from_bounds(*self.place(left, top, width, height)), self.figure.transFigure)
        image = BboxImage(box, interpolation="antialiased", origin="upper")
        image.set_data(pixels)
        self.figure.add_artist(image)

    def badge(self, left: float, bottom: float, text: str) -> None:
        """A few letters on a light ground, in the lower left corner of an image."""
        self.figure.text(
            (left + 0.06) / self.breadth,
            1 - (bottom - 0.07) / self.length,
            text,
            size=6.5,
            color=INK,
            bbox={"boxstyle": "round,pad=0.2", "fc": "#ffffffcc", "ec": "none"},
        )
