"""Sanity checks of a heat map in one strip: randomized weights, deletion curves, other methods, sentences."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.figures.labels import wrap_name
from coverslip.figures.overlay import Floats, overlay, scale_of
from coverslip.figures.sheet import TEXT, Sheet
from coverslip.figures.style import ACCENT, AXIS, BLUE, DASHES, INK, LINE, MUTED, VERMILION

STRIP, GAP, EDGE = 1.18, 0.07, 0.18  # side of a map, gap, and margin, inches
CURVES, LEGEND = 1.9, 1.5
RANDOM = 2.3  # minimum width of the maps with randomized weights
BETWEEN = 0.5  # between the blocks of the strip


@dataclass(frozen=True, slots=True)
class SanityStrip:
    """The sanity checks below a grid of maps.

    Attributes:
        title: title, which names the map.
        own: the map.
        random: (layers, map, structural similarity; NaN if a map is flat) of the same map with more and more weights
            randomized.
        shares: fraction of the image that is blurred or restored, shape (S,).
        curves: name -> probability, shape (S,); names that begin with "random" are the random order.
        others: (method, map, rank correlation or None) of other methods for the same class.
        sentences: the conclusions.
        warning: a warning, shown in another color.
    """

    title: str
    own: Floats | None = None
    random: Sequence[tuple[str, Floats, float]] = ()
    shares: Floats = field(default_factory=lambda: np.zeros(0))
    curves: Mapping[str, Floats] = field(default_factory=dict)
    others: Sequence[tuple[str, Floats, float | None]] = ()
    sentences: Sequence[str] = ()
    warning: str = ""


def strip_breadth(strip: SanityStrip, ratio: float) -> float:
    """Return the width of a strip in inches for images with this ratio of height to width."""
    small = STRIP / max(ratio, 1.0) + GAP
    total = 2 * EDGE + (small + 0.25 if strip.own is not None else 0)
    total += max(len(strip.random) * small, RANDOM) + BETWEEN if strip.random else 0
    total += 0.3 + CURVES + LEGEND if len(strip.shares) else 0
    return total + max(len(strip.others) * small, 1.7 if strip.others else 0)


def strip_height(strip: SanityStrip, letters: int) -> float:
    """Return the height of a strip in inches with ``letters`` characters per line."""
    images = STRIP + 0.62 if strip.random or strip.others or len(strip.shares) else 0.0
    return 0.5 + images + TEXT * 1.1 * len(_sentences(strip, letters)) + 0.15


def _sentences(strip: SanityStrip, letters: int) -> list[tuple[str, bool]]:
    """Return the lines below the strip, and whether each is a warning."""
    lines = [(line, True) for line in textwrap.wrap(strip.warning, letters)]
    for sentence in strip.sentences:
        lines += [(line, False) for line in textwrap.wrap(sentence, letters)]
    return lines


def draw_strip(
    sheet: Sheet, strip: SanityStrip, top: float, ratio: float, image: npt.NDArray[Any], letters: int
) -> None:
    """Draw a strip whose upper edge is ``top`` inches below that of the sheet."""
    from matplotlib.lines import Line2D

    rule = Line2D([EDGE / sheet.breadth, 1 - EDGE / sheet.breadth], [1 - (top + 0.08) / sheet.length] * 2)
    rule.set(color=LINE, linewidth=0.8)
    sheet.figure.add_artist(rule)
    sheet.text(EDGE, top + 0.34, strip.title, size=9.5, weight="bold")
    top += 0.68
    small, left = STRIP / max(ratio, 1.0), EDGE
    tall = small * ratio
    if strip.random:
        if strip.own is not None:
            sheet.image(overlay(image, strip.own, scale=scale_of([strip.own], image)), left, top, small, tall)
            sheet.text(left, top + tall + 0.14, "this network", size=7, weight="bold")
            left += small + 0.25
        sheet.text(left, top - 0.07, "with randomized weights", size=7.5, color=MUTED)
        end = left + max(len(strip.random) * (small + GAP), RANDOM) + BETWEEN
        for layers, heat, similarity in strip.random:
            sheet.image(overlay(image, heat, scale=scale_of([heat], image)), left, top, small, tall)
            sheet.text(left, top + tall + 0.14, wrap_name(layers, 17, 1), size=7)
            text = f"similarity {similarity:.2f}" if np.isfinite(similarity) else "flat"
            sheet.text(left, top + tall + 0.28, text, size=7, color=MUTED)
            left += small + GAP
        left = end
    if len(strip.shares):
        axes = sheet.figure.add_axes(sheet.place(left + 0.3, top, CURVES, tall))
        for name, line in strip.curves.items():
            _draw_curve(axes, strip.shares, line, name)
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
        axes.set_xticklabels(["0", "half of the image", "1"])
        axes.tick_params(labelsize=6.5, colors=AXIS, labelcolor=MUTED)
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.04), fontsize=6.5, handlelength=2.2, borderaxespad=0.3)
        sheet.text(left + 0.3, top - 0.07, "probability, hottest regions first", size=7.5, color=MUTED)
        left += 0.3 + CURVES + LEGEND
    if strip.others:
        sheet.text(left, top - 0.07, "other methods, same class", size=7.5, color=MUTED)
        for method, heat, rank in strip.others:
            sheet.image(overlay(image, heat, scale=scale_of([heat], image)), left, top, small, tall)
            sheet.text(left, top + tall + 0.14, method, size=7)
            text = "flat" if rank is None or not np.isfinite(rank) else f"rank correlation {rank:.2f}"
            sheet.text(left, top + tall + 0.28, text, size=7, color=MUTED)
            left += small + GAP
    top += tall + 0.52 if strip.random or strip.others or len(strip.shares) else -0.2
    for number, (sentence, is_warning) in enumerate(_sentences(strip, letters)):
        sheet.text(EDGE, top + TEXT * 1.1 * number, sentence, size=8, color=VERMILION if is_warning else INK)


def _draw_curve(axes: Any, shares: Floats, line: Floats, name: str) -> None:
    deletion = "blurred" in name
    random = name.startswith("random")
    color = MUTED if random else BLUE if deletion else ACCENT
    axes.plot(
        shares,
        line,
        color=color,
        linestyle=DASHES[1] if deletion else DASHES[0],
        label=name,
        linewidth=1.0 if random else 1.6,
    )
