"""Small pictures for a page, inside the page."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

    from coverslip.reporting.run_files import RunFiles

SIDE = 224  # pixels of the longer side
QUALITY = 78
BUDGET = 3_400_000  # characters for all pictures of a page, so that it stays under 5 MB


class Thumbnails:
    """Makes thumbnails of a run's pictures until ``budget`` characters are spent, and counts what it could not show."""

    def __init__(self, files: RunFiles, *, show: bool = True, budget: int = BUDGET) -> None:
        self.files, self.show, self.left = files, show, budget
        self.missing = self.broken = self.over_budget = 0

    def picture(self, path: str) -> dict[str, Any]:
        """The context of one picture: ``path``, ``data`` (a data address, or empty) and ``why`` there is none."""
        data, why = self._data(path)
        return {"path": path, "data": data, "why": why}

    def note(self) -> str:
        """One sentence on pictures that are not shown; empty if all are."""
        parts = []
        if self.missing:
            parts.append(f"{self.missing:,} were no longer where the run found them")
        if self.broken:
            parts.append(f"{self.broken:,} could not be drawn here")
        if self.over_budget:
            parts.append(f"{self.over_budget:,} were left out to keep this page small enough to send")
        return f"Of the pictures on this page, {'; '.join(parts)}." if parts else ""

    def _data(self, path: str) -> tuple[str, str]:
        if not self.show:
            return "", "no pictures in this page"
        file = self.files.picture_file(path)
        if file is None:
            self.missing += 1
            return "", "the file is no longer there"
        if self.left <= 0:
            self.over_budget += 1
            return "", "left out to keep this page small"
        try:
            data = thumbnail(file)
        except (OSError, ValueError, SyntaxError) as error:  # PIL raises SyntaxError for some broken PNG files
            self.broken += 1
            return "", f"cannot be drawn: {error}"
        self.left -= len(data)
        return data, ""


def thumbnail(file: Path, side: int = SIDE) -> str:
    """A picture file as a ``data:image/jpeg`` address; upright, RGB, its longer side at most ``side`` pixels."""
    from PIL import Image, ImageOps

    with Image.open(file) as picture:
        picture.draft("RGB", (side, side))  # a JPEG is decoded at a fraction of its size: much less work
        small = _as_rgb(ImageOps.exif_transpose(picture))
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _as_rgb(picture: Image) -> Image:
    import numpy as np
    from PIL import Image as images

    if picture.mode.startswith(("I", "F")):  # 16 bits and more: stretched, since PIL would cut them off at 255
        values = np.asarray(picture, dtype=np.float64)
        low, high = np.percentile(values, (0.5, 99.5))
        stretched = np.clip((values - low) / max(high - low, 1e-9), 0, 1) * 255
        return images.fromarray(stretched.astype(np.uint8)).convert("RGB")
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        solid = picture.convert("RGBA")
        ground = images.new("RGBA", solid.size, "white")
        return images.alpha_composite(ground, solid).convert("RGB")
    return picture.convert("RGB")
