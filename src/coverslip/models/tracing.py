"""Every output of a network that has a grid of places, seen while one made-up image runs through it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from coverslip.models.trial import output_shape, still

EXTRA = 8  # at most so many tokens stand before those of the grid: a class token, registers
SQUARE = 0.5  # |log| of how much more a grid may be stretched one way than the other, by rounding and by borders
CLEARER = 0.25  # by so much the other reading must fit better, before the channels are taken to come last
IDLE = (nn.Identity, nn.modules.dropout._DropoutNd)


@dataclass(slots=True)
class Output:
    """What a module gave in one call.

    Attributes:
        path: dotted name of the module.
        call: which of its calls, from 0.
        place: in the order in which outputs were ready.
        key: the same for modules that hand on the very same numbers.
        weights: whether the module itself holds a matrix or filters.
        shape: (C, h, w).
        tokens: the grid, where it is a row of tokens (N, T, C).
        channels_last: whether it is (N, h, w, C).
        tensor: as the module gave it.
        felt: whether the network's scores depend on what stands at its places; known for tokens, else taken to be so.
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
    felt: bool = True

    @property
    def grid(self) -> tuple[int, ...]:
        """Places, (h, w)."""
        return self.shape[1:]

    def inside(self, path: str) -> bool:
        """Whether it comes from this module or a part of it."""
        return not path or self.path == path or self.path.startswith(f"{path}.")


def trace_outputs(network: nn.Module, shape: tuple[int, ...]) -> list[Output]:
    """Run a made-up image through a network and keep every output that has a grid, in order.

    Args:
        network: any module; it is left as it was.
        shape: of one input without the batch, (C, H, W).

    Raises:
        UserError: the network cannot take such an input.
    """
    output_shape(network, shape)
    own = next(network.parameters(), torch.zeros(0))
    # Two images, so that the axis of the images is known from others of length 1; noise, so that something happens.
    noise = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    images = noise.to(own.device, own.dtype if own.is_floating_point() else torch.float32).requires_grad_()
    outputs: list[Output] = []
    calls: dict[str, int] = {}

    def keep(path: str, module: nn.Module, output: Any) -> None:
        call = calls.get(path, 0)
        calls[path] = call + 1
        output = output[0] if isinstance(output, tuple | list) and output else output
        if not isinstance(output, Tensor) or not output.is_floating_point() or len(output) != len(images):
            return
        read = read_shape(tuple(output.shape[1:]), shape[1:], [each.grid for each in outputs])
        if read is None or isinstance(module, IDLE):
            return
        weights = any(each.ndim > 1 for each in module.parameters(recurse=False))
        key = (id(output), output._version)  # layers that work in place give the same tensor, one version on
        outputs.append(Output(path, call, len(outputs), key, weights, *read, output))

    hooks = [
        module.register_forward_hook(lambda module, given, output, path=path: keep(path, module, output))
        for path, module in network.named_modules()
        if path
    ]
    try:
        with still(network), torch.enable_grad():
            scores = network(images)
    finally:
        for hook in hooks:
            hook.remove()
    _mark_felt(scores, [each for each in outputs if each.tokens is not None])
    for each in outputs:
        each.tensor = each.tensor.detach()
    return outputs


def read_shape(
    shape: tuple[int, ...], size: tuple[int, ...], seen: list[tuple[int, ...]]
) -> tuple[tuple[int, ...], tuple[int, ...] | None, bool] | None:
    """How an output is laid out, from its shape alone.

    Args:
        shape: of one output, without the batch.
        size: of the image, (H, W).
        seen: grids that were met before, which a row of tokens may have.

    Returns:
        (C, h, w), the grid of tokens or None, and whether the channels come last. None: it has no grid of at least two
        places that is stretched like the image.

    >>> read_shape((96, 56, 56), (224, 224), []), read_shape((56, 56, 96), (224, 224), [])
    (((96, 56, 56), None, False), ((96, 56, 56), None, True))
    >>> read_shape((197, 192), (224, 224), [(14, 14)]), read_shape((512,), (224, 224), [])
    (((192, 14, 14), (14, 14), False), None)
    """
    if len(shape) == len(size) + 1:
        first, last = _stretch(shape[1:], size), _stretch(shape[:-1], size)
        channels_last = last < first - CLEARER
        if min(first, last) > SQUARE:
            return None
        return ((shape[-1], *shape[:-1]) if channels_last else shape), None, channels_last
    if len(shape) == 2:
        grid = _token_grid(shape[0], size, seen)
        return None if grid is None else ((shape[1], *grid), grid, False)
    return None


def _stretch(grid: tuple[int, ...], size: tuple[int, ...]) -> float:
    """How much more a grid is stretched one way than the other, a logarithm; inf for what is no grid of places."""
    if math.prod(grid) < 2 or any(places > pixels for places, pixels in zip(grid, size, strict=True)):
        return math.inf
    steps = [pixels / places for places, pixels in zip(grid, size, strict=True)]
    return math.log(max(steps) / min(steps))


def _token_grid(tokens: int, size: tuple[int, ...], seen: list[tuple[int, ...]]) -> tuple[int, ...] | None:
    """The grid of a row of tokens: one that was seen before, or the one in the image's proportions."""
    for grid in reversed(seen):
        if 0 <= tokens - math.prod(grid) <= EXTRA:
            return grid
    if len(size) != 2:
        return None
    for places in range(tokens, max(tokens - EXTRA, 3) - 1, -1):
        height = round(math.sqrt(places * size[0] / size[1]))
        if height and places % height == 0 and _stretch((height, places // height), size) < CLEARER:
            return height, places // height
    return None


def _mark_felt(scores: Tensor, outputs: list[Output]) -> None:
    """Find out which rows of tokens the scores depend on: without a gradient at any place they do not."""
    known = [each for each in outputs if each.tensor.requires_grad]
    if not known or not scores.requires_grad:
        return
    # A sum of squares: the plain sum of scores could be the same whatever the image.
    found = torch.autograd.grad(scores.square().sum(), [each.tensor for each in known], allow_unused=True)
    for output, gradient in zip(known, found, strict=True):
        places = math.prod(output.tokens or ())
        output.felt = gradient is not None and bool(gradient[:, -places:].any())
