"""Metadata of an image file: camera, time and encoder.

A classifier can learn these instead of the subject, and images of one burst often show the same leaf. Broken metadata
counts as missing and never makes an image unreadable.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import xxhash
from PIL import ExifTags, Image, JpegImagePlugin

# Broken EXIF is not worth a warning on the terminal. (Unlike catch_warnings, a module filter is thread-safe.)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.TiffImagePlugin")

WITH_EXIF = ("JPEG", "MPO", "PNG", "WEBP", "TIFF", "HEIF", "AVIF")
SAMPLINGS = {-1: "", 0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}
TEXT_LENGTH = 120  # characters that are kept of a text in a file
CAMERA_TAGS = tuple(map(int, (ExifTags.Base.Make, ExifTags.Base.Model, ExifTags.Base.Software)))


@dataclass(frozen=True, slots=True)
class FileMetadata:
    """Camera, time and encoder according to an image file.

    Attributes:
        camera: EXIF make, model and software, separated by blanks; "" if EXIF has none; None for a format without
            EXIF.
        taken: EXIF DateTimeOriginal, such as ``2015-05-06T16:01:13``; None if it is missing or invalid.
        encoder: format and encoding parameters, such as ``JPEG quality 92 4:2:0 JFIF``.
    """

    camera: str | None = None
    taken: str | None = None
    encoder: str | None = None


def read_metadata(image: Image.Image) -> FileMetadata:
    """Return the metadata of a file that Pillow has opened; its pixels need not be decoded."""
    form = image.format or ""
    if form not in WITH_EXIF:
        return FileMetadata(encoder=encoder_text(image))
    exif = read_exif(image)
    if not exif:
        return FileMetadata("", None, encoder_text(image))
    camera = join_texts(exif.get(tag) for tag in CAMERA_TAGS)
    return FileMetadata(camera, iso_time(_original_time(exif)), encoder_text(image))


def read_tiff_metadata(page: Any) -> FileMetadata:
    """Return the metadata of the first page of a TIFF (a ``tifffile.TiffPage``), which uses the tags of EXIF."""
    try:
        tags = {tag.name: tag.value for tag in page.tags}
        exif = tags.get("ExifTag")
        original = exif.get("DateTimeOriginal") if isinstance(exif, dict) else None
        camera = join_texts(tags.get(name) for name in ("Make", "Model", "Software"))
        encoder = join_texts(["TIFF", page.compression.name, page.photometric.name, page.parent.byteorder])
        return FileMetadata(camera, iso_time(original), encoder)
    except Exception:  # see `read_exif`
        return FileMetadata("", None, "TIFF")


def read_exif(image: Image.Image) -> Any:
    """Return the EXIF tags of an image, or an empty dict if it has none or they are broken."""
    try:
        exif = image.getexif()
        dict(exif)  # values are parsed only now
        return exif
    except Exception:  # broken EXIF raises many types: SyntaxError, struct.error, ValueError, KeyError ...
        return {}


def join_texts(values: Any) -> str:
    """Return the values that are not empty as one text, without padding and unprintable characters.

    >>> join_texts(["Canon\\0", None, " EOS  5D "])
    'Canon EOS 5D'
    """
    text = " ".join(value.decode("latin-1") if isinstance(value, bytes) else str(value) for value in values if value)
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:TEXT_LENGTH]


def iso_time(text: object) -> str | None:
    """Return an EXIF time such as ``2015:05:06 16:01:13`` in ISO 8601; None if it is not a time.

    >>> iso_time("2015:05:06 16:01:13"), iso_time("0000:00:00 00:00:00")
    ('2015-05-06T16:01:13', None)
    """
    try:
        return datetime.strptime(str(text).strip("\0 ")[:19], "%Y:%m:%d %H:%M:%S").isoformat()
    except ValueError:
        return None


def encoder_text(image: Image.Image) -> str:
    """Return the encoding parameters of a file by which the output of two programs can be told apart."""
    form, info = image.format or "", image.info
    if form in ("JPEG", "MPO"):
        tables = getattr(image, "quantization", None) or {}
        try:
            sampling = SAMPLINGS.get(JpegImagePlugin.get_sampling(image), "")
        except Exception:  # Pillow does not know every set of components
            sampling = ""
        markers = [name for name, key in (("JFIF", "jfif"), ("Adobe", "adobe"), ("ICC", "icc_profile")) if key in info]
        progressive = "progressive" if info.get("progressive") else ""
        return join_texts([form, _tables_text(tables), sampling, progressive, *markers])
    if form == "PNG":
        chunks = [name for name in ("interlace", "gamma", "dpi", "srgb", "icc_profile") if info.get(name) is not None]
        return join_texts([form, image.mode, *chunks, info.get("Software")])
    return join_texts([form, image.mode, info.get("compression")])


def _tables_text(tables: dict[int, Any]) -> str:
    """Return ``quality 92`` if the luminance table is a scaled standard table, otherwise a short hash of all tables."""
    if 0 not in tables:
        return ""
    quality = _qualities().get(tuple(tables[0]))
    if quality is not None:
        return f"quality {quality}"
    content = repr(sorted((number, tuple(table)) for number, table in tables.items()))
    return f"tables {xxhash.xxh3_64_hexdigest(content.encode())[:8]}"


@cache
def _qualities() -> dict[tuple[int, ...], int]:
    """Return luminance table -> quality (1 to 100) for the tables of the Independent JPEG Group's library."""
    qualities: dict[tuple[int, ...], int] = {}
    for quality in range(100, 0, -1):
        file = io.BytesIO()
        Image.new("L", (8, 8)).save(file, "JPEG", quality=quality)
        with Image.open(file) as image:
            qualities[tuple(image.quantization[0])] = quality  # type: ignore[attr-defined]
    return qualities


def _original_time(exif: Any) -> object:
    try:
        return exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal)
    except Exception:  # see `read_exif`
        return None
