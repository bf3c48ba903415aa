"""Evaluate the validation set after each epoch."""

from __future__ import annotations

import math

import torch
from torch.nn.functional import cross_entropy

from coverslip.core.errors import UserError
from coverslip.training.batches import Inputs, IntArray
from coverslip.training.callbacks.callback import Callback
from coverslip.training.forward import compute_logits
from coverslip.training.state import TrainState


class ValidationCallback(Callback):
    """Adds the validation loss and accuracy to each row of ``state.history``.

    ``train_loss`` is the training objective (with label smoothing and class weights, without the L2 term), averaged
    over the epoch while the weights changed and dropout was active. ``validation_loss`` is the plain log loss of the
    network (with averaged weights if EMA is used), so that it can be compared between configs.
    """

    def __init__(self, validation: tuple[Inputs, IntArray] | None, device: torch.device) -> None:
        self.validation, self.device = validation, device

    def epoch_end(self, state: TrainState) -> None:
        """Evaluate the validation set."""
        if self.validation is not None:
            state.history[-1] |= self._evaluate(state, *self.validation)

    def _evaluate(self, state: TrainState, inputs: Inputs, labels: IntArray) -> dict[str, float]:
        if state.ema is None:
            array = compute_logits(state.network, inputs, device=self.device)
        else:
            with state.ema.applied():
                array = compute_logits(state.network, inputs, device=self.device)
        logits, targets = torch.from_numpy(array), torch.from_numpy(labels)
        loss = float(cross_entropy(logits.double(), targets))
        if not math.isfinite(loss):
            raise UserError(
                f"the validation loss became {loss} in epoch {state.epoch}, at step {state.step}",
                "lower the learning rate, and check the validation images for NaN and infinite values",
            )
        accuracy = float((logits.argmax(1) == targets).double().mean())
        return {"validation_loss": loss, "validation_accuracy": accuracy}
