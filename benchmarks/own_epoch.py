"""Train Coverslip on a folder of JPEGs; run by `epoch.py`: python own_epoch.py PRECISION FOLDER SIZE EPOCHS."""

from __future__ import annotations

import json
import sys
import time

import torch

from coverslip.data.augment import PRESETS
from coverslip.data.cache import read_pixels
from coverslip.data.inputs import InputSpec
from coverslip.data.scan import scan
from coverslip.models.catalog import build_network
from coverslip.models.design import Design
from coverslip.training.callbacks import Callback
from coverslip.training.config import TrainingConfig
from coverslip.training.inputs import ImageInputs
from coverslip.training.loop import train_network
from coverslip.training.state import TrainState


class Clock(Callback):
    """Callback that records the seconds of every epoch."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def epoch_start(self, state: TrainState) -> None:
        self.start = time.perf_counter()

    def epoch_end(self, state: TrainState) -> None:
        self.seconds.append(time.perf_counter() - self.start)


def main() -> None:
    precision, folder, size, epochs = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    clock, start = Clock(), time.perf_counter()
    table = scan(folder)
    pixels = read_pixels(table, (size, size))
    ready = time.perf_counter() - start
    rows, gray = list(range(len(table))), (0.5, 0.5, 0.5)
    spec = InputSpec(size=(size, size), mean=gray, std=gray)
    inputs = ImageInputs(pixels.pixels, rows, spec, PRESETS["light"])
    torch.manual_seed(0)
    network = build_network(Design(network="cnn", size=(size, size)), len(table.classes))
    recipe = TrainingConfig(epochs=epochs, batch_size=32, precision=precision)
    train_network(network, inputs, table.labels(rows), len(table.classes), recipe, callbacks=[clock])
    clock.seconds[0] += ready  # scanning and decoding count for the first epoch
    print("answer " + json.dumps({"seconds": clock.seconds, "versions": {}}))


if __name__ == "__main__":
    main()
