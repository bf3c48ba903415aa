"""Progress while training."""

from __future__ import annotations

import time
from contextlib import ExitStack

from coverslip.core.progress import Progress, Stage
from coverslip.training.callbacks.callback import Callback
from coverslip.training.state import TrainState

EVERY = 0.1  # seconds between two movements of a bar


class Showing(Callback):
    """One stage of ``state.steps`` steps, told of them ten times a second at most."""

    def __init__(self, progress: Progress, name: str = "training") -> None:
        self.progress, self.name = progress, name
        self.open, self.stage = ExitStack(), Stage()
        self.shown, self.last = 0, time.monotonic()

    def fit_start(self, state: TrainState) -> None:
        """Open the stage."""
        self.stage = self.open.enter_context(self.progress.stage(self.name, state.steps, "steps"))
        self._advance(state)

    def step_end(self, state: TrainState) -> None:
        """Move the bar, if it is time."""
        if time.monotonic() - self.last >= EVERY:
            self._advance(state)

    def fit_end(self, state: TrainState) -> None:
        """Close the stage, and say why training ended early."""
        self._advance(state)
        self.open.close()
        if state.stopped and state.step < state.steps:
            self.progress.note(f"training ended after epoch {state.epoch} of {state.config.epochs}: {state.stopped}")

    def _advance(self, state: TrainState) -> None:
        if state.step > self.shown:
            self.stage.advance(state.step - self.shown)
        self.shown, self.last = state.step, time.monotonic()
