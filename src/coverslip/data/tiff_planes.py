"""The number of planes that a TIFF claims to contain, checked before tifffile allocates them.

A TIFF of 6 kB can claim two billion planes in a comment, and tifffile builds a list of all of them.
"""

from __future__ import annotations

import math
import re
from typing import Any
from xml.etree import ElementTree

MAX_PLANES = 1_000_000  # more than any microscope writes into one file; a list of that length fits into memory


def claimed_planes(tiff: Any, comment: str | None = None) -> int:
    """Return the number of planes that the comment of the first page claims; 1 if it claims nothing.

    Args:
        tiff: an open ``tifffile.TiffFile``; only its first page is read.
        comment: the comment of that page, if it was read already.

    Raises:
        ElementTree.ParseError, ValueError: the comment claims to be OME-XML but is invalid.
    """
    text = str(tiff.pages.first.description or "") if comment is None else comment
    if tiff.is_ome:
        return _planes_ome(text)
    return _planes_imagej(text) if tiff.is_imagej else 1


def _planes_ome(comment: str) -> int:
    planes = 0
    for element in ElementTree.fromstring(comment).iter():
        name = element.tag.rpartition("}")[2]
        if name == "Pixels":
            planes += math.prod(int(element.get(f"Size{axis}", "1")) for axis in "ZCT")
        if name == "TiffData":
            planes = max(planes, int(element.get("PlaneCount", "1")), int(element.get("IFD", "0")))
    return max(planes, 1)


def _planes_imagej(comment: str) -> int:
    """Return the number of planes in a comment of ImageJ.

    >>> _planes_imagej("ImageJ=1.5\\nimages=12\\nslices=12")
    12
    """
    counts = re.findall(r"^(?:images|channels|slices|frames)=(\d+)", comment, re.MULTILINE)
    return max(map(int, counts), default=1)
