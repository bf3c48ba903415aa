"""Images for measuring servers, and hostile files."""

from __future__ import annotations

import io
import random
import re
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

SIDE = 256  # pixels


def read_images(folder: Path, count: int) -> list[tuple[str, bytes]]:
    """Return JPEGs of 256 pixels, evenly distributed over a folder; others are resized."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    step = max(len(files) // count, 1)
    found = []
    for number, path in enumerate(files[::step][:count]):
        data = path.read_bytes()
        with Image.open(io.BytesIO(data)) as image:
            if image.size != (SIDE, SIDE):
                data = _saved(image.convert("RGB").resize((SIDE, SIDE)), "JPEG")
        found.append((f"{number:04d}.jpg", data))
    return found


def hostile_uploads() -> list[tuple[str, bytes]]:
    """Return hostile files with harmless names."""
    jpeg = _saved(Image.new("RGB", (64, 64), "green"), "JPEG")
    noise = random.Random(0)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("leaf.jpg", bytes(10**7))
    return [
        ("empty.jpg", b""),
        ("text.jpg", b"this is no image\n" * 50),
        ("drawing.jpg", b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'),
        ("page.jpg", b"<!doctype html><script>alert(1)</script>"),
        ("archive.jpg", archive.getvalue()),
        ("pickle.jpg", b"\x80\x04\x95\x1a\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94."),
        ("bomb.png", png_header(30_000, 30_000)),
        ("bomb90.png", png_bomb(9_000, 9_000)),
        ("wide.jpg", jpeg.replace(struct.pack(">HH", 64, 64), struct.pack(">HH", 65_000, 65_000), 1)),
        ("truncated.jpg", jpeg[: len(jpeg) // 2]),
        ("headless.jpg", b"\xff\xd8\xff" + bytes(200)),
        ("noise.jpg", b"\xff\xd8\xff" + noise.randbytes(5000)),
        ("noise.tif", b"II*\0" + noise.randbytes(5000)),
        ("noise.webp", b"RIFF\x00\x10\x00\x00WEBPVP8 " + noise.randbytes(4000)),
        ("noise.png", png_header(200, 200) + noise.randbytes(3000)),
        ("polyglot.jpg", jpeg + archive.getvalue()),
        ("planes.tif", tiff_of_planes(2**31)),
        ("scans.jpg", scanned_again(20_000)),
        ("script.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"),
        ("../../etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n"),
    ]


def png_header(width: int, height: int) -> bytes:
    """Return the first bytes of a PNG without any data."""
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


def png_bomb(width: int, height: int) -> bytes:
    """Return a complete PNG of one color: a few hundred kilobytes that decode to width * height * 3 bytes."""
    packed = zlib.compressobj(9)
    rows = [packed.compress(bytes(1 + 3 * width)) for _ in range(height)]
    data = b"".join(rows) + packed.flush()
    return png_header(width, height) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def tiff_of_planes(planes: int) -> bytes:
    """Return an OME TIFF of a kilobyte that claims many planes; a naive reader creates a list of them."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.zeros((30, 40), np.uint8), ome=True, metadata={"axes": "YX"})
    found = re.search(rb"<\?xml.*?</OME>", buffer.getvalue(), re.DOTALL)
    assert found is not None
    words, buffer = found[0].replace(b'SizeT="1"', f'SizeT="{planes}"'.encode()).decode(), io.BytesIO()
    tifffile.imwrite(buffer, np.zeros((30, 40), np.uint8), description=words, metadata=None)
    return buffer.getvalue()


def scanned_again(times: int) -> bytes:
    """Return a progressive JPEG whose last scan is repeated many times; each takes as long as the whole image."""
    buffer = io.BytesIO()
    Image.new("L", (2000, 2000)).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * times + data[-2:]


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _saved(image: Image.Image, form: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, quality=90)
    return buffer.getvalue()
