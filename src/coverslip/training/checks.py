"""Checks before the first step of a training, and explanations of a diverged loss."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from coverslip.core.errors import UserError
from coverslip.models.shapes import eval_mode
from coverslip.training.batches import Inputs
from coverslip.training.config import TrainingConfig
from coverslip.training.forward import has_conv, to_channels_last
from coverslip.training.objectives import Objective, Targets
from coverslip.training.state import NonFiniteLoss

HIGH_LOSS = 10  # factor over the loss of uniform predictions


def check_output(network: nn.Module, inputs: Inputs, outputs: int, device: torch.device) -> None:
    """Run two images through the network in evaluation mode, and check the shape of its outputs.

    Raises:
        UserError: the network rejects the images, or does not return a tensor of shape (2, outputs).
    """
    rows = np.arange(min(2, len(inputs)), dtype=np.int64)
    images = to_channels_last(inputs.take(rows, None, device), has_conv(network))
    shape = tuple(images.shape)
    with eval_mode(network), torch.no_grad():
        try:
            logits = network(images)
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            first_line = str(error).partition("\n")[0]
            raise UserError(
                f"the network rejects inputs of shape {shape}: {first_line}",
                "check that size and channels of the images match what the network expects",
            ) from error
    if not isinstance(logits, Tensor):
        raise UserError(
            f"the network returns a {type(logits).__name__}", "return a tensor of logits of shape (images, classes)"
        )
    if tuple(logits.shape) != (len(rows), outputs):
        raise UserError(
            f"the network returns logits of shape {tuple(logits.shape)} for {len(rows)} images; "
            f"{outputs} classes require {(len(rows), outputs)}",
            f"end the network with {outputs} outputs",
        )


def check_validation(
    network: nn.Module, inputs: Inputs, targets: Targets, objective: Objective, device: torch.device
) -> tuple[Inputs, Targets]:
    """Return the validation images and targets, checked as the training images are.

    Raises:
        UserError: see `Objective.check` and `check_output`.
    """
    checked = objective.check(inputs, targets, "validation")
    check_output(network, inputs, objective.num_outputs, device)
    return inputs, checked


def check_batch_norm(network: nn.Module, config: TrainingConfig, count: int) -> bool:
    """Return whether batch norm layers are trained, for which a batch needs at least two images.

    Raises:
        UserError: batch norm layers are trained, and batches contain a single image.
    """
    trained = any(isinstance(module, _BatchNorm) and not is_frozen(module) for module in network.modules())
    if trained and (config.batch_size == 1 or count == 1):
        raise UserError(
            "batch norm needs at least two images per batch, and a batch has one",
            "set batch_size to 2 or more (16 or more is better), or use a network without batch norm",
        )
    return trained


def is_frozen(module: nn.Module) -> bool:
    """Return whether a module has parameters and none of them is trained."""
    parameters = list(module.parameters())
    return bool(parameters) and not any(parameter.requires_grad for parameter in parameters)


def training_mode(network: nn.Module) -> None:
    """Put a network into training mode, except frozen batch norm, whose statistics must not change either."""
    network.train()
    for module in network.modules():
        if isinstance(module, _BatchNorm) and is_frozen(module):
            module.eval()


def high_loss_note(history: pl.DataFrame, uninformed: float, config: TrainingConfig) -> str:
    """Return a note if the final training loss is finite but far above that of outputs that say nothing; else ""."""
    final = float(history["train_loss"][-1]) if history.height else 0.0
    if final < HIGH_LOSS * uninformed:
        return ""
    suggestion = f"; try {config.lr / 10:g}" if config.lr else ""
    return (
        f"the final training loss is {final:.3g} (uniform predictions: {uninformed:.2f}): the learning rate is too "
        f"high{suggestion}"
    )


def non_finite_loss_error(error: NonFiniteLoss, inputs: Tensor, config: TrainingConfig, precision: str) -> UserError:
    """Return the error for a non-finite loss, with the most likely cause.

    Args:
        error: the step and its loss.
        inputs: images of that step, float32.
        config: the training config.
        precision: ``float32`` or ``bfloat16``.
    """
    problem = f"the loss became {error.loss} at step {error.step}"
    if not bool(torch.isfinite(inputs).all()):
        return UserError(
            f"{problem}: an image of that step contains NaN or infinity", "remove NaN and infinity from the images"
        )
    if float(inputs.abs().max()) > 1000:
        largest = float(inputs.abs().max())
        return UserError(
            f"{problem}: the inputs of that step reach {largest:g}", "scale the images to the range 0 to 1"
        )
    lr = config.lr or math.nan
    clip = "" if config.clip else ", or set clip=1"
    fix = f"lower the learning rate, for example to {lr / 10:g}{clip}; the learning-rate range test suggests a value"
    how = " for bfloat16" if precision == "bfloat16" else ""
    return UserError(f"{problem}: the learning rate {lr:g} is probably too high{how}", fix)
