"""Compute the maps with pytorch-grad-cam; run by `explain.py` in the peer's environment, which sends requests.

There are three ways: as documented (one map per call); one layer per call with the image repeated for every class; and
everything in one call, with the maps of single layers taken from its internals, since it returns their average.
"""

from __future__ import annotations

import time
from functools import cache
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from pytorch_grad_cam import GradCAM, GradCAMPlusPlus, LayerCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

from explain_networks import CLASSES, network_of, sample_image
from workers import serve

METHODS = {"grad-cam": GradCAM, "grad-cam++": GradCAMPlusPlus, "layer-cam": LayerCAM}
TARGETS = [ClassifierOutputTarget(index) for index in range(CLASSES)]

build = cache(network_of)


def answer(network: str = "", method: str = "grad-cam", way: str = "call", file: str = "") -> dict[str, Any]:
    """One question."""
    if not network:
        return {"versions": {"grad-cam": version("grad-cam"), "torch": torch.__version__}}
    module, taps = build(network)
    layers = [module.get_submodule(tap.module) for tap in taps]
    reshape = None if taps[0].tokens is None else taps[0].to_grid
    kind, image = METHODS[method], sample_image()
    collected: list[np.ndarray] = []
    start, busy = time.perf_counter(), time.process_time()
    if way == "map":
        for layer in layers:
            with kind(model=module, target_layers=[layer], reshape_transform=reshape) as cam:
                for target in TARGETS:
                    cam(input_tensor=image, targets=[target])
    elif way == "layer":
        many = image.expand(CLASSES, -1, -1, -1)
        for layer in layers:
            with kind(model=module, target_layers=[layer], reshape_transform=reshape) as cam:
                cam(input_tensor=many, targets=TARGETS)
    else:
        with kind(model=module, target_layers=layers, reshape_transform=reshape) as cam:
            inside, drawn = cam.get_cam_image, []
            if file:
                cam.get_cam_image = lambda *given, **named: keep(collected, inside(*given, **named))
            whole = cam.compute_cam_per_layer
            cam.compute_cam_per_layer = lambda *given, **named: keep(drawn, whole(*given, **named))
            cam(input_tensor=image.expand(CLASSES, -1, -1, -1), targets=TARGETS)
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    if file:
        np.savez(file, **{f"map{place}": np.maximum(each, 0) for place, each in enumerate(collected)})
        np.savez(f"{file}.drawn.npz", **{f"map{place}": each[:, 0] for place, each in enumerate(drawn[0])})
    return {"seconds": seconds, "processor": busy}


def keep(where: list[Any], maps: Any) -> Any:
    """Note what passes."""
    where.append(maps)
    return maps


if __name__ == "__main__":
    serve(answer)
