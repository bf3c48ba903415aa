"""Ctrl+C ends training between two steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass(slots=True)
class Interrupt:
    """Whether Ctrl+C was pressed."""

    asked: bool = False

    def act(self) -> None:
        """Raise KeyboardInterrupt, if it was."""
        if self.asked:
            raise KeyboardInterrupt


@contextmanager
def waiting_interrupt() -> Iterator[Interrupt]:
    """For the length of the block the first Ctrl+C is only noted; the second one acts at once, as ever.

    Outside the main thread, which alone hears of it, nothing is changed.
    """
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    before = signal.getsignal(signal.SIGINT)

    def note(number: int, frame: FrameType | None) -> None:
        interrupt.asked = True
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, before)
