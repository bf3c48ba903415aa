"""Validate TIFF files from untrusted senders: compare the claimed number of planes with the size of the file.

The comment of a TIFF of 6 kB can claim two billion planes, and the reader then allocates a list of them. Only variants
whose claims are checked here are accepted.
"""

from __future__ import annotations

import math
from typing import Any

from coverslip.data.tiff_planes import claimed_planes
from coverslip.serving.request_errors import too_large, unsupported_format

UNSUPPORTED_VARIANTS = (
    *("lsm", "mmstack", "ndtiff", "fluoview", "stk", "sis", "svs", "scn", "qpi", "ndpi", "bif", "avs", "eer"),
    *("philips", "scanimage", "nih", "mdgel", "indica"),
)
COMPRESSIONS = (1, 2, 3, 4, 5, 7, 8, 32773, 32946, 50000)  # none, fax, LZW, JPEG, deflate, PackBits, Zstandard
MAX_PAGES = 10_000
MAX_COMMENT = 4_000_000  # characters


def plane_shape(tiff: Any, size: int) -> tuple[int, int, int]:
    """Return width, height and channels of the plane that would be decoded.

    Args:
        tiff: an opened ``tifffile.TiffFile``.
        size: size of the file in bytes.

    Raises:
        RequestError: 413, the file claims more planes than it contains; 415, the TIFF variant is not supported.
    """
    variant = next((name for name in UNSUPPORTED_VARIANTS if getattr(tiff, f"is_{name}", False)), "")
    if variant:
        raise unsupported_format(
            f"TIFF files of the variant {variant!r} are not supported (only plain, OME and ImageJ)"
        )
    if int(tiff.pages.first.compression) not in COMPRESSIONS:  # some take minutes to decode from a few kilobytes
        raise unsupported_format(f"TIFF compression {tiff.pages.first.compression.name} is not supported")
    pages = _pages(tiff)
    comment = str(tiff.pages.first.description or "")[: MAX_COMMENT + 1]
    if len(comment) > MAX_COMMENT:
        raise too_large(f"the comment of the TIFF has more than {MAX_COMMENT:,} characters", "save it without comment")
    if tiff.is_ome and "<Modulo" in comment:
        raise unsupported_format("OME TIFF files with modulo dimensions are not supported")
    planes = claimed_planes(tiff, comment)
    first = tiff.pages.first
    possible = max(pages, size // max(1, math.prod(first.shape)) + 1)  # ImageJ stores one page for many planes
    if planes > possible:
        raise too_large(
            f"the TIFF claims {planes:,} planes but has room for at most {possible:,}", "save one plane as a new file"
        )
    series = tiff.series[0]
    axes = dict(zip(str(series.axes), map(int, series.shape), strict=True))
    page = series.keyframe
    width, height = max(axes.get("X", 0), int(page.imagewidth)), max(axes.get("Y", 0), int(page.imagelength))
    return width, height, max(axes.get("C", 1) * axes.get("S", 1), int(page.samplesperpixel))


def _pages(tiff: Any) -> int:
    """Return the number of pages, found by following the list of pages up to `MAX_PAGES`."""
    pages = tiff.pages
    try:
        pages[MAX_PAGES]
    except IndexError:
        return len(pages)
    raise too_large(f"the TIFF has more than {MAX_PAGES:,} pages", "save one page as a new file")
