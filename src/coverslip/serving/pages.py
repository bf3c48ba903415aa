"""The files of the web page: read once at startup, so that no path from a request ever reaches the file system."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

HOME = Path(__file__).parent / "static"
LOOK = Path(__file__).parents[1] / "look"  # colors, fonts and logo, shared with the reports
INDEX = "index.html"
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".webmanifest": "application/manifest+json",
}


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file of the page.

    Attributes:
        data: content of the file.
        media_type: value of the Content-Type header.
        etag: value of the ETag header; changes with the content.
    """

    data: bytes
    media_type: str
    etag: str


def read_pages() -> dict[str, PageFile]:
    """Return the files of the page by name, such as ``main.js``; files of other types are ignored."""
    pages: dict[str, PageFile] = {}
    for path in sorted([*HOME.iterdir(), *LOOK.iterdir()]):
        media_type = MEDIA_TYPES.get(path.suffix)
        if media_type is not None and path.is_file() and not path.name.startswith("."):
            data = path.read_bytes()
            etag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
            pages[path.name] = PageFile(data, media_type, etag)
    return pages
