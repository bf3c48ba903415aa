"""Preparation of images for a network; the specification is saved with its weights, and all entry points use it."""

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
SIZES = (8, 4096)  # minimum and maximum length of a side, pixels
PERCENTILES = (0.5, 99.5)


@dataclass(frozen=True, kw_only=True, slots=True)
class InputSpec:
    """The size, format and normalization of a network's input.

    Attributes:
        size: (height, width), pixels.
        fit: ``pad`` keeps the whole image and its aspect ratio and fills the rest with the mean color of the image;
            ``squash`` keeps the whole image but not its aspect ratio; ``crop`` keeps the aspect ratio and crops the
            longer side.
        channels: number of channels: 1 grey, 3 color, or that of the files.
        depth: ``uint8`` or ``uint16``, as in the files; ``float32`` for signed, 32-bit and floating-point values.
        mean: mean per channel, on the scale 0..1.
        std: standard deviation per channel, likewise.
        low: pixel value per channel that is mapped to 0; empty for 8-bit images, where it is 0.
        high: pixel value per channel that is mapped to 1; empty for 8-bit images, where it is 255.
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
            raise UserError(f"unknown fit={self.fit!r}", nearest(self.fit, FITS))
        if min(self.size) < SIZES[0] or max(self.size) > SIZES[1]:
            raise UserError(
                f"size={self.size} is not within {SIZES[0]} to {SIZES[1]} pixels",
                "omit it to use the default of the network",
            )
        if self.depth not in ("uint8", "uint16", "float32"):
            raise UserError(f"unknown depth={self.depth!r}", "use 'uint8', 'uint16' or 'float32'")
        for name, values in (("mean", self.mean), ("std", self.std), ("low", self.low), ("high", self.high)):
            if len(values) != self.channels and (values or name in ("mean", "std")):
                raise UserError(
                    f"{name} has {len(values)} values for {self.channels} channels", "give one value per channel"
                )
        if min(self.std, default=0) <= 0:
            raise UserError(f"std={self.std} is not positive", "give numbers above 0")

    def prepare(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        """Return images of ``depth`` and ``size``, shape (N, H, W, C), as network input: float32 (N, C, H, W)."""
        if pixels.shape[1:] != (*self.size, self.channels) or pixels.dtype.name != self.depth:
            raise ValueError(f"{pixels.dtype} {pixels.shape} is not what {self} describes")
        top = white_value(self.depth)
        low = np.array(self.low or (0.0,) * self.channels, np.float32)
        high = np.array(self.high or (top,) * self.channels, np.float32)
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        # ((x - low) / (high - low) - mean) / std as one multiplication and one addition per value
        scale = (1 / ((high - low) * std)).astype(np.float32)
        shift = (-(low / (high - low) + mean) / std).astype(np.float32)
        planes = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)).astype(np.float32)
        if self.low:  # values outside the percentiles are clipped: hot pixels would dominate the range
            np.clip(planes, low[:, None, None], high[:, None, None], out=planes)
        planes *= scale[:, None, None]
        planes += shift[:, None, None]
        return planes

    def scaled(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        """Return images (N, H, W, C) as float32 (N, C, H, W), 0..1: `prepare` without mean and std, for augmentation.

        The memory format is channels last, like that of the images.
        """
        top = white_value(self.depth)
        low = np.array(self.low or (0.0,) * self.channels, np.float32)
        high = np.array(self.high or (top,) * self.channels, np.float32)
        planes = pixels.astype(np.float32)
        if self.low:
            np.clip(planes, low, high, out=planes)
            planes -= low
        planes *= (1 / (high - low)).astype(np.float32)
        return planes.transpose(0, 3, 1, 2)

    def normalized(self, images: torch.Tensor) -> torch.Tensor:
        """Return images from `scaled`, augmented or not, on any device, with mean and std applied as in `prepare`."""
        import torch

        mean, std = (torch.tensor(values, device=images.device).view(-1, 1, 1) for values in (self.mean, self.std))
        return (images - mean) / std

    def with_percentiles(self, pixels: Pixels, rows: list[int], seed: int = 0) -> InputSpec:
        """Return a copy with ``low`` and ``high`` set to the 0.5th and 99.5th percentile of the training images.

        8-bit images keep the range 0 to 255, which pretrained networks were trained with.

        Args:
            pixels: the cached images, shape (N, H, W, C).
            rows: row numbers of the training images.
            seed: seed of the sample of at most 256 images that is used.
        """
        if self.depth == "uint8":
            return self
        rng = np.random.default_rng(seed)
        sample = np.sort(rng.choice(np.asarray(rows), min(len(rows), 256), replace=False))
        values = np.stack([pixels[row, ::2, ::2] for row in sample]).reshape(-1, self.channels)
        low, high = np.percentile(values, PERCENTILES, axis=0)
        # a constant channel must not divide by 0
        high = np.where(high > low, high, low + 1) if self.depth == "float32" else np.maximum(high, low + 1)
        return replace(self, low=tuple(map(float, low)), high=tuple(map(float, high)))


def white_value(depth: str) -> float:
    """Return the largest value of a depth, the unit of relative values; 1 for ``float32``, which has no largest value.

    >>> white_value("uint8"), white_value("float32")
    (255.0, 1.0)
    """
    return 1.0 if depth == "float32" else float(np.iinfo(depth).max)


def kept_fraction(width: int, height: int, size: tuple[int, int], fit: str) -> float:
    """Return the fraction of the area of an image that is not cropped: 1 unless the fit is ``crop``.

    >>> round(kept_fraction(400, 100, (224, 224), "crop"), 6)
    0.25
    """
    if fit != "crop":
        return 1.0
    scale = max(size[0] / height, size[1] / width)
    return min(1.0, size[0] / (height * scale)) * min(1.0, size[1] / (width * scale))


def content_box(width: int, height: int, size: tuple[int, int], fit: str) -> tuple[int, int, int, int]:
    """Return the box of the image content after resizing: (top, left, height, width), pixels.

    It is the whole frame unless the fit is ``pad``.

    >>> content_box(400, 100, (224, 224), "pad")
    (84, 0, 56, 224)
    """
    if fit != "pad":
        return 0, 0, *size
    scale = min(size[0] / height, size[1] / width)
    inner = max(1, min(size[0], round(height * scale))), max(1, min(size[1], round(width * scale)))
    return (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2, *inner


def fit_batch(pixels: Pixels, size: tuple[int, int], fit: str) -> Pixels:
    """Resize images of equal size from (N, h, w, C) to (N, H, W, C); the depth is kept.

    The filter is a separable antialiased triangle (bilinear). 8-bit images use PyTorch's integer kernel, which rounds
    after each of the two axes; the result is within one grey level of the exact filter.

    Args:
        pixels: uint8, uint16 or float32, shape (N, h, w, C).
        size: (H, W), pixels.
        fit: ``pad``, ``squash`` or ``crop``.
    """
    height, width = pixels.shape[1:3]
    if fit == "squash":
        return resize(pixels, size)
    if fit == "crop":
        scale = max(size[0] / height, size[1] / width)
        crop_height, crop_width = min(height, round(size[0] / scale)), min(width, round(size[1] / scale))
        top, left = (height - crop_height) // 2, (width - crop_width) // 2
        return resize(pixels[:, top : top + crop_height, left : left + crop_width], size)
    top, left, inner_height, inner_width = content_box(width, height, size, fit)
    content = resize(pixels, (inner_height, inner_width))
    if (inner_height, inner_width) == size:
        return content
    mean = content.mean(axis=(1, 2), keepdims=True, dtype=np.float32)
    if content.dtype != np.float32:
        mean = np.rint(mean).astype(content.dtype)
    result = np.broadcast_to(mean, (len(content), *size, content.shape[3])).copy()
    result[:, top : top + inner_height, left : left + inner_width] = content
    return result


def resize(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Resize images (N, h, w, C) to (N, H, W, C) with an antialiased triangle filter; the depth is kept."""
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
    if pixels.dtype == np.float32:
        return np.ascontiguousarray(resized.numpy())
    return np.asarray(np.rint(resized.clamp(0, 65535).numpy()).astype(np.uint16))


def _interpolate(planes: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    from torch.nn.functional import interpolate

    return interpolate(planes, size, mode="bilinear", antialias=True, align_corners=False)
