"""From the bytes of one image file to its pixels: the one decoder of every door.

Pillow decodes what it decodes in full depth; tifffile and imagecodecs decode what Pillow would squash to 8 bits (TIFF
with 16 bits or with other than 1 or 3 channels, PNG with 16 bits).
"""

from __future__ import annotations

import io
import struct
import threading
import warnings
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any
from xml.etree.ElementTree import ParseError

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, UnidentifiedImageError

from coverslip.core.errors import UserError, optional
from coverslip.data.origin import Origin, origin_of, origin_of_tiff, read_exif
from coverslip.data.tiff_claims import MOST_PLANES, claimed_planes

Pixels = npt.NDArray[Any]
"""uint8 or uint16, (H, W, C)."""

MAX_PIXELS = 100_000_000  # decoded pixels of one image; more is refused, since two at once would not fit a laptop
BIG_PIXELS = 16_000_000  # images above this are decoded one at a time
DRAFT_MARGIN = 2  # a JPEG is decoded at reduced scale only while it stays this many times larger than needed

_one_big_image = threading.Lock()
# Pillow warns above 89 million pixels; the bound here is ours, stated above, and reported for the image by name.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
# Broken EXIF spoils nothing, and Pillow's many lines about it help nobody.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.TiffImagePlugin")


class UnreadableError(Exception):
    """This file does not give an image; the text says why, for the list of skipped files."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """One image as the network will see it before it is resized.

    Attributes:
        pixels: uint8 or uint16, (H, W, C); turned upright; C is 1 (grey), 3 (color), or the file's own number.
        mode: how the file stores it: Pillow's name (``L``, ``RGB``, ``CMYK``), or such as ``uint16x5``.
        format: ``JPEG``, ``PNG``, ``TIFF``, ...
        width: of the file, upright, pixels; larger than ``pixels`` where it was decoded at reduced scale.
        height: likewise.
        turned: whether EXIF said that the camera was turned.
        pages: pages or planes in the file; the first is used.
        origin: what the file says of its camera, time and encoder.
    """

    pixels: Pixels
    mode: str
    format: str
    width: int
    height: int
    turned: bool = False
    pages: int = 1
    origin: Origin = field(default_factory=Origin)


def decode(data: bytes, needed: tuple[int, int] | None = None) -> Decoded:
    """Decode one image.

    Palettes become colors, CMYK becomes RGB, transparency is laid over white, 1-bit images become 0 and 255, and EXIF
    orientation is applied. 16-bit samples and other numbers of channels are kept.

    Args:
        data: the whole file.
        needed: (height, width) in pixels that the caller will reduce the image to; a JPEG at least twice as large is
            decoded at 1/2, 1/4 or 1/8 of its scale, which is several times faster. None decodes in full.

    Raises:
        UnreadableError: the file is empty, truncated, not an image, too large, or of a kind that is not supported.
    """
    if not data:
        raise UnreadableError("the file is empty")
    try:
        if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            return _decode_tiff(data)
        if data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) > 25:
            _refuse_large(*struct.unpack(">II", data[16:24]))
            if data[24] == 16:
                return _decode_deep_png(data)
        return _decode_pillow(data, needed)
    except UnreadableError:
        raise
    except Image.DecompressionBombError as error:
        found = next((word for word in str(error).replace("(", " ").split() if word.isdigit()), "more")
        raise UnreadableError(_too_large(f"{found} pixels")) from error
    except UserError as error:
        raise UnreadableError(f"{error.problem} ({error.fix})") from error
    except MemoryError as error:
        raise UnreadableError("too large for this machine's memory; cut it into tiles") from error
    except Exception as error:  # decoders raise what they like on broken files: OSError, SyntaxError, struct.error ...
        text = " ".join(str(error).split())
        raise UnreadableError(f"cannot be decoded: {text or type(error).__name__}"[:200]) from error


def _decode_pillow(data: bytes, needed: tuple[int, int] | None) -> Decoded:
    if data[4:8] == b"ftyp":
        optional("pillow_heif", "heic").register_heif_opener()
    try:
        image: Image.Image = Image.open(io.BytesIO(data))
    except UnidentifiedImageError as error:
        raise UnreadableError("not an image, whatever its name says") from error
    mode, form, pages = image.mode, image.format or "", int(getattr(image, "n_frames", 1))
    width, height = image.size
    if form == "PNG":
        # Its EXIF may come after the pixels; and what is wrong with those must be told here, not taken for broken EXIF.
        with _turn_of(width * height):
            image.load()
    origin = origin_of(image)
    orientation = _orientation(image) if form in ("JPEG", "MPO", "PNG", "WEBP") else 1
    if orientation in (5, 6, 7, 8):
        width, height = height, width
    if needed is not None and form in ("JPEG", "MPO"):
        least = max(needed) * DRAFT_MARGIN  # the longer side decides for `pad`; for `crop` this only reads more
        scale = min(image.size) / max(image.size)
        image.draft(None, (max(least, 1), max(int(least * scale), 1)) if scale < 1 else (least, least))
    if image.width * image.height > MAX_PIXELS:
        raise UnreadableError(_too_large(f"{width:,} x {height:,} pixels"))
    with _turn_of(image.width * image.height):
        pixels = _pillow_pixels(image, orientation)
    return Decoded(pixels, mode, form, width, height, orientation != 1, pages, origin)


def _orientation(image: Image.Image) -> int:
    """EXIF's 1 to 8; 1 (upright) where it has none or makes no sense."""
    value = read_exif(image).get(ExifTags.Base.Orientation, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _pillow_pixels(image: Image.Image, orientation: int) -> Pixels:
    if image.mode in ("I;16", "I;16B", "I;16L", "I"):
        pixels = np.asarray(image)
        if pixels.min(initial=0) < 0 or pixels.max(initial=0) > 65535:
            raise UnreadableError("32-bit samples; save it with 8 or 16 bits a channel")
        pixels = pixels.astype(np.uint16)
    else:
        pixels = np.asarray(_plain_mode(image))
    pixels = _turn(pixels, orientation)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def _plain_mode(image: Image.Image) -> Image.Image:
    """L or RGB, whatever the file holds; transparency over white, since white is what viewers show behind it."""
    if image.mode in ("L", "RGB") and "transparency" not in image.info:
        image.load()
        return image
    if image.mode == "1":
        return image.convert("L")
    if image.mode == "F":
        raise UnreadableError("floating-point samples; save it with 8 or 16 bits a channel")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        with_alpha = image.convert("RGBA")
        flat = Image.alpha_composite(Image.new("RGBA", with_alpha.size, "white"), with_alpha)
        return flat.convert("L" if image.mode in ("L", "LA", "La") else "RGB")
    return image.convert("RGB")


def _decode_deep_png(data: bytes) -> Decoded:
    from imagecodecs import png_decode

    width, height = struct.unpack(">II", data[16:24])
    with _turn_of(width * height):
        pixels = np.asarray(png_decode(data))
        pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
        mode = f"uint16x{pixels.shape[2]}"
        if pixels.shape[2] in (2, 4):  # the PNG format knows no other use of an even channel than transparency
            alpha = pixels[:, :, -1:].astype(np.float32) / 65535
            pixels = np.rint(pixels[:, :, :-1] * alpha + 65535 * (1 - alpha)).astype(np.uint16)
    return Decoded(pixels, mode, "PNG", width, height, origin=Origin("", None, f"PNG {mode}"))


def _decode_tiff(data: bytes) -> Decoded:
    from tifffile import TiffFile

    with TiffFile(io.BytesIO(data)) as tiff:
        _refuse_boast(tiff)
        series = tiff.series[0]
        page: Any = series.keyframe
        tag = page.tags.get("Orientation")
        orientation = int(tag.value) if tag is not None else 1
        if page.photometric.name in ("PALETTE", "SEPARATED", "CIELAB", "LOGLUV"):
            return replace(_decode_pillow(data, None), turned=orientation not in (0, 1))  # Pillow turns a TIFF itself
        axes, shape = str(series.axes), tuple(int(side) for side in series.shape)
        if "Y" not in axes or "X" not in axes:
            raise UnreadableError(f"a TIFF of axes {axes}, not an image")
        height, width = shape[axes.index("Y")], shape[axes.index("X")]
        _refuse_large(width, height)
        if series.dtype is None or series.dtype.name not in ("bool", "uint8", "uint16"):
            raise UnreadableError(f"{series.dtype} samples; save it with 8 or 16 bits a channel")
        channel = next((axis for axis in ("C", "S") if axis in axes), "")
        others = [axis for axis in axes if axis not in ("Y", "X", channel)]
        pages = int(np.prod([shape[axes.index(axis)] for axis in others], dtype=int))
        with _turn_of(width * height):
            pixels = np.asarray(series.asarray() if pages == 1 else _first_plane(tiff, axes, shape))
        kept = [axis for axis in axes if axis in ("Y", "X", channel)]
        pixels = pixels.reshape([shape[axes.index(axis)] for axis in kept])
        pixels = np.moveaxis(pixels, kept.index(channel), -1) if channel else pixels[:, :, None]
        samples = pixels.shape[2]
        mode = f"{series.dtype.name}x{samples}"
        extra = tuple(int(sample) for sample in (page.extrasamples or ()))
        if page.photometric.name == "MINISWHITE":
            pixels = ~pixels  # the complement: True for False, 255 - x, 65535 - x
        if channel == "S" and samples in (2, 4) and extra and extra[0] in (1, 2):
            top = np.iinfo(pixels.dtype).max
            alpha = pixels[:, :, -1:].astype(np.float32) / top
            pixels = np.rint(pixels[:, :, :-1] * alpha + top * (1 - alpha)).astype(pixels.dtype)
        if pixels.dtype == bool:
            pixels = pixels.astype(np.uint8) * 255
        pixels = _turn(pixels, orientation)
        return Decoded(
            np.ascontiguousarray(pixels),
            mode,
            "TIFF",
            pixels.shape[1],
            pixels.shape[0],
            orientation not in (0, 1),
            pages,
            origin_of_tiff(page),
        )


def _refuse_boast(tiff: Any) -> None:
    try:
        planes = claimed_planes(tiff)
    except (ParseError, ValueError):  # a comment that is no XML: tifffile does not believe it either
        return
    if planes > MOST_PLANES:
        raise UnreadableError(f"a TIFF that claims {planes:,} planes; save one plane of it")


def _first_plane(tiff: Any, axes: str, shape: tuple[int, ...]) -> Pixels:
    """All channels of a stack's first plane, and nothing else: 500 planes must not be decoded for one."""
    outer = [axis for axis in axes if axis not in ("Y", "X", "S")]
    numbers = np.arange(int(np.prod([shape[axes.index(axis)] for axis in outer]))).reshape(
        [shape[axes.index(axis)] for axis in outer]
    )
    # Channels may be the outer or the inner loop (CZYX or ZCYX), so their pages need not lie side by side.
    first = numbers[tuple(slice(None) if axis == "C" else 0 for axis in outer)]
    result: Pixels = tiff.asarray(series=0, key=[int(number) for number in first.reshape(-1)])
    return result


def _turn(pixels: Pixels, orientation: int) -> Pixels:
    """Apply the TIFF/EXIF orientation 1 to 8 to (H, W) or (H, W, C): what turns the image upright."""
    turns = {
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.swapaxes(0, 1),
        6: lambda p: np.rot90(p, -1),
        7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
        8: lambda p: np.rot90(p, 1),
    }
    return turns[orientation](pixels) if orientation in turns else pixels


def _turn_of(pixels: int) -> AbstractContextManager[object]:
    """Large images wait for each other, small ones do not."""
    return _one_big_image if pixels > BIG_PIXELS else nullcontext()


def _refuse_large(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise UnreadableError(_too_large(f"{width:,} x {height:,} pixels"))


def _too_large(found: str) -> str:
    return f"too large: {found} (at most {MAX_PIXELS // 10**6} million); cut it into tiles or save it smaller"
