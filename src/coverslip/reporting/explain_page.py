"""The page of an explanation: heat maps, what the network has learned, and how reliable the maps are."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from coverslip.core.runs import ExplanationFolder, read_object
from coverslip.core.storage import write_text
from coverslip.reporting.explain_sections import review_section
from coverslip.reporting.markup import fill
from coverslip.reporting.thumbnails import data_url

BUDGET = 9_000_000  # characters of all figures, so that the page can be sent by e-mail
MAX_WIDTH = 2000  # pixels of a figure in the page
QUALITY = 86
CONTENTS = {
    "images": "Single images",
    "learned": "What the network has learned",
    "test": "The whole test set",
    "reading": "How to read these maps",
}
LISTED = {"mean-maps", "looked-away", "examples", "mistakes", "clusters"}  # drawings shown in the test section


def write_explain_page(folder: Path) -> Path:
    """Write ``explain.html`` next to ``explain.json``, completely or not at all.

    Args:
        folder: a folder written by ``coverslip explain``.

    Returns:
        The file that was written.

    Raises:
        UserError: the folder has no explain.json, or it cannot be read.
    """
    explained = ExplanationFolder(folder)
    write_text(explained.page_file, render_explain_page(read_explained(folder), explained))
    return explained.page_file


def read_explained(folder: Path) -> dict[str, Any]:
    """Read ``explain.json``.

    Raises:
        UserError: the file does not exist or is not JSON.
    """
    fix = "run coverslip explain again"
    return read_object(ExplanationFolder(folder).numbers_file, folder, fix, fix)


def render_explain_page(content: Mapping[str, Any], folder: ExplanationFolder) -> str:
    """Render the page to HTML."""
    figures = Figures(folder)
    review = content.get("review")
    drawings = content.get("drawings") or []
    learned = [figures.embed(entry) for entry in drawings if entry["name"] not in LISTED]
    means = [figures.embed(entry) for entry in drawings if entry["name"] == "mean-maps"]
    images = [figures.embed(entry) for entry in content.get("images") or []]
    contents = {
        key: title
        for key, title in CONTENTS.items()
        if {"images": images, "learned": learned, "test": review, "reading": True}[key]
    }
    return fill(
        "explain_page.html.j2",
        name=str(content.get("run") or folder.folder.name),
        contents=contents,
        titles=CONTENTS,
        image_note=figures.note(),
        with_images=True,
        network=content.get("network") or "",
        method=content.get("method") or "",
        layer=content.get("layer") or "",
        notes=content.get("notes") or [],
        sentences=content.get("sentences") or [],
        images=images,
        learned=learned,
        means=means,
        review=None if review is None else review_section(review, folder, figures.left),
    )


class Figures:
    """Figures of a folder as data URLs, until the page's budget is used."""

    def __init__(self, folder: ExplanationFolder) -> None:
        self.folder, self.left, self.omitted = folder, BUDGET, 0

    def embed(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Return an entry of explain.json with ``data``: a data URL, or "" if the figure is omitted or missing."""
        data, width = "", 0
        file = self.folder.folder / str(entry.get("figure") or "")
        if self.left > 0 and file.is_file():
            data, width = _encode(file)
            self.left -= len(data)
        else:
            self.omitted += 1
        return {
            "title": entry.get("title") or entry.get("name") or "",
            "caption": "",
            **entry,
            "data": data,
            "width": width,
        }

    def note(self) -> str:
        """Return a sentence on figures that are not in the page, or ""."""
        if not self.omitted:
            return ""
        return f"Figures not included in this page: {self.omitted} (see the PNG files in the same folder)."


def _encode(file: Path) -> tuple[str, int]:
    """Return the figure as a data URL, and its width on a screen in CSS pixels."""
    with Image.open(file) as image:
        small, dpi = image.convert("RGB"), float(image.info.get("dpi", (150, 150))[0])
    width = round(small.width / dpi * 96)
    if small.width > MAX_WIDTH:
        small = small.resize((MAX_WIDTH, round(small.height * MAX_WIDTH / small.width)), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=QUALITY, subsampling=0, optimize=True)
    return data_url(buffer.getvalue()), width
