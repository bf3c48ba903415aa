"""Train a peer on a folder of JPEGs with augmentation; run by `epoch.py` in the peer's environment.

    python peer_epoch.py fastai | keras | keras-cache FOLDER SIZE EPOCHS

prints the seconds of every epoch, without validation. ``keras`` reads the files in every epoch, as in keras.io's
"Image classification from scratch"; ``keras-cache`` caches the decoded images, as in TensorFlow's "Image
classification".
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from peer_networks import keras_network, torch_network

BATCH = 32


def fastai_seconds(folder: Path, size: int, epochs: int) -> tuple[list[float], dict[str, str]]:
    """Train with `ImageDataLoaders.from_folder`, `aug_transforms` and `Learner.fit_one_cycle`."""
    import fastai.callback.schedule  # noqa: F401  (gives a Learner its fit_one_cycle)
    from fastai.callback.core import Callback
    from fastai.learner import Learner
    from fastai.metrics import accuracy
    from fastai.vision.augment import Resize, aug_transforms
    from fastai.vision.data import ImageDataLoaders

    seconds: list[float] = []

    class Clock(Callback):  # type: ignore[misc]
        def before_train(self) -> None:
            self.start = time.perf_counter()

        def after_train(self) -> None:
            seconds.append(time.perf_counter() - self.start)

    loaders = ImageDataLoaders.from_folder(
        folder, valid_pct=0.02, bs=BATCH, item_tfms=Resize(size), batch_tfms=aug_transforms(size=size)
    )
    network = torch_network("cnn", size, len(loaders.vocab))
    Learner(loaders, network, metrics=accuracy, cbs=Clock()).fit_one_cycle(epochs)
    count = len(loaders.train_ds)
    total = count + len(loaders.valid_ds)
    versions = {name: version(name) for name in ("fastai", "torch", "pillow")}
    return [each * total / count for each in seconds], versions  # scaled to all images


def keras_seconds(folder: Path, size: int, epochs: int, cached: bool) -> tuple[list[float], dict[str, str]]:
    """Train with `image_dataset_from_directory` and preprocessing layers on the TensorFlow back end."""
    import os

    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras
    import tensorflow
    from keras import layers

    seconds: list[float] = []

    class Clock(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.start = time.perf_counter()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seconds.append(time.perf_counter() - self.start)

    changes = keras.Sequential(
        [
            layers.RandomFlip("horizontal"),
            layers.RandomRotation(10 / 360),
            layers.RandomTranslation(0.06, 0.06),
            layers.RandomZoom(0.1),
            layers.RandomBrightness(0.15),
            layers.RandomContrast(0.15),
        ]
    )
    data = keras.utils.image_dataset_from_directory(folder, image_size=(size, size), batch_size=BATCH)
    classes = len(data.class_names)
    if cached:
        data = data.cache()
        before = keras.Sequential([changes, layers.Rescaling(1 / 255)])
    else:
        data = data.map(lambda x, y: (changes(x, training=True), y), num_parallel_calls=tensorflow.data.AUTOTUNE)
        before = layers.Rescaling(1 / 255)
    network = keras_network("cnn", size, classes, before)
    network.fit(data.prefetch(tensorflow.data.AUTOTUNE), epochs=epochs, verbose=0, callbacks=[Clock()])
    return seconds, {"keras": keras.__version__, "tensorflow": tensorflow.__version__}


def main() -> None:
    name, folder, size, epochs = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    if name == "fastai":
        seconds, versions = fastai_seconds(folder, size, epochs)
    else:
        seconds, versions = keras_seconds(folder, size, epochs, name == "keras-cache")
    print("answer " + json.dumps({"seconds": seconds, "versions": versions}))


if __name__ == "__main__":  # fastai's worker processes import this file again if they are not forked
    main()
