"""Whether new images agree with those that a model was trained on, in channels, depth and range of values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from coverslip.data.inputs import InputSpec
from coverslip.data.table import STATUS_OK

SEVERAL = 8  # from this many images on, their median range is that of their kind and not of a dark or pale image
FACTOR, FACTOR_OF_FEW = 3.0, 10.0  # ranges of widths that differ by this factor do not agree


@dataclass(slots=True)
class ImageFormats:
    """Channels, depths and used ranges of images that are read one after another.

    Attributes:
        channels: number of images by number of channels in the file.
        depths: number of images by depth in the file: ``uint8``, ``uint16`` or ``float32``.
        ranges: lowest and highest value of each image, in the depth of the model.
    """

    channels: Counter[int] = field(default_factory=Counter)
    depths: Counter[str] = field(default_factory=Counter)
    ranges: list[tuple[float, float]] = field(default_factory=list)

    def add(self, facts: Iterable[Mapping[str, Any]]) -> None:
        """Add images by their facts, see `coverslip.data.decoding.FACTS`; files that cannot be read do not count."""
        for fact in facts:
            if fact["status"] == STATUS_OK:
                self.channels[int(fact["channels"])] += 1
                self.depths[str(fact["depth"])] += 1
                self.ranges.append((float(fact["lowest"]), float(fact["highest"])))

    @property
    def median_range(self) -> tuple[float, float]:
        """The median of the lowest and of the highest values."""
        low, high = np.median(np.array(self.ranges), axis=0)
        return float(low), float(high)

    def to_json(self) -> dict[str, Any]:
        """Return what a model remembers of its training images."""
        return {
            "channels": {str(key): count for key, count in sorted(self.channels.items())},
            "depths": dict(sorted(self.depths.items())),
            "range": list(self.median_range),
        }

    def notes(self, spec: InputSpec, trained: Mapping[str, Any] | None) -> list[str]:
        """Return one note per way in which the images differ from those that a model was trained on.

        Args:
            spec: the preparation of the model.
            trained: `to_json` of its training images; None if the model does not remember them, in which case the
                channels, the depth and the percentiles of ``spec`` are compared.
        """
        total = len(self.ranges)
        if not total:
            return []
        trained = trained or {}
        notes = []
        grey = self.channels[1]
        if grey and spec.channels == 3 and not trained.get("channels", {}).get("1"):
            notes.append(f"{_of(grey, total)} grey, but the model was trained on color images; R, G and B are equal")
        shallow = self.depths["uint8"]
        if shallow and spec.depth == "uint16" and not trained.get("depths", {}).get("uint8"):
            notes.append(
                f"{_of(shallow, total)} of 8 bits per channel, but the model was trained on 16 bits; values are "
                "multiplied by 257"
            )
        expected = trained.get("range") or ((min(spec.low), max(spec.high)) if spec.low else None)
        if expected is not None and not _agree(self.median_range, (expected[0], expected[1]), total):
            notes.append(
                f"the images use values from {_values(self.median_range)}, but those that the model was trained on "
                f"use {_values((expected[0], expected[1]))}; its predictions may be wrong"
            )
        return notes


def formats_of(facts: pl.DataFrame) -> ImageFormats:
    """Return channels, depths and ranges of the images in a table of facts."""
    formats = ImageFormats()
    formats.add(facts.select("status", "channels", "depth", "lowest", "highest").iter_rows(named=True))
    return formats


def _agree(found: tuple[float, float], expected: tuple[float, float], total: int) -> bool:
    widths = found[1] - found[0], expected[1] - expected[0]
    if widths[1] <= 0:
        return True
    if found[0] > expected[1] or found[1] < expected[0]:
        return False
    factor = FACTOR if total >= SEVERAL else FACTOR_OF_FEW
    return widths[1] / factor <= widths[0] <= widths[1] * factor


def _of(count: int, total: int) -> str:
    if total == 1:
        return "the image is"
    return f"{count:,} of {total:,} images {'is' if count == 1 else 'are'}"


def _values(limits: tuple[float, float]) -> str:
    return " to ".join(f"{value:.4g}" if abs(value) < 10 else f"{value:,.0f}" for value in limits)
