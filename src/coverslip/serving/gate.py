"""Who is let in: so many images may wait, so many bytes may be held; the others are told when to come again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from coverslip.serving.limits import Limits
from coverslip.serving.refusals import busy

PACE = 0.05  # how fast the estimate of seconds an image follows what is measured
MAP_COST = 4  # an image with its map is the work of so many; one of these is done when the map begins


class Gate:
    """Counts what is inside; lives on the event loop alone, so it needs no lock.

    Attributes:
        images: let in and not answered yet, or without the map that was asked for.
        drawing: how many of them wait for their map alone.
        bytes: of bodies that are being read or wait.
        reading: requests whose body is being read, so that their images are about to come.
        seconds: an image takes, about, when many come.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits, self.bytes, self.reading = limits, 0, 0
        self.images, self.drawing = 0, 0
        self.seconds = 0.02
        self._left = time.monotonic()

    @property
    def weight(self) -> int:
        """Images that the same work would be without maps: what is compared with the limit."""
        return self.images + (MAP_COST - 2) * self.drawing

    @property
    def wait(self) -> int:
        """Whole seconds until what is inside now is answered, 1 to 60."""
        return max(1, min(60, round(self.weight * self.seconds + 0.5)))

    def check(self) -> None:
        """Refuse before anything is read.

        Raises:
            Refused: 429.
        """
        if self.weight >= self.limits.queue or self.bytes >= self.limits.uploads:
            raise busy(self.wait)

    def hold(self, size: int) -> None:
        """Count bytes of a body.

        Raises:
            Refused: 429, all requests together hold too many.
        """
        if self.bytes + size > self.limits.uploads:
            raise busy(self.wait)
        self.bytes += size

    def release(self, size: int) -> None:
        """They are no longer held."""
        self.bytes -= size

    def enter(self, cost: int) -> None:
        """Let images in; where nothing waits, however many they are.

        Raises:
            Refused: 429.
        """
        if self.images and self.weight + cost > self.limits.queue:
            raise busy(self.wait)
        if not self.images:
            self._left = time.monotonic()
        self.images += cost

    def leave(self, cost: int = 1) -> None:
        """Images are answered; how long that took since the last ones tells the pace."""
        now = time.monotonic()
        self.seconds += PACE * ((now - self._left) / cost - self.seconds)
        self._left = now
        self.images -= cost

    def draw(self, count: int) -> None:
        """Images that were answered wait for their maps."""
        self.images += count
        self.drawing += count

    def drawn(self, count: int) -> None:
        """Their maps are there, or nobody wants them any more."""
        self.images -= count
        self.drawing -= count

    @contextmanager
    def arriving(self) -> Iterator[None]:
        """While this lasts, a body is being read."""
        self.reading += 1
        try:
            yield
        finally:
            self.reading -= 1
