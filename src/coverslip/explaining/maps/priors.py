"""Regularization that makes ideal images interpretable."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from coverslip.core.errors import UserError


@dataclass(frozen=True, kw_only=True, slots=True)
class Priors:
    """Regularization of ideal images. With all values at 0, the result is noise that only a network can interpret.

    Attributes:
        decay: Fourier coefficients are divided by their frequency to this power; 1 is the spectrum of natural images.
        jitter: maximum random shift per step in pixels; 0 if the position matters.
        blur: standard deviation of the blur in pixels, at the start and at the end; it decreases so that shapes emerge
            before fine grain.
        variation: weight of total variation relative to the gradient, which has mean magnitude 1; suppresses grain.
        contrast: distance of a pixel value (0 to 1) from the mean color at which the penalty balances a gradient of
            mean magnitude; 0 for no penalty.
        gray: correlation of the channels, 0 to <1; natural images vary more in brightness than in color.

    Raises:
        UserError: a value is out of range.
    """

    decay: float = 1.0
    jitter: int = 4
    blur: tuple[float, float] = (3.0, 0.4)
    variation: float = 0.15
    contrast: float = 2.0
    gray: float = 0.6

    def __post_init__(self) -> None:
        for name in ("decay", "jitter", "blur", "variation", "contrast"):
            value = getattr(self, name)
            if not (min(value) if isinstance(value, tuple) else value) >= 0:
                raise UserError(f"{name}={value} is not 0 or more", "use 0 to switch it off")
        if not 0 <= self.gray < 1:
            raise UserError(
                f"gray={self.gray} is not in the range 0 to <1", "use 0.6, the default, or 0 for independent channels"
            )


DENSE = Priors(jitter=0, blur=(4.0, 1.8), contrast=0.3)
"""For networks without convolutions: every pixel has its own weight, so positions matter and weights are noisy."""


def usual_priors(cell: float) -> Priors:
    """Return priors for structures of a given size, chosen by inspection of many images of small and large networks.

    Args:
        cell: pixels per position of the layer; for a class, a quarter of the side of the image.

    >>> usual_priors(16) == Priors()
    True
    """
    return Priors(jitter=round(cell / 4), blur=(1 + cell / 8, cell / 40), contrast=max(0.3, cell / 8))


def total_variation(images: Tensor) -> Tensor:
    """Return the total variation: the norm of the image gradient, summed over all pixels of (B, C, H, W)."""
    down = images[..., 1:, :-1] - images[..., :-1, :-1]
    across = images[..., :-1, 1:] - images[..., :-1, :-1]
    return (down.square() + across.square() + 1e-8).sqrt().sum()
