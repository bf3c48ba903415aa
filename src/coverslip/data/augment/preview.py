"""A figure of augmented images, to check the augmentation before training."""

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

VERSIONS = 6  # augmented versions per image
MAX_ROWS = 24  # rows of a figure


def preview_figure(
    table: ImageTable,
    size: tuple[int, int],
    config: Augmentation,
    *,
    fit: str = "pad",
    seed: int = 0,
    count: int = 2,
    title: str = "",
    progress: Progress = SILENT,
) -> Figure:
    """Return a figure with one row per image: the prepared image, then its versions in the first epochs.

    Args:
        table: the images; only those in the figure are read.
        size: (height, width) of the network input, pixels.
        config: the transforms and their strengths.
        fit: ``pad``, ``squash`` or ``crop``.
        seed: seed of the choice of images and of the augmentation.
        count: images per class; a figure has at most 24 rows.
        title: name of the augmentation.
        progress: receives stages and notes.

    Raises:
        UserError: size or fit is invalid, count is below 1, or none of the chosen images can be read.
    """
    from coverslip.figures.contact import contact_figure

    grey = InputSpec(
        size=size, fit=fit, channels=1, mean=(0.0,), std=(1.0,)
    )  # checks size and fit before images are read
    chosen = sample_rows(table, count, seed, progress)
    subset = _select(table, chosen)
    cache = read_pixels(subset, size, fit, progress=progress)
    subset = with_status(subset, cache.facts)
    rows = subset.rows()
    if not rows:
        raise UserError(
            f"none of the {len(subset)} chosen images can be read (the first: {subset.frame['status'][0]})",
            "run 'coverslip audit', which lists all unreadable files",
        )
    if len(rows) < len(subset):
        progress.note(f"{len(subset) - len(rows)} of the chosen images cannot be read")
    channels = cache.format.channels
    spec = replace(grey, channels=channels, depth=cache.format.depth, mean=(0.0,) * channels, std=(1.0,) * channels)
    spec = spec.with_percentiles(cache.pixels, rows)
    images = spec.prepare(np.ascontiguousarray(cache.pixels[rows]))
    labels = subset.frame["label"].gather(rows).to_list()
    files = [path.rpartition("/")[2] for path in subset.frame["path"].gather(rows).to_list()]
    caption = f"{title}: {config.describe()}" if title else config.describe()
    if channels > 3:
        caption += f"; the first 3 of {channels} channels are shown"
    return contact_figure(
        augmented_versions(images, config, np.asarray(chosen)[rows], seed),
        labels,
        notes=files,
        titles=("prepared image", "augmented versions, as in training"),
        caption=caption,
    )


def augmented_versions(
    images: npt.NDArray[np.float32], config: Augmentation, rows: npt.NDArray[np.int64], seed: int, count: int = VERSIONS
) -> npt.NDArray[np.float32]:
    """Return each image followed by its augmented versions in the first epochs.

    Args:
        images: float32, shape (N, C, H, W), values in 0..1.
        config: the transforms and their strengths.
        rows: row numbers of the images in the table, shape (N,), which determine their seeds.
        seed: seed of the augmentation.
        count: number of versions.

    Returns:
        float32, shape (N, 1 + count, H, W, C), values in 0..1.
    """
    import torch

    from coverslip.data.augment.pipeline import augment, image_seeds

    planes = torch.from_numpy(images)
    versions = [augment(planes, config, image_seeds(seed, epoch, rows)).images.numpy() for epoch in range(count)]
    return np.stack([images.clip(0, 1), *versions], axis=1).transpose(0, 1, 3, 4, 2)


def sample_rows(table: ImageTable, count: int, seed: int, progress: Progress = SILENT) -> list[int]:
    """Return row numbers of ``count`` random images per class (fewer if a class or the figure is too small).

    Raises:
        UserError: count is below 1.
    """
    if count < 1:
        raise UserError(f"count={count} is below 1", "give 1 or more images per class")
    rng = generator(seed, "preview")
    rows, labels = np.array(table.rows()), np.array(table.labels(table.rows()))
    classes = np.unique(labels)
    if len(classes) > MAX_ROWS:
        progress.note(f"{MAX_ROWS} of {len(classes)} classes are shown")
        classes = np.sort(rng.choice(classes, MAX_ROWS, replace=False))
    per_class = min(count, MAX_ROWS // len(classes))
    if per_class < count:
        progress.note(
            f"{per_class} instead of {count} images per class are shown, since a figure has at most {MAX_ROWS} rows"
        )
    chosen: list[int] = []
    for label in classes:
        class_rows = rows[labels == label]
        chosen += np.sort(rng.choice(class_rows, min(per_class, len(class_rows)), replace=False)).tolist()
    return chosen


def _select(table: ImageTable, rows: list[int]) -> ImageTable:
    """Return a table with only these rows, in this order."""
    return replace(table, frame=table.frame[rows])
