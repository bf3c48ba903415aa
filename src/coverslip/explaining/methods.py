"""Heat-map methods by name, and selection of one that the network supports."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from coverslip.core.errors import UserError
from coverslip.core.progress import SILENT, Progress
from coverslip.core.registry import nearest
from coverslip.explaining.maps.cam import CAMS, DEFAULT_CAM, cam_grid, cam_taps
from coverslip.explaining.maps.gradients import GRADIENTS, gradient_map
from coverslip.explaining.maps.heatmap import FloatArray
from coverslip.explaining.maps.occlusion import logit_drops, occlusion
from coverslip.explaining.maps.randomization import MapFunction
from coverslip.inference.onnx_model import is_onnx
from coverslip.models.taps import Tap, find_tap, find_taps

OCCLUSION = "occlusion"
FEW_IMAGES = 4  # with at most this many, methods that need many forward passes are compared too
MIN_GRID = 4  # cells per side that an informative map should have
COARSE_CELLS = 8  # cells of occlusion maps for comparison only: a quarter of the forward passes
UNTESTED = (
    "the layers of an ONNX file are not accessible, so occlusion is used; sanity checks were not run, because the "
    "weights cannot be randomized"
)
WHOLE_NETWORK = "whole network"  # title of the column of a method that uses no layer


def method_names() -> tuple[str, ...]:
    """Return the names of all methods, the recommended one first."""
    return (*CAMS, OCCLUSION, *GRADIENTS)


@dataclass(frozen=True)
class Method:
    """A heat-map method with its layers for one network.

    Attributes:
        name: name of the method.
        taps: layers for which maps are drawn, from first to last; empty if the method uses no layer.
        note: note for the user about this choice; "" if there is none.
    """

    name: str
    taps: tuple[Tap, ...] = ()
    note: str = ""

    @property
    def columns(self) -> list[str]:
        """Titles of the columns of its grid."""
        return [tap.name for tap in self.taps] or [WHOLE_NETWORK]

    @property
    def warning(self) -> str:
        """Warning to print on the maps; "" for most methods."""
        return GRADIENTS[self.name].about if self.name in GRADIENTS and not GRADIENTS[self.name].recommended else ""

    @property
    def about(self) -> str:
        """One sentence that explains the maps."""
        if self.name in CAMS:
            return (
                "Each map shows how much each position of a stage supports the class, on the grid of that stage. Early "
                "stages respond to edges and spots; the last stage determines the prediction."
            )
        if self.name == OCCLUSION:
            return "Each cell shows how far the logit of the class drops when a square there is covered."
        scale = "The color scale ends at the 99.5th percentile, because a few pixels are far above all others."
        return scale if self.warning else f"{GRADIENTS[self.name].about} {scale}"

    def grid(
        self, network: nn.Module, images: Tensor, classes: Sequence[Sequence[int]], progress: Progress = SILENT
    ) -> list[FloatArray]:
        """Compute maps of N images for K classes each: for each column float32 (N, K, h, w), >= 0."""
        if self.taps:
            return cam_grid(network, images, classes, method=self.name, taps=self.taps)
        if self.name == OCCLUSION:
            drops = np.maximum(logit_drops(network, images, progress=progress), 0)
            return [np.stack([drop[list(chosen)] for drop, chosen in zip(drops, classes, strict=True)])]
        places = range(len(classes[0]))
        maps = [gradient_map(network, images, [row[at] for row in classes], method=self.name) for at in places]
        return [np.stack(maps, axis=1)]

    def explain(self, network: nn.Module, images: Tensor, classes: Sequence[int]) -> FloatArray:
        """Compute one map per image, (N, h, w), of the last column: the maps that the sanity checks use."""
        if self.taps:
            column = np.reshape(classes, (-1, 1))
            return cam_grid(network, images, column, method=self.name, taps=self.taps[-1:])[0][:, 0]
        if self.name == OCCLUSION:
            return occlusion(network, images, classes)
        return gradient_map(network, images, classes, method=self.name)


def choose_method(network: nn.Module, shape: tuple[int, int, int], name: str = "", layer: str = "") -> Method:
    """Choose a heat-map method for a network.

    Args:
        network: maps prepared images to logits.
        shape: shape of one image, (C, H, W).
        name: name of the method; "" for Grad-CAM, or for occlusion if no layer has a spatial grid (a note states this).
        layer: stage or module to draw; "" for all of `find_taps`.

    Raises:
        UserError: there is no such method or layer, the network does not support the method, or a layer is given for a
            method that uses none.
    """
    if name and name not in method_names():
        raise UserError(f"unknown method {name!r}", nearest(name, method_names()))
    if is_onnx(network):
        if name not in ("", OCCLUSION) or layer:
            request = f"--layer {layer!r}" if layer else repr(name)
            raise UserError(
                f"{request} needs the layers of a network, which are not accessible in an ONNX file",
                f"use {OCCLUSION!r}, which supports every model, or omit --method and --layer",
            )
        return Method(OCCLUSION, note=UNTESTED)
    if not name and not find_taps(network, shape) and not layer:
        note = "this network has no convolutions or patches, so no layer has a spatial grid; occlusion is used"
        return Method(OCCLUSION, note=note)
    if name and name not in CAMS:
        if layer:
            raise UserError(f"the method {name!r} uses no layer, so --layer {layer!r} has no effect", "omit --layer")
        if name in GRADIENTS:
            need_captum()
        return Method(name)
    taps = cam_taps(network, shape, name or DEFAULT_CAM)
    chosen = (find_tap(network, shape, layer),) if layer else tuple(taps)
    return Method(name or DEFAULT_CAM, chosen, _grid_note(chosen[-1], taps))


def _grid_note(last: Tap, taps: Sequence[Tap]) -> str:
    """Return a note if the grid of the last stage is too coarse to be informative; else ""."""
    if min(last.grid) >= MIN_GRID:
        return ""
    finer = [tap.name for tap in taps if min(tap.grid) >= MIN_GRID]
    problem = f"the grid of {last.name} is only {' x '.join(map(str, last.grid))}, so its maps are hardly informative"
    return f"{problem}; use --layer {finer[-1]} or larger images" if finer else f"{problem}; train with larger images"


def need_captum() -> None:
    """Raise an error before anything is computed if Captum is missing.

    Raises:
        UserError: Captum is not installed.
    """
    if not has_captum():
        raise UserError(
            "this method needs the package 'captum', which is not installed", "pip install 'coverslip[explain]'"
        )


def has_captum() -> bool:
    """Return whether Captum is installed, so that gradient methods can be used."""
    return importlib.util.find_spec("captum") is not None


def other_methods(method: Method, images: int) -> dict[str, MapFunction]:
    """Return methods to compare with: one for the same layer, and for few images also methods that use no layer."""
    others: dict[str, MapFunction] = {}
    if method.taps:
        other = "layer-cam" if method.name != "layer-cam" else DEFAULT_CAM
        others[other] = Method(other, method.taps).explain
    few = images <= FEW_IMAGES
    if method.name != OCCLUSION and few:
        others[OCCLUSION] = lambda network, images, classes: occlusion(network, images, classes, cells=COARSE_CELLS)
    if method.name != "integrated-gradients" and few and has_captum():
        others["integrated-gradients"] = Method("integrated-gradients").explain
    return others
