"""Which precision is faster here: measured, since it depends on the processor, and then remembered.

A measurement of time can come out differently on a busy machine, and weights trained in another precision are other
weights. So what was chosen once for a network of these shapes, on this machine, stands in the cache: the same command
gives the same weights.
"""

from __future__ import annotations

from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
import torch

from coverslip.core.devices import machine, native_bfloat16
from coverslip.core.errors import UserError
from coverslip.core.progress import Progress
from coverslip.core.storage import building, digest, drop_entry, entry_folder, write_text
from coverslip.training.checks import training_mode

if TYPE_CHECKING:
    from coverslip.training.job import Job

STEPS = 5  # timed of each, after one that is not
WORTH = 0.73  # of the time of a step in float32 that one in bfloat16 may take, to be worth its rounding
UNSURE = 0.6  # where nobody can tell whether the processor has bfloat16: without it, up to 1.28 times as fast was seen
KIND, FILE = "precision", "chosen.txt"


def choose_precision(job: Job) -> tuple[str, str]:
    """Time forward and backward of the first steps in both; no weight is changed.

    A processor that has no bfloat16 is not timed: what it seems to save there is chance.

    Returns:
        ``float32`` or ``bfloat16``, and a sentence that says what was measured.
    """
    native = torch.cuda.is_bf16_supported() if job.device.type == "cuda" else native_bfloat16()
    if native is False:
        return "float32", "precision: float32 (this processor has no bfloat16)"
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
    worth = WORTH if native else UNSURE
    chosen = "bfloat16" if seconds["bfloat16"] < worth * seconds["float32"] else "float32"
    speed = seconds["float32"] / seconds["bfloat16"]
    return chosen, f"precision: {chosen} (a step in bfloat16 is {speed:.2f} times as fast here, best of {STEPS})"


def decide_precision(job: Job, asked: str, progress: Progress) -> str:
    """``asked``, or what was measured where it is ``auto``; the user is told."""
    if asked != "auto":
        return asked
    key = _key(job)
    before = _remembered(key)
    if before:
        progress.note(f"precision: {before} (as was measured here before)")
        return before
    chosen, sentence = choose_precision(job)
    with suppress(OSError, UserError), building(KIND) as draft:  # where none can be kept, it is measured each time
        write_text(draft.folder / FILE, chosen)
        draft.key = key
    progress.note(sentence)
    return chosen


def _key(job: Job) -> str:
    """Names what the time of a step depends on: machine, version, threads, network, shape and number of images."""
    about, first = machine(), job.inputs.take(np.zeros(1, np.int64), None, torch.device("cpu"))
    here = (about["processor"], about["cores"], torch.__version__, torch.get_num_threads(), job.device.type)
    trained = [tuple(each.shape) for each in job.trained]
    return digest("precision", here, str(job.network), trained, tuple(first.shape[1:]), job.config.batch_size)


def _remembered(key: str) -> str:
    """What was chosen before; empty where nothing was, or it cannot be read."""
    folder = entry_folder(KIND, key)
    if folder is None:
        return ""
    with suppress(OSError, UnicodeDecodeError):
        chosen = (folder / FILE).read_text(encoding="utf-8")
        if chosen in ("float32", "bfloat16"):
            return chosen
    drop_entry(KIND, key)  # a disk error has spoilt it
    return ""
