"""What is frozen is computed once: features of every view of every image, kept by the content of its pixels.

The store is a set of blocks, each a float16 array and the keys of its rows. A block is written whole or not at all, at
most `BLOCK` rows (or `BLOCK_BYTES`) at a time, so that an interrupted pass loses at most the block under way. Because
rows are found by the pixels they come from, another split, a subset, or a moved folder finds them again.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import UserError
from coverslip.core.progress import SILENT, Progress
from coverslip.core.storage import building, cache_folder, digest, drop_entry, mark_used, need_disk
from coverslip.data.augment import Augmentation, view
from coverslip.data.image import Pixels
from coverslip.data.inputs import InputSpec
from coverslip.inference.engine import Engine, open_engine
from coverslip.models.freeze import Frozen

BLOCK, BLOCK_BYTES = 2048, 64 * 2**20
FEATURES_FILE, KEYS_FILE = "features.npy", "keys.npy"
Features = npt.NDArray[np.float16]
"""(N, D)"""


@dataclass
class FeatureExtractor:
    """A frozen network that remembers what it has seen.

    View 0 of an image is the image itself. The others are its mirror image and the like (see
    `coverslip.data.augment.view`), or where ``how`` is given, changed by chance: the same for the same pixels and view.

    Attributes:
        frozen: the frozen part.
        spec: how images are prepared for it.
        how: augmentation of views above 0; None mirrors and turns them.
        engine_name: to force an engine; None picks the fastest.
        computed: images (views counted) that had to be computed so far.
    """

    frozen: Frozen
    spec: InputSpec
    how: Augmentation | None = None
    engine_name: str | None = None
    computed: int = 0
    _engine: Engine | None = field(default=None, repr=False)
    _store: _Store | None = field(default=None, repr=False)

    @property
    def weights(self) -> str:
        """The key of the frozen weights."""
        return self.frozen.key

    @property
    def engine(self) -> Engine:
        """The engine, opened when it is first needed: where all features are cached it never is."""
        if self._engine is None:
            self._engine = open_engine(self.frozen, self.spec, self.engine_name)
        return self._engine

    def extract(
        self,
        pixels: Pixels,
        rows: Sequence[int],
        keys: Sequence[str],
        views: int = 1,
        progress: Progress = SILENT,
        name: str = "computing features",
        *,
        keep: bool = True,
    ) -> Features:
        """Features of some rows of an array of images.

        Args:
            pixels: (N, H, W, C), as the spec says; may be memory-mapped.
            rows: the rows wanted.
            keys: what the pixels of every row of ``pixels`` are known by.
            views: how many views of each image.
            progress: told of the stage.
            name: of the stage.
            keep: what is computed, for later; not where there are more images than a cache should hold.

        Returns:
            float16 (views * len(rows), D): all rows in view 0, then all in view 1, and so on.
        """
        found = self.open_rows(pixels, rows, keys, views, progress, name, keep=keep)
        return found.take(np.arange(len(found)))

    def open_rows(
        self,
        pixels: Pixels,
        rows: Sequence[int],
        keys: Sequence[str],
        views: int = 1,
        progress: Progress = SILENT,
        name: str = "computing features",
        *,
        keep: bool = True,
    ) -> Rows:
        """Like `extract`, but the features stay on disk and are read as they are taken."""
        store = self._opened_store() if keep else _Passing(self._opened_store())
        wanted = [(number, row, _key(keys[row], number)) for number in range(views) for row in rows]
        missing: dict[bytes, tuple[int, int, bytes]] = {}
        for each in wanted:
            if each[2] not in store.places:
                missing.setdefault(each[2], each)
        if missing:
            self._compute(pixels, list(missing.values()), keys, store, progress, name)
        return store.rows([key for _, _, key in wanted])

    def missing(self, rows: Sequence[int], keys: Sequence[str], views: int = 1) -> int:
        """How many views `extract` would have to compute."""
        store = self._opened_store()
        return sum(_key(keys[row], number) not in store.places for number in range(views) for row in rows)

    def _opened_store(self) -> _Store:
        if self._store is None:
            how = () if self.how is None else (self.how,)
            self._store = _Store(digest("features", self.weights, self.spec, *how))
        return self._store

    def _compute(
        self,
        pixels: Pixels,
        missing: list[tuple[int, int, bytes]],
        keys: Sequence[str],
        store: _Store,
        progress: Progress,
        name: str,
    ) -> None:
        size = self.engine.batch

        def batches() -> Iterator[npt.NDArray[np.float32]]:
            for start in range(0, len(missing), size):
                some = missing[start : start + size]
                if self.how is not None:
                    yield self._augmented(pixels, some, keys)
                    continue
                images = [view(pixels[row : row + 1], number) for number, row, _ in some]
                yield self.spec.prepare(np.concatenate(images))

        done: list[Features] = []
        filled = first = waiting = 0

        def keep() -> None:
            nonlocal done, first, waiting
            some, done, waiting = done, [], 0
            start, first = first, first + sum(map(len, some))
            if some:
                store.add(np.concatenate(some), [key for _, _, key in missing[start:first]])

        try:
            with progress.stage(name, len(missing), "views") as stage:
                for part in self.engine.run(batches()):
                    done.append(_finite(part))
                    filled += len(part)
                    waiting += done[-1].nbytes
                    self.computed += len(part)
                    stage.advance(len(part))
                    if filled - first >= BLOCK or waiting >= BLOCK_BYTES or filled == len(missing):
                        keep()
        except KeyboardInterrupt:
            keep()  # the next run goes on from here
            raise

    def _augmented(
        self, pixels: Pixels, some: list[tuple[int, int, bytes]], keys: Sequence[str]
    ) -> npt.NDArray[np.float32]:
        """Views by chance, prepared; the chance of a view comes from the content of its image."""
        import torch

        from coverslip.data.augment.pipeline import augment, image_seeds

        assert self.how is not None
        images = torch.from_numpy(self.spec.scaled(np.stack([pixels[row] for _, row, _ in some])))
        for place, (number, row, _) in enumerate(some):
            if number:
                content = np.array([int(keys[row][:15], 16)])
                seeds = image_seeds(0, number, content)
                images[place : place + 1] = augment(images[place : place + 1], self.how, seeds).images
        return np.ascontiguousarray(self.spec.normalized(images).numpy())


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of features that lie on disk.

    Attributes:
        blocks: memory-mapped, (n, D) each.
        places: int64 (N, 2): block and row in it.
    """

    blocks: list[Features]
    places: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.places)

    @property
    def width(self) -> int:
        """Numbers a row, D; 0 where nothing was ever computed."""
        return self.blocks[0].shape[1] if self.blocks else 0

    def take(self, numbers: npt.NDArray[np.int64]) -> Features:
        """These of the rows, float16 (n, D), in this order."""
        places = self.places[numbers]
        result = np.empty((len(places), self.width), np.float16)
        for number in np.unique(places[:, 0]):
            mine = np.flatnonzero(places[:, 0] == number)
            result[mine] = self.blocks[number][places[mine, 1]]
        return result


