"""The one pass over image files: read, decode, note the facts, resize; on all cores, with flat memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
import polars as pl
import xxhash

from coverslip.core.devices import cores
from coverslip.core.progress import Stage
from coverslip.data.image import Decoded, Pixels, UnreadableError, decode
from coverslip.data.inputs import content_box, fit_batch, survives
from coverslip.data.looks import looks_of
from coverslip.data.sources.source import Source

CHUNK = 16  # images a task: enough to resize together, few enough to keep memory flat
HELD_BYTES = 48_000_000  # decoded pixels that wait to be resized together; a few large images would fill the memory
FACTS: dict[str, pl.DataType | type[pl.DataType]] = {
    "path": pl.String,
    "status": pl.String,
    "bytes": pl.Int64,
    "width": pl.Int32,
    "height": pl.Int32,
    "mode": pl.String,
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
    "thumbnail": pl.Binary,
    "camera": pl.String,
    "taken": pl.String,
    "encoder": pl.String,
}
"""Columns of the table of facts; all but path, status, bytes and file_hash are null where a file cannot be read."""


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """What all cached images of one folder share."""

    channels: int
    depth: str  # "uint8" or "uint16"

    def wider(self, other: PixelFormat) -> PixelFormat:
        """What holds both: color where one is grey and the other color, 16 bits where one has them."""
        channels = max(self.channels, other.channels) if {self.channels, other.channels} <= {1, 3} else self.channels
        return PixelFormat(channels, max(self.depth, other.depth, key=("uint8", "uint16").index))


class FormatError(Exception):
    """An image needs a wider format than the pass was started with; `wider` holds both."""

    def __init__(self, wider: PixelFormat) -> None:
        super().__init__(str(wider))
        self.wider = wider


@dataclass(slots=True)
class Chunk:
    """A few images in the order of the table: pixels (n, H, W, C), and a dict of facts each (keys of `FACTS`)."""

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
    looks: bool = True,
    ahead: int = 0,
) -> Iterator[Chunk]:
    """Decode every image once, in order; a broken file gives a row of zeros and its reason in ``status``.

    Args:
        source: where the paths lead.
        paths: of the images.
        form: channels and depth of the result.
        size: (height, width), pixels.
        fit: ``pad``, ``squash`` or ``crop``.
        stage: is advanced image by image.
        widen: raise `FormatError` at an image that ``form`` cannot hold; otherwise it counts as unreadable.
        looks: also note what only an audit asks for: brightness and the like, and hashes of the file and its pixels.
        ahead: images that may wait decoded until they are wanted, at least; memory stays flat all the same.
    """
    import torch

    def work(some: Sequence[str]) -> Chunk:
        return _decode_chunk(source, some, form, size, fit, widen, looks)

    threads, before = cores(), torch.get_num_threads()
    chunks = (paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK))
    # Each worker resizes on its own core; PyTorch's own threads would only get into each other's way.
    pool = ThreadPoolExecutor(threads, "decode", initializer=torch.set_num_threads, initargs=(1,))
    try:
        for chunk in _in_order(pool, work, chunks, ahead=max(2 * threads, -(-ahead // CHUNK))):
            stage.advance(len(chunk.facts))
            yield chunk
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(before)


def decode_one(data: bytes, form: PixelFormat, size: tuple[int, int], fit: str) -> tuple[Decoded, Pixels]:
    """One image from memory: as the file has it, and its row as `decode_all` would make it, (H, W, C).

    Args:
        data: the whole file.
        form: channels and depth of the row.
        size: (height, width), pixels.
        fit: ``pad``, ``squash`` or ``crop``.

    Raises:
        UnreadableError: as `coverslip.data.image.decode`; or ``form`` cannot hold it.
    """
    decoded = decode(data, size)
    return decoded, fit_batch(in_format(decoded.pixels, form, widen=False)[None], size, fit)[0]


def guess_format(source: Source, paths: Sequence[str]) -> PixelFormat:
    """The format that most of a few images, spread over the whole, have; grey and color together are color."""
    step = max(len(paths) // 24, 1)
    found: list[PixelFormat] = []
    for path in paths[::step]:
        decoded, _ = _open(source, path, (8, 8))
        if isinstance(decoded, Decoded):
            found.append(PixelFormat(decoded.pixels.shape[2], decoded.pixels.dtype.name))
    if not found:
        return PixelFormat(3, "uint8")
    form = max(set(found), key=lambda each: (found.count(each), each.channels))
    for other in found:
        form = form.wider(other)
    return form


def _in_order(pool: ThreadPoolExecutor, work: object, items: Iterable[Sequence[str]], ahead: int) -> Iterator[Chunk]:
    """Like ``pool.map``, but at most ``ahead`` results wait at any time, so that memory stays flat."""
    items = iter(items)
    waiting: deque[Future[Chunk]] = deque(pool.submit(work, item) for item in islice(items, ahead))  # type: ignore[arg-type]
    while waiting:
        result = waiting.popleft().result()
        for item in islice(items, 1):
            waiting.append(pool.submit(work, item))  # type: ignore[arg-type]
        yield result


def _open(source: Source, path: str, needed: tuple[int, int]) -> tuple[Decoded | str, bytes]:
    """A decoded image, or the reason why there is none; and the bytes that name the file's content."""
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
    source: Source, paths: Sequence[str], form: PixelFormat, size: tuple[int, int], fit: str, widen: bool, looks: bool
) -> Chunk:
    pixels = np.zeros((len(paths), *size, form.channels), form.depth)
    facts: list[dict[str, object]] = []
    same_size: dict[tuple[int, ...], list[tuple[int, Pixels]]] = {}
    boxes: list[tuple[int, int, int, int] | None] = [None] * len(paths)
    held = 0

    def resize_held() -> None:
        for members in same_size.values():
            batch = np.stack([each for _, each in members]) if len(members) > 1 else members[0][1][None]
            pixels[[number for number, _ in members]] = fit_batch(batch, size, fit)
        same_size.clear()

    for number, path in enumerate(paths):
        decoded, data = _open(source, path, size)
        fact: dict[str, object] = dict.fromkeys(FACTS)
        fact |= {"path": path, "bytes": len(data)}
        if looks:
            fact["file_hash"] = xxhash.xxh3_128_hexdigest(data)
        facts.append(fact)
        if isinstance(decoded, str):
            fact["status"] = decoded
            continue
        fact |= {
            "width": decoded.width,
            "height": decoded.height,
            "mode": decoded.mode,
            "format": decoded.format,
            "turned": decoded.turned,
            "pages": decoded.pages,
            "survives": survives(decoded.width, decoded.height, size, fit),
            "pixel_hash": _hash(decoded.pixels) if looks else None,
            "camera": decoded.origin.camera,
            "taken": decoded.origin.taken,
            "encoder": decoded.origin.encoder,
        }
        try:
            fitting = in_format(decoded.pixels, form, widen)
        except UnreadableError as error:
            fact["status"] = str(error)
            continue
        fact["status"] = "ok"
        boxes[number] = content_box(fitting.shape[1], fitting.shape[0], size, fit)
        same_size.setdefault(fitting.shape, []).append((number, fitting))
        held += fitting.nbytes
        if held > HELD_BYTES:
            resize_held()
            held = 0
    resize_held()
    measured = looks_of(pixels, boxes) if looks else [{} for _ in boxes]
    for number, (fact, values) in enumerate(zip(facts, measured, strict=True)):
        if fact["status"] == "ok":
            fact["row_hash"] = _hash(pixels[number])
            fact.update(values)
    return Chunk(pixels, facts)


