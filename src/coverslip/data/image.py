"""Decoding of one image file from bytes to pixels; every entry point uses this decoder.

Pillow decodes the formats that it reads at full depth. tifffile and imagecodecs decode those that Pillow would reduce
to 8 bits: TIFF with 16 bits or with channels other than 1 or 3, and PNG with 16 bits. Signed, 32-bit and floating-point
samples of a TIFF become float32.
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
from coverslip.data.metadata import FileMetadata, read_exif, read_metadata, read_tiff_metadata
from coverslip.data.tiff_planes import MAX_PLANES, claimed_planes

Pixels = npt.NDArray[Any]
"""uint8, uint16 or float32, (H, W, C)."""

MAX_PIXELS = 100_000_000  # larger images are rejected: two of them at once would not fit into a laptop's memory
BIG_PIXELS = 16_000_000  # images above this are decoded one at a time
FEW_SAMPLES = 5  # a page this narrow, one of many, is a row of an image whose channels are its last axis
MANY_PAGES = 16
AS_FLOAT = ("int8", "int16", "int32", "uint32", "float16", "float32", "float64")  # read as float32
DRAFT_MARGIN = 2  # a JPEG is decoded at reduced scale only while it stays this many times larger than needed

_large_image_lock = threading.Lock()
# Pillow warns above 89 million pixels. We use the limit above and report the image by name.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
# Broken EXIF does not affect the pixels, and Pillow's many warnings do not help the user.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.TiffImagePlugin")


AVIF_BRANDS = (b"avif", b"avis")
JPEG2000_STARTS = (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")
TRANSPARENT = "transparent everywhere (alpha is 0); save it without its alpha channel"


class UnreadableError(Exception):
    """A file that cannot be decoded to an image; the text states the reason, for the list of skipped files."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded image before resizing.

    Attributes:
        pixels: uint8, uint16 or float32, shape (H, W, C), with EXIF orientation applied; C is 1 (grey), 3 (color), or
            the number of channels in the file.
        mode: pixel type in the file: Pillow's name (``L``, ``RGB``, ``CMYK``), or dtype and channels (``uint16x5``).
        format: ``JPEG``, ``PNG``, ``TIFF``, ...
        width: width in the file after orientation, pixels; larger than that of ``pixels`` if the image was decoded at
            reduced scale.
        height: height in the file, likewise.
        reoriented: whether an EXIF orientation other than upright was applied.
        pages: number of pages or planes in the file; only the first is used.
        metadata: camera, time and encoder according to the file.
    """

    pixels: Pixels
    mode: str
    format: str
    width: int
    height: int
    reoriented: bool = False
    pages: int = 1
    metadata: FileMetadata = field(default_factory=FileMetadata)


def decode(data: bytes, needed: tuple[int, int] | None = None) -> Decoded:
    """Decode one image.

    Palettes are converted to colors and CMYK to RGB, transparency is blended with white, 1-bit images become 0 and 255,
    and EXIF orientation is applied. 16-bit samples and other numbers of channels are kept. Signed, 32-bit and
    floating-point samples become float32, with their values as they are.

    Args:
        data: content of the file.
        needed: (height, width) in pixels to which the caller will reduce the image; a JPEG at least twice as large is
            decoded at 1/2, 1/4 or 1/8 of its scale, which is several times faster. None decodes at full scale.

    Raises:
        UnreadableError: the file is empty, truncated, not an image, too large, of an unsupported type, transparent
            everywhere, or a TIFF whose pages are the rows of one image.
    """
    if not data:
        raise UnreadableError("the file is empty")
    try:
        if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            return _decode_tiff(data)
        if data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) > 25:
            _check_size(*struct.unpack(">II", data[16:24]))
            if data[24] == 16:
                return _decode_deep_png(data)
        if data.startswith(JPEG2000_STARTS):
            return _decode_jpeg2000(data)
        return _decode_pillow(data, needed)
    except UnreadableError:
        raise
    except Image.DecompressionBombError as error:
        count = next((word for word in str(error).replace("(", " ").split() if word.isdigit()), "too many")
        raise UnreadableError(_too_large(f"{count} pixels")) from error
    except UserError as error:
        raise UnreadableError(f"{error.problem} ({error.fix})") from error
    except MemoryError as error:
        raise UnreadableError("too large for this machine's memory; cut it into tiles") from error
    except Exception as error:  # decoders raise many types on broken files: OSError, SyntaxError, struct.error ...
        text = " ".join(str(error).split())
        raise UnreadableError(f"cannot be decoded: {text or type(error).__name__}"[:200]) from error


def _decode_pillow(data: bytes, needed: tuple[int, int] | None) -> Decoded:
    if data[4:8] == b"ftyp" and data[8:12] not in AVIF_BRANDS:  # Pillow itself decodes AVIF
        optional("pillow_heif", "heic").register_heif_opener()
    try:
        image: Image.Image = Image.open(io.BytesIO(data))
    except UnidentifiedImageError as error:
        raise UnreadableError("not an image, despite its file name") from error
    mode, form, pages = image.mode, image.format or "", int(getattr(image, "n_frames", 1))
    width, height = image.size
    if form == "PNG":
        # EXIF may follow the pixels. Load those first, so that an error in them is not mistaken for broken EXIF.
        with _limit_memory(width * height):
            image.load()
    metadata = read_metadata(image)
    orientation = _orientation(image) if form in ("JPEG", "MPO", "PNG", "WEBP", "AVIF") else 1
    if orientation in (5, 6, 7, 8):
        width, height = height, width
    if needed is not None and form in ("JPEG", "MPO"):
        least = max(needed) * DRAFT_MARGIN  # the longer side decides for `pad`; for `crop` this only reads more
        scale = min(image.size) / max(image.size)
        image.draft(None, (max(least, 1), max(int(least * scale), 1)) if scale < 1 else (least, least))
    if image.width * image.height > MAX_PIXELS:
        raise UnreadableError(_too_large(f"{width:,} x {height:,} pixels"))
    with _limit_memory(image.width * image.height):
        pixels = _pillow_pixels(image, orientation)
    return Decoded(pixels, mode, form, width, height, orientation != 1, pages, metadata)


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 (upright) if it is missing or invalid."""
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
    pixels = _orient(pixels, orientation)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def _plain_mode(image: Image.Image) -> Image.Image:
    """Return the image in mode L or RGB; transparency is blended with white, the background that viewers show."""
    if image.mode in ("L", "RGB") and "transparency" not in image.info:
        image.load()
        return image
    if image.mode == "1":
        return image.convert("L")
    if image.mode == "F":
        raise UnreadableError("floating-point samples; save it with 8 or 16 bits a channel")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        with_alpha = image.convert("RGBA")
        if with_alpha.getchannel("A").getextrema() == (0, 0):
            raise UnreadableError(TRANSPARENT)
        flat = Image.alpha_composite(Image.new("RGBA", with_alpha.size, "white"), with_alpha)
        return flat.convert("L" if image.mode in ("L", "LA", "La") else "RGB")
    return image.convert("RGB")


