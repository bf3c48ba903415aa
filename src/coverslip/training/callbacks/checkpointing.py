"""Save and resume the state of a training."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import torch

from coverslip.core.progress import Progress
from coverslip.training.callbacks.callback import Callback
from coverslip.training.checkpoint import load_state, save_state, state_file
from coverslip.training.state import NonFiniteLoss, TrainState

INTERVAL = 60.0  # seconds between checkpoints within an epoch
MAX_OVERHEAD = 0.02  # fraction of the training time that saving may take


class CheckpointCallback(Callback):
    """Resumes an interrupted training, and saves the state after each epoch and after 60 s.

    If epochs are so short that saving would take more than 2 % of the time, some epochs are skipped.

    Args:
        folder: folder of the checkpoint.
        identity: values, by name, that must be equal to resume.
        progress: receives notes about resuming.
    """

    def __init__(self, folder: Path, identity: Mapping[str, str], progress: Progress) -> None:
        self.file, self.identity, self.progress = state_file(folder), identity, progress
        self.saved, self.saved_at, self.duration = (-1, ""), time.monotonic(), 0.0

    def fit_start(self, state: TrainState) -> None:
        """Resume from the checkpoint, if there is one."""
        if not self.file.exists():
            return
        for note in load_state(self.file, state, self.identity):
            self.progress.note(note)
        self.saved = state.step, state.stopped
        if not state.stopped and state.epoch < state.epochs:
            self.progress.note(f"resuming after step {state.step} of {state.steps} (epoch {state.epoch + 1})")

    def step_end(self, state: TrainState) -> None:
        """Save if the last checkpoint is older than `INTERVAL`."""
        if time.monotonic() - self.saved_at >= INTERVAL:
            self.save(state)

    def epoch_end(self, state: TrainState) -> None:
        """Save, unless that would exceed `MAX_OVERHEAD`."""
        if (time.monotonic() - self.saved_at) * MAX_OVERHEAD >= self.duration:
            self.save(state)

    def fit_end(self, state: TrainState) -> None:
        """Save the last state, also after an interruption, but never in the middle of a step."""
        if state.consistent and (state.step, state.stopped) != self.saved:
            with suppress(NonFiniteLoss):  # the previous checkpoint is the last good one
                self.save(state)

    def save(self, state: TrainState) -> None:
        """Save the state atomically; do nothing if weights are not finite, so that the last good checkpoint remains."""
        state.check_losses()
        if not all(bool(torch.isfinite(parameter).all()) for parameter in state.network.parameters()):
            return  # an update overflowed; the loss of the next step will be reported
        start = time.monotonic()
        save_state(self.file, state, self.identity)
        self.saved, self.saved_at = (state.step, state.stopped), time.monotonic()
        self.duration = self.saved_at - start
