"""Search for the best head on cached features with a peer; run by `tuning.py` in the peer's environment.

    python peer_tuning.py optuna | ray | keras-tuner FEATURES.npz TRIALS EPOCHS SEED

``FEATURES.npz`` contains x (V, N, D) of V views, y (N,), held (M, D) and truth (M,). Prints (seconds since the start of
the search, validation log loss of the epoch) for every epoch of every trial, and the trials. Each searches as
documented, one trial at a time, with one linear layer, AdamW and a one-cycle schedule; epoch e sees view e.
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

import numpy as np

Rows = list[tuple[float, float]]
RATE, DECAY, SMOOTHING, BATCH = (3e-4, 0.1), (1e-4, 1.0), (0.0, 0.3), 32


def train(
    data: dict[str, np.ndarray], values: dict[str, Any], epochs: int, report: Callable[[int, float], bool]
) -> None:
    """Train with plain PyTorch; ``report`` gets an epoch (from 0) and its loss; training ends if it returns False."""
    import torch
    from torch import nn
    from torch.nn import functional

    views, y = torch.from_numpy(data["x"]), torch.from_numpy(data["y"])
    held, truth = torch.from_numpy(data["held"]), torch.from_numpy(data["truth"])
    torch.manual_seed(0)
    head = nn.Linear(views.shape[2], int(y.max()) + 1)
    optimizer = torch.optim.AdamW(head.parameters(), lr=values["rate"], weight_decay=values["weight_decay"])
    steps = epochs * -(-len(y) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, values["rate"], total_steps=steps, pct_start=0.25)
    for epoch in range(epochs):
        for rows in torch.randperm(len(y)).split(BATCH):
            loss = functional.cross_entropy(
                head(views[epoch % len(views)][rows]), y[rows], label_smoothing=values["smoothing"]
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        with torch.no_grad():
            if not report(epoch, float(functional.cross_entropy(head(held), truth))):
                return


def search_optuna(data: dict[str, np.ndarray], trials: int, epochs: int, seed: int) -> tuple[Rows, dict[str, str]]:
    """Search with TPE and Hyperband, with a study in SQLite."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    rows: Rows = []

    def objective(trial: Any) -> float:
        values = {
            "rate": trial.suggest_float("rate", *RATE, log=True),
            "weight_decay": trial.suggest_float("weight_decay", *DECAY, log=True),
            "smoothing": trial.suggest_float("smoothing", *SMOOTHING),
        }
        best = [float("inf")]

        def report(epoch: int, loss: float) -> bool:
            rows.append((time.perf_counter() - start, loss))
            best[0] = min(best[0], loss)
            trial.report(loss, epoch + 1)
            if trial.should_prune():
                raise optuna.TrialPruned
            return True

        train(data, values, epochs, report)
        return best[0]

    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        study = optuna.create_study(
            storage=f"sqlite:///{folder}/study.db",
            sampler=optuna.samplers.TPESampler(seed=seed),
            pruner=optuna.pruners.HyperbandPruner(min_resource=1, max_resource=epochs),
        )
        study.optimize(objective, n_trials=trials)
    return rows, {"optuna": version("optuna")}


def search_ray(data: dict[str, np.ndarray], trials: int, epochs: int, seed: int) -> tuple[Rows, dict[str, str]]:
    """Search with ASHA and Optuna's sampler; one core per trial."""
    os.environ |= {"RAY_DEDUP_LOGS": "0", "RAY_AIR_NEW_OUTPUT": "0", "RAY_CHDIR_TO_TRIAL_DIR": "0"}
    import ray
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    ray.init(num_cpus=os.cpu_count(), include_dashboard=False, log_to_driver=False, configure_logging=False)
    shared = ray.put(data)
    began = time.time()  # workers are other processes, so use wall-clock time

    def objective(values: dict[str, Any]) -> None:
        import torch

        torch.set_num_threads(1)

        def report(epoch: int, loss: float) -> bool:
            tune.report({"loss": loss, "at": time.time()})
            return True

        train(dict(ray.get(shared)), values, epochs, report)

    with tempfile.TemporaryDirectory() as folder:
        tuner = tune.Tuner(
            tune.with_resources(objective, {"cpu": 1}),
            param_space={
                "rate": tune.loguniform(*RATE),
                "weight_decay": tune.loguniform(*DECAY),
                "smoothing": tune.uniform(*SMOOTHING),
            },
            tune_config=tune.TuneConfig(
                metric="loss",
                mode="min",
                num_samples=trials,
                scheduler=ASHAScheduler(max_t=epochs, grace_period=1, reduction_factor=3),
                search_alg=OptunaSearch(seed=seed),
            ),
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        )
        results = tuner.fit()
        rows: Rows = []
        for result in results:
            frame = result.metrics_dataframe
            if frame is not None:
                rows += [(at - began, loss) for at, loss in zip(frame["at"], frame["loss"], strict=True)]
    ray.shutdown()
    return sorted(rows), {"ray": version("ray")}


def search_keras(data: dict[str, np.ndarray], trials: int, epochs: int, seed: int) -> tuple[Rows, dict[str, str]]:
    """Search with KerasTuner's Hyperband on the PyTorch back end; the number of trials follows from the epochs."""
    os.environ["KERAS_BACKEND"] = "torch"
    import keras
    import keras_tuner

    rows: Rows = []
    x, y = data["x"][0], data["y"]

    class Watch(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            logits = self.model.predict(data["held"], verbose=0)
            shifted = logits - logits.max(axis=1, keepdims=True)
            losses = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(shifted)), data["truth"]]
            rows.append((time.perf_counter() - start, float(losses.mean())))

        def __deepcopy__(self, memo: Any) -> Any:
            return self  # the tuner copies the callbacks for every trial

    class Head(keras_tuner.HyperModel):  # type: ignore[misc]
        def build(self, values: Any) -> Any:
            network = keras.Sequential([keras.Input((x.shape[1],)), keras.layers.Dense(int(y.max()) + 1)])
            rate = values.Float("rate", *RATE, sampling="log")
            decay = values.Float("weight_decay", *DECAY, sampling="log")
            values.Float("smoothing", *SMOOTHING)
            loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=values.get("smoothing"))
            network.compile(keras.optimizers.AdamW(rate, weight_decay=decay), loss)
            return network

        def fit(self, values: Any, model: Any, *arguments: Any, **options: Any) -> Any:
            return model.fit(*arguments, batch_size=BATCH, **options)

    classes = int(y.max()) + 1
    with tempfile.TemporaryDirectory() as folder:
        tuner = keras_tuner.Hyperband(
            Head(), "val_loss", max_epochs=epochs, seed=seed, directory=folder, project_name="heads"
        )
        start = time.perf_counter()
        tuner.search(
            x,
            keras.utils.to_categorical(y, classes),
            validation_data=(data["held"], keras.utils.to_categorical(data["truth"], classes)),
            callbacks=[Watch()],
            verbose=0,
        )
    return rows, {"keras-tuner": version("keras-tuner"), "keras": keras.__version__}


def main() -> None:
    warnings.filterwarnings("ignore")
    name, file = sys.argv[1], Path(sys.argv[2])
    trials, epochs, seed = map(int, sys.argv[3:6])
    with np.load(file) as archive:
        data = {key: archive[key] for key in archive}
    search = {"optuna": search_optuna, "ray": search_ray, "keras-tuner": search_keras}[name]
    rows, versions = search(data, trials, epochs, seed)
    print("answer " + json.dumps({"rows": rows, "versions": versions}))


if __name__ == "__main__":  # worker processes import this file again if they are not forked
    main()
