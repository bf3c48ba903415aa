"""Train a peer on arrays in memory, as documented; run by `steps.py` in the peer's environment.

    python peer_steps.py keras | torch | lightning [POLICY]

A request contains a network and the number of images per epoch; the answer is the seconds of one epoch with batches of
32.
"""

from __future__ import annotations

import sys
import time
import warnings
from functools import cache
from importlib.metadata import version
from typing import Any

import numpy as np

from peer_networks import keras_network, torch_network
from workers import serve

BATCH, CLASSES = 32, 10


def images(count: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return noise images, float32 (N, H, W, C), 0 to 1, and labels."""
    rng = np.random.default_rng(0)
    return rng.random((count, size, size, 3), np.float32), rng.integers(0, CLASSES, count)


class Keras:
    """Train with `fit` and the usual metric, accuracy."""

    def __init__(self, policy: str = "float32") -> None:
        import keras

        keras.mixed_precision.set_global_policy(policy)
        packages = {"tensorflow": "tensorflow-cpu"}
        engine = keras.backend.backend()
        self.versions = {"keras": keras.__version__, engine: version(packages.get(engine, engine))}
        self.network = cache(keras_network)

    def epoch(self, name: str, count: int, size: int) -> float:
        import keras

        class Clock(keras.callbacks.Callback):  # type: ignore[misc]
            def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
                self.start = time.perf_counter()

            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                self.seconds = time.perf_counter() - self.start

        clock = Clock()
        x, y = images(count, size)
        self.network(name, size, CLASSES).fit(x, y, batch_size=BATCH, epochs=1, verbose=0, callbacks=[clock])
        return float(clock.seconds)


class Torch:
    """Train with the loop of PyTorch's quickstart and Adam."""

    def __init__(self) -> None:
        self.versions = {"torch": version("torch")}
        self.network = cache(self.build)

    def build(self, name: str, size: int) -> Any:
        import torch

        network = torch_network(name, size, CLASSES)
        return network, torch.optim.Adam(network.parameters(), lr=1e-3)

    def epoch(self, name: str, count: int, size: int) -> float:
        from torch import nn

        network, optimizer = self.network(name, size)
        loss_of, loader = nn.CrossEntropyLoss(), torch_loader(count, size)
        network.train()
        start = time.perf_counter()
        for x, y in loader:
            loss = loss_of(network(x), y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        return time.perf_counter() - start


class Lightning:
    """Train with `Trainer.fit` and its defaults."""

    def __init__(self) -> None:
        import lightning

        warnings.filterwarnings("ignore")
        self.versions = {"lightning": lightning.__version__, "torch": version("torch")}
        self.module = cache(self.build)

    def build(self, name: str, size: int) -> Any:
        import lightning
        import torch
        from torch.nn import functional

        class Module(lightning.LightningModule):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.network = torch_network(name, size, CLASSES)

            def training_step(self, batch: Any, number: int) -> Any:
                x, y = batch
                loss = functional.cross_entropy(self.network(x), y)
                self.log("train_loss", loss)
                return loss

            def configure_optimizers(self) -> Any:
                return torch.optim.Adam(self.parameters(), lr=1e-3)

        return Module()

    def epoch(self, name: str, count: int, size: int) -> float:
        import tempfile

        import lightning

        class Clock(lightning.Callback):  # type: ignore[misc]
            def on_train_epoch_start(self, *_: Any) -> None:
                self.start = time.perf_counter()

            def on_train_epoch_end(self, *_: Any) -> None:
                self.seconds = time.perf_counter() - self.start

        clock = Clock()
        with tempfile.TemporaryDirectory() as folder:
            trainer = lightning.Trainer(max_epochs=1, accelerator="cpu", default_root_dir=folder, callbacks=[clock])
            trainer.fit(self.module(name, size), torch_loader(count, size))
        return float(clock.seconds)


def torch_loader(count: int, size: int) -> Any:
    """Return batches of images (N, C, H, W), as in PyTorch's documentation."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    x, y = images(count, size)
    data = TensorDataset(torch.from_numpy(x.transpose(0, 3, 1, 2)).contiguous(), torch.from_numpy(y))
    return DataLoader(data, batch_size=BATCH, shuffle=True)


if __name__ == "__main__":
    peer = {"keras": Keras, "torch": Torch, "lightning": Lightning}[sys.argv[1]](*sys.argv[2:])
    serve(lambda **request: {"versions": peer.versions} | ({"seconds": peer.epoch(**request)} if request else {}))
