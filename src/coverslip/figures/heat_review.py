"""Heat maps of many images: mean map of each class, and galleries of images with their maps."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from coverslip.figures.labels import wrap_name
from coverslip.figures.overlay import Floats, overlay
from coverslip.figures.sheet import DPI, LETTERS, TEXT, Sheet
from coverslip.figures.style import MUTED, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELL, EDGE = 1.32, 0.18  # side of an image, and margin, inches
GALLERY = 11.0  # maximum width of a gallery, inches


@dataclass(frozen=True, slots=True)
class GalleryItem:
    """One image of a gallery.

    Attributes:
        versions: the image and its maps, shown side by side, each uint8 of shape (H, W, 3).
        title: first line below the images.
        note: second line.
    """

    versions: Sequence[npt.NDArray[np.uint8]]
    title: str
    note: str = ""


def map_gallery(items: Sequence[GalleryItem], *, title: str = "", caption: str = "") -> Figure:
    """Draw images with their maps in rows.

    Args:
        items: at least one; the number of versions may differ.
        title: title of the figure.
        caption: text below the figure.
    """
    if not items:
        raise ValueError("a gallery needs an image")
    item_width = max(len(item.versions) for item in items) * (CELL + 0.04) + 0.26
    across = max(1, min(len(items), int((GALLERY - 2 * EDGE) / item_width)))
    ratio = max(version.shape[0] / version.shape[1] for item in items for version in item.versions)
    tall = CELL * ratio
    down = -(-len(items) // across)
    breadth = max(2 * EDGE + across * item_width, 6.0)
    lines = textwrap.wrap(caption, int(breadth * LETTERS))
    top = 0.5 if title else 0.15
    length = top + down * (tall + 0.5) + TEXT * len(lines) + 0.1
    letters = int((item_width - 0.26) * 14)
    with style():
        figure = new_figure(figsize=(breadth, length), dpi=DPI)
        sheet = Sheet(figure, breadth, length)
        sheet.text(EDGE, 0.3, title, size=10, weight="bold")
        for number, item in enumerate(items):
            left, above = EDGE + number % across * item_width, top + number // across * (tall + 0.5)
            for column, version in enumerate(item.versions):
                height = CELL * version.shape[0] / version.shape[1]
                sheet.image(version, left + column * (CELL + 0.04), above, CELL, height)
            sheet.text(left, above + tall + 0.16, wrap_name(item.title, letters, 1), size=7.5)
            sheet.text(left, above + tall + 0.3, wrap_name(item.note, letters, 1), size=7, color=MUTED)
        for number, line in enumerate(lines):
            sheet.text(EDGE, length - 0.1 - TEXT * (len(lines) - 1 - number), line, size=7.5, color=MUTED)
    return figure


def mean_map_figure(names: Sequence[str], maps: Floats, counts: Sequence[int]) -> Figure:
    """Draw the mean map of each class, each with its own scale.

    Args:
        names: names of the K classes.
        maps: shape (K, h, w), NaN for a class without images.
        counts: number of images of each class.
    """
    across = min(5, max(1, len(names)))
    tall = CELL * maps.shape[1] / maps.shape[2]
    down = -(-len(names) // across)
    breadth = max(2 * EDGE + across * (CELL + 0.3), 6.0)
    length = 0.1 + down * (tall + 0.55) + 0.15
    with style():
        figure = new_figure(figsize=(breadth, length), dpi=DPI)
        sheet = Sheet(figure, breadth, length)
        for number, name in enumerate(names):
            at, top = EDGE + number % across * (CELL + 0.3), 0.42 + number // across * (tall + 0.55)
            sheet.text(at, top - 0.18, wrap_name(name, 22, 1), size=8, weight="bold")
            if np.isfinite(maps[number]).all():
                blank = np.full((*maps[number].shape, 3), 235, np.uint8)
                sheet.image(overlay(blank, maps[number]), at, top, CELL, tall)
            sheet.text(at, top - 0.05, _amount(counts[number]), size=7, color=MUTED)
    return figure


def _amount(images: int) -> str:
    return f"{images:,} image{'s' * (images > 1)}" if images else "no images"
