"""Train Coverslip on tomato diseases from scratch; run by `tomatoes.py`.

    python own_tomatoes.py FOLDER SIZE GOAL SECONDS SEED

prints (seconds since the start of training, accuracy on the test images) at the end of each epoch; scanning and
decoding the folder are included. If a training ends below the goal, a new one with twice the epochs is started from
scratch.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from coverslip.data.augment import Augmentation
from coverslip.data.cache import PixelCache, read_pixels
from coverslip.data.inputs import InputSpec
from coverslip.data.scan import scan
from coverslip.models.catalog import build_network
from coverslip.models.design import Design
from coverslip.training.batches import IntArray
from coverslip.training.config import TrainingConfig
from coverslip.training.inputs import ImageInputs
from coverslip.training.loop import train_network
from own_accuracy import Watch

RECIPE = TrainingConfig(epochs=45, batch_size=32, lr=2e-3, precision="bfloat16", keep_best=False)
# No rotation by a few degrees and no zoom: interpolation blurs the training images, but not the test images, and at 96
# pixels this reduces the accuracy. Cutmix moves pixels unchanged.
TURNED = Augmentation(flip=True, flip_vertical=True, turns=True, brightness=0.1, contrast=0.1)
MIXED = Augmentation(cutmix=1.0)


def read(folder: Path, size: int) -> tuple[PixelCache, IntArray, tuple[str, ...]]:
    """Return pixels, labels and classes of a folder with class folders."""
    table = scan(folder)
    pixels = read_pixels(table, (size, size))
    return pixels, np.asarray(table.labels(list(range(len(table)))), np.int64), table.classes


def main() -> None:
    folder, size, goal, limit, seed = Path(sys.argv[1]), int(sys.argv[2]), *map(float, sys.argv[3:5]), int(sys.argv[5])
    watch = Watch(goal, limit)
    (pixels, labels, classes), (held, truth, others) = read(folder / "train", size), read(folder / "test", size)
    assert classes == others
    spec = InputSpec(size=(size, size), mean=(0.5,) * 3, std=(0.5,) * 3)
    inputs = ImageInputs(pixels.pixels, list(range(len(labels))), spec, TURNED, seed)
    test = ImageInputs(held.pixels, list(range(len(truth))), spec)
    recipe = replace(RECIPE, seed=seed)
    while not watch.over:
        torch.manual_seed(seed)
        network = build_network(Design(network="cnn", size=(size, size), batch_norm=True), len(classes))
        held_out = (test, truth)
        train_network(network, inputs, labels, len(classes), recipe, mix=MIXED, validation=held_out, callbacks=[watch])
        recipe = replace(recipe, epochs=2 * (recipe.epochs or 1))
    watch.clock.tell({})


if __name__ == "__main__":
    main()
