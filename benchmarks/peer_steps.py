"""A peer trains on arrays in memory, as its documentation says; `steps.py` starts this in the peer's environment.

    python peer_steps.py keras | torch | lightning [POLICY]

A question names a network and how many images an epoch has; the answer is the seconds of one epoch of batches of 32.
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
    """Noise: float32 (N, H, W, C), 0 to 1, and its labels."""
    chance = np.random.default_rng(0)
    return chance.random((count, size, size, 3), np.float32), chance.integers(0, CLASSES, count)


class Keras:
    """`fit`, with the metric that everybody asks for."""

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
    """The loop of PyTorch's quickstart, with Adam."""

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
    """`Trainer.fit` with all it does by default."""

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
    """Batches of images (N, C, H, W), as PyTorch's documentation has them."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    x, y = images(count, size)
    data = TensorDataset(torch.from_numpy(x.transpose(0, 3, 1, 2)).contiguous(), torch.from_numpy(y))
    return DataLoader(data, batch_size=BATCH, shuffle=True)


if __name__ == "__main__":
    peer = {"keras": Keras, "torch": Torch, "lightning": Lightning}[sys.argv[1]](*sys.argv[2:])
    serve(lambda **asked: {"versions": peer.versions} | ({"seconds": peer.epoch(**asked)} if asked else {}))
