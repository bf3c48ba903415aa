"""What a source of pictures is: something that gives the bytes (or the pixels) of a path."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from coverslip.data.image import Pixels


class Source(Protocol):
    """Gives pictures by their path in the table."""

    root: Path
    """The folder that paths are relative to, absolute."""

    def read(self, path: str) -> bytes | Pixels:
        """The file's bytes, or pixels that are decoded already. Raises OSError where there is no such file."""
        ...

    def stamp(self, path: str) -> tuple[int, int]:
        """Size in bytes and time of the last change in nanoseconds; (-1, 0) where there is no such file."""
        ...


class Files:
    """Picture files below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self._prefix = str(self.root) + "/"

    def read(self, path: str) -> bytes:
        """See `Source.read`."""
        # A plain open: joining pathlib paths costs as much as reading a small file.
        with open(self._prefix + path, "rb") as file:  # noqa: PTH123
            return file.read()

    def stamp(self, path: str) -> tuple[int, int]:
        """See `Source.stamp`."""
        try:
            status = (self.root / path).stat()
        except OSError:
            return (-1, 0)
        return (status.st_size, status.st_mtime_ns)
