"""Choose between float32 and bfloat16 by measuring which is faster on this machine.

Timings vary on a busy machine, and another precision leads to other weights. So the choice for a network of given
shapes is stored in the cache, and the same command returns the same weights.
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
from coverslip.core.storage import create_entry, delete_entry, digest, entry_folder, write_text
from coverslip.training.checks import training_mode

if TYPE_CHECKING:
    from coverslip.training.job import TrainingJob

STEPS = 5  # timed steps per precision, after one warm-up step
MAX_RATIO = 0.73  # bfloat16 is chosen below this fraction of the float32 time; its rounding errors must pay off
MAX_RATIO_UNKNOWN = 0.6  # if it is unknown whether the processor has bfloat16; without it, up to 1.28x was measured
KIND, FILE = "precision", "chosen.txt"


def measure_precision(job: TrainingJob) -> tuple[str, str]:
    """Time forward and backward passes in both precisions, without changing any weight.

    Processors without native bfloat16 are not timed, since any speed-up measured there would be noise.

    Returns:
        ``float32`` or ``bfloat16``, and a note with the measurement.
    """
    native = torch.cuda.is_bf16_supported() if job.device.type == "cuda" else native_bfloat16()
    if native is False:
        return "float32", "precision: float32 (this processor has no bfloat16)"
    buffers = {name: buffer.detach().clone() for name, buffer in job.network.named_buffers()}
    training_mode(job.network)
    times: dict[str, list[float]] = {"float32": [], "bfloat16": []}
    for rows in (job.steps(0) * (STEPS + 1))[: STEPS + 1]:
        for precision, seconds_taken in times.items():  # alternate, so that other processes slow both down
            job.precision = precision
            start = perf_counter()
            float(job.gradients(rows, 0, 0)[0])
            seconds_taken.append(perf_counter() - start)
            job.optimizer.zero_grad(set_to_none=True)
    seconds = {precision: min(values[1:]) for precision, values in times.items()}
    with torch.no_grad():
        for name, buffer in job.network.named_buffers():
            buffer.copy_(buffers[name])
    max_ratio = MAX_RATIO if native else MAX_RATIO_UNKNOWN
    chosen = "bfloat16" if seconds["bfloat16"] < max_ratio * seconds["float32"] else "float32"
    speed = seconds["float32"] / seconds["bfloat16"]
    return chosen, f"precision: {chosen} (a step in bfloat16 is {speed:.2f} times as fast here, best of {STEPS})"


def decide_precision(job: TrainingJob, requested: str, progress: Progress) -> str:
    """Return ``requested``, or the cached or measured choice if it is ``auto``, which is reported as a note."""
    if requested != "auto":
        return requested
    key = _key(job)
    cached = _read_cached(key)
    if cached:
        progress.note(f"precision: {cached} (measured on this machine earlier)")
        return cached
    chosen, note = measure_precision(job)
    with suppress(OSError, UserError), create_entry(KIND) as draft:  # without a cache, measure each time
        write_text(draft.folder / FILE, chosen)
        draft.key = key
    progress.note(note)
    return chosen


def _key(job: TrainingJob) -> str:
    """Return a digest of what step times depend on: machine, version, threads, network, shape and number of images."""
    machine_facts, first = machine(), job.inputs.take(np.zeros(1, np.int64), None, torch.device("cpu"))
    environment = (
        machine_facts["processor"],
        machine_facts["cores"],
        torch.__version__,
        torch.get_num_threads(),
        job.device.type,
    )
    trained = [tuple(parameter.shape) for parameter in job.parameters]
    return digest("precision", environment, str(job.network), trained, tuple(first.shape[1:]), job.config.batch_size)


def _read_cached(key: str) -> str:
    """Return the cached choice; "" if there is none or it is invalid."""
    folder = entry_folder(KIND, key)
    if folder is None:
        return ""
    with suppress(OSError, UnicodeDecodeError):
        chosen = (folder / FILE).read_text(encoding="utf-8")
        if chosen in ("float32", "bfloat16"):
            return chosen
    delete_entry(KIND, key)  # the cached file is damaged
    return ""
