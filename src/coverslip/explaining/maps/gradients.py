"""Maps from the gradient of a logit with respect to the image, computed with Captum (extra ``explain``)."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from coverslip.core.errors import UserError, optional
from coverslip.core.registry import Registry
from coverslip.models.shapes import eval_mode

STEPS = 32  # of the path from the baseline to the image
SAMPLES = 16  # noisy copies of an image for SmoothGrad
NOISE = 0.15  # standard deviation of the noise, as a fraction of the image's range (Smilkov et al. use 0.1 to 0.2)
BATCH_SIZE = 8  # copies of an image per forward pass

Attribute = Callable[[nn.Module, Tensor, int], Tensor]
"""Maps (network, prepared image (1, C, H, W), class id) to attributions with the shape of the image."""


@dataclass(frozen=True, slots=True)
class GradientMethod:
    """A method that computes maps from gradients.

    Attributes:
        attribute: function that computes the attributions of one image.
        reduction: how channels are combined: ``positive-sum`` adds them and keeps positive values, which support the
            class; ``max-abs`` takes the largest absolute value.
        about: sentence to print on the figure.
        recommended: False if the sentence is a warning.
    """

    attribute: Attribute
    reduction: Literal["positive-sum", "max-abs"]
    about: str
    recommended: bool = True


GRADIENTS: Registry[GradientMethod] = Registry("gradient method")


def gradient_map(
    network: nn.Module, images: Tensor, classes: Sequence[int], *, method: str = "integrated-gradients"
) -> npt.NDArray[np.float32]:
    """Compute gradient-based maps of one class per image.

    Args:
        network: maps prepared images to logits (N, K); used in evaluation mode and not changed.
        images: prepared images on the device of the network, float32 (N, C, H, W).
        classes: class id of each image, length N.
        method: a name in `GRADIENTS`.

    Returns:
        Maps, float32 (N, H, W), >= 0, one value per pixel; zeros if the gradient is zero everywhere.

    Raises:
        UserError: there is no such method or class, Captum is not installed, or the method does not support the
            network.

    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False))
    >>> with torch.no_grad():
    ...     _ = network[1].weight.copy_(torch.tensor([[0.0, 2.0, -1.0, 0.0], [0.0, 0.0, 0.0, 0.0]]))
    >>> gradient_map(network, torch.ones(1, 1, 2, 2), [0], method="gradient").tolist()
    [[[0.0, 2.0], [1.0, 0.0]]]
    """
    signed = attributions(network, images, classes, method=method)
    if GRADIENTS[method].reduction == "positive-sum":
        return np.asarray(np.maximum(signed.sum(axis=1), 0))
    return np.asarray(np.abs(signed).max(axis=1))


def attributions(
    network: nn.Module, images: Tensor, classes: Sequence[int], *, method: str = "integrated-gradients"
) -> npt.NDArray[np.float32]:
    """Compute signed attributions per channel, float32 (N, C, H, W), see `gradient_map`."""
    attribute = GRADIENTS[method].attribute
    optional("captum", "explain")
    check_classes(network, images, classes)
    results = []
    with eval_mode(network), torch.enable_grad():
        for image, number in zip(
            images, classes, strict=True
        ):  # one by one, so that the result of an image is independent of the others
            results.append(attribute(network, image[None].clone(), int(number)).detach().cpu())
    if not results:
        return np.zeros(tuple(images.shape), np.float32)
    return np.asarray(torch.cat(results).float().numpy())


def check_classes(network: nn.Module, images: Tensor, classes: Sequence[int]) -> None:
    """Raise an error if a class does not exist.

    Args:
        network: maps prepared images to logits (N, K).
        images: prepared images, float32 (N, C, H, W).
        classes: class ids, one per image.

    Raises:
        UserError: there is no class with this id, or the number of classes differs from the number of images.
    """
    if len(classes) != len(images):
        raise UserError(f"{len(images)} images have {len(classes)} classes", "give one class per image")
    if not len(images):
        return
    with eval_mode(network), torch.no_grad():
        logits = network(images[:1])
    outside = [number for number in classes if not 0 <= number < logits.shape[-1]]
    if logits.ndim != 2 or outside:
        raise UserError(
            f"there is no class {[*outside, 0][0]}: the network returns logits of shape {tuple(logits.shape[1:])}",
            f"use class ids from 0 to {logits.shape[-1] - 1}",
        )


def _gradient(network: nn.Module, image: Tensor, number: int) -> Tensor:
    result: Tensor = _captum().Saliency(network).attribute(image.requires_grad_(), target=number, abs=False)
    return result


def _integrated(network: nn.Module, image: Tensor, number: int) -> Tensor:
    baseline = image.mean(dim=(-2, -1), keepdim=True).expand_as(image).contiguous()
    result: Tensor = (
        _captum()
        .IntegratedGradients(network)
        .attribute(
            image, baseline, target=number, n_steps=STEPS, method="gausslegendre", internal_batch_size=BATCH_SIZE
        )
    )
    return result


def _smooth(network: nn.Module, image: Tensor, number: int) -> Tensor:
    captum = _captum()
    noise = NOISE * float(image.max() - image.min())
    if noise == 0:  # an image of one color has no range from which to derive the noise
        return _gradient(network, image, number)
    devices = [image.device] if image.device.type == "cuda" else []
    with torch.random.fork_rng(devices):  # keeps the random state of the user unchanged
        torch.manual_seed(0)
        result: Tensor = captum.NoiseTunnel(captum.Saliency(network)).attribute(
            image.requires_grad_(),
            nt_type="smoothgrad",
            nt_samples=SAMPLES,
            nt_samples_batch_size=BATCH_SIZE,
            stdevs=noise,
            target=number,
            abs=False,
        )
    return result


def _guided(network: nn.Module, image: Tensor, number: int) -> Tensor:
    guided = _captum().GuidedBackprop(_with_relus(network))
    result: Tensor = guided.attribute(image.requires_grad_(), target=number)
    return result


def _captum() -> Any:
    module = optional("captum.attr", "explain")
    warnings.filterwarnings("ignore", message="Setting backward hooks on ReLU", module=r"captum\..*")
    return module


def _with_relus(network: nn.Module) -> nn.Module:
    """Return a copy in which each ReLU6 is a ReLU followed by a clamp, since Captum only handles ``nn.ReLU``."""
    guided = copy.deepcopy(network).eval()
    relu6 = [name for name, module in guided.named_modules() if isinstance(module, nn.ReLU6)]
    for name in relu6:
        guided.set_submodule(name, nn.Sequential(nn.ReLU(), _Clamp6()))
    if not any(isinstance(module, nn.ReLU) for module in guided.modules()):
        others = [name for name in GRADIENTS if name != "guided-backprop"]
        raise UserError(
            "guided backpropagation modifies the gradient at ReLU layers, but this network has none",
            f"use another method: {', '.join(others)}",
        )
    return guided


class _Clamp6(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return values.clamp(max=6)


GRADIENTS.register("integrated-gradients")(
    GradientMethod(
        _integrated,
        "positive-sum",
        "Gradients integrated along a path from a baseline (the mean color) to the image; the values add up to the "
        "difference of the two logits (Sundararajan et al., 2017).",
    )
)
GRADIENTS.register("smooth-grad")(
    GradientMethod(_smooth, "max-abs", "The mean gradient over 16 noisy copies of the image (Smilkov et al., 2017).")
)
GRADIENTS.register("gradient")(
    GradientMethod(
        _gradient,
        "max-abs",
        "The gradient of the logit for each pixel; such maps are noisy (Simonyan et al., 2014).",
    )
)
GRADIENTS.register("guided-backprop")(
    GradientMethod(
        _guided,
        "max-abs",
        "Warning: guided backpropagation draws the edges of the image. Its maps look nearly the same for a network "
        "with random weights (Adebayo et al., 2018), so they do not show what the network has learned.",
        recommended=False,
    )
)
