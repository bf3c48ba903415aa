"""The learning-rate range test: increase the learning rate at every step until the loss diverges."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from torch import nn

from coverslip.core.devices import pick_device, tune_allocator
from coverslip.core.errors import UserError
from coverslip.core.progress import SILENT, Progress
from coverslip.training.batches import Inputs
from coverslip.training.checks import training_mode
from coverslip.training.config import TrainingConfig
from coverslip.training.job import prepare_job
from coverslip.training.objectives import Objective, Targets
from coverslip.training.rng import isolated_rng, seed_all, step_seed

if TYPE_CHECKING:
    from coverslip.data.augment import Augmentation

LOW, HIGH, STEPS = 1e-6, 10.0, 100
WINDOW = 7  # steps on either side in the moving average of the loss and in the slope
DIVERGED = 2.0  # factor over the initial loss at which the test ends
MIN_STEPS = 10
MAX_RATIO = 100  # learning rates below 1/100 of that with the smallest loss are not suggested


@dataclass(frozen=True, slots=True)
class LrRangeTest:
    """The result of a learning-rate range test.

    Attributes:
        frame: one row per step: lr, loss, smooth (moving average of the loss).
        suggestion: the learning rate at which the loss falls fastest, a good peak for `one-cycle`.
    """

    frame: pl.DataFrame
    suggestion: float


def find_lr(
    network: nn.Module,
    inputs: Inputs,
    targets: Targets,
    objective: Objective | int,
    config: TrainingConfig,
    *,
    low: float = LOW,
    high: float = HIGH,
    steps: int = STEPS,
    mix: Augmentation | None = None,
    progress: Progress = SILENT,
    device: torch.device | None = None,
) -> LrRangeTest:
    """Train for up to ``steps`` steps while the learning rate grows exponentially from ``low`` to ``high``.

    The weights of the network, its batch-norm statistics and its mode are restored afterwards.

    Args:
        network: maps float32 (n, ...) to outputs (n, num_outputs).
        inputs: N training images.
        targets: what is to be predicted, as for `train_network`.
        objective: what is minimized; a number is that of the classes of a classification.
        config: training config (optimizer, batch size, loss); its learning rate and schedule are not used.
        low: first learning rate, above 0.
        high: last learning rate; the test ends earlier if the loss doubles.
        steps: maximum number of steps.
        mix: mixup and cutmix, as for `train_network`.
        progress: receives the steps.
        device: device to use; None for the fastest one.

    Raises:
        UserError: the range of learning rates is empty, the loss diverges at once, or network, images and labels do
            not fit together (see `train_network`).

    Reference: Smith, Cyclical learning rates for training neural networks, WACV 2017.
    """
    if not (0 < low < high < math.inf) or steps < MIN_STEPS:
        raise UserError(
            f"no range test with {steps} steps from {low} to {high}",
            f"give 0 < low < high, and at least {MIN_STEPS} steps",
        )
    tune_allocator()
    device = device or pick_device()
    weights = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
    modes = [(module, module.training) for module in network.modules()]
    try:
        job = prepare_job(network, inputs, targets, objective, replace(config, ema=0.0), mix, device)
        training_mode(network)
        lrs = low * (high / low) ** np.linspace(0, 1, steps)
        losses: list[float] = []
        order = [(epoch, rows) for epoch in range(-(-steps // job.length)) for rows in job.steps(epoch)]
        with isolated_rng(device) as generators, progress.stage("learning-rate range test", steps, "steps") as stage:
            for step, (lr, (epoch, rows)) in enumerate(zip(lrs.tolist(), order, strict=False)):
                seed = step_seed(job.config.seed, step)
                seed_all(generators, seed)
                losses.append(float(job.gradients(rows, epoch, seed)[0]))
                job.update(lr)
                stage.advance()
                if not losses[-1] < DIVERGED * np.median(losses[:MIN_STEPS]):  # also true for NaN
                    break
    finally:
        network.load_state_dict(weights)
        network.zero_grad(set_to_none=True)
        for module, mode in modes:
            module.training = mode
    finite = np.asarray(losses)[np.isfinite(losses)]
    if len(finite) < MIN_STEPS:
        raise UserError(
            f"the loss diverged after {len(finite)} steps, at a learning rate of {lrs[len(finite)]:.1e}",
            "set a smaller low, or scale the inputs to the range 0 to 1",
        )
    frame = pl.DataFrame({"lr": lrs[: len(finite)], "loss": finite, "smooth": smooth_losses(finite)})
    return LrRangeTest(frame, suggest_lr(lrs[: len(finite)], finite))


def smooth_losses(losses: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the moving average of losses (n,) with triangular weights.

    The window is centered, since an average over past steps only would delay every decrease.

    >>> smooth_losses(np.array([2.0, 2.0, 2.0])).tolist()
    [2.0, 2.0, 2.0]
    """
    weights = np.bartlett(2 * WINDOW + 3)[1:-1]
    total = np.convolve(losses, weights)[WINDOW:-WINDOW]
    return np.asarray(total / np.convolve(np.ones(len(losses)), weights)[WINDOW:-WINDOW])


def suggest_lr(lrs: npt.NDArray[np.float64], losses: npt.NDArray[np.float64]) -> float:
    """Return the learning rate at which the loss falls fastest before its minimum.

    Slopes are those of least-squares lines through 15 steps, against the logarithm of the learning rate. Learning rates
    below a hundredth of that of the minimum are ignored: in a network with far too large initial logits, most of the
    decrease happens there, because the last layer shrinks, without anything being learned.

    Args:
        lrs: learning rates (n,), growing by a constant factor, n at least 10.
        losses: loss at each learning rate, (n,).
    """
    width = min(2 * WINDOW + 1, len(losses))
    offsets = np.arange(width) - (width - 1) / 2
    end = max(int(smooth_losses(losses).argmin()) + 1, width)
    slopes = np.convolve(losses[:end], offsets[::-1], mode="valid")  # up to a constant factor
    centers = lrs[width // 2 :][: len(slopes)]
    slopes[centers < lrs[end - 1] / MAX_RATIO] = np.inf
    return float(centers[int(slopes.argmin())])
