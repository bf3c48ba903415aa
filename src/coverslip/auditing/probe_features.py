"""Features for shortcut probes: the border of an image or properties of its file, but never the subject."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt
import polars as pl

from coverslip.data.image import Pixels
from coverslip.data.inputs import content_box

ProbeFeatures = npt.NDArray[np.float32]
"""Features of n images, shape (n, F)."""

FRAME = 1 / 32  # thickness of the border frame, as a fraction of the shorter side of the image
LEVELS = 30  # most common values of a categorical feature (cameras, encoders) that get a column
NUMBERS = 6  # of a file name that are used, counted from its end: enough for a date and a time
FROM_ZERO = 6.0  # numbering restarts in a class if its lowest number is below this many mean steps


class BorderFeatures:
    """Colors of the border of n images, and of their center for comparison.

    Padding does not count as border: its color is the mean of the whole image and would reveal the subject.

    Attributes:
        eight: pixels at the four corners and at the midpoints of the four edges, in the scale of the pixels, (n, 8 C).
        frame: mean of each channel over a thin frame, (n, C).
        center: mean of each channel over the central quarter, (n, C).

    Reference: Noyan, Uncovering bias in the PlantVillage dataset, arXiv:2206.04374, 2022 (eight pixels).
    """

    def __init__(self, pixels: Pixels, rows: Sequence[int], facts: pl.DataFrame, fit: str) -> None:
        """Measure the border colors of some images.

        Args:
            pixels: resized images, shape (N, H, W, C).
            rows: n rows of ``pixels``.
            facts: columns ``width`` and ``height`` of all N images before resizing.
            fit: how the images were fitted into H x W: ``pad``, ``squash`` or ``crop``.
        """
        channels = pixels.shape[3]
        self.eight = np.empty((len(rows), 8 * channels), np.float32)
        self.frame = np.empty((len(rows), channels), np.float32)
        self.center = np.empty((len(rows), channels), np.float32)
        for place, image in enumerate(_contents(pixels, rows, facts, fit)):
            height, width = image.shape[:2]
            ys, xs = ([0, length // 2, length - 1] for length in (height, width))
            nine = image[ys][:, xs].reshape(9, channels)
            self.eight[place] = np.delete(nine, 4, axis=0).ravel()  # the fifth is the center of the image
            self.frame[place] = _frame(image).mean(axis=0)
            inner = image[height // 4 : height - height // 4, width // 4 : width - width // 4]
            self.center[place] = inner.mean(axis=(0, 1))


def _contents(pixels: Pixels, rows: Sequence[int], facts: pl.DataFrame, fit: str) -> Iterator[Pixels]:
    """Yield the images without their padding."""
    widths, heights = facts["width"].to_list(), facts["height"].to_list()
    shape: tuple[int, int] = (pixels.shape[1], pixels.shape[2])
    for row in rows:
        top, left, height, width = content_box(widths[row], heights[row], shape, fit)
        # A JPEG decoded at reduced scale may be one pixel shorter than its full size suggests; this margin excludes
        # a line of padding that would otherwise count as border.
        margin_y, margin_x = int(2 < height < shape[0]), int(2 < width < shape[1])
        yield np.asarray(
            pixels[row, top + margin_y : top + height - margin_y, left + margin_x : left + width - margin_x]
        )


def _frame(image: Pixels) -> Pixels:
    """Return the pixels of a thin frame, (H, W, C) -> (P, C); all pixels of an image hardly larger than the frame."""
    height, width, channels = image.shape
    thickness = max(1, round(FRAME * min(height, width)))
    if min(height, width) <= 2 * thickness:
        return image.reshape(-1, channels)
    inside = slice(thickness, height - thickness)
    strips = (image[:thickness], image[-thickness:], image[inside, :thickness], image[inside, -thickness:])
    return np.concatenate([strip.reshape(-1, channels) for strip in strips])


def file_sizes(facts: pl.DataFrame) -> ProbeFeatures:
    """Return the file size in bytes and in bytes per pixel, (n, 2)."""
    area = (pl.col("width") * pl.col("height")).clip(1)
    return _numbers(facts.select(pl.col("bytes"), (pl.col("bytes") / area).alias("density")))


def dimensions(facts: pl.DataFrame) -> ProbeFeatures:
    """Return width, height, aspect ratio, and the mode (channels and bit depth) one-hot encoded, (n, F)."""
    sizes = facts.select(pl.col("width"), pl.col("height"), (pl.col("width") / pl.col("height")).alias("aspect"))
    return np.column_stack([_numbers(sizes), one_hot(facts["mode"].to_list())])


def encoders(facts: pl.DataFrame, paths: Iterable[str]) -> ProbeFeatures:
    """Return format, encoder settings and file extension (as spelled), one-hot encoded, (n, F)."""
    extensions = [PurePosixPath(path).suffix for path in paths]
    return np.column_stack(
        [one_hot(facts["format"].to_list()), one_hot(_column(facts, "encoder")), one_hot(extensions)]
    )


def exif(facts: pl.DataFrame) -> ProbeFeatures:
    """Return camera, presence of EXIF data, time (rank and hour) and whether EXIF rotates the image, (n, F)."""
    cameras = [camera or "" for camera in _column(facts, "camera")]
    taken = pl.Series(_column(facts, "taken"), dtype=pl.String).str.to_datetime("%Y-%m-%dT%H:%M:%S", strict=False)
    times = pl.DataFrame(
        {
            "order": taken.rank("dense"),  # float32 cannot represent seconds since 1970
            "hour": taken.dt.hour() + taken.dt.minute() / 60,
            "has_exif": pl.Series([bool(camera) for camera in cameras]) | taken.is_not_null(),
            "rotated": facts["turned"].fill_null(False),
        }
    )
    return np.column_stack([_numbers(times), one_hot(cameras)])


def name_numbers(paths: Sequence[str], labels: npt.NDArray[np.integer]) -> ProbeFeatures:
    """Return the numbers in the file names, which often follow the order in which images were taken or saved, (n, F).

    Letters are ignored because they often spell the class. So is a number that is constant within every class, since it
    may encode the class. The features are the last six numbers, how many numbers there are, and the number of digits of
    the last one.

    Args:
        paths: paths of n images.
        labels: integer class ids, shape (n,).
    """
    numbers = [re.findall(r"\d+", PurePosixPath(path).stem) for path in paths]
    columns: list[list[int]] = [[len(each) for each in numbers], [len(each[-1]) if each else 0 for each in numbers]]
    for place in range(1, NUMBERS + 1):
        columns.append([int(each[-place]) if len(each) >= place else -1 for each in numbers])
    classes = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    kept = [column for column in columns if any(len({column[row] for row in rows}) > 1 for rows in classes)]
    ranks = [np.unique(np.array(column, dtype=object), return_inverse=True)[1] for column in kept]
    return np.column_stack([np.zeros((len(paths), 0)), *ranks]).astype(np.float32)


def numbered_per_class(paths: Sequence[str], labels: npt.NDArray[np.integer]) -> bool:
    """Return whether the last numbers in the file names restart in each class; they then reflect class size, not time.

    >>> numbered_per_class([f"{name}/{number}.jpg" for name in "ab" for number in range(9)], np.repeat([0, 1], 9))
    True
    >>> numbered_per_class([f"IMG_{number}.jpg" for number in range(4000, 4018)], np.repeat([0, 1], 9))
    False
    """
    last = [re.findall(r"\d+", PurePosixPath(path).stem)[-1:] for path in paths]
    for label in np.unique(labels):
        numbers = [int(last[row][0]) for row in np.flatnonzero(labels == label) if last[row]]
        if numbers and min(numbers) * len(numbers) >= FROM_ZERO * max(*numbers, 1):
            return False
    return True


def one_hot(values: Sequence[str | None]) -> ProbeFeatures:
    """Return one 0/1 column for each of the most common values, (n, F); rare values have no column.

    >>> one_hot(["PNG", "JPEG", "JPEG", None]).astype(int).tolist()
    [[0, 1], [1, 0], [1, 0], [0, 0]]
    """
    counts = (
        pl.Series("value", values, dtype=pl.String)
        .drop_nulls()
        .value_counts()
        .sort("count", "value", descending=[True, False])
    )
    levels = counts["value"].head(LEVELS).to_list()
    return np.array([[value == level for level in levels] for value in values], np.float32).reshape(len(values), -1)


def varying(clues: ProbeFeatures) -> ProbeFeatures:
    """Return the columns that are not constant."""
    return clues[:, (clues != clues[:1]).any(axis=0)]


def _numbers(table: pl.DataFrame) -> ProbeFeatures:
    """Return the table as float32; missing values become -1, below all values that occur."""
    return table.select(pl.all().cast(pl.Float64).fill_null(-1)).to_numpy().astype(np.float32)


def _column(facts: pl.DataFrame, name: str) -> list[str | None]:
    """Return a text column; all None if an older cache does not have it."""
    return facts[name].to_list() if name in facts.columns else [None] * facts.height
