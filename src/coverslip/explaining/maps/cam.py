"""Class activation maps for all stages and many classes: one forward pass and one batched backward pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from coverslip.core.errors import UserError
from coverslip.core.registry import Registry
from coverslip.explaining.maps.heatmap import FloatArray
from coverslip.models.taps import Tap, find_taps, tapped

DEFAULT_CAM = "grad-cam"
BATCH_SIZE = 32  # images times classes per backward pass

Combine = Callable[[Tensor, Tensor], Tensor]
CAMS: Registry[Combine] = Registry("class activation map method")
"""Methods that map activations (N, 1, C, P) and gradients (N, K, C, P) to maps (N, K, P), before clipping at 0."""


@CAMS.register("grad-cam")
def grad_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Weight each channel by its mean gradient (Selvaraju et al., ICCV 2017)."""
    weights = gradients.mean(-1)  # (N, K, C)
    return weights @ activations[:, 0]


@CAMS.register("grad-cam++")
def grad_cam_plus(activations: Tensor, gradients: Tensor) -> Tensor:
    """Weight positive gradients by 1 / (2 + gradient * sum of the channel) (Chattopadhay et al., WACV 2018).

    This is g^2 / (2 g^2 + sum(A) g^3) of the paper, divided by g^2, which avoids a division by zero. The paper assumes
    nonnegative activations; for other layers, negative sums are set to 0.
    """
    totals = activations.sum(-1, keepdim=True).clamp(min=0)
    positive = gradients.clamp(min=0)
    weights = (positive / (2 + positive * totals)).sum(-1)
    return weights @ activations[:, 0]


@CAMS.register("layer-cam")
def layer_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Weight positions by their positive gradient, which keeps early layers sharp (Jiang et al., IEEE TIP 30, 2021)."""
    return (gradients.clamp(min=0) * activations).sum(2)


@CAMS.register("cam")
def cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Weight the channels of the last layer by the weights of the classifier (Zhou et al., CVPR 2016).

    Only for networks that end with global average pooling and one linear layer: there the gradient is the weight
    divided by the number of positions.

    Raises:
        UserError: the gradient varies over positions, so global average pooling does not follow this layer.
    """
    if not torch.allclose(gradients, gradients.mean(-1, keepdim=True), atol=float(1e-5 * gradients.abs().max())):
        raise UserError(
            "the method 'cam' supports only the layer before global average pooling",
            f"omit the layer, or use {DEFAULT_CAM}",
        )
    return gradients.sum(-1) @ activations[:, 0]


def cam_taps(network: nn.Module, shape: tuple[int, ...], method: str = DEFAULT_CAM) -> list[Tap]:
    """Return the layers that a method supports, from first to last: all of `find_taps`, or only the last for ``cam``.

    Args:
        network: the whole network.
        shape: shape of one prepared image, (C, H, W).
        method: a name in `CAMS`.

    Raises:
        UserError: there is no such method, the network has no layer with a spatial grid, or the method is ``cam`` and
            the network does not end with global average pooling and one linear layer.
    """
    CAMS[method]  # raises an error for an unknown name
    taps = find_taps(network, shape)
    if not taps:
        raise UserError(
            "this network has no convolutions or patches, so no layer has a spatial grid",
            "draw ideal images, or use a method that needs no such layer: occlusion or integrated-gradients",
        )
    if method != "cam":
        return taps
    if not _ends_with_average(network, taps[-1], shape):
        raise UserError(
            "the method 'cam' needs a network that ends with global average pooling and one linear layer",
            f"use {DEFAULT_CAM}, which is equivalent for such networks and supports others too",
        )
    return taps[-1:]


