"""When training ends before its last epoch, and which weights are the best."""

from __future__ import annotations

import time

import torch

from coverslip.training.callbacks.callback import Callback
from coverslip.training.state import Best, TrainState, better, need_measured


class Stopping(Callback):
    """Keeps a copy of the best epoch's weights, and stops after ``patience`` epochs without a better one."""

    def fit_start(self, state: TrainState) -> None:
        """Refuse a monitor that is never measured."""
        need_measured(state.config, state.measured)

    def epoch_end(self, state: TrainState) -> None:
        """Compare this epoch with the best one."""
        config = state.config
        if config.monitor not in state.measured or not (config.keep_best or config.patience):
            return
        value = state.history[-1][config.monitor]
        assert value is not None
        if state.best is None or better(config.monitor, value, state.best.value):
            state.best = Best(state.epoch, value, current_weights(state) if config.keep_best else {})
        elif config.patience and state.epoch - state.best.epoch >= config.patience and not state.stopped:
            state.stopped = f"no better {config.monitor.replace('_', ' ')} for {config.patience} epochs"


class StopAtNan(Callback):
    """Looks once a second, and at the end of an epoch, whether every loss was a number: looking makes a GPU wait."""

    def __init__(self, every: float = 1.0) -> None:
        self.every, self.looked = every, time.monotonic()

    def step_end(self, state: TrainState) -> None:
        """Look, if a second has passed."""
        if time.monotonic() - self.looked > self.every:
            state.check_losses()
            self.looked = time.monotonic()


def current_weights(state: TrainState) -> dict[str, torch.Tensor]:
    """A copy of the weights as they would be used now: the averaged ones, where they are averaged."""
    weights = {name: each.detach().clone() for name, each in state.network.state_dict().items()}
    if state.ema is not None:
        weights |= {name: each.clone() for name, each in state.ema.average.items()}
    return weights
