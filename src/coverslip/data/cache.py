"""Images are decoded once: one memory-mapped array that every later run and process shares."""

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
    building,
    cache_folder,
    digest,
    drop_entry,
    entry_folder,
    evict,
    free_bytes,
    locked,
    mark_used,
    need_disk,
    size_text,
    write_text,
)
from coverslip.core.tables import read_parquet, write_parquet
from coverslip.data.decoding import FACTS, FormatError, PixelFormat, decode_all, guess_format
from coverslip.data.image import Pixels
from coverslip.data.table import ImageTable

PIXELS_FILE, FACTS_FILE, ABOUT_FILE = "pixels.npy", "facts.parquet", "about.json"
LAYOUT = 2  # raised whenever the same settings give other pixels or facts


@dataclass(frozen=True, slots=True)
class PixelCache:
    """The decoded images of one table.

    Attributes:
        pixels: (N, H, W, C), uint8 or uint16, memory-mapped, in the order of the table; zeros where a file is broken.
        facts: a row an image, columns of `coverslip.data.decoding.FACTS`.
        decoded: how many images this call had to decode: 0 where the cache held them.
    """

    pixels: Pixels
    facts: pl.DataFrame
    decoded: int

    @property
    def format(self) -> PixelFormat:
        """Channels and depth."""
        return PixelFormat(self.pixels.shape[3], self.pixels.dtype.name)


def read_pixels(
    table: ImageTable, size: tuple[int, int], fit: str = "pad", *, verify: bool = False, progress: Progress = SILENT
) -> PixelCache:
    """Decode every image of the table, or find it decoded.

    A quick index of path, size and time of every file leads to the content; the content (a hash of every file) and the
    settings name the array.

    Args:
        table: the images.
        size: (height, width), pixels.
        fit: ``pad``, ``squash`` or ``crop``.
        verify: do not trust times: read and hash every file before the cached pixels are believed.
        progress: told of the stages.

    Raises:
        UserError: the disk has no room.
    """
    settings = (LAYOUT, size, fit, _decoder_versions())
    quick = _quick_key(table, settings)
    with locked("pixels", quick):
        key = _indexed(quick)
        cache = None if key is None else _cached(key, len(table))
        if cache is not None and (not verify or _unchanged(table, cache.facts, progress)):
            return cache
        return _decode(table, size, fit, settings, quick, progress)


def is_cached(table: ImageTable, size: tuple[int, int], fit: str) -> bool:
    """Whether `read_pixels` would decode nothing."""
    key = _indexed(_quick_key(table, (LAYOUT, size, fit, _decoder_versions())))
    return key is not None and entry_folder("pixels", key) is not None


def pixel_bytes(images: int, size: tuple[int, int], form: PixelFormat) -> int:
    """Bytes of disk that the decoded images take."""
    return images * size[0] * size[1] * form.channels * np.dtype(form.depth).itemsize


def with_status(table: ImageTable, facts: pl.DataFrame) -> ImageTable:
    """The table with what the pass found: ``ok``, or why a file is skipped."""
    return table.with_columns(status=facts["status"].to_list())


def _decode(
    table: ImageTable, size: tuple[int, int], fit: str, settings: object, quick: str, progress: Progress
) -> PixelCache:
    form = guess_format(table.source, table.paths)
    while True:
        try:
            key = _decode_in(form, table, size, fit, settings, progress)
            break
        except FormatError as error:
            form = error.wider  # at most twice: grey to color, 8 to 16 bits
    home = cache_folder() / "index"
    write_text(home / quick, json.dumps({"pixels": key}))
    folder = cache_folder() / "pixels" / key
    removed = evict(keep=frozenset({folder, home / quick}))
    if removed:
        freed = size_text(sum(entry.bytes for entry in removed))
        progress.note(f"cache: {len(removed)} entries not used for longest were removed ({freed})")
    cache = _open(folder)
    return PixelCache(cache.pixels, cache.facts, decoded=len(table))


def _decode_in(
    form: PixelFormat, table: ImageTable, size: tuple[int, int], fit: str, settings: object, progress: Progress
) -> str:
    needed = pixel_bytes(len(table), size, form)
    need_disk(cache_folder(), needed, f"{len(table):,} decoded images")
    progress.note(f"decoded images take {size_text(needed)}, {size_text(free_bytes(cache_folder()))} are free")
    shape = (len(table), *size, form.channels)
    facts: list[dict[str, object]] = []
    content = xxhash.xxh3_128()
    with building("pixels") as draft:
        with (draft.folder / PIXELS_FILE).open("wb") as file, progress.stage("reading images", len(table)) as stage:
            _write_header(file, shape, form.depth)
            for chunk in decode_all(table.source, table.paths, form, size, fit, stage):
                # Written, not mapped: on a full disk a write is an error that can be told, a map is a crash.
                # (NumPy's own tofile would lose the error's number.)
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


def _cached(key: str, images: int) -> PixelCache | None:
    """A finished entry; one that a disk error or another hand has spoilt is removed, and decoded again."""
    folder = entry_folder("pixels", key)
    if folder is None:
        return None
    try:
        cache = _open(folder)
    except (OSError, EOFError, ValueError, pl.exceptions.PolarsError):
        cache = None
    if cache is None or not len(cache.pixels) == cache.facts.height == images:
        drop_entry("pixels", key)
        return None
    return cache


def _open(folder: Path) -> PixelCache:
    pixels = np.load(folder / PIXELS_FILE, mmap_mode="r", allow_pickle=False)
    return PixelCache(pixels, read_parquet(folder / FACTS_FILE), decoded=0)


def _quick_key(table: ImageTable, settings: object) -> str:
    stamps = [table.source.stamp(path) for path in table.paths]
    return digest("index", settings, str(table.root), table.paths, stamps)


def _indexed(quick: str) -> str | None:
    path = cache_folder() / "index" / quick
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
    """Another decoder may give other pixels: a new version of one makes the cached ones stale."""
    from importlib.metadata import version

    packages = ("pillow", "imagecodecs", "tifffile", "torch", "numpy")
    return (platform.machine(), os.name, *(version(name) for name in packages))
