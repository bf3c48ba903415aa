"""Thumbnails embedded in a page."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from coverslip.data.image import Pixels, UnreadableError, decode
from coverslip.data.thumbnail import thumbnail_jpeg
from coverslip.reporting.run_files import RunFiles

SIDE = 224  # pixels of the longer side
BUDGET = 3_400_000  # characters for all images of a page, so that it stays under 5 MB


class Thumbnails:
    """Creates thumbnails of a run's images until ``budget`` characters are used, and counts images not shown.

    Args:
        files: a run's files.
        show: False to show no images at all.
        budget: maximum number of characters of all thumbnails.
    """

    def __init__(self, files: RunFiles, *, show: bool = True, budget: int = BUDGET) -> None:
        self.files, self.show, self.left = files, show, budget
        self.missing = self.broken = self.over_budget = 0
        self._arrays: dict[str, Pixels] = {}

    def image(self, path: str, side: int = SIDE) -> dict[str, Any]:
        """Return ``path``, ``data`` (a data URL, or "") and ``why`` (the reason if ``data`` is empty) of one image.

        Args:
            path: as in table.csv.
            side: pixels of the longer side in the page.
        """
        data, why = self._data(path, side)
        return {"path": path, "data": data, "why": why}

    def note(self) -> str:
        """Return a sentence on images that are not shown, or "" if all are."""
        parts = []
        if self.missing:
            parts.append(f"{self.missing:,} no longer exist at the location recorded by the run")
        if self.broken:
            parts.append(f"{self.broken:,} could not be decoded")
        if self.over_budget:
            parts.append(f"{self.over_budget:,} were omitted to limit the size of this page")
        return f"Images not shown: {'; '.join(parts)}." if parts else ""

    def _data(self, path: str, side: int) -> tuple[str, str]:
        if not self.show:
            return "", "this page has no images"
        if self.left <= 0:
            self.over_budget += 1
            return "", "omitted to limit the size of this page"
        try:
            data = thumbnail(self._pixels(path, side), side)
        except UnreadableError as error:
            self.broken += 1
            return "", f"cannot be decoded: {error}"
        except (OSError, LookupError, ValueError):  # no such file, array, or row of it
            self.missing += 1
            return "", "the image file no longer exists"
        self.left -= len(data)
        return data, ""

    def _pixels(self, path: str, side: int) -> Pixels:
        if self.files.arrays_file is None:
            file = self.files.image_file(path)
            return decode(file.read_bytes(), (side, side)).pixels
        name, _, number = path.partition("/")  # such as x_test/00017
        if name not in self._arrays:
            with np.load(self.files.arrays_file, allow_pickle=False) as content:
                self._arrays[name] = content[name]
        image: Pixels = self._arrays[name][int(number)]
        return image[:, :, None] if image.ndim == 2 else image


def thumbnail(pixels: Pixels, side: int = SIDE) -> str:
    """Return an image as a ``data:image/jpeg`` URL, its longer side at most ``side`` pixels; see `thumbnail_jpeg`."""
    return data_url(thumbnail_jpeg(pixels, side))


def data_url(jpeg: bytes) -> str:
    """Return a JPEG as a ``data:image/jpeg`` URL."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")
