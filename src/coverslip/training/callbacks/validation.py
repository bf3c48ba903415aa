"""Evaluate the validation set after each epoch."""

from __future__ import annotations

import math

import torch

from coverslip.core.errors import UserError
from coverslip.training.batches import Inputs
from coverslip.training.callbacks.callback import Callback
from coverslip.training.forward import compute_logits
from coverslip.training.objectives import Objective, Targets
from coverslip.training.state import TrainState


class ValidationCallback(Callback):
    """Adds the validation loss and accuracy to each row of ``state.history``.

    ``train_loss`` is the training objective (with label smoothing and class weights, without the L2 term), averaged
    over the epoch while the weights changed and dropout was active. ``validation_loss`` is the plain loss of the
    network (with averaged weights if EMA is used), so that it can be compared between configs.
    """

    def __init__(self, validation: tuple[Inputs, Targets] | None, objective: Objective, device: torch.device) -> None:
        self.validation, self.objective, self.device = validation, objective, device

    def epoch_end(self, state: TrainState) -> None:
        """Evaluate the validation set."""
        if self.validation is not None:
            state.history[-1] |= self._evaluate(state, *self.validation)

    def _evaluate(self, state: TrainState, inputs: Inputs, targets: Targets) -> dict[str, float]:
        if state.ema is None:
            array = compute_logits(state.network, inputs, device=self.device)
        else:
            with state.ema.applied():
                array = compute_logits(state.network, inputs, device=self.device)
        outputs, known = torch.from_numpy(array), torch.from_numpy(targets)
        loss = float(self.objective.plain_loss(outputs.double(), known))
        if not math.isfinite(loss):
            raise UserError(
                f"the validation loss became {loss} in epoch {state.epoch}, at step {state.step}",
                "lower the learning rate, and check the validation images for NaN and infinite values",
            )
        if not self.objective.counts_correct:
            return {"validation_loss": loss}
        accuracy = float(self.objective.correct(outputs, known).double().mean())
        return {"validation_loss": loss, "validation_accuracy": accuracy}
