"""Train a peer on CIFAR-10 from scratch up to an accuracy; run by `time_to_accuracy.py`.

    python peer_accuracy.py keras | lightning | fastai FILE.npz GOAL SECONDS SEED

prints (seconds since the start of training, accuracy) at the end of each epoch. All have the network of
`peer_networks`.
"""

from __future__ import annotations

import os
import sys
import warnings
from importlib.metadata import version
from typing import Any

import numpy as np

from peer_loops import Clock, fit_fastai, fit_keras, fit_lightning
from peer_networks import keras_network, torch_network

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
FASTAI_EPOCHS = 5  # one-cycle must know the number of epochs


def train_keras(arrays: Arrays, seed: int, clock: Clock) -> dict[str, str]:
    """Train with `fit`, Adam 1e-3 and batches of 32, which are all defaults."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras

    keras.utils.set_random_seed(seed)
    x, y, test, truth = arrays
    network, held = keras_network("cnn-norm", 32, 10), (test.astype("float32") / 255, truth)
    fit_keras(network, x.astype("float32") / 255, clock, y=y, validation_data=held)
    return {"keras": keras.__version__, "tensorflow": version("tensorflow-cpu")}


def loaders(arrays: Arrays, batch: int) -> tuple[Any, Any]:
    """Return PyTorch data loaders over tensors in memory, on the scale -1 to 1 as in its CIFAR-10 tutorial."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    def data(x: np.ndarray, y: np.ndarray) -> Any:
        scaled = torch.from_numpy(x.transpose(0, 3, 1, 2).copy()).float().div_(127.5).sub_(1)
        return TensorDataset(scaled, torch.from_numpy(y.astype(np.int64)))

    x, y, test, truth = arrays
    return DataLoader(data(x, y), batch_size=batch, shuffle=True), DataLoader(data(test, truth), batch_size=batch)


def train_lightning(arrays: Arrays, seed: int, clock: Clock) -> dict[str, str]:
    """Batches of 64."""
    import lightning

    lightning.seed_everything(seed, verbose=False)
    train, test = loaders(arrays, 64)
    return fit_lightning(torch_network("cnn-norm", 32, 10), train, test, clock)


def train_fastai(arrays: Arrays, seed: int, clock: Clock) -> dict[str, str]:
    """Train with batches of 64; repeat if five epochs were not enough."""
    from fastai.data.core import DataLoaders
    from fastai.losses import CrossEntropyLossFlat
    from fastai.torch_core import set_seed

    set_seed(seed)
    own = DataLoaders(*loaders(arrays, 64))
    return fit_fastai(own, torch_network("cnn-norm", 32, 10), FASTAI_EPOCHS, clock, loss_func=CrossEntropyLossFlat())


def main() -> None:
    warnings.filterwarnings("ignore")
    name, file, goal, limit, seed = sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5])
    with np.load(file) as data:
        arrays = tuple(data[each] for each in ("x_train", "y_train", "x_test", "y_test"))
    clock = Clock(limit, goal)
    train = {"keras": train_keras, "lightning": train_lightning, "fastai": train_fastai}[name]
    clock.tell(train(arrays, seed, clock))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