def _decode_deep_png(data: bytes) -> Decoded:
    from imagecodecs import png_decode

    width, height = struct.unpack(">II", data[16:24])
    with _limit_memory(width * height):
        pixels = np.asarray(png_decode(data))
        pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
        mode = f"uint16x{pixels.shape[2]}"
        if pixels.shape[2] in (2, 4):  # in PNG an even number of channels always includes alpha
            if not pixels[:, :, -1].any():
                raise UnreadableError(TRANSPARENT)
            alpha = pixels[:, :, -1:].astype(np.float32) / 65535
            pixels = np.rint(pixels[:, :, :-1] * alpha + 65535 * (1 - alpha)).astype(np.uint16)
    return Decoded(pixels, mode, "PNG", width, height, metadata=FileMetadata("", None, f"PNG {mode}"))


def _decode_jpeg2000(data: bytes) -> Decoded:
    from imagecodecs import jpeg2k_decode

    start = data.find(b"\xff\x4f\xff\x51")
    if start < 0 or len(data) < start + 43:
        raise UnreadableError("a JPEG 2000 file without an image")
    right, bottom, left, top = struct.unpack(">4I", data[start + 8 : start + 24])
    channels, depth = struct.unpack(">HB", data[start + 40 : start + 43])
    width, height = right - left, bottom - top
    _check_size(width, height)
    if depth < 8 and channels <= 4:  # the number of bits less one; palettes and other color spaces are Pillow's work
        return _decode_pillow(data, None)
    with _limit_memory(width * height):
        pixels = np.asarray(jpeg2k_decode(data))
    pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
    if pixels.dtype.name not in ("uint8", "uint16"):
        raise UnreadableError(f"{pixels.dtype} samples; save it with 8 or 16 bits a channel")
    mode = f"{pixels.dtype.name}x{pixels.shape[2]}"
    return Decoded(pixels, mode, "JPEG2000", width, height, metadata=FileMetadata("", None, f"JPEG2000 {mode}"))


