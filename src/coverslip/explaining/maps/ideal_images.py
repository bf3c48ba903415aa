"""Ideal images: the image that a class, a filter or a unit answers most strongly, found by gradient ascent."""

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
from coverslip.explaining.maps.units import SCORES, Layer, find_layer, leaking
from coverslip.models.trial import still
from coverslip.training.scoring import arranged, convolves

STEPS = 96
RATE, BETAS = 0.1, (0.9, 0.999)  # of Adam, on waves of size 1
TOGETHER = 32  # images that are made at once: bounds memory
BEGIN = 0.1  # size of the waves that are drawn at first
LEAK = 0.1  # of the gradient that a closed ReLU lets through in the first half, so that silent filters wake


@dataclass(frozen=True, eq=False, slots=True)
class IdealImages:
    """Ideal images of some units of one layer.

    Attributes:
        layer: module path; "" for the scores of the classes.
        units: numbers of the filters, units or classes.
        images: float32 (U, S, H, W, C), 0 to 1, the strongest of the S starts first.
        activations: float32 (U, S), what the unit answers to each: for a class how far its score is above the mean of
            the others; for a filter its mean over the image.
        plain: float32 (U,), what it answers to an image of the mean color.
    """

    layer: str
    units: tuple[int, ...]
    images: npt.NDArray[np.float32]
    activations: npt.NDArray[np.float32]
    plain: npt.NDArray[np.float32]

    @property
    def best(self) -> npt.NDArray[np.float32]:
        """The strongest of each unit: (U, H, W, C)."""
        return self.images[:, 0]

    @property
    def silent(self) -> npt.NDArray[np.bool_]:
        """(U,): no image was found that the unit answers more strongly than a plain one."""
        return np.asarray(self.activations[:, 0] <= self.plain + 1e-6)


def ideal_images(
    network: nn.Module,
    spec: InputSpec,
    units: Sequence[int],
    *,
    layer: str = SCORES,
    size: tuple[int, int] | None = None,
    priors: Priors | None = None,
    starts: int = 2,
    steps: int = STEPS,
    seed: int = 0,
    progress: Progress = SILENT,
) -> IdealImages:
    """Images that classes, filters or units answer most strongly; all of them climb together.

    An image is a sum of waves (its Fourier transform), pressed to 0 to 1; Adam changes the waves so that the answer
    grows. It is an ideal, not an image that exists: compare it with real ones (`strongest_images`).

    Args:
        network: prepared images -> scores; it works in evaluation mode and is left as it was.
        spec: how images are prepared for it.
        units: numbers of the classes, filters or units, counted from 0.
        layer: module path such as ``block2``; without it the classes' scores.
        size: height and width of the images, where the network takes others than its own; small ones are quick, and
            enough for the filters of an early layer.
        priors: see `Priors`; without, `usual_priors`, or `DENSE` where the network has no convolutions.
        starts: images of each unit, from other random beginnings: where they agree, it is the unit and not chance.
        steps: of the ascent.
        seed: of beginnings and jitter. A unit's image does not depend on which others are asked for.
        progress: told of every step of every image.

    Raises:
        UserError: no such layer or unit (the nearest layer is named), a size that the network cannot take, or no
            starts or steps.

    Reference: Simonyan et al., Deep inside convolutional networks, 2014; waves, jitter and the order of frequencies
    after Olah et al., Feature visualization, Distill, 2017.
    """
    if starts < 1 or steps < 1:
        raise UserError(f"starts={starts}, steps={steps}: nothing would be made", "give 1 or more of each")
    shape = (spec.channels, *(size or spec.size))
    place = find_layer(network, shape, layer)
    units = place.need(units)
    if priors is None:
        side = min(shape[1:])
        cell = side / (4 if place.grid is None else min(place.grid))
        priors = usual_priors(cell) if convolves(network) else DENSE
    jobs = [(unit, start) for unit in units for start in range(starts)]
    images, activations = [], []
    needs = {parameter: parameter.requires_grad for parameter in network.parameters()}
    network.requires_grad_(False)  # gradients of weights would take half of the time
    try:
        with still(network), progress.stage("ideal images", steps * len(jobs), "steps") as stage:
            for first in range(0, len(jobs), TOGETHER):
                some = jobs[first : first + TOGETHER]
                ascent = _Ascent(network, spec, shape, place, some, priors, seed)
                for step in range(steps):
                    ascent.climb(step / steps, step)
                    stage.advance(len(some))
                made = ascent.image(1.0).detach()
                images.append(made.permute(0, 2, 3, 1).float().cpu().numpy())
                activations.append(ascent.answers(made).cpu().numpy())
            blank = torch.tensor(spec.mean, device=_device(network))[None, :, None, None].expand(1, *shape)
            plain = place.answers(network, spec.normalized(blank))[0, list(units)].mean(dim=-1)
    finally:
        for parameter, need in needs.items():
            parameter.requires_grad_(need)
    strength = np.concatenate(activations).reshape(len(units), starts).astype(np.float32)
    order = np.argsort(-strength, axis=1, kind="stable")
    every = np.concatenate(images).reshape(len(units), starts, *shape[1:], shape[0])
    return IdealImages(
        layer,
        units,
        np.take_along_axis(every, order[:, :, None, None, None], axis=1),
        np.take_along_axis(strength, order, axis=1),
        plain.detach().float().cpu().numpy(),
    )


