"""Where an image file comes from, as far as it says: the camera, when it was taken, and what wrote the file.

A classifier can learn these instead of the subject, and images taken in one burst often show one leaf. Nothing here
may make an image unreadable: what is broken counts as absent.
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

# Broken EXIF is a fact of the file, not news for the terminal. (A filter of this kind is safe among threads.)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.TiffImagePlugin")

WITH_EXIF = ("JPEG", "MPO", "PNG", "WEBP", "TIFF", "HEIF", "AVIF")
SAMPLINGS = {-1: "", 0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}
TEXT_LENGTH = 120  # characters kept of what a file says of itself
NAMING_TAGS = tuple(map(int, (ExifTags.Base.Make, ExifTags.Base.Model, ExifTags.Base.Software)))


@dataclass(frozen=True, slots=True)
class Origin:
    """What a file says of where it comes from.

    Attributes:
        camera: EXIF make, model and software with blanks between; "" where EXIF has none; None for a format without
            EXIF.
        taken: EXIF DateTimeOriginal, such as ``2015-05-06T16:01:13``; None where there is none, or it is broken.
        encoder: format and how it was written, such as ``JPEG quality 92 4:2:0 JFIF``.
    """

    camera: str | None = None
    taken: str | None = None
    encoder: str | None = None


def origin_of(image: Image.Image) -> Origin:
    """Read what Pillow knows of an opened file; its pixels need not be decoded."""
    form = image.format or ""
    if form not in WITH_EXIF:
        return Origin(encoder=encoder_of(image))
    exif = read_exif(image)
    if not exif:
        return Origin("", None, encoder_of(image))
    return Origin(joined(exif.get(tag) for tag in NAMING_TAGS), moment(_original_time(exif)), encoder_of(image))


def origin_of_tiff(page: Any) -> Origin:
    """The same of the first page of a TIFF, as tifffile gives it; the tags are those of EXIF."""
    try:
        tags = {tag.name: tag.value for tag in page.tags}
        more = tags.get("ExifTag")
        original = more.get("DateTimeOriginal") if isinstance(more, dict) else None
        camera = joined(tags.get(name) for name in ("Make", "Model", "Software"))
        encoder = joined(["TIFF", page.compression.name, page.photometric.name, page.parent.byteorder])
        return Origin(camera, moment(original), encoder)
    except Exception:  # see `read_exif`
        return Origin("", None, "TIFF")


def read_exif(image: Image.Image) -> Any:
    """The image's EXIF, or an empty dict where it has none or it is broken."""
    try:
        exif = image.getexif()
        dict(exif)  # values are parsed only now
        return exif
    except Exception:  # Pillow raises what it meets in broken EXIF: SyntaxError, struct.error, ValueError, KeyError ...
        return {}


def joined(parts: Any) -> str:
    """The texts among some values, cleaned of what files pad them with.

    >>> joined(["Canon\\0", None, " EOS  5D "])
    'Canon EOS 5D'
    """
    words = " ".join(part.decode("latin-1") if isinstance(part, bytes) else str(part) for part in parts if part)
    return " ".join("".join(each if each.isprintable() else " " for each in words).split())[:TEXT_LENGTH]


def moment(text: object) -> str | None:
    """EXIF's ``2015:05:06 16:01:13`` as ISO 8601; None where it is not a time.

    >>> moment("2015:05:06 16:01:13"), moment("0000:00:00 00:00:00")
    ('2015-05-06T16:01:13', None)
    """
    try:
        return datetime.strptime(str(text).strip("\0 ")[:19], "%Y:%m:%d %H:%M:%S").isoformat()
    except ValueError:
        return None


def encoder_of(image: Image.Image) -> str:
    """How the file was written: what two programs would do differently."""
    form, info = image.format or "", image.info
    if form in ("JPEG", "MPO"):
        tables = getattr(image, "quantization", None) or {}
        try:
            sampling = SAMPLINGS.get(JpegImagePlugin.get_sampling(image), "")
        except Exception:  # unusual components
            sampling = ""
        markers = [name for name, key in (("JFIF", "jfif"), ("Adobe", "adobe"), ("ICC", "icc_profile")) if key in info]
        progressive = "progressive" if info.get("progressive") else ""
        return joined([form, _tables_text(tables), sampling, progressive, *markers])
    if form == "PNG":
        marks = [name for name in ("interlace", "gamma", "dpi", "srgb", "icc_profile") if info.get(name) is not None]
        return joined([form, image.mode, *marks, info.get("Software")])
    return joined([form, image.mode, info.get("compression")])


def _tables_text(tables: dict[int, Any]) -> str:
    """``quality 92`` where the luminance table is the standard's, scaled; otherwise a short name of all tables."""
    if 0 not in tables:
        return ""
    quality = _qualities().get(tuple(tables[0]))
    if quality is not None:
        return f"quality {quality}"
    content = repr(sorted((number, tuple(table)) for number, table in tables.items()))
    return f"tables {xxhash.xxh3_64_hexdigest(content.encode())[:8]}"


@cache
def _qualities() -> dict[tuple[int, ...], int]:
    """Luminance table -> quality (1 to 100), for tables that the Independent JPEG Group's library writes."""
    found: dict[tuple[int, ...], int] = {}
    for quality in range(100, 0, -1):
        file = io.BytesIO()
        Image.new("L", (8, 8)).save(file, "JPEG", quality=quality)
        with Image.open(file) as image:
            found[tuple(image.quantization[0])] = quality  # type: ignore[attr-defined]
    return found


def _original_time(exif: Any) -> object:
    try:
        return exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal)
    except Exception:  # see `read_exif`
        return None
