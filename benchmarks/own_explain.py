"""Compute our maps of 15 classes at 4 layers; run by `explain.py`, which sends requests.

The answer is the time for maps at the size of the image; with ``file``, the maps on the layers' grids are written
there.
"""

from __future__ import annotations

import time
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from coverslip.explaining.maps.cam import CAMS, cam_grid
from coverslip.explaining.maps.heatmap import resize_maps
from explain_networks import CLASSES, SIZE, network_of, sample_image
from workers import serve

THEIRS = 1e-6  # the constant that pytorch-grad-cam adds to the denominator


@CAMS.register("grad-cam++ with their constant")
def guarded(activations: Tensor, gradients: Tensor) -> Tensor:
    """Return g^2 / (2 g^2 + sum(A) g^3 + 1e-6), which equals ours if g^2 is much larger than 1e-6."""
    squares = gradients**2
    alpha = squares / (2 * squares + activations.sum(-1, keepdim=True) * squares * gradients + THEIRS)
    return (alpha * gradients.clamp(min=0)).sum(-1) @ activations[:, 0]


build = cache(network_of)


def answer(network: str = "", method: str = "grad-cam", file: str = "", way: str = "") -> dict[str, Any]:
    """One question."""
    if not network:
        return {"versions": {"torch": torch.__version__}, "threads": torch.get_num_threads()}
    module, taps = build(network)
    image = sample_image()
    start, busy = time.perf_counter(), time.process_time()
    maps = cam_grid(module, image, range(CLASSES), method=method, taps=taps)
    drawn = [resize_maps(each, (SIZE, SIZE)) for each in maps]
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    if file:
        np.savez(file, **{f"map{place}": each[0] for place, each in enumerate(maps)})
        np.savez(f"{file}.drawn.npz", **{f"map{place}": each[0] for place, each in enumerate(drawn)})
    return {"seconds": seconds, "processor": busy}


if __name__ == "__main__":
    serve(answer)
