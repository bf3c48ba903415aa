"""What holds ideal images to shapes that an eye can read."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from coverslip.core.errors import UserError


@dataclass(frozen=True, kw_only=True, slots=True)
class Priors:
    """What holds an ideal image to shapes that an eye can read. With all at 0 noise comes out that only a network sees.

    Attributes:
        decay: a wave's step is divided by its frequency to this power; 1 is the spectrum of natural images.
        jitter: pixels by which the image is shifted at random in each step; 0 where the place matters.
        blur: standard deviation in pixels of the blur at first and at the end; it falls, so that shapes come before
            grain.
        variation: weight of total variation against the gradient, which has the mean size 1; it flattens grain.
        contrast: how far a sample (0 to 1) goes from the mean color where the gradient has that size; 0 is no bound.
        gray: how alike the channels are, 0 to <1; natural images differ more in brightness than in color.

    Raises:
        UserError: a value is out of its range.
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
                raise UserError(f"{name}={value} is below 0", "give 0 to leave it out")
        if not 0 <= self.gray < 1:
            raise UserError(f"gray={self.gray} is not in 0 to <1", "0.6 is usual; 0 lets channels go their own ways")


DENSE = Priors(jitter=0, blur=(4.0, 1.8), contrast=0.3)
"""For networks without convolutions: each pixel has a weight of its own, so place matters and weights are grainy."""


def usual_priors(cell: float) -> Priors:
    """Priors for what is about so large; found by looking at many images, of small networks and of large ones.

    Args:
        cell: pixels that one place of the layer stands for; for a class a quarter of the image's side.

    >>> usual_priors(16) == Priors()
    True
    """
    return Priors(jitter=round(cell / 4), blur=(1 + cell / 8, cell / 40), contrast=max(0.3, cell / 8))


def total_variation(images: Tensor) -> Tensor:
    """How much neighbors differ, added up over (B, C, H, W): the length of the gradient at each pixel."""
    down = images[..., 1:, :-1] - images[..., :-1, :-1]
    across = images[..., :-1, 1:] - images[..., :-1, :-1]
    return (down.square() + across.square() + 1e-8).sqrt().sum()
