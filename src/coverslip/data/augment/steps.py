"""What goes through the steps of augmentation, and what a step is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor

from coverslip.data.augment.settings import Augmentation


@dataclass(frozen=True, slots=True)
class Augmented:
    """Images, and what marks their pixels.

    Attributes:
        images: float32 (N, C, H, W), 0..1.
        masks: (N, H, W) or (N, M, H, W) of any type, or None.
        boxes: for each image float (n, 4): left, top, right, bottom in pixels, from 0 at the left or top edge to W or
            H at the other; or None. What has left the image keeps its row, but has no area.
    """

    images: Tensor
    masks: Tensor | None = None
    boxes: list[Tensor] | None = None


Change = Callable[[Augmented, Augmentation, Tensor], Augmented]


@dataclass(frozen=True, slots=True)
class Step:
    """One change of images.

    Attributes:
        change: (images, how, seeds int64 (N,)) -> images. It writes into nothing that it is given, and an image's
            result depends on its own pixels and seed only.
        settings: what it reads of the `Augmentation`; where all of them are off it is not called.
        channels: it changes images of so many channels only; 0: of any number.
    """

    change: Change
    settings: tuple[str, ...]
    channels: int = 0


def of_values(recolor: Callable[[Tensor, Augmentation, Tensor], Tensor]) -> Change:
    """A change of values that leaves every pixel where it is, and so masks and boxes too."""

    def change(sample: Augmented, how: Augmentation, seeds: Tensor) -> Augmented:
        return replace(sample, images=recolor(sample.images, how, seeds))

    return change
