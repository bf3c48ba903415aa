"""The five moments of a training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from coverslip.training.state import TrainState


class Callback:
    """Watches training, and may end it by setting ``state.stopped`` to the reason; the loop needs none.

    fit_start
    every epoch: epoch_start, then step_end after every step, then epoch_end
    fit_end, also after an error or Ctrl+C

    At each moment our own callbacks come first, so that ``state.history[-1]`` is there in epoch_end.
    """

    def fit_start(self, state: TrainState) -> None:
        """Before the first step; a resumed training stands where it was."""

    def epoch_start(self, state: TrainState) -> None:
        """``state.epoch`` epochs are done."""

    def step_end(self, state: TrainState) -> None:
        """The weights were updated. Reading ``state.losses`` makes a GPU wait: not at every step."""

    def epoch_end(self, state: TrainState) -> None:
        """``state.history[-1]`` is this epoch's row."""

    def fit_end(self, state: TrainState) -> None:
        """However it ended; after it the best weights are put in."""


class Moments:
    """Calls those callbacks at a moment that do something there."""

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        self.fit_start = _together(callbacks, "fit_start")
        self.epoch_start = _together(callbacks, "epoch_start")
        self.step_end = _together(callbacks, "step_end")
        self.epoch_end = _together(callbacks, "epoch_end")
        self.fit_end = _together(callbacks, "fit_end")


def _together(callbacks: Sequence[Callback], moment: str) -> Callable[[TrainState], None]:
    calls = [
        getattr(each, moment) for each in callbacks if getattr(type(each), moment) is not getattr(Callback, moment)
    ]

    def call_all(state: TrainState) -> None:
        for call in calls:
            call(state)

    def call_all_in_any_case(state: TrainState) -> None:
        with ExitStack() as stack:
            for call in reversed(calls):
                stack.callback(call, state)

    return call_all_in_any_case if moment == "fit_end" else call_all
