"""A peer learns CIFAR-10 from scratch until it tells enough of the test pictures; `time_to_accuracy.py` starts this.

    python peer_accuracy.py keras | lightning | fastai FILE.npz GOAL SECONDS SEED

prints (seconds since training began, accuracy) at the end of each epoch. All have the network of `peer_networks`.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np

from peer_networks import keras_network, torch_network

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
Note = Callable[[float], bool]  # takes the accuracy of an epoch, says whether that is the end
EPOCHS = 100  # never reached: the goal or the time ends it
FASTAI_EPOCHS = 5  # one-cycle has to know


def train_keras(arrays: Arrays, seed: int, begin: Callable[[], None], note: Note) -> dict[str, str]:
    """`fit` with Adam 1e-3 and batches of 32: all of it default."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras

    class Watch(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.stop_training = note(float(logs["val_accuracy"]))

    keras.utils.set_random_seed(seed)
    x, y, test, truth = arrays
    network = keras_network("cnn-norm", 32, 10)
    begin()
    network.fit(
        x.astype("float32") / 255,
        y,
        epochs=EPOCHS,
        validation_data=(test.astype("float32") / 255, truth),
        verbose=0,
        callbacks=[Watch()],
    )
    return {"keras": keras.__version__, "tensorflow": version("tensorflow-cpu")}


def loaders(arrays: Arrays, batch: int) -> tuple[Any, Any]:
    """Of PyTorch, over tensors in memory, on the scale -1 to 1 as in its CIFAR-10 tutorial."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    def data(x: np.ndarray, y: np.ndarray) -> Any:
        scaled = torch.from_numpy(x.transpose(0, 3, 1, 2).copy()).float().div_(127.5).sub_(1)
        return TensorDataset(scaled, torch.from_numpy(y.astype(np.int64)))

    x, y, test, truth = arrays
    return DataLoader(data(x, y), batch_size=batch, shuffle=True), DataLoader(data(test, truth), batch_size=batch)


def train_lightning(arrays: Arrays, seed: int, begin: Callable[[], None], note: Note) -> dict[str, str]:
    """`Trainer.fit` with Adam 1e-3 and batches of 64."""
    import tempfile

    import lightning
    import torch
    from torch.nn import functional

    class Module(lightning.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = torch_network("cnn-norm", 32, 10)

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
    train, test = loaders(arrays, 64)
    module = Module()
    with tempfile.TemporaryDirectory() as folder:
        begin()
        trainer = lightning.Trainer(
            max_epochs=EPOCHS, accelerator="cpu", default_root_dir=folder, callbacks=[Watch()], logger=False
        )
        trainer.fit(module, train, test)
    return {"lightning": lightning.__version__}


def train_fastai(arrays: Arrays, seed: int, begin: Callable[[], None], note: Note) -> dict[str, str]:
    """`Learner.fit_one_cycle` at its default rate, 1e-3, batches of 64; again where five epochs were too few."""
    import fastai.callback.schedule  # noqa: F401  (gives a Learner its fit_one_cycle)
    from fastai.callback.core import Callback, CancelFitException
    from fastai.data.core import DataLoaders
    from fastai.learner import Learner
    from fastai.losses import CrossEntropyLossFlat
    from fastai.metrics import accuracy
    from fastai.torch_core import set_seed

    ended: list[bool] = []

    class Watch(Callback):  # type: ignore[misc]
        order = 60  # after the recorder

        def after_epoch(self) -> None:
            if note(float(self.recorder.values[-1][-1])):
                ended.append(True)
                raise CancelFitException

    set_seed(seed)
    own = DataLoaders(*loaders(arrays, 64))
    learner = Learner(own, torch_network("cnn-norm", 32, 10), CrossEntropyLossFlat(), metrics=accuracy, cbs=Watch())
    begin()
    while not ended:
        with learner.no_bar(), learner.no_logging():
            learner.fit_one_cycle(FASTAI_EPOCHS, 1e-3)
    return {"fastai": version("fastai")}


def main() -> None:
    warnings.filterwarnings("ignore")
    name, file, goal, limit, seed = sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5])
    with np.load(file) as data:
        arrays = tuple(data[each] for each in ("x_train", "y_train", "x_test", "y_test"))
    start, rows = [0.0], []

    def begin() -> None:
        start[0] = time.perf_counter()

    def note(accuracy: float) -> bool:
        rows.append((time.perf_counter() - start[0], accuracy))
        return accuracy >= goal or rows[-1][0] > limit

    train = {"keras": train_keras, "lightning": train_lightning, "fastai": train_fastai}[name]
    versions = train(arrays, seed, begin, note)  # type: ignore[arg-type]
    print("answer " + json.dumps({"epochs": rows, "versions": versions}))


if __name__ == "__main__":
    main()
