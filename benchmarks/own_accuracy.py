"""Train Coverslip on CIFAR-10 from scratch with the settings of the benchmark.

    python own_accuracy.py FILE.npz GOAL SECONDS SEED

prints (seconds since the start of training, accuracy) at the end of each epoch, as `peer_accuracy.py` does.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from coverslip.models.catalog import build_network
from coverslip.models.design import Design
from coverslip.training.batches import ArrayInputs, IntArray
from coverslip.training.callbacks import Callback
from coverslip.training.config import TrainingConfig
from coverslip.training.loop import train_network
from coverslip.training.state import TrainState
from peer_loops import Clock

RECIPE = TrainingConfig(epochs=3, batch_size=128, lr=4e-3, precision="auto")


class Centered:
    """Return images on the scale -1 to 1, like the peers."""

    def __init__(self, images: np.ndarray) -> None:
        self.inputs = ArrayInputs(images.transpose(0, 3, 1, 2))

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, rows: IntArray, epoch: int | None, device: torch.device) -> Tensor:
        return self.inputs.take(rows, epoch, device).mul_(2).sub_(1)


class Watch(Callback):
    """Callback that reports every epoch to the clock of the peers, and stops at the goal or the time limit."""

    def __init__(self, goal: float, limit: float) -> None:
        self.clock, self.over = Clock(limit, goal), False
        self.clock.begin()

    def epoch_end(self, state: TrainState) -> None:
        self.over = self.clock.note(state.history[-1]["validation_accuracy"] or 0.0)
        if self.over:
            state.stopped = "the goal is reached, or the time limit is exceeded"


def main() -> None:
    file, goal, limit, seed = sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
    with np.load(file) as data:
        x, y, test, truth = (data[each] for each in ("x_train", "y_train", "x_test", "y_test"))
    torch.manual_seed(seed)
    network = build_network(Design(network="cnn", size=(32, 32), batch_norm=True), 10)
    recipe = replace(RECIPE, seed=seed, monitor="validation_accuracy", keep_best=False)
    held = (Centered(test), truth.astype(np.int64))
    watch = Watch(goal, limit)
    train_network(network, Centered(x), y.astype(np.int64), 10, recipe, validation=held, callbacks=[watch])
    watch.clock.tell({})


if __name__ == "__main__":
    main()
