"""Handle Ctrl+C between two training steps instead of in the middle of one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass(slots=True)
class Interrupt:
    """A pending Ctrl+C.

    Attributes:
        requested: whether Ctrl+C was pressed.
    """

    requested: bool = False

    def raise_if_requested(self) -> None:
        """Raise KeyboardInterrupt if Ctrl+C was pressed."""
        if self.requested:
            raise KeyboardInterrupt


@contextmanager
def defer_interrupt() -> Iterator[Interrupt]:
    """Within the block, record the first Ctrl+C instead of raising; a second one acts as usual.

    Outside the main thread, which alone receives signals, nothing changes.
    """
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    previous = signal.getsignal(signal.SIGINT)

    def handle(number: int, frame: FrameType | None) -> None:
        interrupt.requested = True
        signal.signal(signal.SIGINT, previous)

    signal.signal(signal.SIGINT, handle)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, previous)