def _decode_tiff(data: bytes) -> Decoded:
    from tifffile import TiffFile

    with TiffFile(io.BytesIO(data)) as tiff:
        _check_claimed_planes(tiff)
        series = tiff.series[0]
        page: Any = series.keyframe
        tag = page.tags.get("Orientation")
        orientation = int(tag.value) if tag is not None else 1
        if page.photometric.name in ("PALETTE", "SEPARATED", "CIELAB", "LOGLUV") or _needs_color_conversion(page):
            # Pillow applies the orientation of a TIFF itself.
            return replace(_decode_pillow(data, None), reoriented=orientation not in (0, 1))
        axes, shape = str(series.axes), tuple(int(side) for side in series.shape)
        if "Y" not in axes or "X" not in axes:
            raise UnreadableError(f"a TIFF with axes {axes} is not an image")
        height, width = shape[axes.index("Y")], shape[axes.index("X")]
        _check_size(width, height)
        if series.dtype is None or series.dtype.name not in ("bool", "uint8", "uint16", *AS_FLOAT):
            raise UnreadableError(f"{series.dtype} samples; save it with 8 or 16 bits a channel")
        # Color planes that are channels of a stack (ImageJ) are images of their own: S is nearer to the pixels than C.
        channel = next((axis for axis in ("S", "C") if axis in axes), "")
        others = [axis for axis in axes if axis not in ("Y", "X", channel)]
        pages = int(np.prod([shape[axes.index(axis)] for axis in others], dtype=int))
        _refuse_rows_as_pages(height, width, pages, channel)
        with _limit_memory(width * height):
            pixels = np.asarray(series.asarray() if pages == 1 else _first_plane(tiff, axes, shape, channel))
        kept = [axis for axis in axes if axis in ("Y", "X", channel)]
        pixels = pixels.reshape([shape[axes.index(axis)] for axis in kept])
        pixels = np.moveaxis(pixels, kept.index(channel), -1) if channel else pixels[:, :, None]
        samples = pixels.shape[2]
        mode = f"{series.dtype.name}x{samples}"
        extra = tuple(int(sample) for sample in (page.extrasamples or ()))
        if series.dtype.name in AS_FLOAT:
            pixels = pixels.astype(np.float32)
            if not np.isfinite(pixels).all():
                raise UnreadableError("samples that are NaN or infinite; replace them")
        if page.photometric.name == "MINISWHITE":
            # the complement: True for False, 255 - x, 65535 - x
            pixels = -pixels if pixels.dtype == np.float32 else ~pixels
        if channel == "S" and samples in (2, 4) and extra and extra[0] in (1, 2):
            if not pixels[:, :, -1].any():
                raise UnreadableError(TRANSPARENT)
            if pixels.dtype == np.float32:
                raise UnreadableError(f"{series.dtype} samples with transparency; save it without its alpha channel")
            top = np.iinfo(pixels.dtype).max
            alpha = pixels[:, :, -1:].astype(np.float32) / top
            pixels = np.rint(pixels[:, :, :-1] * alpha + top * (1 - alpha)).astype(pixels.dtype)
        if pixels.dtype == bool:
            pixels = pixels.astype(np.uint8) * 255
        pixels = _orient(pixels, orientation)
        return Decoded(
            np.ascontiguousarray(pixels),
            mode,
            "TIFF",
            pixels.shape[1],
            pixels.shape[0],
            orientation not in (0, 1),
            pages,
            read_tiff_metadata(page),
        )


