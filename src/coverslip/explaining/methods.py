"""Every way to make a heat map by its name, and which of them a network allows."""

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
from coverslip.explaining.maps.occlusion import occlusion, score_drops
from coverslip.explaining.maps.randomization import Explain
from coverslip.inference.foreign import is_foreign
from coverslip.models.taps import Tap, find_tap, find_taps

OCCLUSION = "occlusion"
FEW = 4  # images for which methods that run the network many times are compared
PLACES = 4  # a side, that a map should have
COARSE = 8  # cells of an occlusion that is only compared with: a quarter of the runs
UNTESTED = (
    "the layers of an ONNX file cannot be looked into: occlusion is shown. Whether its maps can be believed was not "
    "tested, since the weights cannot be put in random order"
)
WHOLE = "whole network"  # what a column is called where a method reads no layer


def method_names() -> tuple[str, ...]:
    """Names of all methods, the recommended one first."""
    return (*CAMS, OCCLUSION, *GRADIENTS)


@dataclass(frozen=True)
class Method:
    """One method, fitted to one network.

    Attributes:
        name: of the method.
        taps: the layers that it draws, first to last; empty where it needs none.
        note: what the user should be told of the choice; "" mostly.
    """

    name: str
    taps: tuple[Tap, ...] = ()
    note: str = ""

    @property
    def columns(self) -> list[str]:
        """Names of the columns of its grid."""
        return [tap.name for tap in self.taps] or [WHOLE]

    @property
    def warning(self) -> str:
        """What must be printed on its maps; "" for most."""
        return GRADIENTS[self.name].about if self.name in GRADIENTS and not GRADIENTS[self.name].trusted else ""

    @property
    def about(self) -> str:
        """One sentence on what its maps are."""
        if self.name in CAMS:
            return (
                "Each map shows how much a place of that stage speaks for the class, on the stage’s own grid: early "
                "stages see edges and spots, the last one decides."
            )
        if self.name == OCCLUSION:
            return "Each place shows how far the class’s score falls when a square there is covered with one color."
        said = "Colors end at the 99.5th percentile, since a few single pixels are far above all others."
        return said if self.warning else f"{GRADIENTS[self.name].about} {said}"

    def grid(
        self, network: nn.Module, images: Tensor, classes: Sequence[Sequence[int]], progress: Progress = SILENT
    ) -> list[FloatArray]:
        """Maps of N images for K classes each: for each column float32 (N, K, h, w), 0 or more."""
        if self.taps:
            return cam_grid(network, images, classes, method=self.name, taps=self.taps)
        if self.name == OCCLUSION:
            drops = np.maximum(score_drops(network, images, progress=progress), 0)
            return [np.stack([each[list(some)] for each, some in zip(drops, classes, strict=True)])]
        places = range(len(classes[0]))
        maps = [gradient_map(network, images, [some[at] for some in classes], method=self.name) for at in places]
        return [np.stack(maps, axis=1)]

    def explain(self, network: nn.Module, images: Tensor, classes: Sequence[int]) -> FloatArray:
        """One map an image, (N, h, w), of the last column: what `coverslip.explaining.maps.trust` asks about."""
        if self.taps:
            one = np.reshape(classes, (-1, 1))
            return cam_grid(network, images, one, method=self.name, taps=self.taps[-1:])[0][:, 0]
        if self.name == OCCLUSION:
            return occlusion(network, images, classes)
        return gradient_map(network, images, classes, method=self.name)


def choose_method(network: nn.Module, shape: tuple[int, int, int], name: str = "", layer: str = "") -> Method:
    """A method for a network; without a name the one that suits it.

    Args:
        network: prepared images -> scores.
        shape: of one image, (C, H, W).
        name: of the method; "" for Grad-CAM, or occlusion where no layer has places, which a note then says.
        layer: the only layer to draw, by its stage or module; "" for all of `find_taps`.

    Raises:
        UserError: no such method or layer (the nearest is named); the method does not suit the network, with those that
            do; a layer for a method that reads none.
    """
    if name and name not in method_names():
        near = nearest(name, method_names())
        raise UserError(f"no method is called {name!r}", near)
    if is_foreign(network):
        if name not in ("", OCCLUSION) or layer:
            wish = f"--layer {layer!r}" if layer else repr(name)
            raise UserError(
                f"{wish} looks into the layers of a network, and an ONNX file cannot be looked into",
                f"use {OCCLUSION!r}, which suits every model; it is what is drawn without --method and --layer",
            )
        return Method(OCCLUSION, note=UNTESTED)
    if not name and not find_taps(network, shape) and not layer:
        note = "this network has no convolutions or patches, so there is no map of a layer: occlusion is shown"
        return Method(OCCLUSION, note=note)
    if name and name not in CAMS:
        if layer:
            raise UserError(f"{name!r} reads no layer, so --layer {layer!r} has no meaning", "leave the layer out")
        if name in GRADIENTS:
            need_captum()
        return Method(name)
    taps = cam_taps(network, shape, name or DEFAULT_CAM)
    chosen = (find_tap(network, shape, layer),) if layer else tuple(taps)
    return Method(name or DEFAULT_CAM, chosen, _about_grid(chosen[-1], taps))


def _about_grid(last: Tap, taps: Sequence[Tap]) -> str:
    """What to say where the last stage has hardly any places."""
    if min(last.grid) >= PLACES:
        return ""
    finer = [tap.name for tap in taps if min(tap.grid) >= PLACES]
    said = f"{last.name} has {' x '.join(map(str, last.grid))} places only, so its maps tell little"
    return f"{said}; finer: --layer {finer[-1]}, or larger images" if finer else f"{said}; train on larger images"


def need_captum() -> None:
    """Ask for the extra before anything is computed.

    Raises:
        UserError: Captum is not installed.
    """
    if not has_captum():
        raise UserError("this needs the package 'captum'", "pip install 'coverslip[explain]'")


def has_captum() -> bool:
    """Whether gradient methods can be used."""
    return importlib.util.find_spec("captum") is not None


def other_methods(method: Method, images: int) -> dict[str, Explain]:
    """Methods to compare with: one that reads the same layer, and ones that read none, where that is quick enough."""
    others: dict[str, Explain] = {}
    if method.taps:
        other = "layer-cam" if method.name != "layer-cam" else DEFAULT_CAM
        others[other] = Method(other, method.taps).explain
    few = images <= FEW
    if method.name != OCCLUSION and few:
        others[OCCLUSION] = lambda network, images, classes: occlusion(network, images, classes, cells=COARSE)
    if method.name != "integrated-gradients" and few and has_captum():
        others["integrated-gradients"] = Method("integrated-gradients").explain
    return others
