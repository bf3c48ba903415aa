"""The page of an explanation: where the network looks, what it has learned, and whether the maps can be trusted."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from coverslip.core.runs import Explained, read_object
from coverslip.core.storage import write_text
from coverslip.reporting.explain_sections import review_section
from coverslip.reporting.markup import fill
from coverslip.reporting.thumbnails import data_address

BUDGET = 9_000_000  # characters of all figures in the page, so that it can be sent
WIDEST = 2000  # pixels of a figure in the page
QUALITY = 86
CONTENTS = {
    "images": "Images, one by one",
    "learned": "What it has learned",
    "test": "The whole test set",
    "reading": "How to read these maps",
}


def write_explain_page(folder: Path) -> Path:
    """Write ``explain.html`` beside ``explain.json``, whole or not at all.

    Args:
        folder: what ``coverslip explain`` wrote.

    Returns:
        The file that was written.

    Raises:
        UserError: there is no explain.json in the folder, or it cannot be read.
    """
    there = Explained(folder)
    write_text(there.page_file, render_explain_page(read_explained(folder), there))
    return there.page_file


def read_explained(folder: Path) -> dict[str, Any]:
    """What ``explain.json`` holds.

    Raises:
        UserError: it is not there, or is not JSON.
    """
    again = "run coverslip explain again"
    return read_object(Explained(folder).numbers_file, folder, again, again)


def render_explain_page(content: Mapping[str, Any], folder: Explained) -> str:
    """The whole page as HTML."""
    figures = Figures(folder)
    review = content.get("review")
    names = {each["name"] for each in content.get("drawings") or []}
    of_test = {"mean-maps", "looked-away", "examples", "mistakes", "clusters"}  # shown as lists, but for the first
    learned = [figures.shown(each) for each in content.get("drawings") or [] if each["name"] not in of_test]
    means = [figures.shown(each) for each in content.get("drawings") or [] if each["name"] == "mean-maps"]
    images = [figures.shown(each) for each in content.get("images") or []]
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
        drawn=bool(names),
    )


class Figures:
    """Figures of a folder as data addresses, until the page is full."""

    def __init__(self, folder: Explained) -> None:
        self.folder, self.left, self.over = folder, BUDGET, 0

    def shown(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """An entry of explain.json with ``data``: an address, or empty where the figure is gone or the page full."""
        data, width = "", 0
        file = self.folder.folder / str(entry.get("figure") or "")
        if self.left > 0 and file.is_file():
            data, width = _address(file)
            self.left -= len(data)
        else:
            self.over += 1
        return {
            "title": entry.get("title") or entry.get("name") or "",
            "caption": "",
            **entry,
            "data": data,
            "width": width,
        }

    def note(self) -> str:
        """A sentence on figures that are not in the page."""
        return f"{self.over} figures are beside this page only, as PNG files." if self.over else ""


def _address(file: Path) -> tuple[str, int]:
    """The figure as a data address, and how wide it is on a screen, in pixels of CSS."""
    with Image.open(file) as image:
        small, dpi = image.convert("RGB"), float(image.info.get("dpi", (150, 150))[0])
    width = round(small.width / dpi * 96)
    if small.width > WIDEST:
        small = small.resize((WIDEST, round(small.height * WIDEST / small.width)), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=QUALITY, subsampling=0, optimize=True)
    return data_address(buffer.getvalue()), width
