"""Print one line per epoch in the style of Keras."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO

import torch

from coverslip.training.callbacks import Callback
from coverslip.training.state import Row, TrainState

INTERVAL = 0.2  # seconds between updates of a line
BAR_WIDTH = 12  # characters
RECENT_STEPS = 50  # steps in the running mean of the loss
COLUMNS = {  # column of the history -> name in Keras, and format
    "train_loss": ("loss", ".4f"),
    "train_accuracy": ("accuracy", ".3f"),
    "validation_loss": ("val_loss", ".4f"),
    "validation_accuracy": ("val_accuracy", ".3f"),
}


class EpochPrinter(Callback):
    """Prints ``Epoch 3/25  ━━━━━━ 12/12  0.8 s  loss 0.4100  accuracy 0.870  val_loss ...``.

    On a terminal the line of the current epoch is updated in place. Elsewhere (in a notebook or a file), a line is
    printed at the end of each epoch.

    Args:
        out: stream to write to; standard output by default.
        live: whether to update lines in place; by default, if ``out`` is a terminal.
    """

    def __init__(self, out: TextIO | None = None, live: bool | None = None) -> None:
        self.out = sys.stdout if out is None else out
        self.live = self.out.isatty() if live is None else live
        self.width = 0  # length of the unfinished line on the terminal
        self.started_at = self.updated_at = time.monotonic()

    def note(self, text: str) -> None:
        """Print a separate line."""
        print(text, file=self.out, flush=True)

    def epoch_start(self, state: TrainState) -> None:
        """Start the clock."""
        self.started_at = self.updated_at = time.monotonic()

    def step_end(self, state: TrainState) -> None:
        """Update the line a few times per second; reading the loss waits for the GPU."""
        if not self.live or time.monotonic() - self.updated_at < INTERVAL:
            return
        self.updated_at = time.monotonic()
        loss = float(torch.stack(state.losses[-RECENT_STEPS:]).mean())
        self._print(self._line(state, state.epoch + 1, state.batch, {"train_loss": loss}), "")

    def epoch_end(self, state: TrainState) -> None:
        """Print the complete line."""
        row = state.history[-1]
        self._print(self._line(state, state.epoch, len(state.counts), row), "\n")

    def fit_end(self, state: TrainState) -> None:
        """End an unfinished line."""
        if self.width:
            self._print("", "\n")

    def _line(self, state: TrainState, epoch: int, done: int, row: Row) -> str:
        epochs = state.config.epochs or 1
        steps = max(state.steps // epochs, 1)
        full, empty = ("━", "─") if _can_print(self.out, "━─") else ("=", ".")
        filled = min(BAR_WIDTH * done // steps, BAR_WIDTH)
        number = f"{epoch:>{len(str(epochs))}}/{epochs}"
        head = f"Epoch {number}  {full * filled}{empty * (BAR_WIDTH - filled)} {done}/{steps}"
        parts = [f"{time.monotonic() - self.started_at:.1f} s"]
        for column, (name, form) in COLUMNS.items():
            value = row.get(column)
            parts += [] if value is None else [f"{name} {value:{form}}"]
        return "  ".join([head, *parts])

    def _print(self, text: str, end: str) -> None:
        """Print a line, on a terminal over the unfinished one; truncate unfinished lines so that they do not wrap."""
        if self.live:
            shown = text if end else text[: shutil.get_terminal_size().columns - 1]
            padding = " " * max(self.width - len(shown), 0) if text else ""
            print(f"\r{shown}{padding}" if text else "", end=end, file=self.out, flush=True)
            self.width = 0 if end else len(shown)
        else:
            print(text, end=end, file=self.out, flush=True)


def _can_print(out: TextIO, text: str) -> bool:
    """Return whether the encoding of a stream supports a text; that of old Windows consoles may not."""
    try:
        text.encode(out.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
