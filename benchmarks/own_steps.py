"""Run Coverslip's loop on arrays in memory; run by `steps.py`, which sends requests, like `peer_steps.py`.

    python own_steps.py float32 | bfloat16

For the overhead, it trains a tiny network with the loop and with a bare loop of forward, backward and update, in turns.
"""

from __future__ import annotations

import sys
import time
from functools import cache
from typing import Any

import torch

from coverslip.models.catalog import build_network
from coverslip.models.design import Design
from coverslip.models.stages import Staged
from coverslip.models.summary import summary
from coverslip.training.batches import ArrayInputs
from coverslip.training.callbacks import Callback
from coverslip.training.config import TrainingConfig
from coverslip.training.job import TrainingJob, prepare_job
from coverslip.training.loop import train_network
from coverslip.training.precision import measure_precision
from coverslip.training.state import TrainState
from peer_steps import BATCH, CLASSES, images
from workers import serve

MATRIX, TIMES = 2048, 7


class Clock(Callback):
    """Callback that records the time of the last epoch, including other callbacks, as users' callbacks run last."""

    def epoch_start(self, state: TrainState) -> None:
        self.start = time.perf_counter()

    def epoch_end(self, state: TrainState) -> None:
        self.seconds = time.perf_counter() - self.start


@cache
def network(name: str, size: int) -> Staged:
    """Return the same networks as those of the peers."""
    options: dict[str, Any] = {"mlp": {"hidden": (128, 128)}, "cnn-norm": {"batch_norm": True}}.get(name, {})
    design = Design(network=name.removesuffix("-norm"), size=(size, size), **options)
    return build_network(design, CLASSES)


def job_of(name: str, count: int, size: int) -> TrainingJob:
    """Return a prepared training, for measurements without the loop."""
    x, y = images(count, size)
    inputs, recipe = ArrayInputs(x.transpose(0, 3, 1, 2)), TrainingConfig(epochs=1, batch_size=BATCH, lr=1e-3)
    return prepare_job(network(name, size), inputs, y, CLASSES, recipe, None, torch.device("cpu"))


def epoch(how: str, name: str, count: int, size: int) -> float:
    """Return the seconds of one epoch, in float32, in bfloat16, or with a bare loop (``bare``)."""
    if how != "bare":
        x, y = images(count, size)
        recipe, clock = TrainingConfig(epochs=1, batch_size=BATCH, lr=1e-3, precision=how), Clock()
        train_network(network(name, size), ArrayInputs(x.transpose(0, 3, 1, 2)), y, CLASSES, recipe, callbacks=[clock])
        return clock.seconds
    job = job_of(name, count, size)
    network(name, size).train()
    job.precision = "float32"
    start = time.perf_counter()
    for rows in job.steps(0):
        job.gradients(rows, 0, 0)
        job.update(1e-3)
    return time.perf_counter() - start


def work_of(name: str, size: int) -> float:
    """Return the floating point operations per image in a step: forward, and twice as many for the gradients.

    The first layer counts once less, since the gradient of the images is not computed.
    """
    made = summary(network(name, size), (3, size, size))
    first = next(layer.multiply_adds for layer in made.layers if layer.multiply_adds)
    return 2.0 * (3 * made.multiply_adds - first)


def peak(kind: torch.dtype) -> float:
    """Return the highest speed of a large matrix product in floating point operations per second."""
    a, b = (torch.randn(MATRIX, MATRIX).to(kind) for _ in range(2))
    best = float("inf")
    for _ in range(TIMES):
        start = time.perf_counter()
        torch.mm(a, b)
        best = min(best, time.perf_counter() - start)
    return 2.0 * MATRIX**3 / best


def overhead() -> list[float]:
    """Return the additional seconds of a step of the loop, compared with the bare loop, for each of a few turns."""
    steps, small = 400, ("mlp", 400 * BATCH, 8)
    found = []
    for _ in range(TIMES + 1):
        found.append((epoch("float32", *small) - epoch("bare", *small)) / steps)
    return found[1:]


def answer(how: str, **request: Any) -> dict[str, Any]:
    """Answer a request, see `peer_steps`; without a number of images: operations; an empty request: peak speed.

    For ``chosen``, the answer is the precision that ``auto`` chooses for a network.
    """
    if not request:
        return {"versions": {}, "peak": {"float32": peak(torch.float32), "bfloat16": peak(torch.bfloat16)}}
    if "chosen" in request:
        return {"chosen": measure_precision(job_of(request["chosen"], 8 * BATCH, request["size"]))[0]}
    if "overhead" in request:
        return {"overhead": overhead()}
    if "count" not in request:
        return {"work": work_of(**request)}
    return {"seconds": epoch(how, **request)}


if __name__ == "__main__":
    serve(lambda **request: answer(sys.argv[1], **request))