class _Store:
    """Blocks of features of one network and preparation, on disk."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.blocks: list[Features] = []
        self.places: MutableMapping[bytes, tuple[int, int]] = {}
        home = cache_folder() / "features"
        for folder in sorted(home.glob(f"{kind}-*")) if home.is_dir() else []:
            self._open(folder)

    def _open(self, folder: Path) -> None:
        try:
            keys = np.load(folder / KEYS_FILE, allow_pickle=False)
            block = np.load(folder / FEATURES_FILE, mmap_mode="r", allow_pickle=False)
            whole = keys.ndim == block.ndim == 2 and len(keys) == len(block)
        except (OSError, EOFError, ValueError):
            whole = False
        if not whole:  # another process has just evicted it, or a disk error spoiled it: its rows are computed again
            drop_entry("features", folder.name)
            return
        mark_used(folder)
        number = len(self.blocks)
        self.blocks.append(block)
        for row, key in enumerate(keys):
            self.places[key.tobytes()] = (number, row)

    def add(self, features: Features, keys: list[bytes]) -> None:
        """Keep some rows for good."""
        need_disk(cache_folder(), features.nbytes, f"{len(features):,} features")
        with building("features") as draft:
            _save(draft.folder / FEATURES_FILE, features)
            _save(draft.folder / KEYS_FILE, np.frombuffer(b"".join(keys), np.uint8).reshape(len(keys), -1))
            draft.key = f"{self.kind}-{digest(*keys)}"
        self._open(cache_folder() / "features" / draft.key)

    def rows(self, keys: list[bytes]) -> Rows:
        """The rows of these keys, in their order."""
        places = np.array([self.places[key] for key in keys], np.int64).reshape(-1, 2)
        return Rows(self.blocks, places)


class _Passing(_Store):
    """A store as it is, and beside it what is added now, in memory and for nobody else."""

    def __init__(self, store: _Store) -> None:
        self.kind, self.blocks, self.places = store.kind, [*store.blocks], ChainMap({}, store.places)

    def add(self, features: Features, keys: list[bytes]) -> None:
        """Keep some rows for now."""
        self.places.update((key, (len(self.blocks), row)) for row, key in enumerate(keys))
        self.blocks.append(features)


def _save(path: Path, array: npt.NDArray[Any]) -> None:
    """Like `numpy.save`, which on a full disk would lose the error's number."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        file.write(np.ascontiguousarray(array).data)


def _key(row_hash: str, number: int) -> bytes:
    return bytes.fromhex(row_hash) + bytes([number])


def _finite(features: npt.NDArray[np.float32]) -> Features:
    lost = int(np.isnan(features).any(axis=1).sum())
    if lost:
        raise UserError(
            f"the network gives NaN, which is no number, for {lost:,} of {len(features):,} images",
            "find them by naming fewer images; an image of one color is often the cause",
        )
    half = features.astype(np.float16)
    if not np.isfinite(half).all():
        raise UserError("the network gives features that 16-bit numbers cannot hold", "use another network")
    return half