def cam_grid(
    network: nn.Module,
    images: Tensor | npt.NDArray[np.floating],
    classes: npt.ArrayLike,
    *,
    method: str = DEFAULT_CAM,
    taps: Sequence[Tap] | None = None,
) -> list[FloatArray]:
    """Compute class activation maps of many images for many classes at many layers.

    The network runs once, in evaluation mode, and one backward pass covers all classes. Gradients are those of the
    logits. The network is not changed.

    Args:
        network: maps prepared images to logits (N, M), including the frozen layers.
        images: prepared images, float32 (N, C, H, W).
        classes: class ids, (N, K), or (K,) for the same classes in all images; values in 0..M-1.
        method: a name in `CAMS`.
        taps: layers; None for all of `cam_taps`.

    Returns:
        For each tap, maps float32 (N, K, h, w), >= 0, on the grid of the layer; zeros if the gradient is zero.

    Raises:
        UserError: there is no such method or class, the network has no layer with a spatial grid, the images do not fit
            the network, or the logits are not finite.

    Source: Selvaraju et al., Grad-CAM, ICCV 2017; the other methods name theirs.
    """
    combine = CAMS[method]
    weight = next(network.parameters(), torch.zeros(0))
    inputs = torch.as_tensor(images).to(weight.device, weight.dtype if weight.is_floating_point() else torch.float32)
    if inputs.ndim < 4:
        raise UserError(f"images of shape {tuple(inputs.shape)} are not a batch", "give float32 (N, C, H, W)")
    class_ids = torch.as_tensor(np.asarray(classes), dtype=torch.long)
    class_ids = class_ids.expand(len(inputs), -1) if class_ids.ndim == 1 else class_ids
    if class_ids.ndim != 2 or len(class_ids) != len(inputs) or not class_ids.shape[1]:
        raise UserError(
            f"classes of shape {tuple(class_ids.shape)} do not match {len(inputs)} images",
            "give (N, K), one row of classes per image, or (K,) for all images",
        )
    taps = list(cam_taps(network, tuple(inputs.shape[1:]), method) if taps is None else taps)
    step = max(1, BATCH_SIZE // class_ids.shape[1])
    batches = [
        _maps(network, inputs[start : start + step], class_ids[start : start + step], taps, combine)
        for start in range(0, len(inputs), step)
    ]
    if not batches:
        return [np.zeros((0, class_ids.shape[1], *tap.grid), np.float32) for tap in taps]
    return [np.concatenate(maps) for maps in zip(*batches, strict=True)]


def _maps(network: nn.Module, images: Tensor, classes: Tensor, taps: list[Tap], combine: Combine) -> list[FloatArray]:
    with tapped(network, taps, cut=True) as outputs, torch.enable_grad():
        logits = network(images)
    _check_logits(logits, classes)
    gradients = _gradients(logits, outputs, classes)
    maps = []
    for tap, output, gradient in zip(taps, outputs, gradients, strict=True):
        num_images, num_classes = classes.shape
        activations = tap.to_grid(output.detach()).float().flatten(2)[:, None]
        slopes = tap.to_grid(gradient.flatten(0, 1)).float().flatten(2)
        slopes = slopes.reshape(num_classes, num_images, *slopes.shape[1:]).transpose(0, 1)
        combined = combine(activations, slopes).clamp(min=0)
        maps.append(cast(FloatArray, combined.reshape(num_images, num_classes, *tap.grid).cpu().numpy()))
    return maps


def _gradients(logits: Tensor, outputs: list[Tensor], classes: Tensor) -> list[Tensor]:
    """Return gradients of the logits of K classes per image with respect to each output, (K, N, ...)."""
    chosen = functional.one_hot(classes.T.to(logits.device), logits.shape[1]).to(logits.dtype)  # (K, N, M)

    def back(direction: Tensor, batched: bool) -> list[Tensor]:
        gradients = torch.autograd.grad(
            logits, outputs, direction, retain_graph=True, is_grads_batched=batched, allow_unused=True
        )
        leading = direction.shape[: 1 + batched]
        return [  # an output that the logits do not use has no gradient
            output.new_zeros(*leading, *output.shape[1:]) if gradient is None else gradient
            for gradient, output in zip(gradients, outputs, strict=True)
        ]

    try:
        parts = [
            back(directions, batched=True) for directions in torch.split(chosen, max(1, BATCH_SIZE // len(logits)))
        ]
        return [torch.cat(gradients) for gradients in zip(*parts, strict=True)]
    except RuntimeError:  # a custom layer that does not support batched gradients: one class at a time
        parts = [back(direction, batched=False) for direction in chosen]
        return [torch.stack(gradients) for gradients in zip(*parts, strict=True)]


def _check_logits(logits: Tensor, classes: Tensor) -> None:
    if not torch.isfinite(logits).all():
        raise UserError(
            "the network's outputs for these images are not finite", "train it again with a lower learning rate"
        )
    if classes.min() < 0 or classes.max() >= logits.shape[1]:
        wrong = classes[(classes < 0) | (classes >= logits.shape[1])][0]
        raise UserError(f"there is no class {int(wrong)}", f"use class ids from 0 to {logits.shape[1] - 1}")


def _ends_with_average(network: nn.Module, tap: Tap, shape: tuple[int, ...]) -> bool:
    """Return whether the logits are one linear layer of this output's spatial average; tested with noise."""
    last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1:]
    if not last or last[0].in_features != tap.shape[0]:
        return False
    images = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0)).to(last[0].weight)
    with tapped(network, [tap]) as outputs, torch.no_grad():
        logits = network(images)
        expected = last[0](tap.to_grid(outputs[0]).flatten(2).mean(-1))
    return logits.shape == expected.shape and torch.allclose(
        logits, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max())
    )
