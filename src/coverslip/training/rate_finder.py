"""The learning-rate range test: raise the rate at every step, and see where the loss falls and where it breaks."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from torch import nn

from coverslip.core.devices import keep_big_blocks, pick_device
from coverslip.core.errors import UserError
from coverslip.core.progress import SILENT, Progress
from coverslip.training.batches import Inputs, IntArray
from coverslip.training.chance import number_at, own_chance, seed_all
from coverslip.training.checks import training_mode
from coverslip.training.config import TrainingConfig
from coverslip.training.job import prepare_job

if TYPE_CHECKING:
    from coverslip.data.augment import Augmentation

LOW, HIGH, STEPS = 1e-6, 10.0, 100
AROUND = 7  # steps on either side that a smooth loss and a slope are made of
BROKEN = 2.0  # times the loss of the first steps: there is nothing more to see
LEAST = 10  # steps to see anything in
FAR = 100  # times smaller than the rate of the smallest loss: too small to be a peak


@dataclass(frozen=True, slots=True)
class RateTest:
    """What the test saw.

    Attributes:
        frame: rate, loss (of the step), smooth (its moving average), a row a step.
        suggestion: the rate at which the loss falls fastest, a good peak for `one-cycle`.
    """

    frame: pl.DataFrame
    suggestion: float


def find_rate(
    network: nn.Module,
    inputs: Inputs,
    labels: IntArray,
    classes: int,
    config: TrainingConfig,
    *,
    low: float = LOW,
    high: float = HIGH,
    steps: int = STEPS,
    mix: Augmentation | None = None,
    progress: Progress = SILENT,
    device: torch.device | None = None,
) -> RateTest:
    """Train for a hundred steps or less while the rate grows from ``low`` to ``high``, then forget it all.

    The network, its batch norm's statistics and its mode are as they were afterwards.

    Args:
        network: as for `train_network`, and the next four likewise; the recipe's rate and schedule are not used.
        inputs: training images.
        labels: of them.
        classes: their number.
        recipe: optimizer, batch size, loss.
        low: the first rate, above 0.
        high: the last rate; the test ends before it where the loss has become twice that of the first steps.
        steps: at most.
        mix: as for `train_network`.
        progress: told of the steps.
        device: the fastest one without.

    Raises:
        UserError: no range of rates, or a loss that breaks at once; and see `train_network`.

    Reference: Smith, Cyclical learning rates for training neural networks, WACV 2017.
    """
    if not (0 < low < high < math.inf) or steps < LEAST:
        raise UserError(f"{steps} steps from {low} to {high} are no test", f"give 0 < low < high, and {LEAST} steps")
    keep_big_blocks()
    device = device or pick_device()
    before = {name: each.detach().clone() for name, each in network.state_dict().items()}
    modes = [(module, module.training) for module in network.modules()]
    try:
        job = prepare_job(network, inputs, labels, classes, replace(config, ema=0.0), mix, device)
        training_mode(network)
        rates = low * (high / low) ** np.linspace(0, 1, steps)
        losses: list[float] = []
        order = [(epoch, rows) for epoch in range(-(-steps // job.length)) for rows in job.steps(epoch)]
        with own_chance(device) as generators, progress.stage("learning-rate range test", steps, "steps") as stage:
            for step, (rate, (epoch, rows)) in enumerate(zip(rates.tolist(), order, strict=False)):
                chance = number_at(job.config.seed, step)
                seed_all(generators, chance)
                losses.append(float(job.gradients(rows, epoch, chance)[0]))
                job.update(rate)
                stage.advance()
                if not losses[-1] < BROKEN * np.median(losses[:LEAST]):
                    break
    finally:
        network.load_state_dict(before)
        network.zero_grad(set_to_none=True)
        for module, mode in modes:
            module.training = mode
    seen = np.asarray(losses)[np.isfinite(losses)]
    if len(seen) < LEAST:
        raise UserError(
            f"the loss broke after {len(seen)} steps, at a rate of {rates[len(seen)]:.1e}",
            "give a smaller low, or bring the inputs to the scale 0 to 1",
        )
    frame = pl.DataFrame({"lr": rates[: len(seen)], "loss": seen, "smooth": smooth_losses(seen)})
    return RateTest(frame, suggest_rate(rates[: len(seen)], seen))


def smooth_losses(losses: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """A moving average in which near steps count more: (n,) -> (n,).

    It looks at steps on both sides, since one that looks back only shows every fall too late.

    >>> smooth_losses(np.array([2.0, 2.0, 2.0])).tolist()
    [2.0, 2.0, 2.0]
    """
    weights = np.bartlett(2 * AROUND + 3)[1:-1]
    total = np.convolve(losses, weights)[AROUND:-AROUND]
    return np.asarray(total / np.convolve(np.ones(len(losses)), weights)[AROUND:-AROUND])


def suggest_rate(rates: npt.NDArray[np.float64], losses: npt.NDArray[np.float64]) -> float:
    """The rate at which the loss falls fastest before its smallest value, by straight lines through 15 steps each.

    Rates under a hundredth of that of the smallest loss are not looked at: a network whose first scores are far too
    large loses most of its loss there, while the last layer shrinks them, and nothing has been learned.

    Args:
        rates: (n,), growing by a constant factor, n at least 10.
        losses: (n,), at each.
    """
    wide = min(2 * AROUND + 1, len(losses))
    across = np.arange(wide) - (wide - 1) / 2
    end = max(int(smooth_losses(losses).argmin()) + 1, wide)
    slopes = np.convolve(losses[:end], across[::-1], mode="valid")  # times a constant
    centers = rates[wide // 2 :][: len(slopes)]
    slopes[centers < rates[end - 1] / FAR] = np.inf
    return float(centers[int(slopes.argmin())])
