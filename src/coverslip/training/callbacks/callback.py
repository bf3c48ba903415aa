"""The base class of callbacks, and the list of callbacks that the loop calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from coverslip.training.state import TrainState


class Callback:
    """Base class of callbacks. A callback can end training by setting ``state.stopped`` to the reason.

    Methods are called in this order:

    1. ``fit_start``
    2. in every epoch: ``epoch_start``, ``step_end`` after every step, ``epoch_end``
    3. ``fit_end``, also after an error or Ctrl+C

    Built-in callbacks are called before those of the user, so ``state.history[-1]`` is complete in ``epoch_end``.
    """

    def fit_start(self, state: TrainState) -> None:
        """Called before the first step; the state of a resumed training is already restored."""

    def epoch_start(self, state: TrainState) -> None:
        """Called before an epoch; ``state.epoch`` epochs are completed."""

    def step_end(self, state: TrainState) -> None:
        """Called after each update of the weights. Reading ``state.losses`` waits for the GPU; do so rarely."""

    def epoch_end(self, state: TrainState) -> None:
        """Called after an epoch, whose row is ``state.history[-1]``."""

    def fit_end(self, state: TrainState) -> None:
        """Called at the end, whatever the reason, before the best weights are restored."""


class CallbackList:
    """A list of callbacks as one; only methods that a callback overrides are called."""

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        self.fit_start = _combine(callbacks, "fit_start")
        self.epoch_start = _combine(callbacks, "epoch_start")
        self.step_end = _combine(callbacks, "step_end")
        self.epoch_end = _combine(callbacks, "epoch_end")
        self.fit_end = _combine(callbacks, "fit_end")


def _combine(callbacks: Sequence[Callback], name: str) -> Callable[[TrainState], None]:
    methods = [
        getattr(callback, name)
        for callback in callbacks
        if getattr(type(callback), name) is not getattr(Callback, name)
    ]

    def call_all(state: TrainState) -> None:
        for method in methods:
            method(state)

    def call_all_despite_errors(state: TrainState) -> None:
        with ExitStack() as stack:
            for method in reversed(methods):
                stack.callback(method, state)

    return call_all_despite_errors if name == "fit_end" else call_all
