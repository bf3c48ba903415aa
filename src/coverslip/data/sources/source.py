"""The protocol of image sources, which read the bytes (or the pixels) of a path, and the source of files."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Protocol

from coverslip.data.image import Pixels

MAX_BYTES = 10**9  # larger files are rejected before they are read, since a file is read at once


class Source(Protocol):
    """Reads images by their path in the table."""

    root: Path
    """The folder that paths are relative to, absolute."""

    def read(self, path: str) -> bytes | Pixels:
        """Return the content of the file, or decoded pixels (H, W, C).

        Raises:
            OSError: the file does not exist or cannot be read.
        """
        ...

    def stamp(self, path: str) -> tuple[int, int]:
        """Return the size in bytes and the modification time in nanoseconds; (-1, 0) if the file does not exist."""
        ...


class Files:
    """A source of image files below one folder.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self._prefix = str(self.root) + "/"

    def read(self, path: str) -> bytes:
        """See `Source.read`."""
        # Strings instead of pathlib, whose joining of paths takes as long as reading a small file.
        full = path if os.path.isabs(path) else self._prefix + path  # noqa: PTH117
        status = os.stat(full)  # noqa: PTH116
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would block
            raise OSError(errno.EINVAL, "is not a file")
        if status.st_size > MAX_BYTES:
            size = f"{status.st_size / 10**9:.1f} GB (at most {MAX_BYTES / 10**9:.0f})"
            raise OSError(errno.EFBIG, f"too large: {size}; cut it into tiles")
        with open(full, "rb") as file:  # noqa: PTH123
            return file.read()

    def stamp(self, path: str) -> tuple[int, int]:
        """See `Source.stamp`."""
        try:
            status = (self.root / path).stat()
        except OSError:
            return (-1, 0)
        return (status.st_size, status.st_mtime_ns)
