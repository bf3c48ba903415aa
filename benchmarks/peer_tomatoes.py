"""A peer learns tomato diseases from scratch until its time is up; `tomatoes.py` starts this in the peer's environment.

    python peer_tomatoes.py keras | fastai | lightning FOLDER SIZE SECONDS SEED

``FOLDER`` holds ``train`` and ``test``, with a folder a class in each. Prints (seconds since training began, accuracy
on the test pictures) at the end of each epoch. All have the network ``cnn-norm`` of `peer_networks`.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from peer_networks import keras_network, torch_network

Note = Callable[[float], bool]  # takes the accuracy of an epoch, says whether the time is up
BATCH, EPOCHS, FASTAI_EPOCHS = 32, 1000, 20  # one-cycle has to know how many; it starts again where time is left


def train_keras(folder: Path, size: int, seed: int, begin: Callable[[], None], note: Note) -> dict[str, str]:
    """`image_dataset_from_directory` kept by `cache`, preprocessing layers, Adam at its default: as TensorFlow's
    tutorial "Image classification" has it."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras
    import tensorflow
    from keras import layers

    class Watch(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.stop_training = note(float(logs["val_accuracy"]))

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
    begin()
    kept = train.cache().shuffle(1000).prefetch(tensorflow.data.AUTOTUNE)
    held = test.cache().prefetch(tensorflow.data.AUTOTUNE)
    network.fit(kept, epochs=EPOCHS, validation_data=held, verbose=0, callbacks=[Watch()])
    return {"keras": keras.__version__, "tensorflow": tensorflow.__version__}


def train_fastai(folder: Path, size: int, seed: int, begin: Callable[[], None], note: Note) -> dict[str, str]:
    """`ImageDataLoaders.from_folder` with `aug_transforms`, `fit_one_cycle` at the default rate."""
    import fastai.callback.schedule  # noqa: F401  (gives a Learner its fit_one_cycle)
    from fastai.callback.core import Callback, CancelFitException
    from fastai.learner import Learner
    from fastai.metrics import accuracy
    from fastai.torch_core import set_seed
    from fastai.vision.augment import Resize, aug_transforms
    from fastai.vision.data import ImageDataLoaders

    ended: list[bool] = []

    class Watch(Callback):  # type: ignore[misc]
        order = 60  # after the recorder

        def after_epoch(self) -> None:
            if note(float(self.recorder.values[-1][-1])):
                ended.append(True)
                raise CancelFitException

    set_seed(seed)
    loaders = ImageDataLoaders.from_folder(
        folder,
        train="train",
        valid="test",
        bs=BATCH,
        item_tfms=Resize(size),
        batch_tfms=aug_transforms(size=size, flip_vert=True),
    )
    learner = Learner(loaders, torch_network("cnn-norm", size, len(loaders.vocab)), metrics=accuracy, cbs=Watch())
    begin()
    while not ended:
        with learner.no_bar(), learner.no_logging():
            learner.fit_one_cycle(FASTAI_EPOCHS, 1e-3)
    return {"fastai": version("fastai")}


def train_lightning(folder: Path, size: int, seed: int, begin: Callable[[], None], note: Note) -> dict[str, str]:
    """torchvision's `ImageFolder` and transforms, two workers, `Trainer.fit` with Adam 1e-3."""
    import lightning
    import torch
    from torch.nn import functional
    from torch.utils.data import DataLoader
    from torchvision import datasets
    from torchvision.transforms import v2

    ready = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5] * 3, [0.5] * 3)]
    turned = [v2.RandomHorizontalFlip(), v2.RandomVerticalFlip(), v2.RandomAffine(36, scale=(0.9, 1.1))]
    train = datasets.ImageFolder(folder / "train", v2.Compose([v2.Resize((size, size)), *turned, *ready]))
    test = datasets.ImageFolder(folder / "test", v2.Compose([v2.Resize((size, size)), *ready]))

    class Module(lightning.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = torch_network("cnn-norm", size, len(train.classes))

        def training_step(self, batch: Any, number: int) -> Any:
            return functional.cross_entropy(self.network(batch[0]), batch[1])

        def validation_step(self, batch: Any, number: int) -> None:
            self.log("accuracy", (self.network(batch[0]).argmax(1) == batch[1]).float().mean())

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters(), lr=1e-3)

    class Watch(lightning.Callback):  # type: ignore[misc]
        def on_validation_epoch_end(self, trainer: Any, module: Any) -> None:
            if not trainer.sanity_checking:
                trainer.should_stop = note(float(trainer.callback_metrics["accuracy"]))

    lightning.seed_everything(seed, verbose=False)
    options: dict[str, Any] = {"batch_size": BATCH, "num_workers": 2, "persistent_workers": True}
    module = Module()
    with tempfile.TemporaryDirectory() as home:
        begin()
        trainer = lightning.Trainer(
            max_epochs=EPOCHS, accelerator="cpu", default_root_dir=home, callbacks=[Watch()], logger=False
        )
        trainer.fit(module, DataLoader(train, shuffle=True, **options), DataLoader(test, **options))
    return {"lightning": lightning.__version__}


def main() -> None:
    warnings.filterwarnings("ignore")
    name, folder, size, limit, seed = sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:6])
    start, rows = [0.0], []

    def begin() -> None:
        start[0] = time.perf_counter()

    def note(accuracy: float) -> bool:
        rows.append((time.perf_counter() - start[0], accuracy))
        print(f"{rows[-1][0]:.0f} s: {accuracy:.3f}", file=sys.stderr, flush=True)
        return rows[-1][0] > limit

    train = {"keras": train_keras, "fastai": train_fastai, "lightning": train_lightning}[name]
    versions = train(folder, size, seed, begin, note)
    print("answer " + json.dumps({"epochs": rows, "versions": versions}))


if __name__ == "__main__":  # worker processes import this file again where they are not forked
    main()
