"""What is frozen is computed once: features of every view of every picture, kept by the content of its pixels.

The store is a set of blocks, each a float16 array and the keys of its rows. A block is written whole or not at all, at
most `BLOCK` rows at a time, so that an interrupted pass loses at most the block under way. Because rows are found by
the pixels they come from, another split, a subset, or a moved folder finds them again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.data.augment import view
from coverslip.data.image import Pixels
from coverslip.data.inputs import InputSpec
from coverslip.errors import UserError
from coverslip.inference.engine import Engine, open_engine
from coverslip.models.freeze import Frozen
from coverslip.progress import SILENT, Progress
from coverslip.storage import building, cache_folder, digest, drop_entry, mark_used, need_disk

BLOCK = 2048
FEATURES_FILE, KEYS_FILE = "features.npy", "keys.npy"
Features = npt.NDArray[np.float16]
"""(N, D)"""


@dataclass
class FeatureExtractor:
    """A frozen network that remembers what it has seen.

    Attributes:
        frozen: the frozen part.
        spec: how pictures are prepared for it.
        engine_name: to force an engine; None picks the fastest.
        computed: pictures (views counted) that had to be computed so far.
    """

    frozen: Frozen
    spec: InputSpec
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
    ) -> Features:
        """Features of some rows of an array of pictures.

        Args:
            pixels: (N, H, W, C), as the spec says; may be memory-mapped.
            rows: the rows wanted.
            keys: what the pixels of every row of ``pixels`` are known by.
            views: how many views of each picture.
            progress: told of the stage.
            name: of the stage.

        Returns:
            float16 (views * len(rows), D): all rows in view 0, then all in view 1, and so on.
        """
        store = self._opened_store()
        wanted = [(number, row, _key(keys[row], number)) for number in range(views) for row in rows]
        missing, listed = [], set(store.places)
        for number, row, key in wanted:
            if key not in listed:
                listed.add(key)
                missing.append((number, row, key))
        if missing:
            self._compute(pixels, missing, store, progress, name)
        return store.gather([key for _, _, key in wanted])

    def missing(self, rows: Sequence[int], keys: Sequence[str], views: int = 1) -> int:
        """How many views `extract` would have to compute."""
        store = self._opened_store()
        return sum(_key(keys[row], number) not in store.places for number in range(views) for row in rows)

    def _opened_store(self) -> _Store:
        if self._store is None:
            self._store = _Store(digest("features", self.weights, self.spec))
        return self._store

    def _compute(
        self, pixels: Pixels, missing: list[tuple[int, int, bytes]], store: _Store, progress: Progress, name: str
    ) -> None:
        size = self.engine.batch

        def batches() -> Iterator[npt.NDArray[np.float32]]:
            for start in range(0, len(missing), size):
                some = missing[start : start + size]
                images = [view(pixels[row : row + 1], number) for number, row, _ in some]
                yield self.spec.prepare(np.concatenate(images))

        done: list[Features] = []
        filled = first = 0

        def keep() -> None:
            nonlocal done, first
            some, done = done, []
            start, first = first, first + sum(map(len, some))
            if some:
                store.add(np.concatenate(some), [key for _, _, key in missing[start:first]])

        try:
            with progress.stage(name, len(missing), "views") as stage:
                for part in self.engine.run(batches()):
                    done.append(_finite(part))
                    filled += len(part)
                    self.computed += len(part)
                    stage.advance(len(part))
                    if filled - first >= BLOCK or filled == len(missing):
                        keep()
        except KeyboardInterrupt:
            keep()  # the next run goes on from here
            raise


class _Store:
    """Blocks of features of one network and preparation, on disk."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.blocks: list[Features] = []
        self.places: dict[bytes, tuple[int, int]] = {}
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

    def gather(self, keys: list[bytes]) -> Features:
        """The rows of these keys, in their order."""
        if not keys:
            return np.zeros((0, self.blocks[0].shape[1] if self.blocks else 0), np.float16)
        places = np.array([self.places[key] for key in keys])
        result = np.empty((len(keys), self.blocks[int(places[0, 0])].shape[1]), np.float16)
        for number in np.unique(places[:, 0]):
            mine = np.flatnonzero(places[:, 0] == number)
            result[mine] = self.blocks[number][places[mine, 1]]
        return result


def _save(path: Path, array: npt.NDArray[Any]) -> None:
    """Like `numpy.save`, which on a full disk would lose the error's number."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        file.write(np.ascontiguousarray(array).data)


def _key(row_hash: str, number: int) -> bytes:
    return bytes.fromhex(row_hash) + bytes([number])


def _finite(features: npt.NDArray[np.float32]) -> Features:
    half = features.astype(np.float16)
    if not np.isfinite(half).all():
        raise UserError("the network gives features that 16-bit numbers cannot hold", "use another network")
    return half
