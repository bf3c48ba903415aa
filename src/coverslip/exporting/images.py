"""Images to try an exported file with: decoded in full, in the model's channels and depth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from coverslip.data.decoding import PixelFormat, in_format
from coverslip.data.image import Decoded, Pixels, UnreadableError, decode
from coverslip.data.inputs import InputSpec
from coverslip.data.sources.source import Source
from coverslip.data.synthetic.image import render
from coverslip.data.synthetic.specimen import class_names
from coverslip.data.table import ImageTable

MOST = 200
RENDERED = 12  # of each of two sizes, where no image is to be had: two dozen take two seconds
SIDES = (192, 256)


@dataclass(frozen=True, slots=True)
class Image:
    """One decoded image.

    Attributes:
        pixels: (H, W, C), all of the file's, in the model's channels and depth.
        reduced: the same file as the program's own decoder gives it where it needs no more: a large JPEG at a half, a
            quarter or an eighth of its scale; None where that is the same.
    """

    pixels: Pixels
    reduced: Pixels | None


@dataclass(frozen=True)
class Images:
    """Some images, decoded one at a time.

    Attributes:
        source: gives them by their path.
        paths: of the images.
        labels: the class number of each; None where nobody knows.
        groups: what keeps them together; None where there are no groups.
        about: where they come from, for people.
    """

    source: Source
    paths: Sequence[str]
    labels: Sequence[int | None] = ()
    groups: Sequence[str] | None = None
    about: str = ""

    def __len__(self) -> int:
        return len(self.paths)

    def decoded(self, spec: InputSpec) -> Iterator[tuple[int, Image]]:
        """Number and image of all that can be read; a model of color takes grey, one of 16 bits takes 8."""
        form = PixelFormat(spec.channels, spec.depth)
        for number, path in enumerate(self.paths):
            try:
                data = self.source.read(path)
                if isinstance(data, np.ndarray):
                    whole, reduced = data, None
                else:
                    full = decode(data)
                    whole, reduced = full.pixels, _reduced(full, data, spec)
                    reduced = None if reduced is None else in_format(reduced, form, widen=False)
                yield number, Image(in_format(whole, form, widen=False), reduced)
            except (OSError, UnreadableError):
                continue

    def spread(self, most: int) -> Images:
        """At most so many, evenly from the whole; where they are fewer, ``about`` says of how many."""
        numbers = evenly(range(len(self)), most)
        return replace(
            self,
            paths=[self.paths[each] for each in numbers],
            labels=[self.labels[each] for each in numbers] if self.labels else (),
            groups=None if self.groups is None else [self.groups[each] for each in numbers],
            about=self.about if len(numbers) == len(self) else f"{self.about}, {len(numbers):,} of {len(self):,}",
        )


def images_of_rows(table: ImageTable, rows: Sequence[int], classes: Sequence[str], about: str) -> Images:
    """Some rows of a table as images."""
    number = {name: index for index, name in enumerate(classes)}
    frame = table.frame[list(rows)]
    return Images(
        table.source,
        frame["path"].to_list(),
        [number.get(label) for label in frame["label"].to_list()],
        None if table.group_codes(rows) is None else table.groups(rows),
        about,
    )


def rows_there(table: ImageTable, part: str) -> list[int]:
    """The rows of one part whose images are still where they were."""
    return [row for row in table.rows(part) if table.source.stamp(table.paths[row])[0] >= 0]


def evenly(rows: Sequence[int], most: int) -> list[int]:
    """At most so many, evenly from the whole.

    >>> evenly([3, 4, 5, 6, 7], 3), evenly([3, 4], 3), evenly([3, 4], 0)
    ([3, 5, 7], [3, 4], [])
    """
    if len(rows) <= most:
        return list(rows)
    return [rows[int(place)] for place in np.linspace(0, len(rows) - 1, most).round()]


def rendered(spec: InputSpec) -> Images:
    """Leaves that no camera ever saw, in the model's channels and depth, where no real image is to be had."""
    names = class_names()
    arrays = {
        f"{side}/{number}": _like(render("leaf", names[number % len(names)], number, 0, size=side).image, spec)
        for side in SIDES
        for number in range(RENDERED)
    }
    return Images(_Made(arrays), list(arrays), about="leaves rendered by the program")


class _Made:
    """Arrays by name."""

    def __init__(self, arrays: dict[str, Pixels]) -> None:
        self.root, self.arrays = Path(), arrays

    def read(self, path: str) -> Pixels:
        return self.arrays[path]

    def stamp(self, path: str) -> tuple[int, int]:
        return (0, 0)


def _like(image: Pixels, spec: InputSpec) -> Pixels:
    """A color image with other channels (its own in turn) and depth, and no longer square."""
    deep = image.astype(np.uint16) * 257 if spec.depth == "uint16" else image
    return np.ascontiguousarray(deep[: len(deep) * 3 // 4, :, np.arange(spec.channels) % 3])


def _reduced(full: Decoded, data: bytes, spec: InputSpec) -> Pixels | None:
    if full.format not in ("JPEG", "MPO") or max(full.width, full.height) < 2 * max(spec.size):
        return None
    small = decode(data, spec.size).pixels
    return None if small.shape == full.pixels.shape else small
