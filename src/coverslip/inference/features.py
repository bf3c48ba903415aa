"""The feature cache: outputs of the frozen layers for every view of every image, keyed by the content of the pixels.

The store is a set of blocks, each a float16 array with the keys of its rows. Blocks are written atomically after at
most `BLOCK` rows or `BLOCK_BYTES`, so an interruption loses at most one block. Since keys depend only on pixels,
another split, a subset of the images, or a moved folder finds the same rows again.
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
from coverslip.core.storage import cache_folder, create_entry, delete_entry, digest, mark_used, require_disk_space
from coverslip.data.augment import Augmentation, view
from coverslip.data.image import Pixels
from coverslip.data.inputs import InputSpec
from coverslip.inference.engine import Engine, open_engine
from coverslip.models.freeze import FrozenStages

BLOCK, BLOCK_BYTES = 2048, 64 * 2**20
FEATURES_FILE, KEYS_FILE = "features.npy", "keys.npy"
Features = npt.NDArray[np.float16]
"""Features of N images or views, float16 (N, D)."""


@dataclass
class FeatureExtractor:
    """The frozen stages of a network with a feature cache.

    View 0 of an image is the image itself. Further views are flips and rotations (see `coverslip.data.augment.view`),
    or, with ``augmentation``, random changes that are a deterministic function of the pixels and the view.

    Attributes:
        frozen: the frozen stages.
        spec: input specification of the network.
        augmentation: random augmentation of views above 0; None flips and rotates.
        engine_name: name of an engine, to override the choice; None chooses the fastest.
        computed: number of views computed so far, not counting those found in the cache.
    """

    frozen: FrozenStages
    spec: InputSpec
    augmentation: Augmentation | None = None
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
        """The engine, opened on first use, which never happens if all features are cached."""
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
        """Return the features of some images, computing those that are not in the cache.

        Args:
            pixels: decoded images at the size of the spec, shape (N, H, W, C); may be memory-mapped.
            rows: indices of the images to use.
            keys: content hashes of all N images.
            views: number of views per image.
            progress: receives one event per batch.
            name: name of the progress stage.
            keep: store computed features in the cache; false if the images are too many for the cache.

        Returns:
            float16 (views * len(rows), D): all images in view 0, then all in view 1, and so on.
        """
        features = self.open_rows(pixels, rows, keys, views, progress, name, keep=keep)
        return features.take(np.arange(len(features)))

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
    ) -> FeatureRows:
        """Do as `extract`, but leave the features on disk and read them on demand."""
        store = self._open_store() if keep else _TemporaryStore(self._open_store())
        requested = [(number, row, _key(keys[row], number)) for number in range(views) for row in rows]
        missing: dict[bytes, tuple[int, int, bytes]] = {}
        for entry in requested:
            if entry[2] not in store.locations:
                missing.setdefault(entry[2], entry)
        if missing:
            self._compute(pixels, list(missing.values()), keys, store, progress, name)
        return store.rows([key for _, _, key in requested])

    def missing(self, rows: Sequence[int], keys: Sequence[str], views: int = 1) -> int:
        """Return the number of views that `extract` would have to compute."""
        store = self._open_store()
        return sum(_key(keys[row], number) not in store.locations for number in range(views) for row in rows)

    def _open_store(self) -> _Store:
        if self._store is None:
            augmentation = () if self.augmentation is None else (self.augmentation,)
            self._store = _Store(digest("features", self.weights, self.spec, *augmentation))
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
                entries = missing[start : start + size]
                if self.augmentation is not None:
                    yield self._augmented(pixels, entries, keys)
                    continue
                images = [view(pixels[row : row + 1], number) for number, row, _ in entries]
                yield self.spec.prepare(np.concatenate(images))

        buffer: list[Features] = []
        computed = stored = buffered_bytes = 0

        def flush() -> None:
            nonlocal buffer, stored, buffered_bytes
            parts, buffer, buffered_bytes = buffer, [], 0
            start, stored = stored, stored + sum(map(len, parts))
            if parts:
                store.add(np.concatenate(parts), [key for _, _, key in missing[start:stored]])

        try:
            with progress.stage(name, len(missing), "views") as stage:
                for features in self.engine.run(batches()):
                    buffer.append(_to_float16(features))
                    computed += len(features)
                    buffered_bytes += buffer[-1].nbytes
                    self.computed += len(features)
                    stage.advance(len(features))
                    if computed - stored >= BLOCK or buffered_bytes >= BLOCK_BYTES or computed == len(missing):
                        flush()
        except KeyboardInterrupt:
            flush()  # so that the next run resumes here
            raise

    def _augmented(
        self, pixels: Pixels, entries: list[tuple[int, int, bytes]], keys: Sequence[str]
    ) -> npt.NDArray[np.float32]:
        """Return prepared views with random augmentation, seeded by the content of each image."""
        import torch

        from coverslip.data.augment.pipeline import augment, image_seeds

        assert self.augmentation is not None
        images = torch.from_numpy(self.spec.scaled(np.stack([pixels[row] for _, row, _ in entries])))
        for place, (number, row, _) in enumerate(entries):
            if number:
                content = np.array([int(keys[row][:15], 16)])
                seeds = image_seeds(0, number, content)
                images[place : place + 1] = augment(images[place : place + 1], self.augmentation, seeds).images
        return np.ascontiguousarray(self.spec.normalized(images).numpy())


@dataclass(frozen=True, slots=True)
class FeatureRows:
    """References to N rows of features on disk.

    Attributes:
        blocks: memory-mapped arrays, float16 (n, D) each.
        locations: block index and row index of each row, int64 (N, 2).
    """

    blocks: list[Features]
    locations: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.locations)

    @property
    def width(self) -> int:
        """The number of features per row, D; 0 without any blocks."""
        return self.blocks[0].shape[1] if self.blocks else 0

    def take(self, numbers: npt.NDArray[np.int64]) -> Features:
        """Return the features of the given rows, float16 (n, D), in their order.

        Args:
            numbers: row indices, int64 (n,), values in 0..N-1.
        """
        locations = self.locations[numbers]
        result = np.empty((len(locations), self.width), np.float16)
        for block in np.unique(locations[:, 0]):
            selected = np.flatnonzero(locations[:, 0] == block)
            result[selected] = self.blocks[block][locations[selected, 1]]
        return result


class _Store:
    """The blocks on disk that belong to one network and one image preparation."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.blocks: list[Features] = []
        self.locations: MutableMapping[bytes, tuple[int, int]] = {}
        home = cache_folder() / "features"
        for folder in sorted(home.glob(f"{kind}-*")) if home.is_dir() else []:
            self._open(folder)

    def _open(self, folder: Path) -> None:
        try:
            keys = np.load(folder / KEYS_FILE, allow_pickle=False)
            block = np.load(folder / FEATURES_FILE, mmap_mode="r", allow_pickle=False)
            valid = keys.ndim == block.ndim == 2 and len(keys) == len(block)
        except (OSError, EOFError, ValueError):
            valid = False
        if not valid:  # evicted by another process, or damaged: its rows are computed again
            delete_entry("features", folder.name)
            return
        mark_used(folder)
        number = len(self.blocks)
        self.blocks.append(block)
        for row, key in enumerate(keys):
            self.locations[key.tobytes()] = (number, row)

    def add(self, features: Features, keys: list[bytes]) -> None:
        """Store rows on disk."""
        require_disk_space(cache_folder(), features.nbytes, f"{len(features):,} features")
        with create_entry("features") as draft:
            _save(draft.folder / FEATURES_FILE, features)
            _save(draft.folder / KEYS_FILE, np.frombuffer(b"".join(keys), np.uint8).reshape(len(keys), -1))
            draft.key = f"{self.kind}-{digest(*keys)}"
        self._open(cache_folder() / "features" / draft.key)

    def rows(self, keys: list[bytes]) -> FeatureRows:
        """Return the rows with these keys, in their order."""
        locations = np.array([self.locations[key] for key in keys], np.int64).reshape(-1, 2)
        return FeatureRows(self.blocks, locations)


class _TemporaryStore(_Store):
    """A store whose additions stay in memory and are discarded with it."""

    def __init__(self, store: _Store) -> None:
        self.kind, self.blocks, self.locations = store.kind, [*store.blocks], ChainMap({}, store.locations)

    def add(self, features: Features, keys: list[bytes]) -> None:
        """Hold rows in memory."""
        self.locations.update((key, (len(self.blocks), row)) for row, key in enumerate(keys))
        self.blocks.append(features)


def _save(path: Path, array: npt.NDArray[Any]) -> None:
    """Do as `numpy.save`, whose exception for a full disk lacks the errno that our error handling needs."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        file.write(np.ascontiguousarray(array).data)


def _key(row_hash: str, number: int) -> bytes:
    return bytes.fromhex(row_hash) + bytes([number])


def _to_float16(features: npt.NDArray[np.float32]) -> Features:
    invalid = int(np.isnan(features).any(axis=1).sum())
    if invalid:
        raise UserError(
            f"the network returns NaN for {invalid:,} of {len(features):,} images",
            "find these images by predicting fewer at a time; a uniform image is a common cause",
        )
    half = features.astype(np.float16)
    if not np.isfinite(half).all():
        raise UserError("the network returns features outside the range of float16", "use another network")
    return half
