"""Images of a lesson as arrays with labels and groups: built-in leaves or tissue, or the learner's own folder."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import UserError
from coverslip.core.paths import expand
from coverslip.core.progress import SILENT, Progress
from coverslip.core.seeds import generator
from coverslip.core.storage import create_entry, digest, entry_folder, locked
from coverslip.data.cache import read_pixels, with_status
from coverslip.data.image import Pixels
from coverslip.data.inputs import PERCENTILES
from coverslip.data.scan import scan
from coverslip.data.split import assign_splits
from coverslip.data.synthetic import write_leaves
from coverslip.data.synthetic.image import SIZES, need_number
from coverslip.data.synthetic.specimen import class_names
from coverslip.data.table import ImageTable

EDITION = 1  # increase when the renderer changes its pixels, so that cached images are rendered again
LEAVES, SHOTS, MAX_PER_CLASS = 60, 2, 240
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Images:
    """Images in memory with their labels, groups and paths.

    Attributes:
        x: images in RGB, uint8 (N, H, W, 3).
        y: integer class ids, int64 (N,).
        names: class names; class id i is ``names[i]``.
        groups: group of each image (leaf, slide, patient), length N; if unknown, each image has a group of its own.
        paths: path of each image relative to the folder, length N.
        source: the folder or table, for ``coverslip.train`` and ``coverslip.audit``.
        built_in: True if the images were rendered by the program.
        notes: what was left out, and why.
    """

    x: Bytes = field(repr=False)
    y: npt.NDArray[np.int64] = field(repr=False)
    names: tuple[str, ...]
    groups: list[str] = field(repr=False)
    paths: list[str] = field(repr=False)
    source: Path
    built_in: bool = True
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.y)

    @property
    def size(self) -> int:
        """Side of the images in pixels."""
        return int(self.x.shape[1])

    def take(self, rows: Sequence[int] | npt.NDArray[np.integer]) -> Images:
        """Return the given rows in this order; the classes stay the same."""
        order = np.asarray(rows, np.int64)
        groups, paths = ([names[row] for row in order] for names in (self.groups, self.paths))
        return replace(self, x=self.x[order], y=self.y[order], groups=groups, paths=paths)

    def split(self, seed: int = 0, test_fraction: float = 0.25) -> tuple[Images, Images]:
        """Split into a training and a test set, stratified by class; images of one group stay in the same set.

        Args:
            seed: seed of the random split.
            test_fraction: fraction of the images in the test set, above 0 and below 1.

        Raises:
            UserError: the fraction is out of range, or there is only one group.
        """
        if not 0 < test_fraction < 1:
            raise UserError(f"test_fraction={test_fraction} is not between 0 and 1", "0.25 is usual")
        if len(set(self.groups)) < 2:
            raise UserError("one group cannot be split into two sets", "add images of other leaves")
        sets = assign_splits(self.y, self.groups, [1 - test_fraction, test_fraction], seed)
        return self.take(np.flatnonzero(sets == 0)), self.take(np.flatnonzero(sets == 1))

    def __repr__(self) -> str:
        counts = Counter(self.y.tolist())
        per_class = ", ".join(f"{name} {counts[number]:,}" for number, name in enumerate(self.names))
        groups = len(set(self.groups))
        overview = f"{len(self):,} images of {groups:,} groups, {self.size} x {self.size} x 3: {per_class}"
        return "\n".join([overview, *(f"note: {note}" for note in self.notes)])


def images(
    folder: str | Path | None = None,
    *,
    classes: int = 2,
    size: int = 128,
    look: str = "leaf",
    leaves: int = LEAVES,
    shots: int = SHOTS,
    seed: int = 0,
    shortcut: bool = False,
    duplicates: int = 0,
    group: str = "",
    max_per_class: int = MAX_PER_CLASS,
    progress: Progress = SILENT,
) -> Images:
    """Return the images of a lesson: rendered leaves or tissue, or the images of a folder.

    Built-in images are rendered once and then read from the cache. Unreadable files of a folder are left out with a
    note.

    Args:
        folder: any folder, table or ``.npz`` file that `coverslip.scan` reads; None for built-in images.
        classes: number of classes; of a folder with more classes, the largest ones are used.
        size: side of the images in pixels, 32 to 2048. Images of a folder are resized and padded, not cropped.
        look: ``leaf`` or ``tissue``; for built-in images only, as are the next three arguments.
        leaves: leaves (slides for ``tissue``) per class.
        shots: photographs of each leaf.
        seed: seed of the rendered leaves; with a folder, of the random choice if a class exceeds ``max_per_class``.
        shortcut: True gives each class a background of its own (built-in images only).
        duplicates: number of copies added under other names (built-in images only).
        group: how images of a folder are grouped; see `coverslip.scan`.
        max_per_class: largest number of images per class of a folder, so that lessons stay short; whole groups are
            chosen at random.
        progress: receives one event per image.

    Raises:
        UserError: no image was found, there is only one class, or a value is out of range.

    >>> from coverslip.course import images
    >>> few = images(leaves=2, shots=2, size=32)
    >>> few.x.shape, few.names, len(set(few.groups))
    ((8, 32, 32, 3), ('tomato_early_blight', 'tomato_healthy'), 4)
    """
    need_number("size", size, *SIZES)
    need_number("max_per_class", max_per_class, 1)
    if folder is None:
        rendered = _render(look, classes, leaves, shots, size, seed, shortcut, duplicates, progress)
        return _read(scan(rendered / "leaves.csv"), rendered, size, True, progress)
    source = expand(folder)
    table = _limit_size(scan(source, group), classes, max_per_class, seed)
    return _read(table, source, size, False, progress)


def _render(
    look: str,
    classes: int,
    leaves: int,
    shots: int,
    size: int,
    seed: int,
    shortcut: bool,
    duplicates: int,
    progress: Progress,
) -> Path:
    """Return the cache folder of these built-in images; render them if they are not cached yet."""
    names = class_names(look, classes)
    key = digest("lesson", EDITION, look, names, leaves, shots, size, seed, shortcut, duplicates)
    with locked("pixels", key):
        if entry_folder("pixels", key) is None:
            with create_entry("pixels") as draft:
                table = write_leaves(
                    draft.folder / look,
                    look=look,
                    classes=classes,
                    leaves=leaves,
                    shots=shots,
                    size=size,
                    seed=seed,
                    shortcut=shortcut,
                    duplicates=duplicates,
                    progress=progress,
                )
                shutil.rmtree(table.parent / "masks")  # no lesson uses the masks, and they are half of the files
                draft.key = key
        entry = entry_folder("pixels", key)
    assert entry is not None
    return entry / look


def _limit_size(table: ImageTable, classes: int, max_per_class: int, seed: int) -> ImageTable:
    """Keep the largest ``classes`` classes and about ``max_per_class`` images of each, in whole groups."""
    rows = table.rows()
    labels, groups = [table.classes[number] for number in table.labels(rows)], table.groups(rows)
    sizes = Counter(labels)
    kept = sorted(sorted(sizes, key=lambda name: (-sizes[name], name))[:classes])
    notes = []
    if len(kept) < len(sizes):
        notes.append(f"the {len(kept)} largest of {len(sizes)} classes are used; classes={len(sizes)} uses all")
    taken: Counter[str] = Counter()
    members: dict[str, list[int]] = {}
    for place, group in enumerate(groups):
        members.setdefault(group, []).append(place)
    order = sorted(members)
    chosen: list[int] = []
    for number in generator(seed, "lesson").permutation(len(order)):
        places = [place for place in members[order[number]] if labels[place] in kept]
        room = {labels[place] for place in places if taken[labels[place]] < max_per_class}
        places = [place for place in places if labels[place] in room]
        taken.update(labels[place] for place in places)
        chosen += places
    left_out = sum(sizes[name] for name in kept) - len(chosen)
    if left_out:
        notes.append(
            f"{left_out:,} randomly chosen images above {max_per_class} per class were left out; "
            "increase max_per_class to use more"
        )
    fewer = replace(table, frame=table.frame[sorted(rows[place] for place in chosen)], classes=tuple(kept))
    return fewer.with_notes(*notes)


def _read(table: ImageTable, source: Path, size: int, built_in: bool, progress: Progress) -> Images:
    cache = read_pixels(table, (size, size), progress=progress)
    read = with_status(table, cache.facts)
    rows = read.rows()
    y = np.array(read.labels(rows), np.int64)
    if len(set(y.tolist())) < len(read.classes):
        empty = next(name for number, name in enumerate(read.classes) if number not in y)
        raise UserError(f"no image of {empty!r} could be read", f"run 'coverslip audit {source}' to see why")
    unread = len(read) - len(rows)
    files = "file" if unread == 1 else "files"
    notes = (*read.notes, *([f"{unread} {files} could not be read and were left out"] if unread else []))
    x = _color(np.asarray(cache.pixels[rows]))
    paths = [read.paths[row] for row in rows]
    return Images(x, y, read.classes, read.groups(rows), paths, source, built_in, () if built_in else notes)


def _color(pixels: Pixels) -> Bytes:
    """uint8 or uint16 (N, H, W, C) -> uint8 (N, H, W, 3).

    Grey images are repeated three times; of more than three channels the first three are used.
    """
    rgb = pixels[..., :3] if pixels.shape[-1] >= 3 else np.repeat(pixels[..., :1], 3, axis=-1)
    if rgb.dtype == np.uint8:
        return np.ascontiguousarray(rgb)
    low, high = np.percentile(rgb[:, ::4, ::4], PERCENTILES)  # percentiles: one hot pixel must not set the scale
    scaled = (rgb.astype(np.float32) - low) / max(high - low, 1.0)
    return np.asarray((scaled.clip(0, 1) * 255).round(), np.uint8)
