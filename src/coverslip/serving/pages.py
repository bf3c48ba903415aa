"""The files of the page: read once at the start, so that no path from a request ever reaches a disk."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

HOME = Path(__file__).parent / "static"
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


def read_pages(home: Path = HOME) -> dict[str, Page]:
    """Every file of the page by its name below ``static/``, such as ``main.js``; other files are left alone."""
    found: dict[str, Page] = {}
    for path in sorted(home.rglob("*")) if home.is_dir() else []:
        kind = KINDS.get(path.suffix)
        if kind is not None and path.is_file() and not path.name.startswith("."):
            data = path.read_bytes()
            tag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
            found[path.relative_to(home).as_posix()] = Page(data, kind, tag)
    return found
