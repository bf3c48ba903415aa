"""The single pass over image files: read, decode, record facts and resize, on all cores with bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
import polars as pl
import xxhash

from coverslip.core.devices import cores
from coverslip.core.progress import Stage
from coverslip.data.image import Decoded, Pixels, UnreadableError, decode
from coverslip.data.inputs import PERCENTILES, content_box, fit_batch, kept_fraction
from coverslip.data.sources.source import Source
from coverslip.data.statistics import statistics_rows

CHUNK = 16  # images per task: enough to resize as a batch, few enough to bound the memory
PENDING_BYTES = 48_000_000  # decoded pixels that may wait for a common resize; a few large images would fill the memory
FACTS: dict[str, pl.DataType | type[pl.DataType]] = {
    "path": pl.String,
    "status": pl.String,
    "bytes": pl.Int64,
    "width": pl.Int32,
    "height": pl.Int32,
    "mode": pl.String,
    "channels": pl.Int32,
    "depth": pl.String,
    "format": pl.String,
    "turned": pl.Boolean,
    "pages": pl.Int32,
    "survives": pl.Float64,
    "file_hash": pl.String,
    "pixel_hash": pl.String,
    "row_hash": pl.String,
    "brightness": pl.Float32,
    "contrast": pl.Float32,
    "sharpness": pl.Float32,
    "means": pl.List(pl.Float32),
    "lowest": pl.Float32,
    "highest": pl.Float32,
    "thumbnail": pl.Binary,
    "camera": pl.String,
    "taken": pl.String,
    "encoder": pl.String,
}
"""Columns of the table of facts about the files; all but path, status, bytes and file_hash are null for a file that
cannot be read."""


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """Number of channels and depth that all cached images of a data set have in common.

    Attributes:
        channels: 1 grey, 3 color, or any other number.
        depth: ``uint8``, ``uint16`` or ``float32``.
    """

    channels: int
    depth: str

    def wider(self, other: PixelFormat) -> PixelFormat:
        """Return the format that can store both: color if either is color, 16 bits if either has 16 bits.

        Nothing stores floating-point values and others: which value of the one equals which of the other is unknown.
        """
        channels = max(self.channels, other.channels) if {self.channels, other.channels} <= {1, 3} else self.channels
        if "float32" in (self.depth, other.depth):
            return PixelFormat(channels, self.depth)
        return PixelFormat(channels, max(self.depth, other.depth, key=("uint8", "uint16").index))


class FormatError(Exception):
    """An image does not fit into the format of the pass; ``wider`` is the format that can store both."""

    def __init__(self, wider: PixelFormat) -> None:
        super().__init__(str(wider))
        self.wider = wider


@dataclass(slots=True)
class Chunk:
    """Consecutive images of a table.

    Attributes:
        pixels: uint8, uint16 or float32, shape (n, H, W, C); zeros for an image that cannot be read.
        facts: a dict per image with the keys of `FACTS`.
    """

    pixels: Pixels
    facts: list[dict[str, object]]


def decode_all(
    source: Source,
    paths: Sequence[str],
    form: PixelFormat,
    size: tuple[int, int],
    fit: str,
    stage: Stage,
    *,
    widen: bool = True,
    statistics: bool = True,
    prefetch: int = 0,
) -> Iterator[Chunk]:
    """Decode every image once, in order; a broken file yields zeros, and the reason in ``status``.

    Args:
        source: reads a path.
        paths: paths of the images.
        form: channels and depth of the result.
        size: (height, width), pixels.
        fit: ``pad``, ``squash`` or ``crop``.
        stage: advanced by every image.
        widen: raise `FormatError` for an image that does not fit into ``form``; otherwise it counts as unreadable.
        statistics: also compute what only an audit needs: brightness etc., and hashes of the file and its pixels.
        prefetch: minimum number of images that may be decoded in advance; the memory stays bounded.
    """
    import torch

    def decode_chunk(chunk: Sequence[str]) -> Chunk:
        return _decode_chunk(source, chunk, form, size, fit, widen, statistics)

    num_workers, threads_before = cores(), torch.get_num_threads()
    chunks = (paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK))
    # Each worker resizes on one core; PyTorch's own threads on top of that would oversubscribe the cores.
    pool = ThreadPoolExecutor(num_workers, "decode", initializer=torch.set_num_threads, initargs=(1,))
    try:
        for chunk in _in_order(pool, decode_chunk, chunks, ahead=max(2 * num_workers, -(-prefetch // CHUNK))):
            stage.advance(len(chunk.facts))
            yield chunk
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(threads_before)


def decode_one(data: bytes, form: PixelFormat, size: tuple[int, int], fit: str) -> tuple[Decoded, Pixels]:
    """Decode one image in memory as `decode_all` does.

    Args:
        data: content of the file.
        form: channels and depth of the result.
        size: (height, width), pixels.
        fit: ``pad``, ``squash`` or ``crop``.

    Returns:
        The decoded image, and its resized pixels (H, W, C).

    Raises:
        UnreadableError: see `coverslip.data.image.decode`; or the image does not fit into ``form``.
    """
    decoded = decode(data, size)
    return decoded, fit_batch(convert_format(decoded.pixels, form, widen=False)[None], size, fit)[0]


def guess_format(source: Source, paths: Sequence[str]) -> PixelFormat:
    """Return the most frequent format of about 24 images, widened so that grey and color together are color."""
    step = max(len(paths) // 24, 1)
    formats: list[PixelFormat] = []
    for path in paths[::step]:
        decoded, _ = _open(source, path, (8, 8))
        if isinstance(decoded, Decoded):
            formats.append(PixelFormat(decoded.pixels.shape[2], decoded.pixels.dtype.name))
    if not formats:
        return PixelFormat(3, "uint8")
    form = max(set(formats), key=lambda candidate: (formats.count(candidate), candidate.channels))
    for other in formats:
        form = form.wider(other)
    return form


def _in_order(
    pool: ThreadPoolExecutor, task: Callable[[Sequence[str]], Chunk], items: Iterable[Sequence[str]], ahead: int
) -> Iterator[Chunk]:
    """Yield results like ``pool.map``, but with at most ``ahead`` pending tasks, which bounds the memory."""
    items = iter(items)
    pending: deque[Future[Chunk]] = deque(pool.submit(task, item) for item in islice(items, ahead))
    while pending:
        result = pending.popleft().result()
        for item in islice(items, 1):
            pending.append(pool.submit(task, item))
        yield result


def _open(source: Source, path: str, needed: tuple[int, int]) -> tuple[Decoded | str, bytes]:
    """Return a decoded image, or the reason why it cannot be read; and the bytes from which its hash is computed."""
    try:
        data = source.read(path)
    except OSError as error:
        text = error.strerror or "cannot be read"
        return text[:1].lower() + text[1:], b""
    if isinstance(data, np.ndarray):
        height, width, channels = data.shape
        return Decoded(data, f"{data.dtype.name}x{channels}", "array", width, height), data.tobytes()
    try:
        return decode(data, needed), data
    except UnreadableError as error:
        return str(error), data


def _decode_chunk(
    source: Source,
    paths: Sequence[str],
    form: PixelFormat,
    size: tuple[int, int],
    fit: str,
    widen: bool,
    statistics: bool,
) -> Chunk:
    pixels = np.zeros((len(paths), *size, form.channels), form.depth)
    facts: list[dict[str, object]] = []
    same_size: dict[tuple[int, ...], list[tuple[int, Pixels]]] = {}
    boxes: list[tuple[int, int, int, int] | None] = [None] * len(paths)
    pending = 0  # bytes that wait in same_size

    def resize_pending() -> None:
        for members in same_size.values():
            batch = np.stack([image for _, image in members]) if len(members) > 1 else members[0][1][None]
            pixels[[index for index, _ in members]] = fit_batch(batch, size, fit)
        same_size.clear()

    for index, path in enumerate(paths):
        decoded, data = _open(source, path, size)
        fact: dict[str, object] = dict.fromkeys(FACTS)
        fact |= {"path": path, "bytes": len(data)}
        if statistics:
            fact["file_hash"] = xxhash.xxh3_128_hexdigest(data)
        facts.append(fact)
        if isinstance(decoded, str):
            fact["status"] = decoded
            continue
        fact |= {
            "width": decoded.width,
            "height": decoded.height,
            "mode": decoded.mode,
            "channels": decoded.pixels.shape[2],
            "depth": decoded.pixels.dtype.name,
            "format": decoded.format,
            "turned": decoded.reoriented,
            "pages": decoded.pages,
            "survives": kept_fraction(decoded.width, decoded.height, size, fit),
            "pixel_hash": _hash(decoded.pixels) if statistics else None,
            "camera": decoded.metadata.camera,
            "taken": decoded.metadata.taken,
            "encoder": decoded.metadata.encoder,
        }
        try:
            image = convert_format(decoded.pixels, form, widen)
        except UnreadableError as error:
            fact["status"] = str(error)
            continue
        fact["status"] = "ok"
        boxes[index] = content_box(image.shape[1], image.shape[0], size, fit)
        same_size.setdefault(image.shape, []).append((index, image))
        pending += image.nbytes
        if pending > PENDING_BYTES:
            resize_pending()
            pending = 0
    resize_pending()
    measured = statistics_rows(pixels, boxes) if statistics else [{} for _ in boxes]
    for index, (fact, values) in enumerate(zip(facts, measured, strict=True)):
        if fact["status"] == "ok":
            fact["row_hash"] = _hash(pixels[index])
            fact["lowest"], fact["highest"] = used_range(pixels[index])
            fact.update(values)
    return Chunk(pixels, facts)


def _hash(pixels: Pixels) -> str:
    """Return a hash of pixels with their shape and depth, 32 hexadecimal characters."""
    hasher = xxhash.xxh3_128(repr((pixels.shape, pixels.dtype.name)).encode())
    hasher.update(np.ascontiguousarray(pixels).data)
    return hasher.hexdigest()


def used_range(pixels: Pixels) -> tuple[float, float]:
    """Return the lowest and the highest value that an image (H, W, C) uses.

    For more than 8 bits these are the percentiles 0.5 and 99.5, since single hot or dead pixels are not the range.
    """
    if pixels.dtype == np.uint8:
        return float(pixels.min()), float(pixels.max())
    low, high = np.percentile(pixels[::2, ::2], PERCENTILES)
    return float(low), float(high)


def _samples(depth: str) -> str:
    return {"uint8": "8 bits per channel", "uint16": "16 bits per channel"}.get(
        depth, "signed or floating-point values"
    )


def convert_format(pixels: Pixels, form: PixelFormat, widen: bool) -> Pixels:
    """Return an image (H, W, C) with the channels and the depth of ``form``.

    Args:
        pixels: uint8, uint16 or float32, shape (H, W, C).
        form: the format of the result.
        widen: raise `FormatError` if the image needs a wider format.

    Raises:
        FormatError: the image does not fit into ``form``, and ``widen`` is set.
        UnreadableError: the image does not fit into ``form``.
    """
    current = PixelFormat(pixels.shape[2], pixels.dtype.name)
    if current == form:
        return pixels
    if widen and form.wider(current) != form:
        raise FormatError(form.wider(current))
    if current.channels != form.channels:
        if {current.channels, form.channels} != {1, 3}:
            raise UnreadableError(f"the image has {current.channels} channels, the others have {form.channels}")
        if current.channels == 1:
            pixels = np.repeat(pixels, 3, axis=2)
        elif (pixels == pixels[:, :, :1]).all():  # grey that was saved as color: R = G = B
            pixels = pixels[:, :, :1]
        else:
            raise UnreadableError("the image is in color, but the model was trained on grey images")
    if current.depth != form.depth and "float32" in (current.depth, form.depth):
        raise UnreadableError(f"the image has {_samples(current.depth)}, the others have {_samples(form.depth)}")
    if current.depth == "uint16" and form.depth == "uint8":
        raise UnreadableError("the image has 16 bits per channel, but the model was trained on 8 bits")
    if current.depth == "uint8" and form.depth == "uint16":
        pixels = pixels.astype(np.uint16) * 257  # 255 becomes 65535
    return pixels
