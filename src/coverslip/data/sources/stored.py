"""Arrays in an ``.npz`` file that are read image by image, so that they do not fill the memory."""

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
LOCAL_HEADER = 30  # bytes of a ZIP local header before the file name; the last four are the lengths of name and extra


@dataclass(frozen=True, slots=True)
class StoredArray:
    """An uncompressed array in a file; ``array[7]`` reads its eighth image as a new array.

    It is read, not memory-mapped: if the file is truncated in the meantime, that is an error instead of a crash.

    Attributes:
        file: the ``.npz`` file.
        start: offset of the first value in the file, bytes.
        shape: shape of the whole array.
        dtype: type of the values.
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
        buffer = bytearray(self.dtype.itemsize * math.prod(self.shape[1:]))
        with self.file.open("rb") as opened:
            opened.seek(self.start + number * len(buffer))
            if opened.readinto(buffer) < len(buffer):
                raise OSError(errno.EIO, "the file was truncated while it was read", self.file.name)
        return np.frombuffer(buffer, self.dtype).reshape(self.shape[1:])


def stored_array(file: Path, name: str) -> StoredArray | None:
    """Return an array of an ``.npz`` file; None if it is compressed or in Fortran order and must be read at once.

    The array is read once, block by block, to verify its checksum.

    Args:
        file: the ``.npz`` file.
        name: name of the array.

    Raises:
        OSError, ValueError, EOFError, zipfile.BadZipFile: the file is damaged.
    """
    with zipfile.ZipFile(file) as archive:
        info = archive.getinfo(f"{name}.npy")
        if info.compress_type != zipfile.ZIP_STORED:
            return None
        with archive.open(info) as member:
            shape, fortran_order, dtype = _read_header(member)
            header = member.tell()
            while member.read(BLOCK):  # zipfile compares the checksum at the end
                pass
    if fortran_order or dtype.hasobject or not shape:
        return None
    with file.open("rb") as opened:
        opened.seek(info.header_offset)
        lengths = np.frombuffer(opened.read(LOCAL_HEADER)[-4:], "<u2")
    return StoredArray(file, info.header_offset + LOCAL_HEADER + int(lengths.sum()) + header, shape, dtype)


def _read_header(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, Fortran order and dtype of a ``.npy`` file, which is read up to its first value."""
    version = np.lib.format.read_magic(member)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran_order, dtype = read(member)
    return shape, fortran_order, dtype
