"""What is measured on the validation set after each epoch."""

from __future__ import annotations

import math

import torch
from torch.nn.functional import cross_entropy

from coverslip.core.errors import UserError
from coverslip.training.batches import Inputs, IntArray
from coverslip.training.callbacks.callback import Callback
from coverslip.training.scoring import score_network
from coverslip.training.state import TrainState


class History(Callback):
    """Completes each epoch's row in ``state.history`` by the validation set.

    ``train_loss`` is what was made small (with smoothing and class weights, without the L2 term), while the weights
    changed and dropout was on. ``validation_loss`` is the plain log loss of the network (of the averaged weights,
    where they are averaged), so that it can be compared between recipes.
    """

    def __init__(self, validation: tuple[Inputs, IntArray] | None, device: torch.device) -> None:
        self.validation, self.device = validation, device

    def epoch_end(self, state: TrainState) -> None:
        """Score the validation set."""
        if self.validation is not None:
            state.history[-1] |= self._score(state, *self.validation)

    def _score(self, state: TrainState, inputs: Inputs, labels: IntArray) -> dict[str, float]:
        if state.ema is None:
            found = score_network(state.network, inputs, device=self.device)
        else:
            with state.ema.applied():
                found = score_network(state.network, inputs, device=self.device)
        scores, truth = torch.from_numpy(found), torch.from_numpy(labels)
        loss = float(cross_entropy(scores.double(), truth))
        if not math.isfinite(loss):
            raise UserError(
                f"the validation loss became {loss} in epoch {state.epoch}, at step {state.step}",
                "lower the learning rate, and look for values that are no numbers in the validation images",
            )
        return {"validation_loss": loss, "validation_accuracy": float((scores.argmax(1) == truth).double().mean())}
