"""Class activation maps of every stage and many classes: one forward pass, one batched product with the Jacobian."""

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
TOGETHER = 32  # images times classes in one backward pass: bounds memory

Combine = Callable[[Tensor, Tensor], Tensor]
CAMS: Registry[Combine] = Registry("kind of class activation map")
"""Each makes activations (N, 1, C, places) and gradients (N, K, C, places) to maps (N, K, places), not yet cut at 0."""


@CAMS.register("grad-cam")
def grad_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Each channel counts by the mean of its gradient (Selvaraju et al., ICCV 2017)."""
    weights = gradients.mean(-1)  # (N, K, C)
    return weights @ activations[:, 0]


@CAMS.register("grad-cam++")
def grad_cam_plus(activations: Tensor, gradients: Tensor) -> Tensor:
    """Positive gradients, each place by 1 / (2 + gradient * sum of the channel) (Chattopadhay et al., WACV 2018).

    That is the paper's g^2 / (2 g^2 + sum(A) g^3) after dividing by g^2, which needs no small number against division
    by zero. The paper's activations are never negative; where a layer's are, a sum below 0 counts as 0.
    """
    totals = activations.sum(-1, keepdim=True).clamp(min=0)
    positive = gradients.clamp(min=0)
    weights = (positive / (2 + positive * totals)).sum(-1)
    return weights @ activations[:, 0]


@CAMS.register("layer-cam")
def layer_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Positive gradients place by place, so that early layers stay sharp (Jiang et al., IEEE TIP 30, 2021)."""
    return (gradients.clamp(min=0) * activations).sum(2)


@CAMS.register("cam")
def cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """The classifier's own weights on the last layer's channels (Zhou et al., CVPR 2016).

    Only for a network that ends with the average over the places and one linear layer: there the gradient is the weight
    divided by the number of places.

    Raises:
        UserError: the gradient differs from place to place, so this layer is not followed by the average.
    """
    if not torch.allclose(gradients, gradients.mean(-1, keepdim=True), atol=float(1e-5 * gradients.abs().max())):
        raise UserError(
            "plain CAM can draw only the layer before the average over the places",
            f"leave the layer out, or use {DEFAULT_CAM}",
        )
    return gradients.sum(-1) @ activations[:, 0]


