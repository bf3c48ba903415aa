"""Checkpoints while training."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import torch

from coverslip.core.progress import Progress
from coverslip.training.callbacks.callback import Callback
from coverslip.training.checkpoint import load_state, save_state, state_file
from coverslip.training.state import BrokenLoss, TrainState

EVERY = 60.0  # seconds
SHARE = 0.02  # of the time that writing may take


class Saving(Callback):
    """Takes up a training that was interrupted, and writes its state at the end of an epoch, or after 60 s.

    Where epochs are so short that writing would take more than 2 % of the time, some are passed over.

    Args:
        folder: of the checkpoint.
        identity: what must be the same for a training to be taken up.
        progress: told where it goes on.
    """

    def __init__(self, folder: Path, identity: Mapping[str, str], progress: Progress) -> None:
        self.file, self.identity, self.progress = state_file(folder), identity, progress
        self.saved, self.written, self.cost = (-1, ""), time.monotonic(), 0.0

    def fit_start(self, state: TrainState) -> None:
        """Go on where the checkpoint stands, if there is one."""
        if not self.file.exists():
            return
        for line in load_state(self.file, state, self.identity):
            self.progress.note(line)
        self.saved = state.step, state.stopped
        if not state.stopped and state.epoch < state.epochs:
            self.progress.note(f"going on after step {state.step} of {state.steps} (epoch {state.epoch + 1})")

    def step_end(self, state: TrainState) -> None:
        """Write, if a minute has passed."""
        if time.monotonic() - self.written >= EVERY:
            self.save(state)

    def epoch_end(self, state: TrainState) -> None:
        """Write, unless that would take too much of the time."""
        if (time.monotonic() - self.written) * SHARE >= self.cost:
            self.save(state)

    def fit_end(self, state: TrainState) -> None:
        """Write the end, also that of an interrupted training, but never a half-done step."""
        if state.whole and (state.step, state.stopped) != self.saved:
            with suppress(BrokenLoss):  # the checkpoint before is the last good one
                self.save(state)

    def save(self, state: TrainState) -> None:
        """Write the state whole or not at all; nothing where it is broken, so that the last good one stays."""
        state.check_losses()
        if not all(bool(torch.isfinite(each).all()) for each in state.network.parameters()):
            return  # an update overflowed; the loss of the next step will tell
        start = time.monotonic()
        save_state(self.file, state, self.identity)
        self.saved, self.written = (state.step, state.stopped), time.monotonic()
        self.cost = self.written - start
