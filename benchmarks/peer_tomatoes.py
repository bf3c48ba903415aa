"""Train a peer on tomato diseases from scratch up to a time limit; run by `tomatoes.py` in the peer's environment.

    python peer_tomatoes.py keras | fastai | lightning FOLDER SIZE SECONDS SEED

``FOLDER`` contains ``train`` and ``test``, each with one folder per class. Prints (seconds since the start, accuracy
on the test images) at the end of each epoch. All have the network ``cnn-norm`` of `peer_networks`.
"""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import Any

from peer_loops import Clock, fit_fastai, fit_keras, fit_lightning
from peer_networks import keras_network, torch_network

BATCH, FASTAI_EPOCHS = 32, 20  # one-cycle must know the number of epochs


def train_keras(folder: Path, size: int, seed: int, clock: Clock) -> dict[str, str]:
    """Train with a cached `image_dataset_from_directory`, preprocessing layers and default Adam, as in TensorFlow's
    tutorial "Image classification"."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras
    import tensorflow
    from keras import layers

    keras.utils.set_random_seed(seed)

    def read(part: str, shuffle: bool) -> Any:
        return keras.utils.image_dataset_from_directory(
            folder / part, image_size=(size, size), batch_size=BATCH, shuffle=shuffle
        )

    train, test = read("train", True), read("test", False)
    changes = [
        layers.RandomFlip("horizontal_and_vertical"),
        layers.RandomRotation(0.1),
        layers.RandomZoom(0.1),
        layers.Rescaling(1 / 255),
    ]
    network = keras_network("cnn-norm", size, len(train.class_names), keras.Sequential(changes))
    kept = train.cache().shuffle(1000).prefetch(tensorflow.data.AUTOTUNE)
    fit_keras(network, kept, clock, validation_data=test.cache().prefetch(tensorflow.data.AUTOTUNE))
    return {"keras": keras.__version__, "tensorflow": tensorflow.__version__}


def train_fastai(folder: Path, size: int, seed: int, clock: Clock) -> dict[str, str]:
    """Train with `ImageDataLoaders.from_folder` and `aug_transforms`."""
    from fastai.torch_core import set_seed
    from fastai.vision.augment import Resize, aug_transforms
    from fastai.vision.data import ImageDataLoaders

    set_seed(seed)
    loaders = ImageDataLoaders.from_folder(
        folder,
        train="train",
        valid="test",
        bs=BATCH,
        item_tfms=Resize(size),
        batch_tfms=aug_transforms(size=size, flip_vert=True),
    )
    return fit_fastai(loaders, torch_network("cnn-norm", size, len(loaders.vocab)), FASTAI_EPOCHS, clock)


def train_lightning(folder: Path, size: int, seed: int, clock: Clock) -> dict[str, str]:
    """Train with torchvision's `ImageFolder` and transforms, two workers."""
    import lightning
    import torch
    from torch.utils.data import DataLoader
    from torchvision import datasets
    from torchvision.transforms import v2

    ready = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5] * 3, [0.5] * 3)]
    turned = [v2.RandomHorizontalFlip(), v2.RandomVerticalFlip(), v2.RandomAffine(36, scale=(0.9, 1.1))]
    train = datasets.ImageFolder(folder / "train", v2.Compose([v2.Resize((size, size)), *turned, *ready]))
    test = datasets.ImageFolder(folder / "test", v2.Compose([v2.Resize((size, size)), *ready]))
    lightning.seed_everything(seed, verbose=False)
    options: dict[str, Any] = {"batch_size": BATCH, "num_workers": 2, "persistent_workers": True}
    network = torch_network("cnn-norm", size, len(train.classes))
    return fit_lightning(network, DataLoader(train, shuffle=True, **options), DataLoader(test, **options), clock)


def main() -> None:
    warnings.filterwarnings("ignore")
    name, folder, size, limit, seed = sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:6])
    clock = Clock(limit)
    train = {"keras": train_keras, "fastai": train_fastai, "lightning": train_lightning}[name]
    clock.tell(train(folder, size, seed, clock))


if __name__ == "__main__":  # worker processes import this file again if they are not forked
    main()
