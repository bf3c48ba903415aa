"""Which precision is faster here: measured, since it depends on the processor."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

import torch

from coverslip.progress import Progress
from coverslip.training.checks import training_mode

if TYPE_CHECKING:
    from coverslip.training.job import Job

STEPS = 5  # timed of each, after one that is not
# bfloat16 has to save two fifths, as it does where the processor has it. What is only noise of the measurement must not
# decide: the same command gives the same weights. (On a processor without it, up to 1.28 times as fast was seen.)
WORTH = 0.6


def choose_precision(job: Job) -> tuple[str, str]:
    """Time forward and backward of the first steps in both; no weight is changed.

    Returns:
        ``float32`` or ``bfloat16``, and a sentence that says what was measured.
    """
    buffers = {name: each.detach().clone() for name, each in job.network.named_buffers()}
    training_mode(job.network)
    times: dict[str, list[float]] = {"float32": [], "bfloat16": []}
    for rows in (job.steps(0) * (STEPS + 1))[: STEPS + 1]:
        for precision, taken in times.items():  # in turn, so that another program slows both
            job.precision = precision
            start = perf_counter()
            float(job.gradients(rows, 0, 0)[0])
            taken.append(perf_counter() - start)
            job.optimizer.zero_grad(set_to_none=True)
    seconds = {precision: min(taken[1:]) for precision, taken in times.items()}
    with torch.no_grad():
        for name, each in job.network.named_buffers():
            each.copy_(buffers[name])
    chosen = "bfloat16" if seconds["bfloat16"] < WORTH * seconds["float32"] else "float32"
    speed = seconds["float32"] / seconds["bfloat16"]
    return chosen, f"precision: {chosen} (a step in bfloat16 is {speed:.2f} times as fast here, best of {STEPS})"


def decide_precision(job: Job, asked: str, progress: Progress) -> str:
    """``asked``, or what was measured where it is ``auto``; the user is told."""
    if asked != "auto":
        return asked
    chosen, sentence = choose_precision(job)
    progress.note(sentence)
    return chosen