def _hash(pixels: Pixels) -> str:
    """32 hexadecimal characters that name pixels with their shape and depth."""
    hasher = xxhash.xxh3_128(repr((pixels.shape, pixels.dtype.name)).encode())
    hasher.update(np.ascontiguousarray(pixels).data)
    return hasher.hexdigest()


def in_format(pixels: Pixels, form: PixelFormat, widen: bool) -> Pixels:
    """A decoded image (H, W, C) with the channels and the depth of ``form``.

    Raises:
        FormatError: ``form`` cannot hold it, and ``widen`` asks for one that can.
        UnreadableError: ``form`` cannot hold it.
    """
    own = PixelFormat(pixels.shape[2], pixels.dtype.name)
    if own == form:
        return pixels
    if widen and form.wider(own) != form:
        raise FormatError(form.wider(own))
    if own.channels != form.channels:
        if {own.channels, form.channels} != {1, 3}:
            raise UnreadableError(f"it has {own.channels} channels, the others have {form.channels}")
        if own.channels == 3:
            raise UnreadableError("it is in color, the model was trained on grey images")
        pixels = np.repeat(pixels, 3, axis=2)
    if own.depth == "uint16" and form.depth == "uint8":
        raise UnreadableError("it has 16 bits a channel, the model was trained on 8")
    if own.depth == "uint8" and form.depth == "uint16":
        pixels = pixels.astype(np.uint16) * 257  # 255 becomes 65535
    return pixels
