"""How much is let in."""

from __future__ import annotations

from dataclasses import dataclass

from coverslip.core.errors import UserError
from coverslip.data.image import MAX_PIXELS

MOST_BYTES, MOST_IMAGES = 2**30, 10_000


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may hold, and how much waits at most; all of it is asked before anything is decoded.

    Attributes:
        bytes: of one request, all of its files.
        images: of one request.
        pixels: of one image, width times height (times channels / 4, where it has more than four).
        queue: images that may wait at once; a single request is let in where nothing waits, however many it has.
        uploads: bytes of all requests together that are held in memory.
        seconds: that a request may take, from its first byte to its answer.
    """

    bytes: int = 64_000_000
    images: int = 64
    pixels: int = 50_000_000
    queue: int = 256
    uploads: int = 256_000_000
    seconds: float = 30.0

    def __post_init__(self) -> None:
        for name, least, most in (
            ("bytes", 1000, MOST_BYTES),
            ("images", 1, MOST_IMAGES),
            ("pixels", 64, MAX_PIXELS),
            ("queue", 1, MOST_IMAGES),
            ("uploads", self.bytes, 64 * MOST_BYTES),
            ("seconds", 0.05, 3600),
        ):
            if not least <= getattr(self, name) <= most:
                given = getattr(self, name)
                raise UserError(f"{name}={given:,} is not possible", f"give {least:,} to {most:,}")
