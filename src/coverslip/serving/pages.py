"""The files of the page: read once at the start, so that no path from a request ever reaches a disk."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

HOME = Path(__file__).parent / "static"
LOOK = Path(__file__).parents[1] / "look"  # colors, fonts and the mark, as the reports have them
INDEX = "index.html"
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".webmanifest": "application/manifest+json",
}


@dataclass(frozen=True, slots=True)
class Page:
    """One file: its bytes, what it is, and a tag that changes with its content."""

    data: bytes
    kind: str
    tag: str


def read_pages() -> dict[str, Page]:
    """Every file of the page by its name, such as ``main.js``; other files are left alone."""
    found: dict[str, Page] = {}
    for path in sorted([*HOME.iterdir(), *LOOK.iterdir()]):
        kind = KINDS.get(path.suffix)
        if kind is not None and path.is_file() and not path.name.startswith("."):
            data = path.read_bytes()
            tag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
            found[path.name] = Page(data, kind, tag)
    return found
