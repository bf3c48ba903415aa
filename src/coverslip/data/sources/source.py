"""What a source of images is: something that gives the bytes (or the pixels) of a path."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Protocol

from coverslip.data.image import Pixels

MAX_BYTES = 10**9  # a file is read whole; a slide of many gigabytes must not fill the memory before it is refused


class Source(Protocol):
    """Gives images by their path in the table."""

    root: Path
    """The folder that paths are relative to, absolute."""

    def read(self, path: str) -> bytes | Pixels:
        """The file's bytes, or pixels that are decoded already. Raises OSError where there is no such file."""
        ...

    def stamp(self, path: str) -> tuple[int, int]:
        """Size in bytes and time of the last change in nanoseconds; (-1, 0) where there is no such file."""
        ...


class Files:
    """Image files below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self._prefix = str(self.root) + "/"

    def read(self, path: str) -> bytes:
        """See `Source.read`."""
        # Plain text and open: joining pathlib paths costs as much as reading a small file.
        full = path if os.path.isabs(path) else self._prefix + path  # noqa: PTH117
        status = os.stat(full)  # noqa: PTH116
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
            raise OSError(errno.EINVAL, "is not a file")
        if status.st_size > MAX_BYTES:
            found = f"{status.st_size / 10**9:.1f} GB (at most {MAX_BYTES / 10**9:.0f})"
            raise OSError(errno.EFBIG, f"too large: {found}; cut it into tiles")
        with open(full, "rb") as file:  # noqa: PTH123
            return file.read()

    def stamp(self, path: str) -> tuple[int, int]:
        """See `Source.stamp`."""
        try:
            status = (self.root / path).stat()
        except OSError:
            return (-1, 0)
        return (status.st_size, status.st_mtime_ns)
