"""Detect the format and the size of an image from its header, without decoding it.

Only the formats that Coverslip supports reach a decoder. Pillow alone would also open PostScript (by running another
program) and many rare formats whose decoders are little tested.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass

from coverslip.core.errors import UserError
from coverslip.serving.request_errors import RequestError, too_large, unreadable, unsupported_format

MAX_SCAN_PIXELS = 3 * 10**9  # pixels of all scans of a progressive JPEG: a few seconds of decoding
HEAD = 64  # bytes that identify the format
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
TIFF_HEADS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "TIFF": ".tif", "BMP": ".bmp", "WebP": ".webp", "HEIC": ".heic"}
OTHER_SIGNATURES = (  # frequent mistakes, for a helpful message
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive or an Office document"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"GIF8", "a GIF"),
    (b"%!PS", "PostScript"),
    (b"8BPS", "a Photoshop file"),
    (b"MZ", "a program"),
    (b"\x7fELF", "a program"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x80\x04", "a Python pickle"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\0\0\0\x0cjP", "a JPEG 2000 image"),
)
UNSUPPORTED_IMAGES = ("a GIF", "PostScript", "a Photoshop file", "a JPEG 2000 image", "an SVG drawing")
TEXT_SIGNATURES = (
    (b"<svg", "an SVG drawing"),
    (b"<!doctype html", "a web page"),
    (b"<html", "a web page"),
    (b"<?xml", "XML"),
)


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """Format and size of an image, read from its header.

    Attributes:
        name: "JPEG", "PNG", "TIFF", "BMP", "WebP" or "HEIC".
        width: width in pixels, before EXIF orientation is applied.
        height: height in pixels, before EXIF orientation is applied.
        channels: samples per pixel if the header contains them, otherwise 4.
    """

    name: str
    width: int
    height: int
    channels: int = 4


def read_header(data: bytes, max_pixels: int) -> ImageHeader:
    """Read the header of a file, and check that it is an image of acceptable size.

    Args:
        data: the content of the file.
        max_pixels: largest number of pixels of the image.

    Raises:
        RequestError: 415 for other formats, 413 for images that are too large, 422 for invalid headers.
    """
    if not data:
        raise unreadable("the file is empty", "check the file on your disk, and send it again")
    name = detect_format(data)
    try:
        header = HEADERS[name](data)
    except RequestError:
        raise
    except UserError as error:  # a package for this format is not installed
        raise RequestError(415, error.problem, error.fix) from error
    except Exception as error:  # an invalid header can raise any exception, also in libraries
        raise unreadable(f"the header of the {name} file cannot be read") from error
    if header.width < 1 or header.height < 1:
        raise unreadable(f"the {name} image has {header.width} x {header.height} pixels")
    if header.width * header.height * max(4, header.channels) > 4 * max_pixels:
        channels = f" with {header.channels} channels" if header.channels > 4 else ""
        raise too_large(
            f"the image has {header.width:,} x {header.height:,} pixels{channels}, more than the limit of "
            f"{max_pixels / 1e6:g} million",
            "save it with fewer pixels, or cut it into tiles",
        )
    return header


def detect_format(data: bytes) -> str:
    """Return the name of the format, detected from the first bytes.

    Raises:
        RequestError: 415, the file is not a supported image; the message names the detected type.

    >>> detect_format(b"\\xff\\xd8\\xff\\xe0"), detect_format(b"BM" + bytes(60))
    ('JPEG', 'BMP')
    """
    head = data[:HEAD]
    if head[:3] == b"\xff\xd8\xff":
        return "JPEG"
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        return "PNG"
    if head[:4] in TIFF_HEADS:
        return "TIFF"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[:2] == b"BM" and len(data) > 26:
        return "BMP"
    if head[4:8] == b"ftyp":
        if head[8:12] in HEIC_BRANDS:
            return "HEIC"
        is_video = head[8:10] in (b"is", b"mp", b"qt", b"M4")
        raise unsupported_format("the file is a video" if is_video else "the image format is not supported")
    detected = _detect_other(data)
    if detected in UNSUPPORTED_IMAGES:
        raise unsupported_format(f"the file is {detected}; this format is not supported")
    raise unsupported_format(f"the file is {detected}, not an image" if detected else "the file is not an image")


def _detect_other(data: bytes) -> str:
    """Return the type of a file that is not a supported image, or an empty string if it is not recognized."""
    for signature, name in OTHER_SIGNATURES:
        if data.startswith(signature):
            return name
    start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for signature, name in TEXT_SIGNATURES:
        if start.startswith(signature):
            return "an SVG drawing" if b"<svg" in start else name
    try:
        text = data[:512].decode("utf-8") if len(data) <= 512 else data[:512].decode("utf-8", "ignore")
    except UnicodeDecodeError:
        return ""
    return "text" if all(char.isprintable() or char in "\t\r\n\f" for char in text) else ""


def _jpeg(data: bytes) -> ImageHeader:
    """Follow the markers to the frame header."""
    offset = 2
    while True:
        offset = data.index(b"\xff", offset)
        while data[offset] == 0xFF:
            offset += 1
        marker = data[offset]
        offset += 1
        if marker in (0x01, *range(0xD0, 0xD9)):  # markers without a length
            continue
        if marker in (0xD9, 0xDA):
            raise unreadable("the JPEG file contains no image")
        (length,) = struct.unpack_from(">H", data, offset)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width, channels = struct.unpack_from(">HHB", data, offset + 3)
            scans = data.count(b"\xff\xda")
            if scans * width * height > MAX_SCAN_PIXELS:
                raise too_large(f"the progressive JPEG has {scans:,} scans, too many", "save it as a baseline JPEG")
            return ImageHeader("JPEG", width, height, channels)
        offset += length


def _png(data: bytes) -> ImageHeader:
    return ImageHeader("PNG", *struct.unpack_from(">II", data, 16))


def _bmp(data: bytes) -> ImageHeader:
    if struct.unpack_from("<I", data, 14)[0] == 12:  # the oldest header version version version
        return ImageHeader("BMP", *struct.unpack_from("<HH", data, 18))
    width, height = struct.unpack_from("<ii", data, 18)
    return ImageHeader("BMP", width, abs(height))


def _webp(data: bytes) -> ImageHeader:
    chunk = data[12:16]
    if chunk == b"VP8X":
        return ImageHeader("WebP", *(1 + int.from_bytes(data[at : at + 3], "little") for at in (24, 27)))
    if chunk == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return ImageHeader("WebP", 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
    if chunk != b"VP8 " or data[23:26] != b"\x9d\x01\x2a":
        raise unreadable("the WebP file contains no image")
    width, height = struct.unpack_from("<HH", data, 26)
    return ImageHeader("WebP", width & 0x3FFF, height & 0x3FFF)


def _heic(data: bytes) -> ImageHeader:
    from PIL import Image

    from coverslip.core.errors import optional

    optional("pillow_heif", "heic").register_heif_opener()
    return ImageHeader("HEIC", *Image.open(io.BytesIO(data)).size)


def _tiff(data: bytes) -> ImageHeader:
    from tifffile import TiffFile

    from coverslip.serving.tiffs import plane_shape

    with TiffFile(io.BytesIO(data)) as tiff:
        return ImageHeader("TIFF", *plane_shape(tiff, len(data)))


HEADERS = {"JPEG": _jpeg, "PNG": _png, "BMP": _bmp, "WebP": _webp, "TIFF": _tiff, "HEIC": _heic}
