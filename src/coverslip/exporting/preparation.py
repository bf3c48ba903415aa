"""Resize and scale decoded pixels of any size with tensor operations only, so that they become part of the graph.

`coverslip.data.inputs` does the same for images of a known size. Here each axis is resized by one matrix of shape
(target, source), whose values are computed from the lengths. Rows outside the image area of the frame (``pad``) and
columns outside the central area (``crop``) are zero, so that no shape depends on a computed number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from coverslip.data.inputs import InputSpec

MAX_WEIGHT = 32767.5  # PyTorch's 8-bit resize kernel stores its weights as 16-bit integers
MAX_SHIFT = 22  # most fractional bits of such a weight


@dataclass(frozen=True, slots=True)
class Span:
    """The used pixels of one axis and their position in the frame; float64 scalars.

    Attributes:
        start: first used pixel.
        length: number of used pixels.
        offset: first position in the frame that they cover.
        inner: number of positions in the frame that they cover.
    """

    start: Tensor
    length: Tensor
    offset: Tensor
    inner: Tensor


class Preparation(nn.Module):
    """`fit_batch` followed by `InputSpec.prepare`, as one module.

    The resize differs from the one used in training by at most one grey level. The 8-bit kernel there rounds its
    weights and rounds after each axis, and so does this module (16-bit images are rounded once in both). Sums are
    computed in a different order, so that about one pixel in ten thousand is rounded differently.

    Args:
        spec: input size, fit, depth and scale.
    """

    low: Tensor
    high: Tensor
    factor: Tensor
    shift: Tensor

    def __init__(self, spec: InputSpec) -> None:
        super().__init__()
        self.spec, self.top = spec, int(np.iinfo(spec.depth).max)
        low = np.array(spec.low or (0.0,) * spec.channels, np.float32)
        high = np.array(spec.high or (float(self.top),) * spec.channels, np.float32)
        mean, std = np.array(spec.mean, np.float32), np.array(spec.std, np.float32)
        factor = (1 / ((high - low) * std)).astype(np.float32)
        shift = (-(low / (high - low) + mean) / std).astype(np.float32)
        for name, values in (("low", low), ("high", high), ("factor", factor), ("shift", shift)):
            self.register_buffer(name, torch.from_numpy(values).view(-1, 1, 1))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the resized and the prepared images, both float32 (N, C, H, W); resized ones have integer values.

        Args:
            pixels: decoded images, shape (N, h, w, C), dtype as given by the spec's depth.
        """
        resized = self.resize(pixels)
        return resized, self.scale(resized)

    def resize(self, pixels: Tensor) -> Tensor:
        """Return the resized images as float32 (N, C, H, W), rounded to integer grey levels."""
        height, width = _length(pixels.shape[1]), _length(pixels.shape[2])
        rows, columns = spans(height, width, self.spec.size, self.spec.fit)
        is_8_bit = self.spec.depth == "uint8"
        vertical = resize_matrix(rows, pixels.shape[1], self.spec.size[0], integer_weights=is_8_bit)
        horizontal = resize_matrix(columns, pixels.shape[2], self.spec.size[1], integer_weights=is_8_bit)
        planes = pixels.permute(0, 3, 1, 2).float() @ horizontal.T
        if is_8_bit:
            planes = vertical @ (planes + 0.5).floor().clamp(0, self.top)
            planes = (planes + 0.5).floor().clamp(0, self.top)
        else:
            planes = (vertical @ planes).clamp(0, self.top).round()
        if self.spec.fit == "pad":
            inside = (vertical.sum(1) > 0)[:, None] & (horizontal.sum(1) > 0)  # (H, W)
            mean = planes.sum((2, 3), keepdim=True) / (rows.inner * columns.inner).float()
            planes = torch.where(inside, planes, mean.round())
        return planes

    def scale(self, resized: Tensor) -> Tensor:
        """Return grey levels (N, C, H, W) normalized as in training."""
        if self.spec.low:
            resized = torch.minimum(torch.maximum(resized, self.low), self.high)
        return resized * self.factor + self.shift


def spans(height: Tensor, width: Tensor, size: tuple[int, int], fit: str) -> tuple[Span, Span]:
    """Return the row span and the column span of an image, computed as in `coverslip.data.inputs`.

    Args:
        height: height of the image in pixels, float64 scalar.
        width: width of the image in pixels, float64 scalar.
        size: height and width of the frame.
        fit: ``pad``, ``crop`` or ``squash``.
    """
    zero = height * 0
    if fit == "squash":
        return Span(zero, height, zero, zero + size[0]), Span(zero, width, zero, zero + size[1])
    scales = size[0] / height, size[1] / width
    if fit == "crop":
        scale = torch.maximum(*scales)
        cut = [
            torch.minimum(side, (target / scale).round()) for side, target in zip((height, width), size, strict=True)
        ]
        starts = [((side - kept) / 2).floor() for side, kept in zip((height, width), cut, strict=True)]
        return Span(starts[0], cut[0], zero, zero + size[0]), Span(starts[1], cut[1], zero, zero + size[1])
    scale = torch.minimum(*scales)
    inner = [(side * scale).round().clamp(1, target) for side, target in zip((height, width), size, strict=True)]
    offsets = [((target - kept) / 2).floor() for target, kept in zip(size, inner, strict=True)]
    return Span(zero, height, offsets[0], inner[0]), Span(zero, width, offsets[1], inner[1])


def resize_matrix(span: Span, source: int, target: int, *, integer_weights: bool) -> Tensor:
    """Return the antialiased triangle filter of one axis as a matrix, float32 (target, source).

    Args:
        span: used pixels and their position in the frame; all other rows and columns are zero.
        source: pixels of the image along this axis.
        target: positions of the frame along this axis.
        integer_weights: round the weights as PyTorch's 8-bit kernel does: 16-bit integers with as many fractional bits
            as the largest weight allows.
    """
    scale = span.length / span.inner
    position = torch.arange(target, dtype=torch.float64) - span.offset
    center = ((position + 0.5) * scale + span.start)[:, None]
    pixel = torch.arange(source, dtype=torch.float64)[None]
    weights = (1 - (pixel + 0.5 - center).abs() / scale.clamp(min=1)).clamp(min=0)
    in_frame = ((position >= 0) & (position < span.inner))[:, None]
    used = in_frame & (pixel >= span.start) & (pixel < span.start + span.length)
    weights = weights * used
    weights = weights / weights.sum(1, keepdim=True).clamp(min=1e-12)
    if integer_weights:
        units = 2.0 ** torch.arange(1, MAX_SHIFT + 1, dtype=torch.float64)
        unit = torch.pow(2.0, (weights.max() * units < MAX_WEIGHT).double().sum())
        weights = (weights * unit + 0.5).floor() / unit
    return weights.float()


def _length(side: int) -> Tensor:
    """Return a side as a float64 scalar; counted, not converted, since tracing makes Python numbers constant."""
    return torch.arange(side, dtype=torch.float64)[-1] + 1
