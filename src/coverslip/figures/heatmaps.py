"""Heat maps of an image: stages as columns, classes as rows, and sanity checks of the maps below."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from coverslip.figures.labels import wrap_name
from coverslip.figures.overlay import Floats, heat_colors, overlay, scale_of, with_outlines
from coverslip.figures.sanity_strip import SanityStrip, draw_strip, strip_breadth, strip_height
from coverslip.figures.sheet import DPI, LETTERS, TEXT, Sheet
from coverslip.figures.style import INK, MUTED, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["MapRow", "SanityStrip", "heatmap_figure"]

CELL, LARGE, GAP, EDGE = 1.32, 1.8, 0.07, 0.18  # inches
FEW = 5  # with at most this many columns, cells are large
IMAGE, LABELS, BAR = 2.3, 1.5, 0.95
TOP = 0.62


@dataclass(frozen=True, slots=True)
class MapRow:
    """One class of a grid.

    Attributes:
        name: name of the class.
        note: its relation to the image, such as "predicted, 0.93".
        maps: one map per column, each of shape (h, w), values >= 0.
    """

    name: str
    note: str
    maps: Sequence[Floats]


def heatmap_figure(
    image: npt.NDArray[Any],
    rows: Sequence[MapRow],
    columns: Sequence[str],
    *,
    title: str = "",
    under: Sequence[str] = (),
    notes: Sequence[str] = (),
    masks: Mapping[str, npt.NDArray[np.bool_]] | None = None,
    strip: SanityStrip | None = None,
    caption: str = "",
) -> Figure:
    """Draw the grid of one image: one row per class, one column per stage, and the sanity checks below.

    The maps of a column share one scale, so weak maps look pale; columns cannot be compared. A flat map is drawn as the
    image in grey and marked.

    Args:
        image: preprocessed image, shape (H, W, C), uint8 or float in 0..1.
        rows: the classes.
        columns: names of the stages, first to last, with an optional second line, such as the size of the grid.
        title: text above the image, usually the file name.
        under: lines below the image.
        notes: sentences below the figure, such as a warning about the method.
        masks: regions to outline in the image, bool, shape (H, W).
        strip: sanity checks; None: not shown.
        caption: a sentence on how to read the figure.

    Returns:
        A figure; with its own dpi, ``savefig`` writes about 2,000 pixels across.
    """
    height, width = image.shape[:2]
    cell = LARGE if len(columns) <= FEW else CELL
    tall = cell * height / width
    shown_tall = IMAGE * height / width
    left = EDGE + IMAGE + 0.25 + LABELS
    ratio = height / width
    breadth = max(left + len(columns) * (cell + GAP) + BAR, 9.6, 0 if strip is None else strip_breadth(strip, ratio))
    letters = int(breadth * LETTERS)
    texts = [*([caption] if caption else []), *notes]
    lines = [line for text in texts for line in textwrap.wrap(text, letters) or [""]]
    body = max(len(rows) * (tall + GAP), shown_tall + 0.2 * len(under) + 0.1)
    below = 0.0 if strip is None else strip_height(strip, letters)
    length = TOP + body + 0.12 + below + TEXT * len(lines) + 0.15
    with style():
        figure = new_figure(figsize=(breadth, length), dpi=DPI)
        sheet = Sheet(figure, breadth, length)
        sheet.text(EDGE, 0.3, wrap_name(title, 34, 1), weight="bold", size=10)
        sheet.image(with_outlines(image, dict(masks or {})), EDGE, TOP, IMAGE, shown_tall)
        for number, line in enumerate(under):
            sheet.text(EDGE, TOP + shown_tall + 0.18 + 0.2 * number, line, size=8.5, color=MUTED if number else INK)
        for column, name in enumerate(columns):
            first, _, second = name.partition("\n")
            at = left + column * (cell + GAP)
            sheet.text(at, 0.36, wrap_name(first, 18, 1), size=8.5, weight="bold")
            sheet.text(at, 0.52, second, size=7, color=MUTED)
        for number, row in enumerate(rows):
            top = TOP + number * (tall + GAP)
            name = wrap_name(row.name, 19, 3)
            sheet.text(left - 0.12, top + tall / 2 - 0.02, name, size=8.5, weight="bold", ha="right", va="bottom")
            sheet.text(left - 0.12, top + tall / 2 + 0.16, row.note, size=7.5, color=MUTED, ha="right")
            for column, heat in enumerate(row.maps):
                scale = scale_of([other.maps[column] for other in rows], image)
                at = left + column * (cell + GAP)
                sheet.image(overlay(image, heat, scale=scale), at, top, cell, tall)
                badge = _badge_text(heat, scale)
                if badge:
                    sheet.badge(at, top + tall, badge)
        if columns:
            end = left + len(columns) * (cell + GAP)
            _colorbar(sheet, end + 0.08, TOP, min(len(rows) * (tall + GAP) - GAP, 1.6))
        at = TOP + body + 0.12
        if strip is not None:
            draw_strip(sheet, strip, at, ratio, image, letters)
            at += below
        for number, line in enumerate(lines):
            sheet.text(EDGE, at + 0.12 + TEXT * number, line, size=7.5, color=MUTED)
    return figure


def _badge_text(heat: Floats, scale: float) -> str:
    """Return the text on a map that is empty, flat, or much weaker than the strongest of its column."""
    most = float(np.max(heat, initial=0))
    if most <= 0:
        return "no heat"
    if float(np.ptp(heat)) <= 1e-6 * most:
        return "flat"
    return f"at most {most / scale:.0%}".replace("%", " %") if most < 0.5 * scale else ""


def _colorbar(sheet: Sheet, left: float, top: float, height: float) -> None:
    ramp = (heat_colors(np.linspace(1, 0, 64)[:, None].repeat(4, axis=1)) + 0.5).astype(np.uint8)
    sheet.image(ramp, left, top, 0.1, height)
    for share, text in ((0.0, "maximum of\nthe column"), (0.5, "half (line)"), (1.0, "0")):
        va = "top" if share == 0 else "center" if share == 0.5 else "bottom"
        sheet.text(left + 0.15, top + share * height, text, size=6.5, color=MUTED, va=va)
