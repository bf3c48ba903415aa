"""How each peer trains until it may stop, for the benchmarks of time to an accuracy; nothing here knows Coverslip.

Each takes a `Clock`, begins it right before training, and tells it the accuracy of every epoch.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from importlib.metadata import version
from typing import Any


class Clock:
    """(seconds since training began, accuracy) of each epoch, and whether that is the end."""

    def __init__(self, limit: float, goal: float = float("inf")) -> None:
        self.limit, self.goal, self.start, self.rows = limit, goal, 0.0, list[tuple[float, float]]()

    def begin(self) -> None:
        self.start = time.perf_counter()

    def note(self, accuracy: float) -> bool:
        """Note an epoch; True at the goal, or when the time is up."""
        self.rows.append((time.perf_counter() - self.start, accuracy))
        print(f"{self.rows[-1][0]:.0f} s: {accuracy:.3f}", file=sys.stderr, flush=True)
        return accuracy >= self.goal or self.rows[-1][0] > self.limit

    def tell(self, versions: dict[str, str]) -> None:
        """The answer of a script, on its standard output."""
        print("answer " + json.dumps({"epochs": self.rows, "versions": versions}))


def fit_keras(network: Any, data: Any, clock: Clock, **options: Any) -> None:
    """`fit` for as many epochs as the clock lets it; ``options`` are those of `fit`."""
    import keras

    class Watch(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.stop_training = clock.note(float(logs["val_accuracy"]))

    clock.begin()
    network.fit(data, epochs=1000, verbose=0, callbacks=[Watch()], **options)


def fit_lightning(network: Any, train: Any, test: Any, clock: Clock) -> dict[str, str]:
    """`Trainer.fit` with Adam 1e-3; its version."""
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
    """`fit_one_cycle` at its default rate, 1e-3, over so many epochs, and again where time is left; its version."""
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
