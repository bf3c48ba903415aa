"""Report the progress of training."""

from __future__ import annotations

import time
from contextlib import ExitStack

from coverslip.core.progress import Progress, Stage
from coverslip.training.callbacks.callback import Callback
from coverslip.training.state import TrainState

INTERVAL = 0.1  # seconds between updates of the progress bar


class ProgressCallback(Callback):
    """Reports training as one stage of ``state.steps`` steps, with at most ten updates per second."""

    def __init__(self, progress: Progress, name: str = "training") -> None:
        self.progress, self.name = progress, name
        self.context, self.stage = ExitStack(), Stage()
        self.reported, self.updated_at = 0, time.monotonic()

    def fit_start(self, state: TrainState) -> None:
        """Open the stage."""
        self.stage = self.context.enter_context(self.progress.stage(self.name, state.steps, "steps"))
        self._advance(state)

    def step_end(self, state: TrainState) -> None:
        """Advance the progress bar, if enough time has passed."""
        if time.monotonic() - self.updated_at >= INTERVAL:
            self._advance(state)

    def fit_end(self, state: TrainState) -> None:
        """Close the stage, and report why training ended early."""
        self._advance(state)
        self.context.close()
        if state.stopped and state.step < state.steps:
            self.progress.note(f"training stopped after epoch {state.epoch} of {state.config.epochs}: {state.stopped}")

    def _advance(self, state: TrainState) -> None:
        if state.step > self.reported:
            self.stage.advance(state.step - self.reported)
        self.reported, self.updated_at = state.step, time.monotonic()
