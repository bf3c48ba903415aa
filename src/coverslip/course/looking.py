"""Inside a network of one's own: where it looks in one image, and what its filters and classes would like to see."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from coverslip.core.errors import UserError
from coverslip.core.seeds import generator
from coverslip.course.trials import Normalize
from coverslip.data.inputs import InputSpec
from coverslip.explaining.maps.cam import cam_grid, cam_taps
from coverslip.explaining.maps.ideal_images import ideal_images
from coverslip.explaining.maps.units import find_layer
from coverslip.figures.heatmaps import MapRow, heatmap_figure
from coverslip.figures.ideal import filter_palette, ideal_figure
from coverslip.models.trial import still
from coverslip.training.outcome import predict_arrays

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROWS = 3
GREY, SPREAD = 0.45, 0.25
READ_IT = (
    "A row a class, a column a block of layers. Yellow: what is seen there speaks for the class of this row. "
    "The maps of a column share one scale."
)


def where_it_looks(
    network: nn.Module, image: npt.NDArray[np.uint8], names: Sequence[str], *, classes: Sequence[int] = ()
) -> Figure:
    """Class activation maps (Grad-CAM) of one image: a row a class, a column a block.

    Args:
        network: images -> scores (N, K), with convolutions.
        image: uint8 (H, W, 3).
        names: K, of the classes.
        classes: the rows, as numbers; without them the three most probable classes.

    Raises:
        UserError: a network without convolutions, more than one image, or another number of names.
    """
    _need_one(image)
    said = predict_arrays(network, image[None])[0]
    if len(said) != len(names):
        raise UserError(f"{len(names)} names for {len(said)} outputs", "give the names of the classes it learned")
    rows = [int(each) for each in classes] or [int(each) for each in np.argsort(-said)[: min(ROWS, len(said))]]
    taps = cam_taps(network, (image.shape[-1], *image.shape[:2]))
    maps = cam_grid(network, _prepared(image[None]), rows, taps=taps)
    grids = [f"block {place}\n{tap.grid[0]} × {tap.grid[1]} places" for place, tap in enumerate(taps, 1)]
    shown = [
        MapRow(names[number], f"said with {said[number]:.2f}", [maps[place][0, row] for place in range(len(taps))])
        for row, number in enumerate(rows)
    ]
    return heatmap_figure(image, shown, grids, caption=READ_IT)


def scrambled(network: nn.Module, seed: int = 0) -> nn.Module:
    """A copy whose weights are in random order: it has learned nothing, and yet its maps look like maps.

    Reference: Adebayo et al., Sanity checks for saliency maps, NeurIPS 2018.
    """
    other = copy.deepcopy(network)
    chance = generator(seed, "scrambled")
    with torch.no_grad():
        for weights in other.parameters():
            order = torch.from_numpy(chance.permutation(weights.numel()))
            weights.copy_(weights.flatten()[order].reshape(weights.shape))
    return other


def ideal_of(
    network: nn.Module,
    size: int,
    names: Sequence[str] = (),
    *,
    layer: str = "",
    units: Sequence[int] = (),
    starts: int = 1,
    steps: int = 64,
) -> Figure:
    """Images that a network's classes, or filters of one layer, answer most strongly; made by climbing its gradient.

    Args:
        network: images on the scale 0 to 1 -> scores (N, K).
        size: side of the images, pixels.
        names: of the classes.
        layer: dotted name of a layer, as ``coverslip.summary`` lists it; "" for the classes.
        units: which classes or filters, from 0; without them all classes, or the first 16 filters.
        starts: images of each, from other random beginnings.
        steps: of the climb.

    Raises:
        UserError: no such layer or unit.
    """
    # The climb begins at `spec.mean`: a grey image, not a black one. The network takes images from 0 to 1.
    spec = InputSpec(size=(size, size), mean=(GREY,) * 3, std=(SPREAD,) * 3)
    undone = nn.Sequential(Normalize((-GREY / SPREAD,) * 3, (1 / SPREAD,) * 3), network)
    there = find_layer(network, (3, size, size), layer).units
    chosen = list(units) or list(range(min(16, there) if layer else len(names) or there))
    made = ideal_images(undone, spec, chosen, layer=f"1.{layer}" if layer else "", starts=starts, steps=steps)
    if layer:
        told = [f"filter {unit}" for unit in chosen]
        caption = "What each filter of this layer would like to see. Dashed: it answers to nothing."
        return filter_palette(made.best, told, silent=made.silent, side=0.95, columns=8, caption=caption)
    told = [names[unit] if names else f"class {unit}" for unit in chosen]
    return ideal_figure(made.images, told)


def class_map(network: nn.Module, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Scores of a fully convolutional network before they are averaged: how much each place speaks for each class.

    Args:
        network: ends with the average over places (``nn.AdaptiveAvgPool2d`` and ``nn.Flatten``) after a 1 x 1
            convolution to the classes.
        image: uint8 (H, W, 3), as large as you like.

    Returns:
        float32 (K, h, w).

    Raises:
        UserError: no average is found, or what stands before it has no places.
    """
    _need_one(image)
    kept: list[torch.Tensor] = []
    averages = [each for each in network.modules() if isinstance(each, nn.AdaptiveAvgPool2d)]
    if not averages:
        raise UserError("this network does not average over places", "let it end with nn.AdaptiveAvgPool2d(1)")

    def keep(module: nn.Module, given: Any) -> None:
        kept.append(given[0])

    hook = averages[-1].register_forward_pre_hook(keep)
    try:
        with still(network), torch.inference_mode():
            network(_prepared(image[None]))
    finally:
        hook.remove()
    return np.asarray(kept[0][0].float().cpu().numpy())


def _prepared(images: npt.NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).float() / 255


def _need_one(image: npt.NDArray[np.uint8]) -> None:
    if image.ndim != 3 or image.dtype != np.uint8:
        raise UserError(f"this is {image.dtype} of shape {image.shape}", "give one image, such as test.x[0]")
