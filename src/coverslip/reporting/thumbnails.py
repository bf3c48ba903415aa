"""Small images for a page, inside the page."""

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
    """Makes thumbnails of a run's images until ``budget`` characters are spent, and counts what it could not show."""

    def __init__(self, files: RunFiles, *, show: bool = True, budget: int = BUDGET) -> None:
        self.files, self.show, self.left = files, show, budget
        self.missing = self.broken = self.over_budget = 0
        self._arrays: dict[str, Pixels] = {}

    def image(self, path: str, side: int = SIDE) -> dict[str, Any]:
        """The context of one image: ``path``, ``data`` (a data address, or empty) and ``why`` there is none.

        Args:
            path: as the run names it.
            side: pixels of its longer side in the page.
        """
        data, why = self._data(path, side)
        return {"path": path, "data": data, "why": why}

    def note(self) -> str:
        """One sentence on images that are not shown; empty if all are."""
        parts = []
        if self.missing:
            parts.append(f"{self.missing:,} were no longer where the run found them")
        if self.broken:
            parts.append(f"{self.broken:,} could not be drawn here")
        if self.over_budget:
            parts.append(f"{self.over_budget:,} were left out to keep this page small enough to send")
        return f"Of the images on this page, {'; '.join(parts)}." if parts else ""

    def _data(self, path: str, side: int) -> tuple[str, str]:
        if not self.show:
            return "", "no images in this page"
        if self.left <= 0:
            self.over_budget += 1
            return "", "left out to keep this page small"
        try:
            data = thumbnail(self._pixels(path, side), side)
        except UnreadableError as error:
            self.broken += 1
            return "", f"cannot be drawn: {error}"
        except (OSError, LookupError, ValueError):  # no such file, array, or row of it
            self.missing += 1
            return "", "the image is no longer there"
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
    """An image as a ``data:image/jpeg`` address, its longer side at most ``side`` pixels; see `thumbnail_jpeg`."""
    return data_address(thumbnail_jpeg(pixels, side))


def data_address(jpeg: bytes) -> str:
    """The ``data:image/jpeg`` address of a JPEG."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")
