"""Limits of requests and of the queue."""

from __future__ import annotations

from dataclasses import dataclass

from coverslip.core.errors import UserError
from coverslip.data.image import MAX_PIXELS

MAX_BYTES, MAX_IMAGES = 2**30, 10_000


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a request and of the queue; all are checked before an image is decoded.

    Attributes:
        bytes: size of one request, all files together.
        images: number of images in one request.
        pixels: size of one image, width times height (times channels / 4 if it has more than four channels).
        queue: number of images that may wait; a request that arrives at an empty queue is accepted whatever its size.
        uploads: bytes of all requests together that are held in memory.
        seconds: time for one request, from its first byte to the answer.
    """

    bytes: int = 64_000_000
    images: int = 64
    pixels: int = 50_000_000
    queue: int = 256
    uploads: int = 256_000_000
    seconds: float = 30.0

    def __post_init__(self) -> None:
        for name, low, high in (
            ("bytes", 1000, MAX_BYTES),
            ("images", 1, MAX_IMAGES),
            ("pixels", 64, MAX_PIXELS),
            ("queue", 1, MAX_IMAGES),
            ("uploads", self.bytes, 64 * MAX_BYTES),
            ("seconds", 0.05, 3600),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise UserError(f"{name}={value:,} is out of range", f"give a value from {low:,} to {high:,}")
