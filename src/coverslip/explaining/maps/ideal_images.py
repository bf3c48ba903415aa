"""Ideal images (feature visualization): images that maximize the activation of a class, filter or unit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from coverslip.core.errors import UserError
from coverslip.core.progress import SILENT, Progress
from coverslip.data.inputs import InputSpec
from coverslip.explaining.maps.priors import DENSE, Priors, total_variation, usual_priors
from coverslip.explaining.maps.units import LOGITS, UnitLayer, find_layer, leaky_relus
from coverslip.models.shapes import eval_mode
from coverslip.training.forward import has_conv, to_channels_last

STEPS = 96
LR, BETAS = 0.1, (0.9, 0.999)  # of Adam, for Fourier coefficients of magnitude 1
BATCH_SIZE = 32  # images optimized at once
INITIAL_SCALE = 0.1  # standard deviation of the initial Fourier coefficients
LEAK = 0.1  # slope for the gradient of inactive ReLUs in the first half, so that inactive filters can be activated


@dataclass(frozen=True, eq=False, slots=True)
class IdealImages:
    """Ideal images of some units of one layer.

    Attributes:
        layer: path of the module; "" for the logits.
        units: numbers of the U filters, units or classes.
        images: float32 (U, S, H, W, C), 0 to 1; of the S starts, the highest activation comes first.
        activations: activation for each image, float32 (U, S): for a class, its logit minus the mean of the other
            logits; for a filter, the mean over the image.
        plain: activation for an image of the mean color, float32 (U,).
    """

    layer: str
    units: tuple[int, ...]
    images: npt.NDArray[np.float32]
    activations: npt.NDArray[np.float32]
    plain: npt.NDArray[np.float32]

    @property
    def best(self) -> npt.NDArray[np.float32]:
        """Image with the highest activation of each unit, (U, H, W, C)."""
        return self.images[:, 0]

    @property
    def silent(self) -> npt.NDArray[np.bool_]:
        """Whether no image activates the unit more than a uniform one, bool (U,)."""
        return np.asarray(self.activations[:, 0] <= self.plain + 1e-6)


def ideal_images(
    network: nn.Module,
    spec: InputSpec,
    units: Sequence[int],
    *,
    layer: str = LOGITS,
    size: tuple[int, int] | None = None,
    priors: Priors | None = None,
    starts: int = 2,
    steps: int = STEPS,
    seed: int = 0,
    progress: Progress = SILENT,
) -> IdealImages:
    """Compute images that maximize the activation of classes, filters or units by gradient ascent.

    An image is parameterized by its Fourier coefficients and mapped to 0..1 by a sigmoid; Adam optimizes the
    coefficients. The result is synthetic: compare it with real images (`top_images`).

    Args:
        network: maps prepared images to logits; used in evaluation mode and not changed.
        spec: preparation of images for the network.
        units: numbers of the classes, filters or units, from 0.
        layer: path of a module, such as ``block2``; "" for the logits.
        size: height and width of the images, if the network accepts other sizes; small images are fast, and sufficient
            for filters of an early layer.
        priors: regularization; None uses `usual_priors`, or `DENSE` for a network without convolutions.
        starts: images per unit from different random starts; what they have in common is not due to chance.
        steps: number of optimization steps.
        seed: seed of starts and jitter. The image of a unit does not depend on which other units are requested.
        progress: receives a stage that counts every step of every image.

    Raises:
        UserError: there is no such layer or unit, the network does not accept the size, or ``starts`` or ``steps`` is
            less than 1.

    Reference: Simonyan et al., Deep inside convolutional networks, 2014; Fourier parameterization, jitter and scaling
    of frequencies follow Olah et al., Feature visualization, Distill, 2017.
    """
    if starts < 1 or steps < 1:
        raise UserError(f"starts={starts} and steps={steps} must be at least 1", "give 1 or more for both")
    shape = (spec.channels, *(size or spec.size))
    unit_layer = find_layer(network, shape, layer)
    units = unit_layer.check_units(units)
    if priors is None:
        side = min(shape[1:])
        cell = side / (4 if unit_layer.grid is None else min(unit_layer.grid))
        priors = usual_priors(cell) if has_conv(network) else DENSE
    jobs = [(unit, start) for unit in units for start in range(starts)]
    images, activations = [], []
    trainable = {parameter: parameter.requires_grad for parameter in network.parameters()}
    network.requires_grad_(False)  # gradients of the weights are not needed and would take half of the time
    try:
        with eval_mode(network), progress.stage("computing ideal images", steps * len(jobs), "steps") as stage:
            for first in range(0, len(jobs), BATCH_SIZE):
                batch = jobs[first : first + BATCH_SIZE]
                ascent = _Ascent(network, spec, shape, unit_layer, batch, priors, seed)
                for step in range(steps):
                    ascent.step(step / steps, step)
                    stage.advance(len(batch))
                final = ascent.image(1.0).detach()
                images.append(final.permute(0, 2, 3, 1).float().cpu().numpy())
                activations.append(ascent.activations(final).cpu().numpy())
            uniform = torch.tensor(spec.mean, device=_device(network))[None, :, None, None].expand(1, *shape)
            plain = unit_layer.activations(network, spec.normalized(uniform))[0, list(units)].mean(dim=-1)
    finally:
        for parameter, requires_grad in trainable.items():
            parameter.requires_grad_(requires_grad)
    final_activations = np.concatenate(activations).reshape(len(units), starts).astype(np.float32)
    order = np.argsort(-final_activations, axis=1, kind="stable")
    all_images = np.concatenate(images).reshape(len(units), starts, *shape[1:], shape[0])
    return IdealImages(
        layer,
        units,
        np.take_along_axis(all_images, order[:, :, None, None, None], axis=1),
        np.take_along_axis(final_activations, order, axis=1),
        plain.detach().float().cpu().numpy(),
    )


class _Ascent:
    """Gradient ascent of a batch of images, one per unit and start; the images are independent of each other."""

    def __init__(
        self,
        network: nn.Module,
        spec: InputSpec,
        shape: tuple[int, int, int],
        layer: UnitLayer,
        jobs: Sequence[tuple[int, int]],
        priors: Priors,
        seed: int,
    ) -> None:
        self.network, self.spec, self.shape, self.layer, self.priors = network, spec, shape, layer, priors
        self.units = [unit for unit, _ in jobs]
        self.seed, self.convolved = seed, has_conv(network)
        device = _device(network)
        channels, height, width = shape
        initial = [
            np.random.default_rng((seed, unit, start)).standard_normal((channels, height, width // 2 + 1, 2))
            for unit, start in jobs
        ]
        coefficients = torch.from_numpy(np.stack(initial).astype(np.float32)) * INITIAL_SCALE
        self.coefficients = coefficients.to(device).requires_grad_()
        self.first_moment, self.second_moment = torch.zeros_like(self.coefficients), torch.zeros_like(self.coefficients)
        down, across = torch.fft.fftfreq(height, device=device), torch.fft.rfftfreq(width, device=device)
        self.frequency = (down[:, None] ** 2 + across[None] ** 2).sqrt()  # cycles per pixel
        scale = self.frequency.clamp_min(1 / max(height, width)) ** -priors.decay
        self.scale = scale / scale.square().mean().sqrt()
        self.mean = torch.tensor(spec.mean, device=device).clamp(0.05, 0.95).logit()[:, None, None]

    def image(self, done: float) -> Tensor:
        """Return the images, (B, C, H, W), 0 to 1; ``done`` is the fraction of the steps, which determines the blur."""
        first, last = self.priors.blur
        blur = first + (last - first) * done
        low_pass = torch.exp(-2 * (math.pi * blur * self.frequency) ** 2)
        spectrum = torch.view_as_complex(self.coefficients) * (self.scale * low_pass)
        planes = torch.fft.irfft2(spectrum, s=self.shape[1:], norm="ortho")
        common = planes.mean(dim=1, keepdim=True) * math.sqrt(
            self.shape[0]
        )  # so that the mean of C independent channels has the same magnitude
        shared = self.priors.gray if self.shape[0] > 1 else 0.0
        planes = math.sqrt(shared) * common + math.sqrt(1 - shared) * planes
        return torch.sigmoid(planes + self.mean)

    def activations(self, images: Tensor) -> Tensor:
        """Compute the activation of the unit of each image, shape (B,)."""
        return self.layer.unit_activations(self.network, self.spec.normalized(images), self.units).detach()

    def step(self, done: float, step: int) -> None:
        """Perform one optimization step."""
        image = self.image(done)
        leaf = image.detach().requires_grad_()
        reach = min(self.priors.jitter, min(self.shape[1:]) // 4)
        shift = np.random.default_rng((self.seed, step)).integers(-reach, reach + 1, 2).tolist()
        shifted = to_channels_last(torch.roll(leaf, shift, dims=(2, 3)) if reach else leaf, self.convolved)
        with leaky_relus(self.network, LEAK if done < 0.5 else 0.0):
            activation = self.layer.unit_activations(self.network, self.spec.normalized(shifted), self.units)
        (direction,) = torch.autograd.grad(activation.sum(), leaf)
        # Units differ in scale; normalized to a mean magnitude of 1, the priors have the same weight for all.
        direction = direction / direction.abs().mean(dim=(1, 2, 3), keepdim=True).clamp_min(1e-12)
        loss = -(direction * image).sum() + self.priors.variation * total_variation(image)
        if self.priors.contrast:
            loss = loss + (image - self.mean.sigmoid()).square().sum() / (2 * self.priors.contrast)
        (gradient,) = torch.autograd.grad(loss, self.coefficients)
        self._adam(gradient, step)

    @torch.no_grad()
    def _adam(self, gradient: Tensor, step: int) -> None:
        """Apply Adam (Kingma and Ba, 2015). PyTorch's own imports a compiler, which takes longer than all steps."""
        beta1, beta2 = BETAS
        self.first_moment.lerp_(gradient, 1 - beta1)
        self.second_moment.lerp_(gradient.square(), 1 - beta2)
        denominator = (self.second_moment / (1 - beta2 ** (step + 1))).sqrt_().add_(1e-8)
        self.coefficients.addcdiv_(self.first_moment, denominator, value=-LR / (1 - beta1 ** (step + 1)))


def _device(network: nn.Module) -> torch.device:
    return next(network.parameters()).device
