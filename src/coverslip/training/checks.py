"""What is refused before the first step, and what to say when the loss breaks."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from coverslip.core.errors import UserError
from coverslip.training.batches import Inputs, IntArray
from coverslip.training.config import TrainingConfig
from coverslip.training.scoring import arranged, convolves, evaluating
from coverslip.training.state import BrokenLoss

GROWN = 10  # times the loss of guessing


def check_labels(inputs: Inputs, labels: IntArray, classes: int, what: str) -> IntArray:
    """The labels as int64 (N,).

    Raises:
        UserError: not one whole number an image, or one that is no class.
    """
    found = np.asarray(labels)
    if len(inputs) == 0:
        raise UserError(f"there are no {what} images", "give some")
    if found.ndim != 1 or len(found) != len(inputs):
        raise UserError(f"{len(inputs)} {what} images have labels of shape {found.shape}", "give one an image")
    if not np.issubdtype(found.dtype, np.integer):
        raise UserError(f"{what} labels are {found.dtype}, not whole numbers", "number the classes from 0")
    outside = found[(found < 0) | (found >= classes)]
    if len(outside):
        raise UserError(
            f"label {outside[0]} of the {what} images is not one of {classes} classes, which are 0 to {classes - 1}",
            "count classes from 0, and give the network an output for each",
        )
    return found.astype(np.int64)


def check_answer(network: nn.Module, inputs: Inputs, classes: int, device: torch.device) -> None:
    """Two images through the network, in evaluation mode.

    Raises:
        UserError: it does not take them, or does not answer with (2, classes) scores.
    """
    rows = np.arange(min(2, len(inputs)), dtype=np.int64)
    images = arranged(inputs.take(rows, None, device), convolves(network))
    shape = tuple(images.shape)
    with evaluating(network), torch.no_grad():
        try:
            scores = network(images)
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            first = str(error).partition("\n")[0]
            raise UserError(
                f"the network does not take inputs of shape {shape}: {first}",
                "compare the size and the channels of the images with what the network expects",
            ) from error
    if not isinstance(scores, Tensor):
        raise UserError(
            f"the network answers with a {type(scores).__name__}", "return one tensor of scores (images, classes)"
        )
    if tuple(scores.shape) != (len(rows), classes):
        raise UserError(
            f"the network answers {len(rows)} images with scores of shape {tuple(scores.shape)}, "
            f"where {classes} classes need {(len(rows), classes)}",
            f"end it with {classes} outputs",
        )


def check_validation(
    network: nn.Module, inputs: Inputs, labels: IntArray, classes: int, device: torch.device
) -> tuple[Inputs, IntArray]:
    """The validation images, which the network must take as it does those of training, and their labels."""
    truth = check_labels(inputs, labels, classes, "validation")
    check_answer(network, inputs, classes, device)
    return inputs, truth


def check_batch_norm(network: nn.Module, config: TrainingConfig, count: int) -> bool:
    """Whether batch norm is trained, which cannot learn from one image.

    Raises:
        UserError: it would have to.
    """
    normed = any(isinstance(module, _BatchNorm) and not is_frozen(module) for module in network.modules())
    if normed and (config.batch_size == 1 or count == 1):
        raise UserError(
            "batch norm compares the images of a batch, and a batch holds one image only",
            "give batch_size=2 or more (16 or more is better), or take a network without batch norm",
        )
    return normed


def is_frozen(module: nn.Module) -> bool:
    """Whether a module has parameters, and none is trained."""
    parameters = list(module.parameters())
    return bool(parameters) and not any(each.requires_grad for each in parameters)


def training_mode(network: nn.Module) -> None:
    """Training mode, but batch norm whose weights are frozen keeps its statistics too."""
    network.train()
    for module in network.modules():
        if isinstance(module, _BatchNorm) and is_frozen(module):
            module.eval()


def explain_grown(history: pl.DataFrame, classes: int, config: TrainingConfig) -> str:
    """What to say where the loss is still a number, and far above that of guessing; nothing where it is not."""
    last = float(history["train_loss"][-1]) if history.height else 0.0
    guessing = math.log(max(classes, 2))
    if last < GROWN * guessing:
        return ""
    lower = f"; try {config.lr / 10:g}" if config.lr else ""
    return f"the loss ended at {last:.3g}, where guessing has {guessing:.2f}: the learning rate is too high{lower}"


def explain_broken(broken: BrokenLoss, inputs: Tensor, config: TrainingConfig, precision: str) -> UserError:
    """The step at which the loss was no number, and why, most likely.

    Args:
        broken: where.
        inputs: of that step.
        recipe: of the training.
        precision: in which it ran.
    """
    problem = f"the loss became {broken.loss} at step {broken.step}"
    if not bool(torch.isfinite(inputs).all()):
        return UserError(f"{problem}: an image of that step holds values that are no numbers", "clean the inputs")
    if float(inputs.abs().max()) > 1000:
        largest = float(inputs.abs().max())
        return UserError(f"{problem}: the inputs of that step go up to {largest:g}", "bring them to the scale 0 to 1")
    rate = config.lr or math.nan
    clip = "" if config.clip else ", or clip=1"
    fix = f"lower it, to {rate / 10:g} for a start{clip}; the learning-rate range test shows what it can be"
    how = " in bfloat16" if precision == "bfloat16" else ""
    return UserError(f"{problem}: most likely the learning rate of {rate:g} is too high{how}", fix)