class _Ascent:
    """Images on their way up, one for each unit and start; they share the batch and nothing else."""

    def __init__(
        self,
        network: nn.Module,
        spec: InputSpec,
        shape: tuple[int, int, int],
        layer: Layer,
        jobs: Sequence[tuple[int, int]],
        priors: Priors,
        seed: int,
    ) -> None:
        self.network, self.spec, self.shape, self.layer, self.priors = network, spec, shape, layer, priors
        self.units = [unit for unit, _ in jobs]
        self.seed, self.convolved = seed, convolves(network)
        device = _device(network)
        channels, height, width = shape
        drawn = [
            np.random.default_rng((seed, unit, start)).standard_normal((channels, height, width // 2 + 1, 2))
            for unit, start in jobs
        ]
        waves = torch.from_numpy(np.stack(drawn).astype(np.float32)) * BEGIN
        self.waves = waves.to(device).requires_grad_()
        self.mean_up, self.mean_square = torch.zeros_like(self.waves), torch.zeros_like(self.waves)
        down, across = torch.fft.fftfreq(height, device=device), torch.fft.rfftfreq(width, device=device)
        self.frequency = (down[:, None] ** 2 + across[None] ** 2).sqrt()  # cycles a pixel
        scale = self.frequency.clamp_min(1 / max(height, width)) ** -priors.decay
        self.scale = scale / scale.square().mean().sqrt()
        self.mean = torch.tensor(spec.mean, device=device).clamp(0.05, 0.95).logit()[:, None, None]

    def image(self, done: float) -> Tensor:
        """(B, C, H, W), 0 to 1; ``done`` is the share of the way, which decides the blur."""
        first, last = self.priors.blur
        blur = first + (last - first) * done
        soft = torch.exp(-2 * (math.pi * blur * self.frequency) ** 2)
        waves = torch.view_as_complex(self.waves) * (self.scale * soft)
        planes = torch.fft.irfft2(waves, s=self.shape[1:], norm="ortho")
        common = planes.mean(dim=1, keepdim=True) * math.sqrt(self.shape[0])  # a sum of C unlike ones of size 1
        alike = self.priors.gray if self.shape[0] > 1 else 0.0
        planes = math.sqrt(alike) * common + math.sqrt(1 - alike) * planes
        return torch.sigmoid(planes + self.mean)

    def answers(self, images: Tensor) -> Tensor:
        """(B,), what each image's own unit answers."""
        return self.layer.own_answers(self.network, self.spec.normalized(images), self.units).detach()

    def climb(self, done: float, step: int) -> None:
        """One step up."""
        image = self.image(done)
        seen = image.detach().requires_grad_()
        reach = min(self.priors.jitter, min(self.shape[1:]) // 4)
        shift = np.random.default_rng((self.seed, step)).integers(-reach, reach + 1, 2).tolist()
        shifted = arranged(torch.roll(seen, shift, dims=(2, 3)) if reach else seen, self.convolved)
        with leaking(self.network, LEAK if done < 0.5 else 0.0):
            gained = self.layer.own_answers(self.network, self.spec.normalized(shifted), self.units)
        (up,) = torch.autograd.grad(gained.sum(), seen)
        # Each unit has a scale of its own. With the mean size 1 the priors weigh the same for all.
        up = up / up.abs().mean(dim=(1, 2, 3), keepdim=True).clamp_min(1e-12)
        loss = -(up * image).sum() + self.priors.variation * total_variation(image)
        if self.priors.contrast:
            loss = loss + (image - self.mean.sigmoid()).square().sum() / (2 * self.priors.contrast)
        (gradient,) = torch.autograd.grad(loss, self.waves)
        self._adam(gradient, step)

    @torch.no_grad()
    def _adam(self, gradient: Tensor, step: int) -> None:
        """Adam (Kingma and Ba, 2015). torch's own first imports its compiler, which takes longer than all the steps."""
        fade, fade_square = BETAS
        self.mean_up.lerp_(gradient, 1 - fade)
        self.mean_square.lerp_(gradient.square(), 1 - fade_square)
        size = (self.mean_square / (1 - fade_square ** (step + 1))).sqrt_().add_(1e-8)
        self.waves.addcdiv_(self.mean_up, size, value=-RATE / (1 - fade ** (step + 1)))


def _device(network: nn.Module) -> torch.device:
    return next(network.parameters()).device
