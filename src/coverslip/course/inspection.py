"""Class activation maps and ideal images of a learner's own network."""

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
from coverslip.course.comparison import Normalize
from coverslip.data.inputs import InputSpec
from coverslip.explaining.maps.cam import cam_grid, cam_taps
from coverslip.explaining.maps.ideal_images import ideal_images
from coverslip.explaining.maps.units import find_layer
from coverslip.figures.heatmaps import MapRow, heatmap_figure
from coverslip.figures.ideal import filter_palette, ideal_figure
from coverslip.models.shapes import eval_mode
from coverslip.training.outcome import predict_arrays

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROWS = 3  # classes shown if none are given
GREY, SPREAD = 0.45, 0.25  # mean and standard deviation of the starting image, on the scale 0 to 1
CAPTION = (
    "One row per class, one column per block of layers. Yellow regions are evidence for the class of the row. "
    "The maps of a column share one scale."
)


def cam_figure(
    network: nn.Module, image: npt.NDArray[np.uint8], names: Sequence[str], *, classes: Sequence[int] = ()
) -> Figure:
    """Draw class activation maps (Grad-CAM) of one image: one row per class, one column per block.

    Args:
        network: network with convolutions that maps images to logits, shape (N, K).
        image: uint8 (H, W, 3).
        names: the K class names.
        classes: class numbers of the rows; by default the three most probable classes.

    Raises:
        UserError: the network has no convolutions, `image` is not one image, or the number of names is not K.
    """
    _need_one(image)
    probabilities = predict_arrays(network, image[None])[0]
    if len(probabilities) != len(names):
        raise UserError(
            f"{len(names)} names for {len(probabilities)} outputs", "give the names of the classes it was trained on"
        )
    likeliest = np.argsort(-probabilities)[: min(ROWS, len(probabilities))]
    rows = [int(number) for number in classes] or [int(number) for number in likeliest]
    taps = cam_taps(network, (image.shape[-1], *image.shape[:2]))
    maps = cam_grid(network, _to_tensor(image[None]), rows, taps=taps)
    titles = [f"block {block}\n{tap.grid[0]} × {tap.grid[1]} positions" for block, tap in enumerate(taps, 1)]
    map_rows = [
        MapRow(
            names[number],
            f"probability {probabilities[number]:.2f}",
            [maps[block][0, row] for block in range(len(taps))],
        )
        for row, number in enumerate(rows)
    ]
    return heatmap_figure(image, map_rows, titles, caption=CAPTION)


def shuffled_weights(network: nn.Module, seed: int = 0) -> nn.Module:
    """Return a copy of a network with the weights of each layer in random order.

    The copy has learned nothing, but its heat maps still look plausible: a sanity check for them.

    Reference: Adebayo et al., Sanity checks for saliency maps, NeurIPS 2018.
    """
    shuffled = copy.deepcopy(network)
    rng = generator(seed, "scrambled")
    with torch.no_grad():
        for weights in shuffled.parameters():
            order = torch.from_numpy(rng.permutation(weights.numel()))
            weights.copy_(weights.flatten()[order].reshape(weights.shape))
    return shuffled


def ideal_images_figure(
    network: nn.Module,
    size: int,
    names: Sequence[str] = (),
    *,
    layer: str = "",
    units: Sequence[int] = (),
    starts: int = 1,
    steps: int = 64,
) -> Figure:
    """Draw images that maximize the outputs of classes, or of filters of one layer, by gradient ascent.

    Args:
        network: network that maps images on the scale 0 to 1 to logits, shape (N, K).
        size: side of the ideal images in pixels.
        names: class names.
        layer: dotted name of a layer, as listed by ``coverslip.summary``; "" for the classes.
        units: numbers of the classes or filters, counted from 0; by default all classes or the first 16 filters.
        starts: number of images per unit, each from another random start.
        steps: number of optimization steps.

    Raises:
        UserError: the layer or a unit does not exist.
    """
    # The optimization starts at `spec.mean`, a grey image, not a black one. `ideal_images` normalizes its images by
    # `spec`; the first layer undoes this, since the learner's network takes images on the scale 0 to 1.
    spec = InputSpec(size=(size, size), mean=(GREY,) * 3, std=(SPREAD,) * 3)
    denormalized = nn.Sequential(Normalize((-GREY / SPREAD,) * 3, (1 / SPREAD,) * 3), network)
    count = find_layer(network, (3, size, size), layer).units
    chosen = list(units) or list(range(min(16, count) if layer else len(names) or count))
    ideal = ideal_images(denormalized, spec, chosen, layer=f"1.{layer}" if layer else "", starts=starts, steps=steps)
    if layer:
        titles = [f"filter {unit}" for unit in chosen]
        caption = "The image that activates each filter of this layer most. Dashed: the filter is never active."
        return filter_palette(ideal.best, titles, silent=ideal.silent, side=0.95, columns=8, caption=caption)
    titles = [names[unit] if names else f"class {unit}" for unit in chosen]
    return ideal_figure(ideal.images, titles)


def class_map(network: nn.Module, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return the class logits of a fully convolutional network at each position, before they are averaged.

    Args:
        network: a network that ends with a 1 x 1 convolution to the classes and the average over positions
            (``nn.AdaptiveAvgPool2d`` and ``nn.Flatten``).
        image: uint8 (H, W, 3), of any size.

    Returns:
        Logits, float32 (K, h, w).

    Raises:
        UserError: the network has no average over positions.
    """
    _need_one(image)
    captured: list[torch.Tensor] = []
    averages = [module for module in network.modules() if isinstance(module, nn.AdaptiveAvgPool2d)]
    if not averages:
        raise UserError("this network does not average over positions", "end it with nn.AdaptiveAvgPool2d(1)")

    def capture(module: nn.Module, inputs: Any) -> None:
        captured.append(inputs[0])

    hook = averages[-1].register_forward_pre_hook(capture)
    try:
        with eval_mode(network), torch.inference_mode():
            network(_to_tensor(image[None]))
    finally:
        hook.remove()
    return np.asarray(captured[0][0].float().cpu().numpy())


def _to_tensor(images: npt.NDArray[np.uint8]) -> torch.Tensor:
    """uint8 (N, H, W, C) -> float32 (N, C, H, W), 0 to 1."""
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).float() / 255


def _need_one(image: npt.NDArray[np.uint8]) -> None:
    if image.ndim != 3 or image.dtype != np.uint8:
        raise UserError(
            f"this is an array of {image.dtype} with shape {image.shape}", "give one image, such as test.x[0]"
        )
