"""File formats of microscopes, scanners, cameras and hospitals that are not read, and how to export from them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

_SLIDE = ("whole-slide images", "export regions or tiles as TIFF or PNG, for example from QuPath")
_RAW = ("camera raw files", "export them as TIFF or JPEG, for example from darktable or Lightroom")
_VOLUME = ("volumes", "export slices as TIFF or PNG, for example from 3D Slicer or ImageJ")
_VIDEO = ("videos", "export frames as PNG, for example with ffmpeg")
_DRAWING = ("documents or drawings", "export them as PNG or TIFF")
DICOM = "DICOM"

NOT_READ = {
    ".czi": ("Zeiss microscope files", "export them as TIFF from ZEN, or with ImageJ (Bio-Formats)"),
    ".nd2": ("Nikon microscope files", "export them as TIFF from NIS-Elements, or with ImageJ (Bio-Formats)"),
    ".lif": ("Leica microscope files", "export them as TIFF from LAS X, or with ImageJ (Bio-Formats)"),
    **dict.fromkeys(
        (".oib", ".oif", ".vsi", ".lsm", ".ims", ".zvi", ".stk"),
        ("microscope files", "export them as TIFF, for example with ImageJ (Bio-Formats)"),
    ),
    **dict.fromkeys((".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".qptiff"), _SLIDE),
    **dict.fromkeys(
        (".cr2", ".cr3", ".nef", ".arw", ".dng", ".raf", ".orf", ".rw2", ".pef", ".srw", ".crw", ".raw"), _RAW
    ),
    **dict.fromkeys((".dcm", ".dicom", DICOM), ("DICOM files", "export them as PNG or TIFF from the DICOM viewer")),
    **dict.fromkeys((".nii", ".nrrd", ".mha", ".mhd"), _VOLUME),
    **dict.fromkeys((".mp4", ".avi", ".mov", ".mkv", ".wmv"), _VIDEO),
    **dict.fromkeys((".psd", ".xcf", ".svg", ".pdf", ".eps", ".ai"), _DRAWING),
    **dict.fromkeys(
        (".exr", ".hdr", ".jxl", ".jxr", ".ppm", ".pgm", ".pnm", ".tga", ".pcx", ".ico"),
        ("images of a format that is not read", "convert them to PNG or TIFF, for example with ImageMagick"),
    ),
}
"""Extension -> what the files are, and how to export from them."""


def extension(path: Path | str) -> str:
    """Return the extension in lower case with its dot; that before ``.gz``; "" for a name without extension.

    >>> extension("a/Slide.SVS"), extension("brain.nii.gz"), extension("IM0001")
    ('.svs', '.nii', '')
    """
    stem, ending = os.path.splitext(os.path.basename(path))  # noqa: PTH119, PTH122
    if ending.lower() == ".gz":
        ending = os.path.splitext(stem)[1] or ending  # noqa: PTH122
    return ending.lower()


def is_dicom(path: Path) -> bool:
    """Return whether the content of a file is DICOM, which often has no extension."""
    try:
        with path.open("rb") as file:
            return path.is_file() and file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def export_advice(extensions: Iterable[str]) -> str:
    """Return what the files with these extensions are and how to export from them; "" if none is known.

    >>> export_advice([".czi", ".txt"])
    '.czi are Zeiss microscope files: export them as TIFF from ZEN, or with ImageJ (Bio-Formats)'
    """
    known: dict[tuple[str, str], list[str]] = {}
    for each in extensions:
        if each in NOT_READ:
            known.setdefault(NOT_READ[each], []).append(each)
    return "; ".join(f"{', '.join(names)} are {what}: {fix}" for (what, fix), names in known.items())
