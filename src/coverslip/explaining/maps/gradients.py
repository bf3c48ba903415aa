"""Maps from the gradient of a score with respect to the image, through the library Captum (extra ``explain``)."""

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
from coverslip.models.trial import still

STEPS = 32  # of the way from the blank image to the image
SAMPLES = 16  # noisy copies of an image
NOISE = 0.15  # standard deviation of that noise, as a share of the image's own range (Smilkov et al. use 0.1 to 0.2)
TOGETHER = 8  # copies of an image that go through the network at once: bounds memory

Attribute = Callable[[nn.Module, Tensor, int], Tensor]
"""(network, one prepared image (1, C, H, W), class) -> a number for each of its samples, of the same shape."""


@dataclass(frozen=True, slots=True)
class GradientMethod:
    """One way to make a map from gradients.

    Attributes:
        attribute: what it computes, for one image.
        folded: how a pixel's channels become one number: ``for`` adds them and keeps what speaks for the class;
            ``size`` takes the largest without its sign.
        about: one sentence that is printed on the figure.
        trusted: whether it is recommended; False where the sentence is a warning.
    """

    attribute: Attribute
    folded: Literal["for", "size"]
    about: str
    trusted: bool = True


GRADIENTS: Registry[GradientMethod] = Registry("gradient method")


def gradient_map(
    network: nn.Module, images: Tensor, classes: Sequence[int], *, method: str = "integrated-gradients"
) -> npt.NDArray[np.float32]:
    """Which pixels the score of a class depends on.

    Args:
        network: prepared images -> scores (N, K); it works in evaluation mode and is left as it was.
        images: float32 (N, C, H, W), prepared, on the network's device.
        classes: one an image.
        method: a name in `GRADIENTS`.

    Returns:
        float32 (N, H, W), >= 0, a value a pixel; zeros where the gradient is zero everywhere.

    Raises:
        UserError: no such method or class, Captum is not installed, or the method does not suit the network.

    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False))
    >>> with torch.no_grad():
    ...     _ = network[1].weight.copy_(torch.tensor([[0.0, 2.0, -1.0, 0.0], [0.0, 0.0, 0.0, 0.0]]))
    >>> gradient_map(network, torch.ones(1, 1, 2, 2), [0], method="gradient").tolist()
    [[[0.0, 2.0], [1.0, 0.0]]]
    """
    signed = attributions(network, images, classes, method=method)
    if GRADIENTS[method].folded == "for":
        return np.asarray(np.maximum(signed.sum(axis=1), 0))
    return np.asarray(np.abs(signed).max(axis=1))


def attributions(
    network: nn.Module, images: Tensor, classes: Sequence[int], *, method: str = "integrated-gradients"
) -> npt.NDArray[np.float32]:
    """The same before channels are joined: float32 (N, C, H, W), with signs. See `gradient_map`."""
    attribute = GRADIENTS[method].attribute
    optional("captum", "explain")
    check_classes(network, images, classes)
    found = []
    with still(network), torch.enable_grad():
        for image, number in zip(images, classes, strict=True):  # one by one: noise and steps are then its own
            found.append(attribute(network, image[None].clone(), int(number)).detach().cpu())
    if not found:
        return np.zeros(tuple(images.shape), np.float32)
    return np.asarray(torch.cat(found).float().numpy())


def check_classes(network: nn.Module, images: Tensor, classes: Sequence[int]) -> None:
    """Refuse a class that the network has no score for.

    Raises:
        UserError: there is none of this number, or there is not one class an image.
    """
    if len(classes) != len(images):
        raise UserError(f"{len(images)} images have {len(classes)} classes", "give one class an image")
    if not len(images):
        return
    with still(network), torch.no_grad():
        scores = network(images[:1])
    outside = [number for number in classes if not 0 <= number < scores.shape[-1]]
    if scores.ndim != 2 or outside:
        raise UserError(
            f"the network gives scores of shape {tuple(scores.shape[1:])}; there is no class {[*outside, 0][0]}",
            f"classes are counted from 0 to {scores.shape[-1] - 1}",
        )


def _gradient(network: nn.Module, image: Tensor, number: int) -> Tensor:
    found: Tensor = _captum().Saliency(network).attribute(image.requires_grad_(), target=number, abs=False)
    return found


def _integrated(network: nn.Module, image: Tensor, number: int) -> Tensor:
    blank = image.mean(dim=(-2, -1), keepdim=True).expand_as(image).contiguous()
    found: Tensor = (
        _captum()
        .IntegratedGradients(network)
        .attribute(image, blank, target=number, n_steps=STEPS, method="gausslegendre", internal_batch_size=TOGETHER)
    )
    return found


def _smooth(network: nn.Module, image: Tensor, number: int) -> Tensor:
    captum = _captum()
    spread = NOISE * float(image.max() - image.min())
    if spread == 0:  # an image of one color: nothing says how strong the noise should be
        return _gradient(network, image, number)
    devices = [image.device] if image.device.type == "cuda" else []
    with torch.random.fork_rng(devices):  # the user's own random numbers go on as if nothing had been drawn
        torch.manual_seed(0)
        found: Tensor = captum.NoiseTunnel(captum.Saliency(network)).attribute(
            image.requires_grad_(),
            nt_type="smoothgrad",
            nt_samples=SAMPLES,
            nt_samples_batch_size=TOGETHER,
            stdevs=spread,
            target=number,
            abs=False,
        )
    return found


def _guided(network: nn.Module, image: Tensor, number: int) -> Tensor:
    found: Tensor = _captum().GuidedBackprop(_with_relus(network)).attribute(image.requires_grad_(), target=number)
    return found


def _captum() -> Any:
    module = optional("captum.attr", "explain")
    warnings.filterwarnings("ignore", message="Setting backward hooks on ReLU", module=r"captum\..*")
    return module


def _with_relus(network: nn.Module) -> nn.Module:
    """A copy in which each ReLU6 is a ReLU and a cap: Captum guides gradients at ``nn.ReLU`` only."""
    guided = copy.deepcopy(network).eval()
    capped = [name for name, module in guided.named_modules() if isinstance(module, nn.ReLU6)]
    for name in capped:
        guided.set_submodule(name, nn.Sequential(nn.ReLU(), _Cap()))
    if not any(isinstance(module, nn.ReLU) for module in guided.modules()):
        others = [name for name in GRADIENTS if name != "guided-backprop"]
        raise UserError(
            "guided backpropagation changes the gradient at ReLU layers, and this network has none",
            f"take another method: {', '.join(others)}",
        )
    return guided


class _Cap(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return values.clamp(max=6)


GRADIENTS.register("integrated-gradients")(
    GradientMethod(
        _integrated,
        "for",
        "Gradients added up on the way from an image of one color (its mean) to this one; all values together are "
        "the difference of the two scores (Sundararajan et al., 2017).",
    )
)
GRADIENTS.register("smooth-grad")(
    GradientMethod(_smooth, "size", "The mean gradient of 16 copies of the image with noise (Smilkov et al., 2017).")
)
GRADIENTS.register("gradient")(
    GradientMethod(
        _gradient, "size", "How fast the score changes with each pixel; grainy by nature (Simonyan et al., 2014)."
    )
)
GRADIENTS.register("guided-backprop")(
    GradientMethod(
        _guided,
        "size",
        "Warning: guided backpropagation draws the edges of the image. It looks nearly the same for a network with "
        "random weights (Adebayo et al., 2018), so it does not show what the network has learned.",
        trusted=False,
    )
)
