"""Images for checking an exported file: decoded at full resolution, in the model's channels and depth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from coverslip.data.decoding import PixelFormat, convert_format
from coverslip.data.image import Decoded, Pixels, UnreadableError, decode
from coverslip.data.inputs import InputSpec
from coverslip.data.sources.source import Source
from coverslip.data.synthetic.image import render
from coverslip.data.synthetic.specimen import class_names
from coverslip.data.table import ImageTable

MAX_IMAGES = 200
RENDERED_PER_SIZE = 12  # synthetic images of each of the two sizes, if no real image is available; 24 take two seconds
SIDES = (192, 256)


@dataclass(frozen=True, slots=True)
class CheckImage:
    """One decoded image.

    Attributes:
        pixels: the image at full resolution, shape (H, W, C), in the model's channels and depth.
        reduced: the image as Coverslip itself decodes it: a large JPEG at 1/2, 1/4 or 1/8 scale; None if it decodes the
            image at full resolution.
    """

    pixels: Pixels
    reduced: Pixels | None


@dataclass(frozen=True)
class ImageList:
    """A list of images that are decoded one at a time.

    Attributes:
        source: reads an image by its path.
        paths: paths of the images, N.
        labels: integer class ids, N; None for an image of unknown class; empty if no class is known.
        groups: group of each image, N; None if there are no groups.
        about: origin of the images, for messages.
    """

    source: Source
    paths: Sequence[str]
    labels: Sequence[int | None] = ()
    groups: Sequence[str] | None = None
    about: str = ""

    def __len__(self) -> int:
        return len(self.paths)

    def decoded(self, spec: InputSpec) -> Iterator[tuple[int, CheckImage]]:
        """Yield index and image of every readable image; grey becomes color and 8 bits become 16 if required."""
        form = PixelFormat(spec.channels, spec.depth)
        for number, path in enumerate(self.paths):
            try:
                data = self.source.read(path)
                if isinstance(data, np.ndarray):
                    pixels, reduced = data, None
                else:
                    full = decode(data)
                    pixels, reduced = full.pixels, _reduced(full, data, spec)
                    reduced = None if reduced is None else convert_format(reduced, form, widen=False)
                yield number, CheckImage(convert_format(pixels, form, widen=False), reduced)
            except (OSError, UnreadableError):
                continue

    def subsample(self, count: int) -> ImageList:
        """Return at most ``count`` images, evenly spaced; ``about`` then states how many of how many."""
        numbers = evenly_spaced(range(len(self)), count)
        return replace(
            self,
            paths=[self.paths[number] for number in numbers],
            labels=[self.labels[number] for number in numbers] if self.labels else (),
            groups=None if self.groups is None else [self.groups[number] for number in numbers],
            about=self.about if len(numbers) == len(self) else f"{self.about}, {len(numbers):,} of {len(self):,}",
        )


def images_of_rows(table: ImageTable, rows: Sequence[int], classes: Sequence[str], about: str) -> ImageList:
    """Return the images of some rows of a table.

    Args:
        table: the image table.
        rows: row numbers.
        classes: class names in the model's order; a label that is not among them becomes None.
        about: origin of the images, for messages.
    """
    number = {name: index for index, name in enumerate(classes)}
    frame = table.frame[list(rows)]
    return ImageList(
        table.source,
        frame["path"].to_list(),
        [number.get(label) for label in frame["label"].to_list()],
        None if table.group_codes(rows) is None else table.groups(rows),
        about,
    )


def available_rows(table: ImageTable, part: str) -> list[int]:
    """The rows of one part whose images are still where they were."""
    return [row for row in table.rows(part) if table.source.stamp(table.paths[row])[0] >= 0]


def evenly_spaced(rows: Sequence[int], count: int) -> list[int]:
    """Return at most ``count`` of the rows, evenly spaced.

    >>> evenly_spaced([3, 4, 5, 6, 7], 3), evenly_spaced([3, 4], 3), evenly_spaced([3, 4], 0)
    ([3, 5, 7], [3, 4], [])
    """
    if len(rows) <= count:
        return list(rows)
    return [rows[int(index)] for index in np.linspace(0, len(rows) - 1, count).round()]


def rendered_images(spec: InputSpec) -> ImageList:
    """Return synthetic leaf images in the model's channels and depth, for use if no real image is available."""
    names = class_names()
    arrays = {
        f"{side}/{number}": _match_spec(render("leaf", names[number % len(names)], number, 0, size=side).image, spec)
        for side in SIDES
        for number in range(RENDERED_PER_SIZE)
    }
    return ImageList(_ArraySource(arrays), list(arrays), about="leaves rendered by the program")


class _ArraySource:
    """A source of arrays that are in memory."""

    def __init__(self, arrays: dict[str, Pixels]) -> None:
        self.root, self.arrays = Path(), arrays

    def read(self, path: str) -> Pixels:
        return self.arrays[path]

    def stamp(self, path: str) -> tuple[int, int]:
        return (0, 0)


def _match_spec(image: Pixels, spec: InputSpec) -> Pixels:
    """Return a color image with the spec's channels (R, G, B repeated) and depth, cropped so that it is not square."""
    deep = image.astype(np.uint16) * 257 if spec.depth == "uint16" else image
    return np.ascontiguousarray(deep[: len(deep) * 3 // 4, :, np.arange(spec.channels) % 3])


def _reduced(full: Decoded, data: bytes, spec: InputSpec) -> Pixels | None:
    if full.format not in ("JPEG", "MPO") or max(full.width, full.height) < 2 * max(spec.size):
        return None
    small = decode(data, spec.size).pixels
    return None if small.shape == full.pixels.shape else small
