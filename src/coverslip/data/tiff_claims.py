"""What a TIFF claims to hold, before its reader believes it.

A TIFF of 6 kB can say in a comment that it has two thousand million planes, and its reader makes a list of them.
"""

from __future__ import annotations

import math
import re
from typing import Any
from xml.etree import ElementTree

MOST_PLANES = 1_000_000  # more than any microscope writes into one file; a list of them still fits


def claimed_planes(tiff: Any, comment: str | None = None) -> int:
    """How many planes the first page's comment claims; 1 where it claims nothing.

    Args:
        tiff: an opened ``tifffile.TiffFile``; only its first page is read.
        comment: that page's, where it was read already.

    Raises:
        ElementTree.ParseError, ValueError: a comment in OME's form that is not.
    """
    text = str(tiff.pages.first.description or "") if comment is None else comment
    if tiff.is_ome:
        return _of_ome(text)
    return _of_imagej(text) if tiff.is_imagej else 1


def _of_ome(comment: str) -> int:
    found = 0
    for element in ElementTree.fromstring(comment).iter():
        name = element.tag.rpartition("}")[2]
        if name == "Pixels":
            found += math.prod(int(element.get(f"Size{axis}", "1")) for axis in "ZCT")
        if name == "TiffData":
            found = max(found, int(element.get("PlaneCount", "1")), int(element.get("IFD", "0")))
    return max(found, 1)


def _of_imagej(comment: str) -> int:
    """What ImageJ's own comment claims.

    >>> _of_imagej("ImageJ=1.5\\nimages=12\\nslices=12")
    12
    """
    claims = re.findall(r"^(?:images|channels|slices|frames)=(\d+)", comment, re.MULTILINE)
    return max(map(int, claims), default=1)
