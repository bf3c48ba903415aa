"""From decoded pixels of any size to the network's input, as tensors alone, so that it can stand inside a graph.

What `coverslip.data.inputs` does with images of a known size is done here for every size at once: a direction is
resized by one matrix, (target, source), whose numbers come from the lengths. Rows outside the image's place in the
frame (``pad``) are zeros, columns outside its middle (``crop``) too, so no shape depends on a number that is computed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from coverslip.data.inputs import InputSpec

LARGEST_WEIGHT = 32767.5  # of PyTorch's 8-bit kernel, whose weights are 16-bit integers
MOST_BITS = 22  # that it gives a weight behind the point


@dataclass(frozen=True, slots=True)
class Span:
    """Which pixels of one direction are used, and where they come to lie; float64 scalars.

    Attributes:
        start: first pixel that is used.
        length: how many are used.
        offset: where the first comes to lie in the frame.
        inner: on how many places of the frame they come to lie.
    """

    start: Tensor
    length: Tensor
    offset: Tensor
    inner: Tensor


class Preparation(nn.Module):
    """Decoded pixels -> what `fit_batch` gives of them, and then what `InputSpec.prepare` gives.

    The resize is within one grey level of the cache's own: its 8-bit kernel rounds its weights and rounds after each
    direction, and so does this (16 bits are rounded once, as there). Sums are taken in another order, so that one pixel
    in some ten thousands falls on the other side of a half.

    Args:
        spec: size, fit, depth and scale.
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
        """(N, h, w, C) of the spec's depth -> resized (N, C, H, W) float32 whole numbers, and prepared (N, C, H, W)."""
        resized = self.resize(pixels)
        return resized, self.scale(resized)

    def resize(self, pixels: Tensor) -> Tensor:
        """(N, h, w, C) -> float32 (N, C, H, W), whole grey levels."""
        height, width = _length(pixels.shape[1]), _length(pixels.shape[2])
        rows, columns = spans(height, width, self.spec.size, self.spec.fit)
        eight = self.spec.depth == "uint8"
        down = triangle(rows, pixels.shape[1], self.spec.size[0], coarse=eight)
        across = triangle(columns, pixels.shape[2], self.spec.size[1], coarse=eight)
        planes = pixels.permute(0, 3, 1, 2).float() @ across.T
        if eight:
            planes = down @ (planes + 0.5).floor().clamp(0, self.top)
            planes = (planes + 0.5).floor().clamp(0, self.top)
        else:
            planes = (down @ planes).clamp(0, self.top).round()
        if self.spec.fit == "pad":
            inside = (down.sum(1) > 0)[:, None] & (across.sum(1) > 0)  # (H, W)
            mean = planes.sum((2, 3), keepdim=True) / (rows.inner * columns.inner).float()
            planes = torch.where(inside, planes, mean.round())
        return planes

    def scale(self, resized: Tensor) -> Tensor:
        """Grey levels (N, C, H, W) -> what the network was trained on."""
        if self.spec.low:
            resized = torch.minimum(torch.maximum(resized, self.low), self.high)
        return resized * self.factor + self.shift


def spans(height: Tensor, width: Tensor, size: tuple[int, int], fit: str) -> tuple[Span, Span]:
    """Rows and columns of an image and of its frame, as `coverslip.data.inputs` has them; all float64 scalars."""
    zero = height * 0
    if fit == "squash":
        return Span(zero, height, zero, zero + size[0]), Span(zero, width, zero, zero + size[1])
    both = size[0] / height, size[1] / width
    if fit == "crop":
        scale = torch.maximum(*both)
        cut = [
            torch.minimum(side, (target / scale).round()) for side, target in zip((height, width), size, strict=True)
        ]
        starts = [((side - kept) / 2).floor() for side, kept in zip((height, width), cut, strict=True)]
        return Span(starts[0], cut[0], zero, zero + size[0]), Span(starts[1], cut[1], zero, zero + size[1])
    scale = torch.minimum(*both)
    inner = [(side * scale).round().clamp(1, target) for side, target in zip((height, width), size, strict=True)]
    offsets = [((target - kept) / 2).floor() for target, kept in zip(size, inner, strict=True)]
    return Span(zero, height, offsets[0], inner[0]), Span(zero, width, offsets[1], inner[1])


def triangle(span: Span, source: int, target: int, *, coarse: bool) -> Tensor:
    """The antialiased triangle filter of one direction as a matrix, float32 (target, source).

    Args:
        span: what is used, and where it comes to lie; other rows and columns are zeros.
        source: pixels of the image.
        target: places of the frame.
        coarse: round the weights as PyTorch's 8-bit kernel does: to as many bits as the largest leaves in 16.
    """
    scale = span.length / span.inner
    place = torch.arange(target, dtype=torch.float64) - span.offset
    center = ((place + 0.5) * scale + span.start)[:, None]
    pixel = torch.arange(source, dtype=torch.float64)[None]
    weights = (1 - (pixel + 0.5 - center).abs() / scale.clamp(min=1)).clamp(min=0)
    used = ((place >= 0) & (place < span.inner))[:, None] & (pixel >= span.start) & (pixel < span.start + span.length)
    weights = weights * used
    weights = weights / weights.sum(1, keepdim=True).clamp(min=1e-12)
    if coarse:
        units = 2.0 ** torch.arange(1, MOST_BITS + 1, dtype=torch.float64)
        unit = torch.pow(2.0, (weights.max() * units < LARGEST_WEIGHT).double().sum())
        weights = (weights * unit + 0.5).floor() / unit
    return weights.float()


def _length(side: int) -> Tensor:
    """A side as a float64 scalar; counted rather than converted, since tracing would keep a number as it stands."""
    return torch.arange(side, dtype=torch.float64)[-1] + 1
