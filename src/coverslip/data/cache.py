"""The cache of decoded images: one memory-mapped array that all later runs and processes share."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import polars as pl
import xxhash

from coverslip.core.progress import SILENT, Progress
from coverslip.core.storage import (
    cache_folder,
    create_entry,
    delete_entry,
    digest,
    entry_folder,
    evict,
    free_bytes,
    locked,
    mark_used,
    require_disk_space,
    size_text,
    write_text,
)
from coverslip.core.tables import read_parquet, write_parquet
from coverslip.data.decoding import FACTS, FormatError, PixelFormat, decode_all, guess_format
from coverslip.data.image import Pixels
from coverslip.data.table import ImageTable

PIXELS_FILE, FACTS_FILE, ABOUT_FILE = "pixels.npy", "facts.parquet", "about.json"
LAYOUT = 3  # increase it whenever the same settings result in other pixels or facts


@dataclass(frozen=True, slots=True)
class PixelCache:
    """The decoded images of one table.

    Attributes:
        pixels: uint8, uint16 or float32, shape (N, H, W, C), memory-mapped, in the order of the table; zeros for a
            broken file.
        facts: one row per image with the columns `coverslip.data.decoding.FACTS`.
        decoded: number of images that this call decoded; 0 if they were cached.
    """

    pixels: Pixels
    facts: pl.DataFrame
    decoded: int

    @property
    def format(self) -> PixelFormat:
        """Channels and depth of the pixels."""
        return PixelFormat(self.pixels.shape[3], self.pixels.dtype.name)


def read_pixels(
    table: ImageTable, size: tuple[int, int], fit: str = "pad", *, verify: bool = False, progress: Progress = SILENT
) -> PixelCache:
    """Return the decoded images of a table, from the cache if they are there.

    The array is keyed by the content (a hash of every file) and the settings. An index of path, size and time of every
    file leads to that key without reading the files.

    Args:
        table: the images.
        size: (height, width), pixels.
        fit: ``pad``, ``squash`` or ``crop``.
        verify: read and hash every file before cached pixels are used, instead of relying on modification times.
        progress: receives stages and notes.

    Raises:
        UserError: there is not enough disk space.
    """
    settings = (LAYOUT, size, fit, _decoder_versions())
    index_key = _index_key(table, settings)
    with locked("pixels", index_key):
        key = _lookup(index_key)
        cache = None if key is None else _load_entry(key, len(table))
        if cache is not None and (not verify or _unchanged(table, cache.facts, progress)):
            return cache
        return _decode(table, size, fit, settings, index_key, progress)


def is_cached(table: ImageTable, size: tuple[int, int], fit: str) -> bool:
    """Return whether `read_pixels` would find all images in the cache."""
    key = _lookup(_index_key(table, (LAYOUT, size, fit, _decoder_versions())))
    return key is not None and entry_folder("pixels", key) is not None


def pixel_bytes(images: int, size: tuple[int, int], form: PixelFormat) -> int:
    """Return the disk space of this many decoded images, in bytes."""
    return images * size[0] * size[1] * form.channels * np.dtype(form.depth).itemsize


def with_status(table: ImageTable, facts: pl.DataFrame) -> ImageTable:
    """Return the table with the status of every file: ``ok``, or the reason why it is skipped."""
    return table.with_columns(status=facts["status"].to_list())


def _decode(
    table: ImageTable, size: tuple[int, int], fit: str, settings: object, index_key: str, progress: Progress
) -> PixelCache:
    form = guess_format(table.source, table.paths)
    while True:
        try:
            key = _decode_in(form, table, size, fit, settings, progress)
            break
        except FormatError as error:
            form = error.wider  # at most twice: grey to color, 8 to 16 bits
    index_file = cache_folder() / "index" / index_key
    write_text(index_file, json.dumps({"pixels": key}))
    folder = cache_folder() / "pixels" / key
    deleted = evict(keep=frozenset({folder, index_file}))
    if deleted:
        freed = size_text(sum(entry.bytes for entry in deleted))
        progress.note(f"cache: deleted the {len(deleted)} least recently used entries ({freed})")
    cache = _open(folder)
    return PixelCache(cache.pixels, cache.facts, decoded=len(table))


def _decode_in(
    form: PixelFormat, table: ImageTable, size: tuple[int, int], fit: str, settings: object, progress: Progress
) -> str:
    needed = pixel_bytes(len(table), size, form)
    require_disk_space(cache_folder(), needed, f"{len(table):,} decoded images")
    progress.note(f"decoded images need {size_text(needed)}; {size_text(free_bytes(cache_folder()))} are free")
    shape = (len(table), *size, form.channels)
    facts: list[dict[str, object]] = []
    content = xxhash.xxh3_128()
    with create_entry("pixels") as draft:
        with (draft.folder / PIXELS_FILE).open("wb") as file, progress.stage("reading images", len(table)) as stage:
            _write_header(file, shape, form.depth)
            for chunk in decode_all(table.source, table.paths, form, size, fit, stage):
                # Written, not memory-mapped: on a full disk a write raises an error, while a map crashes the process.
                # (NumPy's tofile would lose the error number.)
                file.write(chunk.pixels.data)
                facts += chunk.facts
                for fact in chunk.facts:
                    content.update(str(fact["file_hash"]).encode())
        write_parquet(pl.DataFrame(facts, schema=FACTS), draft.folder / FACTS_FILE)
        about = {"name": table.name, "images": len(table), "size": list(size), "channels": form.channels}
        (draft.folder / ABOUT_FILE).write_text(json.dumps(about), encoding="utf-8")
        draft.key = digest("pixels", settings, form, table.paths, content.hexdigest())
    return draft.key


def _write_header(file: IO[bytes], shape: tuple[int, ...], depth: str) -> None:
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(depth)), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _load_entry(key: str, images: int) -> PixelCache | None:
    """Return a finished entry; None if there is none or it is damaged (it is then deleted and decoded again)."""
    folder = entry_folder("pixels", key)
    if folder is None:
        return None
    try:
        cache = _open(folder)
    except (OSError, EOFError, ValueError, pl.exceptions.PolarsError):
        cache = None
    if cache is None or not len(cache.pixels) == cache.facts.height == images:
        delete_entry("pixels", key)
        return None
    return cache


def _open(folder: Path) -> PixelCache:
    pixels = np.load(folder / PIXELS_FILE, mmap_mode="r", allow_pickle=False)
    return PixelCache(pixels, read_parquet(folder / FACTS_FILE), decoded=0)


def _index_key(table: ImageTable, settings: object) -> str:
    stamps = [table.source.stamp(path) for path in table.paths]
    return digest("index", settings, str(table.root), table.paths, stamps)


def _lookup(index_key: str) -> str | None:
    path = cache_folder() / "index" / index_key
    try:
        key = str(json.loads(path.read_text(encoding="utf-8"))["pixels"])
    except (OSError, ValueError, KeyError):
        return None
    mark_used(path)
    return key


def _unchanged(table: ImageTable, facts: pl.DataFrame, progress: Progress) -> bool:
    with progress.stage("verifying files", len(table)) as stage:
        for path, known in zip(table.paths, facts["file_hash"].to_list(), strict=True):
            try:
                data = table.source.read(path)
            except OSError:
                data = b""
            if xxhash.xxh3_128_hexdigest(data if isinstance(data, bytes) else data.tobytes()) != known:
                return False
            stage.advance()
    return True


def _decoder_versions() -> tuple[str, ...]:
    """Return the versions that decoded pixels depend on: a new version of a decoder invalidates the cache."""
    from importlib.metadata import version

    packages = ("pillow", "imagecodecs", "tifffile", "torch", "numpy")
    return (platform.machine(), os.name, *(version(name) for name in packages))
