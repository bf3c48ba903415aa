"""What a probe for shortcuts is shown of each image: its border, or what its file says, but never its subject."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt
import polars as pl

from coverslip.data.image import Pixels
from coverslip.data.inputs import content_box

Clues = npt.NDArray[np.float32]
"""(n, F): what is known of n images."""

FRAME = 1 / 32  # thickness of the border frame, as a share of the image's shorter side
LEVELS = 30  # commonest words of a kind (cameras, encoders) that a probe can tell apart
NUMBERS = 6  # in a file name that are used, from its end: enough for a date and a time
FROM_ZERO = 6.0  # a class is counted from zero if its lowest number is under so many of its mean steps


class BorderClues:
    """The border of some images, and the same of their middle to compare it with.

    Padding does not count as border: its color is the mean of the whole image and would give the subject away.

    Attributes:
        eight: (n, 8 C) the four corners and the four middles of the edges, in the pixels' own scale.
        frame: (n, C) mean of each channel over a thin frame.
        middle: (n, C) mean of each channel over the central quarter.

    Reference: Noyan, Uncovering bias in the PlantVillage dataset, arXiv:2206.04374, 2022 (eight pixels).
    """

    def __init__(self, pixels: Pixels, rows: Sequence[int], facts: pl.DataFrame, fit: str) -> None:
        """Read (N, H, W, C) pixels at n rows; ``facts`` has ``width`` and ``height`` of all N."""
        channels = pixels.shape[3]
        self.eight = np.empty((len(rows), 8 * channels), np.float32)
        self.frame = np.empty((len(rows), channels), np.float32)
        self.middle = np.empty((len(rows), channels), np.float32)
        for place, image in enumerate(_contents(pixels, rows, facts, fit)):
            height, width = image.shape[:2]
            ys, xs = ([0, length // 2, length - 1] for length in (height, width))
            nine = image[ys][:, xs].reshape(9, channels)
            self.eight[place] = np.delete(nine, 4, axis=0).ravel()  # the fifth is the middle of the image
            self.frame[place] = _frame(image).mean(axis=0)
            inner = image[height // 4 : height - height // 4, width // 4 : width - width // 4]
            self.middle[place] = inner.mean(axis=(0, 1))


def _contents(pixels: Pixels, rows: Sequence[int], facts: pl.DataFrame, fit: str) -> Iterator[Pixels]:
    widths, heights = facts["width"].to_list(), facts["height"].to_list()
    shape: tuple[int, int] = (pixels.shape[1], pixels.shape[2])
    for row in rows:
        top, left, height, width = content_box(widths[row], heights[row], shape, fit)
        # A JPEG decoded at reduced scale may end a pixel earlier than its full size says, and padding be taken for it.
        spare_y, spare_x = int(2 < height < shape[0]), int(2 < width < shape[1])
        yield np.asarray(pixels[row, top + spare_y : top + height - spare_y, left + spare_x : left + width - spare_x])


def _frame(image: Pixels) -> Pixels:
    """(H, W, C) -> (P, C): the pixels of a thin frame, each once; all of an image that is hardly larger."""
    height, width, channels = image.shape
    thick = max(1, round(FRAME * min(height, width)))
    if min(height, width) <= 2 * thick:
        return image.reshape(-1, channels)
    inside = slice(thick, height - thick)
    strips = (image[:thick], image[-thick:], image[inside, :thick], image[inside, -thick:])
    return np.concatenate([strip.reshape(-1, channels) for strip in strips])


def file_sizes(facts: pl.DataFrame) -> Clues:
    """Bytes, and bytes a pixel of the file: (n, 2)."""
    area = (pl.col("width") * pl.col("height")).clip(1)
    return _numbers(facts.select(pl.col("bytes"), (pl.col("bytes") / area).alias("density")))


def dimensions(facts: pl.DataFrame) -> Clues:
    """Width, height, aspect ratio, and the mode (channels and depth) as columns of 0 and 1: (n, F)."""
    sizes = facts.select(pl.col("width"), pl.col("height"), (pl.col("width") / pl.col("height")).alias("aspect"))
    return np.column_stack([_numbers(sizes), words(facts["mode"].to_list())])


def encoders(facts: pl.DataFrame, paths: Iterable[str]) -> Clues:
    """Format, what wrote the file, and the extension as it is spelt, as columns of 0 and 1: (n, F)."""
    endings = [PurePosixPath(path).suffix for path in paths]
    return np.column_stack([words(facts["format"].to_list()), words(_column(facts, "encoder")), words(endings)])


def exif(facts: pl.DataFrame) -> Clues:
    """Camera, whether there is EXIF, when it was taken (order and hour), and whether it was turned: (n, F)."""
    cameras = [camera or "" for camera in _column(facts, "camera")]
    taken = pl.Series(_column(facts, "taken"), dtype=pl.String).str.to_datetime("%Y-%m-%dT%H:%M:%S", strict=False)
    times = pl.DataFrame(
        {
            "order": taken.rank("dense"),  # 32 bits cannot hold seconds since 1970
            "hour": taken.dt.hour() + taken.dt.minute() / 60,
            "there": pl.Series([bool(camera) for camera in cameras]) | taken.is_not_null(),
            "turned": facts["turned"].fill_null(False),
        }
    )
    return np.column_stack([_numbers(times), words(cameras)])


def name_numbers(paths: Sequence[str], labels: npt.NDArray[np.integer]) -> Clues:
    """The numbers in the file names, which follow the order in which images were taken or saved: (n, F).

    Letters are left out, since they often spell the class, and so is every number that is the same throughout each
    class, which may be the class's own. What remains: the last six numbers, how many there are, and the digits of
    the last.
    """
    found = [re.findall(r"\d+", PurePosixPath(path).stem) for path in paths]
    columns: list[list[int]] = [[len(each) for each in found], [len(each[-1]) if each else 0 for each in found]]
    for place in range(1, NUMBERS + 1):
        columns.append([int(each[-place]) if len(each) >= place else -1 for each in found])
    classes = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    kept = [column for column in columns if any(len({column[row] for row in rows}) > 1 for rows in classes)]
    ranks = [np.unique(np.array(column, dtype=object), return_inverse=True)[1] for column in kept]
    return np.column_stack([np.zeros((len(paths), 0)), *ranks]).astype(np.float32)


def counted_by_class(paths: Sequence[str], labels: npt.NDArray[np.integer]) -> bool:
    """Whether the last numbers in the file names start anew in each class: they then tell its size, not its session.

    >>> counted_by_class([f"{name}/{number}.jpg" for name in "ab" for number in range(9)], np.repeat([0, 1], 9))
    True
    >>> counted_by_class([f"IMG_{number}.jpg" for number in range(4000, 4018)], np.repeat([0, 1], 9))
    False
    """
    last = [re.findall(r"\d+", PurePosixPath(path).stem)[-1:] for path in paths]
    for label in np.unique(labels):
        numbers = [int(last[row][0]) for row in np.flatnonzero(labels == label) if last[row]]
        if numbers and min(numbers) * len(numbers) >= FROM_ZERO * max(*numbers, 1):
            return False
    return True


def words(values: Sequence[str | None]) -> Clues:
    """A column of 0 and 1 for each of the commonest words: (n, F); the rare ones have none.

    >>> words(["PNG", "JPEG", "JPEG", None]).astype(int).tolist()
    [[0, 1], [1, 0], [1, 0], [0, 0]]
    """
    counts = (
        pl.Series("word", values, dtype=pl.String)
        .drop_nulls()
        .value_counts()
        .sort("count", "word", descending=[True, False])
    )
    levels = counts["word"].head(LEVELS).to_list()
    return np.array([[value == level for level in levels] for value in values], np.float32).reshape(len(values), -1)


def varying(clues: Clues) -> Clues:
    """The columns that are not the same for all images."""
    return clues[:, (clues != clues[:1]).any(axis=0)]


def _numbers(table: pl.DataFrame) -> Clues:
    """What is missing becomes -1, below everything that occurs."""
    return table.select(pl.all().cast(pl.Float64).fill_null(-1)).to_numpy().astype(np.float32)


def _column(facts: pl.DataFrame, name: str) -> list[str | None]:
    """A column of text; all null where an older pass did not note it."""
    return facts[name].to_list() if name in facts.columns else [None] * facts.height