def _check_claimed_planes(tiff: Any) -> None:
    try:
        planes = claimed_planes(tiff)
    except (ParseError, ValueError):  # an invalid comment; tifffile ignores it too
        return
    if planes > MAX_PLANES:
        raise UnreadableError(f"a TIFF that claims {planes:,} planes; save one plane of it")


def _needs_color_conversion(page: Any) -> bool:
    """Return whether the samples are luminance and color differences that tifffile would return as they are.

    Raises:
        UnreadableError: they are, in a form that Pillow does not convert.
    """
    if page.photometric.name != "YCBCR" or "JPEG" in page.compression.name:
        return False
    tag = page.tags.get("YCbCrSubSampling")
    sampled = (2, 2) if tag is None else tuple(int(number) for number in tag.value)  # (2, 2) is TIFF's default
    # Pillow's own reader of uncompressed pages expects a full sample of each channel per pixel, interleaved.
    whole = sampled == (1, 1) or sum(page.databytecounts) == 3 * page.imagewidth * page.imagelength
    if page.compression.name == "NONE" and not (whole and page.planarconfig.name == "CONTIG"):
        raise UnreadableError("an uncompressed YCbCr TIFF with reduced color; save it as RGB")
    return True


def _refuse_rows_as_pages(height: int, width: int, pages: int, channel: str) -> None:
    """Refuse a stack whose pages are the rows of one image with its channels last, as tifffile writes it unasked.

    Raises:
        UnreadableError: with the likely layout.
    """
    if not channel and pages >= MANY_PAGES and 2 <= width <= FEW_SAMPLES < height:
        raise UnreadableError(
            f"{pages:,} pages of {width} x {height} pixels: probably one image of {height} x {pages:,} pixels with "
            f"{width} channels; save it with tifffile.imwrite(..., planarconfig='contig', photometric='minisblack')"
        )


def _first_plane(tiff: Any, axes: str, shape: tuple[int, ...], channel: str) -> Pixels:
    """Return all channels of the first plane of a stack, without decoding the other planes."""
    outer = [axis for axis in axes if axis not in ("Y", "X", "S")]
    numbers = np.arange(int(np.prod([shape[axes.index(axis)] for axis in outer]))).reshape(
        [shape[axes.index(axis)] for axis in outer]
    )
    # Channels may be the outer or the inner axis (CZYX or ZCYX), so their pages need not be adjacent.
    first = numbers[tuple(slice(None) if axis == channel else 0 for axis in outer)]
    result: Pixels = tiff.asarray(series=0, key=[int(number) for number in first.reshape(-1)])
    return result


def _orient(pixels: Pixels, orientation: int) -> Pixels:
    """Apply a TIFF/EXIF orientation, 1 to 8, to an image (H, W) or (H, W, C), which makes it upright."""
    transforms = {
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.swapaxes(0, 1),
        6: lambda p: np.rot90(p, -1),
        7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
        8: lambda p: np.rot90(p, 1),
    }
    return transforms[orientation](pixels) if orientation in transforms else pixels


def _limit_memory(pixels: int) -> AbstractContextManager[object]:
    """Return a lock for large images, which are decoded one at a time, and a null context for small ones."""
    return _large_image_lock if pixels > BIG_PIXELS else nullcontext()


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise UnreadableError(_too_large(f"{width:,} x {height:,} pixels"))


def _too_large(size: str) -> str:
    return f"too large: {size} (at most {MAX_PIXELS // 10**6} million); cut it into tiles or save it smaller"
