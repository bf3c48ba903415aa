"""The data that augmentation transforms, and the interface of a transform."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor

from coverslip.data.augment.settings import Augmentation


@dataclass(frozen=True, slots=True)
class ImageBatch:
    """A batch of images with their masks and boxes.

    Attributes:
        images: float32, shape (N, C, H, W), values in 0..1.
        masks: shape (N, H, W) or (N, M, H, W), any dtype; or None.
        boxes: boxes of each image, float, shape (n, 4): left, top, right, bottom in pixels, from 0 at the left or top
            edge to W or H at the other; or None. A box that has left the image keeps its row but has no area.
    """

    images: Tensor
    masks: Tensor | None = None
    boxes: list[Tensor] | None = None


Apply = Callable[[ImageBatch, Augmentation, Tensor], ImageBatch]


@dataclass(frozen=True, slots=True)
class Transform:
    """One random transform of a batch.

    Attributes:
        apply: (batch, config, seeds int64 (N,)) -> batch. It does not modify its arguments, and the result for an image
            depends on its own pixels and seed only.
        settings: the fields of `Augmentation` that it reads; it is skipped if all of them are off.
        channels: the number of channels that it requires; 0: any.
    """

    apply: Apply
    settings: tuple[str, ...]
    channels: int = 0


def images_only(function: Callable[[Tensor, Augmentation, Tensor], Tensor]) -> Apply:
    """Return a transform that changes pixel values only, and leaves masks and boxes unchanged."""

    def apply(batch: ImageBatch, config: Augmentation, seeds: Tensor) -> ImageBatch:
        return replace(batch, images=function(batch.images, config, seeds))

    return apply
