"""What a network expects of an image, kept with its weights, so that every door prepares images alike."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import UserError
from coverslip.core.registry import nearest
from coverslip.data.image import Pixels

if TYPE_CHECKING:
    import torch

Fit = Literal["pad", "squash", "crop"]
FITS: tuple[Fit, ...] = ("pad", "squash", "crop")
SIZES = (8, 4096)  # of a side, pixels
PERCENTILES = (0.5, 99.5)


@dataclass(frozen=True, kw_only=True, slots=True)
class InputSpec:
    """How an image of any size becomes the network's input.

    Attributes:
        size: (height, width), pixels.
        fit: ``pad`` keeps the whole image and its proportions and fills the rest with the image's own mean color;
            ``squash`` keeps the whole image, not its proportions; ``crop`` keeps proportions and cuts off what is
            too long.
        channels: channels of the images: 1 grey, 3 color, or the files' own number.
        depth: ``uint8`` or ``uint16``, as the files have it.
        mean: per channel, on the scale 0 to 1.
        std: likewise.
        low: per channel the grey value that becomes 0; empty for 8-bit images, where it is 0.
        high: per channel the grey value that becomes 1; empty for 8-bit images, where it is 255.
    """

    size: tuple[int, int]
    fit: str = "pad"
    channels: int = 3
    depth: str = "uint8"
    mean: tuple[float, ...]
    std: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.fit not in FITS:
            raise UserError(f"fit={self.fit!r} is not known", nearest(self.fit, FITS))
        if min(self.size) < SIZES[0] or max(self.size) > SIZES[1]:
            raise UserError(
                f"size={self.size} is not within {SIZES[0]} to {SIZES[1]} pixels", "the network's own is a good one"
            )
        if self.depth not in ("uint8", "uint16"):
            raise UserError(f"depth={self.depth!r} is not known", "'uint8' or 'uint16'")
        for name, values in (("mean", self.mean), ("std", self.std), ("low", self.low), ("high", self.high)):
            if len(values) != self.channels and (values or name in ("mean", "std")):
                raise UserError(f"{name} has {len(values)} values for {self.channels} channels", "give one a channel")
        if min(self.std, default=0) <= 0:
            raise UserError(f"std={self.std} cannot be divided by", "give numbers above 0")

    def prepare(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        """(N, H, W, C) of ``depth`` and ``size`` -> float32 (N, C, H, W), contiguous, as the network wants it."""
        if pixels.shape[1:] != (*self.size, self.channels) or pixels.dtype.name != self.depth:
            raise ValueError(f"{pixels.dtype} {pixels.shape} is not what {self} describes")
        top = float(np.iinfo(self.depth).max)
        low = np.array(self.low or (0.0,) * self.channels, np.float32)
        high = np.array(self.high or (top,) * self.channels, np.float32)
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        # One multiplication and one addition a sample: ((x - low) / (high - low) - mean) / std
        scale = (1 / ((high - low) * std)).astype(np.float32)
        shift = (-(low / (high - low) + mean) / std).astype(np.float32)
        planes = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)).astype(np.float32)
        if self.low:  # what lies outside the percentiles is clipped, or one hot pixel would rule the scale
            np.clip(planes, low[:, None, None], high[:, None, None], out=planes)
        planes *= scale[:, None, None]
        planes += shift[:, None, None]
        return planes

    def scaled(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        """(N, H, W, C) -> float32 (N, C, H, W), 0 to 1: `prepare` without mean and deviation, for augmentation.

        The memory is in the order of the images' own, channels last.
        """
        top = float(np.iinfo(self.depth).max)
        low = np.array(self.low or (0.0,) * self.channels, np.float32)
        high = np.array(self.high or (top,) * self.channels, np.float32)
        planes = pixels.astype(np.float32)
        if self.low:
            np.clip(planes, low, high, out=planes)
            planes -= low
        planes *= (1 / (high - low)).astype(np.float32)
        return planes.transpose(0, 3, 1, 2)

    def normalized(self, images: torch.Tensor) -> torch.Tensor:
        """What `scaled` gave, augmented or not, on any device -> what `prepare` gives."""
        import torch

        mean, std = (torch.tensor(each, device=images.device).view(-1, 1, 1) for each in (self.mean, self.std))
        return (images - mean) / std

    def fitted(self, pixels: Pixels, rows: list[int], seed: int = 0) -> InputSpec:
        """With the grey values of the 0.5th and 99.5th percentile, from training images only.

        8-bit images keep their fixed scale of 0 to 255, since pretrained networks know it.

        Args:
            pixels: (N, H, W, C), the cached images.
            rows: the training rows.
            seed: of the sample of at most 256 images that is looked at.
        """
        if self.depth == "uint8":
            return self
        rng = np.random.default_rng(seed)
        sample = np.sort(rng.choice(np.asarray(rows), min(len(rows), 256), replace=False))
        values = np.stack([pixels[row, ::2, ::2] for row in sample]).reshape(-1, self.channels)
        low, high = np.percentile(values, PERCENTILES, axis=0)
        high = np.maximum(high, low + 1)  # a constant channel
        return replace(self, low=tuple(map(float, low)), high=tuple(map(float, high)))


def survives(width: int, height: int, size: tuple[int, int], fit: str) -> float:
    """The share of an image's area that reaches the network: 1 unless the fit is ``crop``.

    >>> round(survives(400, 100, (224, 224), "crop"), 6)
    0.25
    """
    if fit != "crop":
        return 1.0
    scale = max(size[0] / height, size[1] / width)
    return min(1.0, size[0] / (height * scale)) * min(1.0, size[1] / (width * scale))


def content_box(width: int, height: int, size: tuple[int, int], fit: str) -> tuple[int, int, int, int]:
    """Where an image lies in its resized frame: (top, left, height, width), pixels; all of it unless ``pad`` fills.

    >>> content_box(400, 100, (224, 224), "pad")
    (84, 0, 56, 224)
    """
    if fit != "pad":
        return 0, 0, *size
    scale = min(size[0] / height, size[1] / width)
    inner = max(1, min(size[0], round(height * scale))), max(1, min(size[1], round(width * scale)))
    return (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2, *inner


def fit_batch(pixels: Pixels, size: tuple[int, int], fit: str) -> Pixels:
    """Resize images of one size: (N, h, w, C) -> (N, H, W, C), the same depth.

    The filter is a separable antialiased triangle. 8-bit images go through PyTorch's integer kernel, which rounds
    after each of the two directions; the result is within one grey level of the exact filter.
    """
    height, width = pixels.shape[1:3]
    if fit == "squash":
        return resize(pixels, size)
    if fit == "crop":
        scale = max(size[0] / height, size[1] / width)
        cut_height, cut_width = min(height, round(size[0] / scale)), min(width, round(size[1] / scale))
        top, left = (height - cut_height) // 2, (width - cut_width) // 2
        return resize(pixels[:, top : top + cut_height, left : left + cut_width], size)
    top, left, inner_height, inner_width = content_box(width, height, size, fit)
    content = resize(pixels, (inner_height, inner_width))
    if (inner_height, inner_width) == size:
        return content
    mean = np.rint(content.mean(axis=(1, 2), keepdims=True, dtype=np.float32)).astype(content.dtype)
    result = np.broadcast_to(mean, (len(content), *size, content.shape[3])).copy()
    result[:, top : top + inner_height, left : left + inner_width] = content
    return result


def resize(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """(N, h, w, C) -> (N, H, W, C) by an antialiased triangle filter; the same depth."""
    import torch

    if pixels.shape[1:3] == size:
        return pixels
    if pixels.dtype == np.uint8:
        planes = torch.from_numpy(np.require(pixels, requirements=["W"])).permute(0, 3, 1, 2)
        resized = _interpolate(planes, size)
        result: Pixels = resized.permute(0, 2, 3, 1).contiguous().numpy()
        return result
    planes = torch.from_numpy(pixels.astype(np.float32)).permute(0, 3, 1, 2)
    resized = _interpolate(planes, size).permute(0, 2, 3, 1)
    return np.asarray(np.rint(resized.clamp(0, 65535).numpy()).astype(np.uint16))


def _interpolate(planes: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    from torch.nn.functional import interpolate

    return interpolate(planes, size, mode="bilinear", antialias=True, align_corners=False)
