"""What a file is and how large its image would be, told from its first bytes: nothing is decoded here.

Only the kinds that Coverslip reads everywhere are let through to a decoder. Pillow alone would also open PostScript
(by running another program), and many rare formats whose readers few people look at.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass

from coverslip.core.errors import UserError
from coverslip.serving.refusals import Refused, no_image, too_large, unreadable

MOST_SCANNED = 3 * 10**9  # pixels of all passes of a progressive JPEG: a few seconds of work
HEAD = 64  # bytes that tell the kind
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
TIFF_HEADS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "TIFF": ".tif", "BMP": ".bmp", "WebP": ".webp", "HEIC": ".heic"}
OTHERS = (  # what people send by mistake, in words
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive, or a document that is one"),
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
    (b"\x93NUMPY", "an array of NumPy"),
    (b"\x80\x04", "a pickle of Python"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\0\0\0\x0cjP", "a JPEG 2000"),
)
DRAWN = ("a GIF", "PostScript", "a Photoshop file", "a JPEG 2000", "an SVG drawing")  # images all the same
TEXTS = ((b"<svg", "an SVG drawing"), (b"<!doctype html", "a web page"), (b"<html", "a web page"), (b"<?xml", "XML"))


@dataclass(frozen=True, slots=True)
class Kind:
    """One file by its first bytes.

    Attributes:
        name: "JPEG", "PNG", "TIFF", "BMP", "WebP" or "HEIC".
        width: pixels, as the header says; not yet turned upright.
        height: likewise.
        channels: samples a pixel, where the header says so; 4 otherwise.
    """

    name: str
    width: int
    height: int
    channels: int = 4


def kind_of(data: bytes, most_pixels: int) -> Kind:
    """Tell what a file is, and refuse what would not be an image or would be too large a one.

    Args:
        data: the whole file.
        most_pixels: that its image may have.

    Raises:
        Refused: 415, 413, or 422 for a header that makes no sense.
    """
    if not data:
        raise unreadable("the file is empty", "send it again (if it stays empty, it was never saved)")
    name = name_of(data)
    try:
        kind = HEADERS[name](data)
    except Refused:
        raise
    except UserError as error:  # a package that is not installed here
        raise Refused(415, error.problem, error.fix) from error
    except Exception as error:  # headers are parsed by hand and by libraries, and broken ones raise what they like
        raise unreadable(f"a {name} whose header cannot be read") from error
    if kind.width < 1 or kind.height < 1:
        raise unreadable(f"a {name} of {kind.width} x {kind.height} pixels")
    if kind.width * kind.height * max(4, kind.channels) > 4 * most_pixels:
        more = f" of {kind.channels} channels" if kind.channels > 4 else ""
        raise too_large(
            f"{kind.width:,} x {kind.height:,} pixels{more} are too many (at most {most_pixels / 1e6:g} million)",
            "save it smaller, or cut it into tiles",
        )
    return kind


def name_of(data: bytes) -> str:
    """The kind by its first bytes alone.

    Raises:
        Refused: 415, with what it is instead where that can be told.

    >>> name_of(b"\\xff\\xd8\\xff\\xe0"), name_of(b"BM" + bytes(60))
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
        raise no_image("it is a video" if head[8:10] in (b"is", b"mp", b"qt", b"M4") else "it is not an image we read")
    what = _something_else(data)
    raise no_image(f"it is {what}, which is not read here" if what in DRAWN else f"it is {what}, not an image")


def _something_else(data: bytes) -> str:
    for start, what in OTHERS:
        if data.startswith(start):
            return what
    text = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for start, what in TEXTS:
        if text.startswith(start):
            return "an SVG drawing" if b"<svg" in text else what
    try:
        letters = data[:512].decode("utf-8") if len(data) <= 512 else data[:512].decode("utf-8", "ignore")
    except UnicodeDecodeError:
        return "something else"
    return "text" if all(each.isprintable() or each in "\t\r\n\f" for each in letters) else "something else"


def _jpeg(data: bytes) -> Kind:
    """Walk from marker to marker to the frame header."""
    place = 2
    while True:
        place = data.index(b"\xff", place)
        while data[place] == 0xFF:
            place += 1
        marker = data[place]
        place += 1
        if marker in (0x01, *range(0xD0, 0xD9)):  # without a length
            continue
        if marker in (0xD9, 0xDA):
            raise unreadable("a JPEG without an image in it")
        (length,) = struct.unpack_from(">H", data, place)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width, channels = struct.unpack_from(">HHB", data, place + 3)
            if data.count(b"\xff\xda") * width * height > MOST_SCANNED:
                raise too_large("a JPEG that is drawn over itself too often", "save it anew, not progressive")
            return Kind("JPEG", width, height, channels)
        place += length


def _png(data: bytes) -> Kind:
    return Kind("PNG", *struct.unpack_from(">II", data, 16))


def _bmp(data: bytes) -> Kind:
    if struct.unpack_from("<I", data, 14)[0] == 12:  # the oldest header
        return Kind("BMP", *struct.unpack_from("<HH", data, 18))
    width, height = struct.unpack_from("<ii", data, 18)
    return Kind("BMP", width, abs(height))


def _webp(data: bytes) -> Kind:
    sort = data[12:16]
    if sort == b"VP8X":
        return Kind("WebP", *(1 + int.from_bytes(data[at : at + 3], "little") for at in (24, 27)))
    if sort == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return Kind("WebP", 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
    if sort != b"VP8 " or data[23:26] != b"\x9d\x01\x2a":
        raise unreadable("a WebP without an image in it")
    width, height = struct.unpack_from("<HH", data, 26)
    return Kind("WebP", width & 0x3FFF, height & 0x3FFF)


def _heic(data: bytes) -> Kind:
    from PIL import Image

    from coverslip.core.errors import optional

    optional("pillow_heif", "heic").register_heif_opener()
    return Kind("HEIC", *Image.open(io.BytesIO(data)).size)


def _tiff(data: bytes) -> Kind:
    from tifffile import TiffFile

    from coverslip.serving.tiffs import plane_of

    with TiffFile(io.BytesIO(data)) as tiff:
        return Kind("TIFF", *plane_of(tiff, len(data)))


HEADERS = {"JPEG": _jpeg, "PNG": _png, "BMP": _bmp, "WebP": _webp, "TIFF": _tiff, "HEIC": _heic}