def cam_taps(network: nn.Module, shape: tuple[int, ...], method: str = DEFAULT_CAM) -> list[Tap]:
    """The taps that a method can draw, first stage to last: all of `find_taps`, or the last for ``cam``.

    Raises:
        UserError: no such method; the network has no grid of places; ``cam`` for a network that does not end with an
            average and one linear layer.
    """
    CAMS[method]
    taps = find_taps(network, shape)
    if not taps:
        raise UserError(
            "this network has no convolutions or patches, so no layer knows where anything is in the image",
            "look at its ideal images, or use a view that needs no such layer: occlusion or integrated-gradients",
        )
    if method != "cam":
        return taps
    if not _ends_with_average(network, taps[-1], shape):
        raise UserError(
            "plain CAM needs a network that ends with the average over the places and one linear layer",
            f"use {DEFAULT_CAM}, which is the same there and works here as well",
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
    """Class activation maps of many images for many classes at many layers.

    The network runs once, in evaluation mode, and one backward pass carries all classes. Gradients are those of the
    scores before softmax. Nothing of the network changes.

    Args:
        network: prepared images -> scores (N, M), the frozen part included.
        images: float32 (N, C, H, W), prepared as for the network.
        classes: int (N, K), from 0: for which classes each image is asked; (K,) asks all images the same.
        method: one of `CAMS`.
        taps: layers; None for all of `cam_taps`.

    Returns:
        For each tap float32 (N, K, h, w), 0 or more, on the layer's own grid. Zero gradients give zeros.

    Raises:
        UserError: no such method or class; a network without a grid; images it cannot take; scores that are no
            numbers.

    Source: Selvaraju et al., Grad-CAM, ICCV 2017; the other methods name theirs.
    """
    combine = CAMS[method]
    own = next(network.parameters(), torch.zeros(0))
    given = torch.as_tensor(images).to(own.device, own.dtype if own.is_floating_point() else torch.float32)
    if given.ndim < 4:
        raise UserError(f"images of shape {tuple(given.shape)} are no batch", "give float32 (N, C, H, W)")
    wanted = torch.as_tensor(np.asarray(classes), dtype=torch.long)
    wanted = wanted.expand(len(given), -1) if wanted.ndim == 1 else wanted
    if wanted.ndim != 2 or len(wanted) != len(given) or not wanted.shape[1]:
        raise UserError(
            f"classes of shape {tuple(wanted.shape)} do not fit {len(given)} images",
            "give (N, K), a row of classes an image, or (K,) for all of them",
        )
    taps = list(cam_taps(network, tuple(given.shape[1:]), method) if taps is None else taps)
    step = max(1, TOGETHER // wanted.shape[1])
    parts = [
        _maps(network, given[start : start + step], wanted[start : start + step], taps, combine)
        for start in range(0, len(given), step)
    ]
    if not parts:
        return [np.zeros((0, wanted.shape[1], *tap.grid), np.float32) for tap in taps]
    return [np.concatenate(each) for each in zip(*parts, strict=True)]


def _maps(network: nn.Module, images: Tensor, classes: Tensor, taps: list[Tap], combine: Combine) -> list[FloatArray]:
    with tapped(network, taps, cut=True) as outputs, torch.enable_grad():
        scores = network(images)
    _check_scores(scores, classes)
    gradients = _gradients(scores, outputs, classes)
    maps = []
    for tap, output, gradient in zip(taps, outputs, gradients, strict=True):
        count, many = classes.shape
        activations = tap.to_grid(output.detach()).float().flatten(2)[:, None]
        slopes = tap.to_grid(gradient.flatten(0, 1)).float().flatten(2)
        slopes = slopes.reshape(many, count, *slopes.shape[1:]).transpose(0, 1)
        found = combine(activations, slopes).clamp(min=0)
        maps.append(cast(FloatArray, found.reshape(count, many, *tap.grid).cpu().numpy()))
    return maps


def _gradients(scores: Tensor, outputs: list[Tensor], classes: Tensor) -> list[Tensor]:
    """Of each image's score for each of its classes, by each output: (K, N, ...), many classes in one pass."""
    chosen = functional.one_hot(classes.T.to(scores.device), scores.shape[1]).to(scores.dtype)  # (K, N, M)

    def back(direction: Tensor, batched: bool) -> list[Tensor]:
        found = torch.autograd.grad(
            scores, outputs, direction, retain_graph=True, is_grads_batched=batched, allow_unused=True
        )
        none = direction.shape[: 1 + batched]
        return [
            output.new_zeros(*none, *output.shape[1:]) if each is None else each
            for each, output in zip(found, outputs, strict=True)
        ]

    try:
        parts = [back(each, batched=True) for each in torch.split(chosen, max(1, TOGETHER // len(scores)))]
        return [torch.cat(each) for each in zip(*parts, strict=True)]
    except RuntimeError:  # a layer of the user's own that knows no batches of gradients: one class after the other
        parts = [back(each, batched=False) for each in chosen]
        return [torch.stack(each) for each in zip(*parts, strict=True)]


def _check_scores(scores: Tensor, classes: Tensor) -> None:
    if not torch.isfinite(scores).all():
        raise UserError("the network's scores are no numbers for these images", "train it again, with a lower rate")
    if classes.min() < 0 or classes.max() >= scores.shape[1]:
        wrong = classes[(classes < 0) | (classes >= scores.shape[1])][0]
        raise UserError(f"there is no class {int(wrong)}", f"the network has classes 0 to {scores.shape[1] - 1}")


def _ends_with_average(network: nn.Module, tap: Tap, shape: tuple[int, ...]) -> bool:
    """Whether the scores are one linear layer on the average of this output over its places: tried on noise."""
    last = [each for each in network.modules() if isinstance(each, nn.Linear)][-1:]
    if not last or last[0].in_features != tap.shape[0]:
        return False
    images = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0)).to(last[0].weight)
    with tapped(network, [tap]) as outputs, torch.no_grad():
        scores = network(images)
        again = last[0](tap.to_grid(outputs[0]).flatten(2).mean(-1))
    return scores.shape == again.shape and torch.allclose(
        scores, again, rtol=1e-3, atol=1e-4 * float(again.abs().max())
    )
