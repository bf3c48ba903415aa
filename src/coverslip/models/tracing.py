"""All outputs of a network that have a spatial grid, recorded while a random image is passed through it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from coverslip.models.shapes import eval_mode, output_shape

MAX_EXTRA_TOKENS = 8  # tokens before those of the grid: a class token, registers
MAX_DISTORTION = 0.5  # |log| of the aspect ratio of a grid relative to the image, due to rounding and borders
MIN_ADVANTAGE = 0.25  # by which channels-last must fit better than channels-first to be assumed
INACTIVE = (nn.Identity, nn.modules.dropout._DropoutNd)  # in evaluation mode they return their input


@dataclass(slots=True)
class TracedOutput:
    """The output of a module in one call.

    Attributes:
        path: dotted name of the module.
        call: index of the call of this module, from 0.
        place: position in the order in which outputs were computed.
        key: identifies the values; equal for modules that return the same tensor unchanged.
        weights: whether the module itself has a weight matrix or filters.
        shape: (C, h, w).
        tokens: the grid (h, w) if the output is a sequence of tokens (N, T, C), else None.
        channels_last: whether the output is (N, h, w, C).
        tensor: the output as returned by the module.
        influential: whether the logits depend on the grid positions; determined for tokens, assumed otherwise.
    """

    path: str
    call: int
    place: int
    key: tuple[int, int]
    weights: bool
    shape: tuple[int, ...]
    tokens: tuple[int, ...] | None
    channels_last: bool
    tensor: Tensor
    influential: bool = True

    @property
    def grid(self) -> tuple[int, ...]:
        """Spatial shape, (h, w)."""
        return self.shape[1:]

    def inside(self, path: str) -> bool:
        """Return whether the output is from this module or one of its submodules."""
        return not path or self.path == path or self.path.startswith(f"{path}.")


def trace_outputs(network: nn.Module, shape: tuple[int, ...]) -> list[TracedOutput]:
    """Pass random images through a network and return all outputs that have a grid, in order.

    Args:
        network: any module; it is not modified.
        shape: shape of one input without the batch axis, (C, H, W).

    Raises:
        UserError: the network does not accept such an input.
    """
    output_shape(network, shape)
    parameter = next(network.parameters(), torch.zeros(0))
    # A batch of two distinguishes the batch axis from other axes of length 1; noise avoids activations of all zeros.
    noise = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    dtype = parameter.dtype if parameter.is_floating_point() else torch.float32
    images = noise.to(parameter.device, dtype).requires_grad_()
    outputs: list[TracedOutput] = []
    calls: dict[str, int] = {}

    def record(path: str, module: nn.Module, output: Any) -> None:
        call = calls.get(path, 0)
        calls[path] = call + 1
        output = output[0] if isinstance(output, tuple | list) and output else output
        if not isinstance(output, Tensor) or not output.is_floating_point() or len(output) != len(images):
            return
        layout = read_shape(tuple(output.shape[1:]), shape[1:], [traced.grid for traced in outputs])
        if layout is None or isinstance(module, INACTIVE):
            return
        weights = any(weight.ndim > 1 for weight in module.parameters(recurse=False))
        key = (id(output), output._version)  # in-place layers return the same tensor with a higher version
        outputs.append(TracedOutput(path, call, len(outputs), key, weights, *layout, output))

    hooks = [
        module.register_forward_hook(lambda module, inputs, output, path=path: record(path, module, output))
        for path, module in network.named_modules()
        if path
    ]
    try:
        with eval_mode(network), torch.enable_grad():
            logits = network(images)
    finally:
        for hook in hooks:
            hook.remove()
    _mark_influential(logits, [traced for traced in outputs if traced.tokens is not None])
    for traced in outputs:
        traced.tensor = traced.tensor.detach()
    return outputs


def read_shape(
    shape: tuple[int, ...], size: tuple[int, ...], known_grids: list[tuple[int, ...]]
) -> tuple[tuple[int, ...], tuple[int, ...] | None, bool] | None:
    """Infer the layout of an output from its shape.

    Args:
        shape: shape of one output without the batch axis.
        size: size of the image, (H, W).
        known_grids: grids of earlier outputs, which a sequence of tokens may have.

    Returns:
        ((C, h, w), grid of tokens or None, whether channels are last). None if there is no grid of at least two
        positions with about the aspect ratio of the image.

    >>> read_shape((96, 56, 56), (224, 224), []), read_shape((56, 56, 96), (224, 224), [])
    (((96, 56, 56), None, False), ((96, 56, 56), None, True))
    >>> read_shape((197, 192), (224, 224), [(14, 14)]), read_shape((512,), (224, 224), [])
    (((192, 14, 14), (14, 14), False), None)
    """
    if len(shape) == len(size) + 1:
        first, last = _distortion(shape[1:], size), _distortion(shape[:-1], size)
        channels_last = last < first - MIN_ADVANTAGE
        if min(first, last) > MAX_DISTORTION:
            return None
        return ((shape[-1], *shape[:-1]) if channels_last else shape), None, channels_last
    if len(shape) == 2:
        grid = _token_grid(shape[0], size, known_grids)
        return None if grid is None else ((shape[1], *grid), grid, False)
    return None


def _distortion(grid: tuple[int, ...], size: tuple[int, ...]) -> float:
    """Return the log ratio of the largest to the smallest stride of a grid; inf if it cannot be a spatial grid."""
    if math.prod(grid) < 2 or any(positions > pixels for positions, pixels in zip(grid, size, strict=True)):
        return math.inf
    strides = [pixels / positions for positions, pixels in zip(grid, size, strict=True)]
    return math.log(max(strides) / min(strides))


def _token_grid(tokens: int, size: tuple[int, ...], known_grids: list[tuple[int, ...]]) -> tuple[int, ...] | None:
    """Return the grid of a sequence of tokens: the last known one that fits, or one with the image's aspect ratio."""
    for grid in reversed(known_grids):
        if 0 <= tokens - math.prod(grid) <= MAX_EXTRA_TOKENS:
            return grid
    if len(size) != 2:
        return None
    for positions in range(tokens, max(tokens - MAX_EXTRA_TOKENS, 3) - 1, -1):
        height = round(math.sqrt(positions * size[0] / size[1]))
        if height and positions % height == 0 and _distortion((height, positions // height), size) < MIN_ADVANTAGE:
            return height, positions // height
    return None


def _mark_influential(logits: Tensor, outputs: list[TracedOutput]) -> None:
    """Determine which token outputs the logits depend on: those with a non-zero gradient at some grid position."""
    differentiable = [traced for traced in outputs if traced.tensor.requires_grad]
    if not differentiable or not logits.requires_grad:
        return
    # Squared, because the plain sum of the logits can be constant (for example after normalization).
    tensors = [traced.tensor for traced in differentiable]
    gradients = torch.autograd.grad(logits.square().sum(), tensors, allow_unused=True)
    for traced, gradient in zip(differentiable, gradients, strict=True):
        positions = math.prod(traced.tokens or ())
        traced.influential = gradient is not None and bool(gradient[:, -positions:].any())
