"""TIFFs from strangers: what one claims to hold is compared with what it does hold, before it is believed.

A TIFF of 6 kB can say in a comment that it has two thousand million planes, and its reader makes a list of them. Only
kinds whose claims are checked here are let through.
"""

from __future__ import annotations

import math
from typing import Any

from coverslip.data.tiff_claims import claimed_planes
from coverslip.serving.refusals import no_image, too_large

OTHERS = (  # kinds that are not read here
    *("lsm", "mmstack", "ndtiff", "fluoview", "stk", "sis", "svs", "scn", "qpi", "ndpi", "bif", "avs", "eer"),
    *("philips", "scanimage", "nih", "mdgel", "indica"),
)
COMPRESSIONS = (1, 2, 3, 4, 5, 7, 8, 32773, 32946, 50000)  # none, fax, LZW, JPEG, deflate, PackBits, Zstandard
MOST_PAGES = 10_000
LONGEST_COMMENT = 4_000_000  # characters


def plane_of(tiff: Any, size: int) -> tuple[int, int, int]:
    """Width, height and channels of the plane that would be decoded.

    Args:
        tiff: an opened ``tifffile.TiffFile``.
        size: of the file, bytes.

    Raises:
        Refused: 413 or 415; it claims more than it holds, or is of a kind that is not read here.
    """
    other = next((kind for kind in OTHERS if getattr(tiff, f"is_{kind}", False)), "")
    if other:
        raise no_image(f"it is a TIFF of the kind {other!r}, not an ordinary one, OME or ImageJ's")
    if int(tiff.pages.first.compression) not in COMPRESSIONS:  # some take minutes for what came as a few kilobytes
        raise no_image(f"it is a TIFF compressed by {tiff.pages.first.compression.name}, which is not read here")
    pages = _pages(tiff)
    comment = str(tiff.pages.first.description or "")[: LONGEST_COMMENT + 1]
    if len(comment) > LONGEST_COMMENT:
        raise too_large("a TIFF with a comment of millions of letters", "save it without")
    if tiff.is_ome and "<Modulo" in comment:
        raise no_image("it is an OME TIFF with modulo dimensions")
    planes = claimed_planes(tiff, comment)
    first = tiff.pages.first
    within = max(pages, size // max(1, math.prod(first.shape)) + 1)  # ImageJ keeps one page for many planes
    if planes > within:
        raise too_large(f"a TIFF that claims {planes:,} planes and holds {within:,} at most", "save one plane of it")
    series = tiff.series[0]
    axes = dict(zip(str(series.axes), map(int, series.shape), strict=True))
    page = series.keyframe
    width, height = max(axes.get("X", 0), int(page.imagewidth)), max(axes.get("Y", 0), int(page.imagelength))
    return width, height, max(axes.get("C", 1) * axes.get("S", 1), int(page.samplesperpixel))


def _pages(tiff: Any) -> int:
    """Pages that are there; their list is walked, as far as is allowed."""
    pages = tiff.pages
    try:
        pages[MOST_PAGES]
    except IndexError:
        return len(pages)
    raise too_large(f"a TIFF of more than {MOST_PAGES:,} pages", "save one page of it")
