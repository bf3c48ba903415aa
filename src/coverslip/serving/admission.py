"""Admission control: limits on waiting images and on bytes in memory, with an estimate of when to retry."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from coverslip.serving.limits import Limits
from coverslip.serving.request_errors import overloaded

SMOOTHING = 0.05  # weight of a new measurement in the moving average of seconds per image
MAP_COST = 4  # an image with a map takes as long as 4 without; one of these is done before the map begins


class AdmissionControl:
    """Counters of the admitted work. They are used on the event loop only and need no lock.

    Attributes:
        images: images that are admitted and not yet answered, including those that only wait for a map.
        pending_maps: images that only wait for a map.
        bytes: bytes of request bodies in memory.
        receiving: number of requests whose body is being received; their images are about to arrive.
        seconds: moving average of the seconds per image under load.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits, self.bytes, self.receiving = limits, 0, 0
        self.images, self.pending_maps = 0, 0
        self.seconds = 0.02
        self._last_completed = time.monotonic()

    @property
    def weight(self) -> int:
        """Admitted work, as the equivalent number of images without maps; compared with the limit."""
        return self.images + (MAP_COST - 2) * self.pending_maps

    @property
    def retry_after(self) -> int:
        """Estimated seconds until the admitted work is done, an integer from 1 to 60."""
        return max(1, min(60, round(self.weight * self.seconds + 0.5)))

    def check(self) -> None:
        """Check the limits before a body is received.

        Raises:
            RequestError: 429, the limit of images or bytes is reached.
        """
        if self.weight >= self.limits.queue or self.bytes >= self.limits.uploads:
            raise overloaded(self.retry_after)

    def reserve(self, size: int) -> None:
        """Count bytes of a body.

        Raises:
            RequestError: 429, all requests together would exceed the limit of bytes.
        """
        if self.bytes + size > self.limits.uploads:
            raise overloaded(self.retry_after)
        self.bytes += size

    def release(self, size: int) -> None:
        """Uncount bytes of a body that was deleted."""
        self.bytes -= size

    def admit(self, count: int) -> None:
        """Admit images. If nothing is waiting, any number is admitted.

        Raises:
            RequestError: 429, the limit of images would be exceeded.
        """
        if self.images and self.weight + count > self.limits.queue:
            raise overloaded(self.retry_after)
        if not self.images:
            self._last_completed = time.monotonic()
        self.images += count

    def complete(self, count: int = 1) -> None:
        """Uncount answered images, and update the average of seconds per image."""
        now = time.monotonic()
        self.seconds += SMOOTHING * ((now - self._last_completed) / count - self.seconds)
        self._last_completed = now
        self.images -= count

    def add_maps(self, count: int) -> None:
        """Count answered images that wait for their maps."""
        self.images += count
        self.pending_maps += count

    def complete_maps(self, count: int) -> None:
        """Uncount images whose maps are done or no longer needed."""
        self.images -= count
        self.pending_maps -= count

    @contextmanager
    def receiving_body(self) -> Iterator[None]:
        """Count a request as being received within the context."""
        self.receiving += 1
        try:
            yield
        finally:
            self.receiving -= 1
