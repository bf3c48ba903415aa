"""Training loops of the peers for the benchmarks of time to accuracy; independent of Coverslip.

Each gets a `Clock`, starts it directly before training, and reports the accuracy of every epoch.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from importlib.metadata import version
from typing import Any


class Clock:
    """Record of (seconds since the start of training, accuracy) per epoch, and whether training should stop."""

    def __init__(self, limit: float, goal: float = float("inf")) -> None:
        self.limit, self.goal, self.start, self.rows = limit, goal, 0.0, list[tuple[float, float]]()

    def begin(self) -> None:
        self.start = time.perf_counter()

    def note(self, accuracy: float) -> bool:
        """Record an epoch; return True at the goal or the time limit."""
        self.rows.append((time.perf_counter() - self.start, accuracy))
        print(f"{self.rows[-1][0]:.0f} s: {accuracy:.3f}", file=sys.stderr, flush=True)
        return accuracy >= self.goal or self.rows[-1][0] > self.limit

    def tell(self, versions: dict[str, str]) -> None:
        """Print the answer of a script."""
        print("answer " + json.dumps({"epochs": self.rows, "versions": versions}))


def fit_keras(network: Any, data: Any, clock: Clock, **options: Any) -> None:
    """Train with `fit` until the clock stops it; ``options`` are those of `fit`."""
    import keras

    class Watch(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.stop_training = clock.note(float(logs["val_accuracy"]))

    clock.begin()
    network.fit(data, epochs=1000, verbose=0, callbacks=[Watch()], **options)


def fit_lightning(network: Any, train: Any, test: Any, clock: Clock) -> dict[str, str]:
    """Train with `Trainer.fit` and Adam 1e-3; return the version."""
    import lightning
    import torch
    from torch.nn import functional

    class Module(lightning.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def training_step(self, batch: Any, number: int) -> Any:
            return functional.cross_entropy(self.network(batch[0]), batch[1])

        def validation_step(self, batch: Any, number: int) -> None:
            self.log("accuracy", (self.network(batch[0]).argmax(1) == batch[1]).float().mean())

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters(), lr=1e-3)

    class Watch(lightning.Callback):  # type: ignore[misc]
        def on_validation_epoch_end(self, trainer: Any, module: Any) -> None:
            if not trainer.sanity_checking:
                trainer.should_stop = clock.note(float(trainer.callback_metrics["accuracy"]))

    module = Module()
    with tempfile.TemporaryDirectory() as home:
        clock.begin()
        trainer = lightning.Trainer(
            max_epochs=1000, accelerator="cpu", default_root_dir=home, callbacks=[Watch()], logger=False
        )
        trainer.fit(module, train, test)
    return {"lightning": lightning.__version__}


def fit_fastai(loaders: Any, network: Any, epochs: int, clock: Clock, **options: Any) -> dict[str, str]:
    """Train with `fit_one_cycle` at its default learning rate 1e-3, repeatedly until the end; return the version."""
    import fastai.callback.schedule  # noqa: F401  (gives a Learner its fit_one_cycle)
    from fastai.callback.core import Callback, CancelFitException
    from fastai.learner import Learner
    from fastai.metrics import accuracy

    ended: list[bool] = []

    class Watch(Callback):  # type: ignore[misc]
        order = 60  # after the recorder

        def after_epoch(self) -> None:
            if clock.note(float(self.recorder.values[-1][-1])):
                ended.append(True)
                raise CancelFitException

    learner = Learner(loaders, network, metrics=accuracy, cbs=Watch(), **options)
    clock.begin()
    while not ended:
        with learner.no_bar(), learner.no_logging():
            learner.fit_one_cycle(epochs, 1e-3)
    return {"fastai": version("fastai")}
