"""The images of a lesson: built-in leaves or tissue, or the learner's own folder, as arrays with their groups."""

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
from coverslip.core.storage import building, digest, entry_folder, locked
from coverslip.data.cache import read_pixels, with_status
from coverslip.data.image import Pixels
from coverslip.data.inputs import PERCENTILES
from coverslip.data.scan import scan
from coverslip.data.split import assign_parts
from coverslip.data.synthetic import write_leaves
from coverslip.data.synthetic.image import SIZES, need_number
from coverslip.data.synthetic.specimen import class_names
from coverslip.data.table import ImageTable

EDITION = 1  # raised when the renderer gives other pixels
LEAVES, SHOTS, MOST = 60, 2, 240
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Images:
    """Images in memory, and what is known of each.

    Attributes:
        x: uint8 (N, H, W, 3), RGB.
        y: int64 (N,), class numbers.
        names: of the classes, by number.
        groups: N names of what each image is of (leaf, slide, patient); one name for each image where nobody knows.
        paths: N files, relative to the folder they lie in.
        source: the folder or table, for ``coverslip.train`` and ``coverslip.audit``.
        built_in: whether the program rendered them.
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
        """Pixels along a side."""
        return int(self.x.shape[1])

    def take(self, rows: Sequence[int] | npt.NDArray[np.integer]) -> Images:
        """These rows only, in this order; the classes stay."""
        order = np.asarray(rows, np.int64)
        groups, paths = ([names[row] for row in order] for names in (self.groups, self.paths))
        return replace(self, x=self.x[order], y=self.y[order], groups=groups, paths=paths)

    def split(self, seed: int = 0, share: float = 0.25) -> tuple[Images, Images]:
        """Two parts, to learn from and to test on: every class by its share, and all images of a group in one part.

        Args:
            seed: another seed divides otherwise.
            share: of the second part, above 0 and below 1.
        """
        if not 0 < share < 1:
            raise UserError(f"share={share} is not between 0 and 1", "0.25 is usual")
        if len(set(self.groups)) < 2:
            raise UserError("one group cannot be divided into two parts", "add images of other leaves")
        parts = assign_parts(self.y, self.groups, [1 - share, share], seed)
        return self.take(np.flatnonzero(parts == 0)), self.take(np.flatnonzero(parts == 1))

    def __repr__(self) -> str:
        counts = Counter(self.y.tolist())
        each = ", ".join(f"{name} {counts[number]:,}" for number, name in enumerate(self.names))
        whole = f"{len(self):,} images of {len(set(self.groups)):,} groups, {self.size} x {self.size} x 3: {each}"
        return "\n".join([whole, *(f"note: {note}" for note in self.notes)])


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
    most: int = MOST,
    progress: Progress = SILENT,
) -> Images:
    """Images to learn on: rendered leaves or tissue, or those of a folder of your own.

    Built-in ones are rendered once and then found in the cache. Files of your own that cannot be read are left out, and
    a note says so.

    Args:
        folder: any folder, table or ``.npz`` that `coverslip.scan` reads; None for built-in images.
        classes: how many. Of a folder with more, those with the most images.
        size: pixels along a side, 32 to 2048. Images of your own are fitted in whole, with a border.
        look: ``leaf`` or ``tissue``; built-in only, like the five below.
        leaves: leaves (slides) a class.
        shots: photographs of each.
        seed: another seed gives other leaves; with a folder, another choice where it holds more than ``most``.
        shortcut: the background gives the class away.
        duplicates: copies planted under other names.
        group: what keeps images of a folder together; see `coverslip.scan`.
        most: images a class of a folder, whole groups, chosen by chance; so that lessons stay short.
        progress: told of every image.

    Raises:
        UserError: nothing there, one class only, a number out of its range.

    >>> from coverslip.course import images
    >>> few = images(leaves=2, shots=2, size=32)
    >>> few.x.shape, few.names, len(set(few.groups))
    ((8, 32, 32, 3), ('tomato_early_blight', 'tomato_healthy'), 4)
    """
    need_number("size", size, *SIZES)
    need_number("most", most, 1)
    if folder is None:
        home = _render(look, classes, leaves, shots, size, seed, shortcut, duplicates, progress)
        return _read(scan(home / "leaves.csv"), home, size, True, progress)
    source = expand(folder)
    table = _fewer(scan(source, group), classes, most, seed)
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
    """The folder of these built-in images in the cache, rendered where it is not there yet."""
    names = class_names(look, classes)
    key = digest("lesson", EDITION, look, names, leaves, shots, size, seed, shortcut, duplicates)
    with locked("pixels", key):
        if entry_folder("pixels", key) is None:
            with building("pixels") as draft:
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
                shutil.rmtree(table.parent / "masks")  # no lesson looks at them, and they are half of the files
                draft.key = key
        found = entry_folder("pixels", key)
    assert found is not None
    return found / look


def _fewer(table: ImageTable, classes: int, most: int, seed: int) -> ImageTable:
    """The largest ``classes`` classes, and of each at most ``most`` images, whole groups."""
    rows = table.rows()
    labels, groups = [table.classes[number] for number in table.labels(rows)], table.groups(rows)
    sizes = Counter(labels)
    kept = sorted(sorted(sizes, key=lambda name: (-sizes[name], name))[:classes])
    notes = []
    if len(kept) < len(sizes):
        notes.append(f"the {len(kept)} largest of {len(sizes)} classes are used; classes={len(sizes)} takes all")
    taken: Counter[str] = Counter()
    members: dict[str, list[int]] = {}
    for place, group in enumerate(groups):
        members.setdefault(group, []).append(place)
    order = sorted(members)
    chosen: list[int] = []
    for number in generator(seed, "lesson").permutation(len(order)):
        places = [place for place in members[order[number]] if labels[place] in kept]
        room = {labels[place] for place in places if taken[labels[place]] < most}
        places = [place for place in places if labels[place] in room]
        taken.update(labels[place] for place in places)
        chosen += places
    left = sum(sizes[name] for name in kept) - len(chosen)
    if left:
        notes.append(f"{left:,} images above {most} a class are left out, by chance; most=... takes more")
    fewer = replace(table, frame=table.frame[sorted(rows[place] for place in chosen)], classes=tuple(kept))
    return fewer.noting(*notes)


def _read(table: ImageTable, source: Path, size: int, built_in: bool, progress: Progress) -> Images:
    cache = read_pixels(table, (size, size), progress=progress)
    read = with_status(table, cache.facts)
    rows = read.rows()
    y = np.array(read.labels(rows), np.int64)
    if len(set(y.tolist())) < len(read.classes):
        empty = next(name for number, name in enumerate(read.classes) if number not in y)
        raise UserError(f"no image of {empty!r} could be read", f"'coverslip audit {source}' says why")
    unread = len(read) - len(rows)
    files = "file" if unread == 1 else "files"
    notes = (*read.notes, *([f"{unread} {files} could not be read, and left out"] if unread else []))
    x = _color(np.asarray(cache.pixels[rows]))
    paths = [read.paths[row] for row in rows]
    return Images(x, y, read.classes, read.groups(rows), paths, source, built_in, () if built_in else notes)


def _color(pixels: Pixels) -> Bytes:
    """uint8 or uint16 (N, H, W, C) -> uint8 (N, H, W, 3): grey ones three times, of many channels the first three."""
    three = pixels[..., :3] if pixels.shape[-1] >= 3 else np.repeat(pixels[..., :1], 3, axis=-1)
    if three.dtype == np.uint8:
        return np.ascontiguousarray(three)
    low, high = np.percentile(three[:, ::4, ::4], PERCENTILES)  # one hot pixel must not rule the scale
    scaled = (three.astype(np.float32) - low) / max(high - low, 1.0)
    return np.asarray((scaled.clip(0, 1) * 255).round(), np.uint8)
