"""Arrays that stay in their ``.npz`` file: an image is read when it is asked for, so that memory does not grow."""

from __future__ import annotations

import errno
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from coverslip.data.image import Pixels

BLOCK = 2**20  # bytes read at once
LOCAL_HEADER = 30  # bytes before the name of a member of a ZIP archive, which end with two lengths


@dataclass(frozen=True, slots=True)
class StoredArray:
    """An array that lies uncompressed in a file. ``array[7]`` reads the eighth part, a new array.

    It is read, not mapped: a file that somebody cuts short meanwhile is an error that can be told, not a crash.

    Attributes:
        file: where it lies.
        start: bytes of the file before its first number.
        shape: of all of it.
        dtype: of a number.
    """

    file: Path
    start: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, number: int) -> Pixels:
        part = bytearray(self.dtype.itemsize * math.prod(self.shape[1:]))
        with self.file.open("rb") as opened:
            opened.seek(self.start + number * len(part))
            if opened.readinto(part) < len(part):
                raise OSError(errno.EIO, "the file ends before this image: it was changed meanwhile", self.file.name)
        return np.frombuffer(part, self.dtype).reshape(self.shape[1:])


def stored_array(file: Path, name: str) -> StoredArray | None:
    """The array of this name in an ``.npz`` file; None where it is compressed, so that it has to be read whole.

    All of it is read once, a piece at a time, to see that it is what was written.

    Raises:
        OSError, ValueError, EOFError, zipfile.BadZipFile: it is not.
    """
    with zipfile.ZipFile(file) as archive:
        about = archive.getinfo(f"{name}.npy")
        if about.compress_type != zipfile.ZIP_STORED:
            return None
        with archive.open(about) as member:
            shape, by_columns, dtype = _read_header(member)
            header = member.tell()
            while member.read(BLOCK):  # the archive compares its checksum at the end
                pass
    if by_columns or dtype.hasobject or not shape:
        return None
    with file.open("rb") as opened:
        opened.seek(about.header_offset)
        lengths = np.frombuffer(opened.read(LOCAL_HEADER)[-4:], "<u2")
    return StoredArray(file, about.header_offset + LOCAL_HEADER + int(lengths.sum()) + header, shape, dtype)


def _read_header(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether columns come first, and type of a ``.npy`` file, which is read up to its first number."""
    version = np.lib.format.read_magic(member)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, by_columns, dtype = read(member)
    return shape, by_columns, dtype
