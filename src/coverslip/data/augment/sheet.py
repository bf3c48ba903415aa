"""What a network in training will see of some images, to be looked at before it trains."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import UserError
from coverslip.core.progress import SILENT, Progress
from coverslip.core.seeds import generator
from coverslip.data.augment.settings import Augmentation
from coverslip.data.cache import read_pixels, with_status
from coverslip.data.inputs import InputSpec
from coverslip.data.table import ImageTable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VERSIONS = 6
MOST_ROWS = 24  # of a sheet


def preview_figure(
    table: ImageTable,
    size: tuple[int, int],
    how: Augmentation,
    *,
    fit: str = "pad",
    seed: int = 0,
    count: int = 2,
    title: str = "",
    progress: Progress = SILENT,
) -> Figure:
    """A row an image: as it is prepared (after the fit), then as the first epochs would show it.

    Args:
        table: the images; only those that are shown are read.
        size: (height, width) of what the network sees, pixels.
        how: which changes, and how strong.
        fit: ``pad``, ``squash`` or ``crop``.
        seed: which images are picked, and the chance of every version.
        count: images a class, at most 24 rows in all.
        title: what the changes are called.
        progress: told of what is left out.

    Raises:
        UserError: a size or fit that cannot be, a count below 1, or none of the images that were picked can be read.
    """
    from coverslip.figures.contact import contact_figure

    grey = InputSpec(size=size, fit=fit, channels=1, mean=(0.0,), std=(1.0,))  # checks both before an image is read
    picked = pick_rows(table, count, seed, progress)
    shown = _select(table, picked)
    cache = read_pixels(shown, size, fit, progress=progress)
    shown = with_status(shown, cache.facts)
    rows = shown.rows()
    if not rows:
        raise UserError(
            f"none of the {len(shown)} images that were picked can be read",
            f"the first: {shown.frame['status'][0]}; 'coverslip audit' lists all of them",
        )
    if len(rows) < len(shown):
        progress.note(f"{len(shown) - len(rows)} of the images that were picked cannot be read")
    channels = cache.format.channels
    spec = replace(grey, channels=channels, depth=cache.format.depth, mean=(0.0,) * channels, std=(1.0,) * channels)
    spec = spec.fitted(cache.pixels, rows)
    images = spec.prepare(np.ascontiguousarray(cache.pixels[rows]))
    labels = shown.frame["label"].gather(rows).to_list()
    files = [path.rpartition("/")[2] for path in shown.frame["path"].gather(rows).to_list()]
    caption = f"{title}: {how.describe()}" if title else how.describe()
    if channels > 3:
        caption += f"; the first 3 of {channels} channels are shown"
    return contact_figure(
        versions(images, how, np.asarray(picked)[rows], seed),
        labels,
        notes=files,
        titles=("as prepared", "what the network sees in training"),
        caption=caption,
    )


def versions(
    images: npt.NDArray[np.float32], how: Augmentation, rows: npt.NDArray[np.int64], seed: int, count: int = VERSIONS
) -> npt.NDArray[np.float32]:
    """float32 (N, C, H, W), 0..1 -> (N, 1 + count, H, W, C): each image, then its views in so many epochs."""
    import torch

    from coverslip.data.augment.pipeline import augment, image_seeds

    planes = torch.from_numpy(images)
    seen = [augment(planes, how, image_seeds(seed, epoch, rows)).images.numpy() for epoch in range(count)]
    return np.stack([images.clip(0, 1), *seen], axis=1).transpose(0, 1, 3, 4, 2)


def pick_rows(table: ImageTable, count: int, seed: int, progress: Progress = SILENT) -> list[int]:
    """Row numbers of ``count`` images of each class, fewer where a class or the sheet has no more; class by class."""
    if count < 1:
        raise UserError(f"count={count} shows no image", "give 1 or more images a class")
    rng = generator(seed, "preview")
    rows, labels = np.array(table.rows()), np.array(table.labels(table.rows()))
    classes = np.unique(labels)
    if len(classes) > MOST_ROWS:
        progress.note(f"{MOST_ROWS} of {len(classes)} classes are shown")
        classes = np.sort(rng.choice(classes, MOST_ROWS, replace=False))
    fewer = min(count, MOST_ROWS // len(classes))
    if fewer < count:
        progress.note(f"{fewer} instead of {count} images a class are shown: a sheet has room for {MOST_ROWS} rows")
    picked: list[int] = []
    for label in classes:
        own = rows[labels == label]
        picked += np.sort(rng.choice(own, min(fewer, len(own)), replace=False)).tolist()
    return picked


def _select(table: ImageTable, rows: list[int]) -> ImageTable:
    """The table of these rows alone, in this order."""
    return replace(table, frame=table.frame[rows])
