"""A line an epoch, as users of Keras know it."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO

import torch

from coverslip.training.callbacks import Callback
from coverslip.training.state import Row, TrainState

EVERY = 0.2  # seconds between two movements of a line
BAR = 12  # characters
SHOWN = {  # column of the history -> what Keras calls it, and its format
    "train_loss": ("loss", ".4f"),
    "train_accuracy": ("accuracy", ".3f"),
    "validation_loss": ("val_loss", ".4f"),
    "validation_accuracy": ("val_accuracy", ".3f"),
}


class EpochLines(Callback):
    """Prints ``Epoch 3/25  ━━━━━━ 12/12  0.8 s  loss 0.4100  accuracy 0.870  val_loss ...``.

    On a terminal the line of the epoch under way grows in place; elsewhere (a notebook, a file) a line is printed when
    its epoch is done.

    Args:
        out: where to; standard output unless given.
        live: whether lines grow; by default on a terminal.
    """

    def __init__(self, out: TextIO | None = None, live: bool | None = None) -> None:
        self.out = sys.stdout if out is None else out
        self.live = self.out.isatty() if live is None else live
        self.width = 0  # of the line that stands there unfinished
        self.begun = self.looked = time.monotonic()

    def note(self, text: str) -> None:
        """A line of its own."""
        print(text, file=self.out, flush=True)

    def epoch_start(self, state: TrainState) -> None:
        """Start the clock."""
        self.begun = self.looked = time.monotonic()

    def step_end(self, state: TrainState) -> None:
        """Grow the line, a few times a second: reading the loss makes a GPU wait."""
        if not self.live or time.monotonic() - self.looked < EVERY:
            return
        self.looked = time.monotonic()
        loss = float(torch.stack(state.losses[-50:]).mean())
        self._print(self._text(state, state.epoch + 1, state.batch, {"train_loss": loss}), "")

    def epoch_end(self, state: TrainState) -> None:
        """The whole line."""
        row = state.history[-1]
        self._print(self._text(state, state.epoch, len(state.counts), row), "\n")

    def fit_end(self, state: TrainState) -> None:
        """A line that was broken off keeps its place."""
        if self.width:
            self._print("", "\n")

    def _text(self, state: TrainState, epoch: int, done: int, row: Row) -> str:
        epochs = state.config.epochs or 1
        steps = max(state.steps // epochs, 1)
        full, empty = ("━", "─") if _can_print(self.out, "━─") else ("=", ".")
        filled = min(BAR * done // steps, BAR)
        number = f"{epoch:>{len(str(epochs))}}/{epochs}"
        head = f"Epoch {number}  {full * filled}{empty * (BAR - filled)} {done}/{steps}"
        said = [f"{time.monotonic() - self.begun:.1f} s"]
        for column, (name, form) in SHOWN.items():
            value = row.get(column)
            said += [] if value is None else [f"{name} {value:{form}}"]
        return "  ".join([head, *said])

    def _print(self, text: str, end: str) -> None:
        """On a terminal over the line that stands there; one that is not finished must not be broken into two."""
        if self.live:
            cut = text if end else text[: shutil.get_terminal_size().columns - 1]
            over = " " * max(self.width - len(cut), 0) if text else ""
            print(f"\r{cut}{over}" if text else "", end=end, file=self.out, flush=True)
            self.width = 0 if end else len(cut)
        else:
            print(text, end=end, file=self.out, flush=True)


def _can_print(out: TextIO, text: str) -> bool:
    """Whether the terminal has these characters; an old Windows console has not."""
    try:
        text.encode(out.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
