"""Early stopping, selection of the best epoch, and detection of non-finite losses."""

from __future__ import annotations

import time

import torch

from coverslip.training.callbacks.callback import Callback
from coverslip.training.state import Best, TrainState, check_monitor, is_better


class EarlyStopping(Callback):
    """Keeps a copy of the weights of the best epoch, and stops after ``patience`` epochs without improvement."""

    def fit_start(self, state: TrainState) -> None:
        """Raise UserError if the monitored quantity is not measured."""
        check_monitor(state.config, state.measured)

    def epoch_end(self, state: TrainState) -> None:
        """Compare the epoch with the best one."""
        config = state.config
        if config.monitor not in state.measured or not (config.keep_best or config.patience):
            return
        value = state.history[-1][config.monitor]
        assert value is not None
        if state.best is None or is_better(config.monitor, value, state.best.value):
            state.best = Best(state.epoch, value, current_weights(state) if config.keep_best else {})
        elif config.patience and state.epoch - state.best.epoch >= config.patience and not state.stopped:
            state.stopped = f"{config.monitor.replace('_', ' ')} did not improve for {config.patience} epochs"


class NanGuard(Callback):
    """Checks once per ``interval`` seconds whether all losses are finite; not after each step, since it waits for the
    GPU.

    The end of an epoch checks them in any case.
    """

    def __init__(self, interval: float = 1.0) -> None:
        self.interval, self.checked_at = interval, time.monotonic()

    def step_end(self, state: TrainState) -> None:
        """Check the losses, if enough time has passed."""
        if time.monotonic() - self.checked_at > self.interval:
            state.check_losses()
            self.checked_at = time.monotonic()


def current_weights(state: TrainState) -> dict[str, torch.Tensor]:
    """Return a copy of the weights as used for prediction: the averaged ones if EMA is used."""
    weights = {name: tensor.detach().clone() for name, tensor in state.network.state_dict().items()}
    if state.ema is not None:
        weights |= {name: tensor.clone() for name, tensor in state.ema.average.items()}
    return weights
