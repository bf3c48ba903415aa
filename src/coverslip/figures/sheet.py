"""Drawing in inches from the top left of a figure, for figures with many images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from coverslip.figures.style import INK

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 150  # of figures with many images, which are then about 2,000 pixels wide
LETTERS = 13.8  # characters per inch of small text
TEXT = 0.165  # height of a line of small text, inches


class Sheet:
    """A figure with coordinates in inches from the top left; matplotlib's layout takes seconds for many axes.

    Args:
        figure: the figure.
        breadth: its width, inches.
        length: its height, inches.
    """

    def __init__(self, figure: Figure, breadth: float, length: float) -> None:
        self.figure, self.breadth, self.length = figure, breadth, length

    def place(self, left: float, top: float, width: float, height: float) -> tuple[float, float, float, float]:
        """Return a box in matplotlib's figure coordinates: fractions from the bottom left."""
        return left / self.breadth, 1 - (top + height) / self.length, width / self.breadth, height / self.length

    def text(self, left: float, base: float, text: str, *, size: float, color: str = INK, **look: Any) -> None:
        """Draw text that begins at ``left`` on the baseline ``base``."""
        look = {"va": "baseline", **look}
        self.figure.text(left / self.breadth, 1 - base / self.length, text, size=size, color=color, **look)

    def image(self, pixels: npt.NDArray[np.uint8], left: float, top: float, width: float, height: float) -> None:
        """Draw an image, uint8 of shape (H, W, 3), in a box; it is antialiased if it is reduced."""
        from matplotlib.image import BboxImage
        from matplotlib.transforms import Bbox, TransformedBbox

        box = TransformedBbox(Bbox.from_bounds(*self.place(left, top, width, height)), self.figure.transFigure)
        image = BboxImage(box, interpolation="antialiased", origin="upper")
        image.set_data(pixels)
        self.figure.add_artist(image)

    def badge(self, left: float, bottom: float, text: str) -> None:
        """Draw a short text on a light background in the lower left corner of an image."""
        self.figure.text(
            (left + 0.06) / self.breadth,
            1 - (bottom - 0.07) / self.length,
            text,
            size=6.5,
            color=INK,
            bbox={"boxstyle": "round,pad=0.2", "fc": "#ffffffcc", "ec": "none"},
        )
