"""Taps: the layers of a network whose outputs have a spatial grid and can be overlaid on an image."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from coverslip.core.errors import UserError
from coverslip.core.registry import nearest
from coverslip.models.shapes import eval_mode
from coverslip.models.stages import Staged
from coverslip.models.tracing import TracedOutput, trace_outputs

CONTAINERS = (nn.Sequential, nn.ModuleList, Staged)  # run their submodules in order and compute nothing themselves


@dataclass(frozen=True, slots=True)
class Tap:
    """An output of a network that has a grid.

    Attributes:
        name: name of its stage, for display.
        module: dotted name of the module that returns it.
        shape: (C, h, w), regardless of the axis order of the module; (C, d, h, w) in a network of volumes.
        tokens: the grid, if the module returns a sequence of tokens (N, T, C), with class token and registers first;
            else None.
        channels_last: whether the module returns (N, h, w, C).
        call: index of the call of the module, from 0, if it is used more than once.
    """

    name: str
    module: str
    shape: tuple[int, ...]
    tokens: tuple[int, ...] | None = None
    channels_last: bool = False
    call: int = 0

    @property
    def grid(self) -> tuple[int, ...]:
        """Spatial shape, (h, w)."""
        return self.shape[1:]

    def to_grid(self, output: Tensor) -> Tensor:
        """Return the output of the module as (N, C, h, w), without tokens that are not grid positions."""
        if self.tokens is not None:
            output = output[:, -math.prod(self.tokens) :].reshape(len(output), *self.tokens, -1)
        return output.movedim(-1, 1) if self.tokens is not None or self.channels_last else output


def find_taps(network: nn.Module, shape: tuple[int, ...]) -> list[Tap]:
    """Return the last output with a grid of each stage, in order.

    A network with named stages (`Staged`) has these stages. In other networks a stage comprises all layers at one
    resolution; if all layers have the same resolution (vision transformers), a stage is a block of the longest sequence
    of blocks. Stages without weights (pooling) are left out. In the last block of a transformer that classifies by its
    class token, the output before attention is used: later outputs at grid positions do not influence the logits, and
    their heat maps would be blank.

    Args:
        network: any module; it is not modified.
        shape: shape of one prepared image, (C, H, W), or of a volume, (C, D, H, W).

    Returns:
        The taps; empty for a network of dense layers only.

    Raises:
        UserError: the network does not accept such an input.

    >>> network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3), nn.Flatten())
    >>> [(tap.name, tap.module, tap.shape) for tap in find_taps(network, (3, 12, 12))]
    [('0', '1', (8, 10, 10)), ('3', '3', (16, 3, 3))]
    """
    outputs = trace_outputs(network, shape)
    prefix = ""
    stages: list[tuple[str, TracedOutput]] = []
    if isinstance(network, Staged) and len(network.stages) > 2:
        for stage in network.stages:
            members = [output for output in outputs if output.inside(stage)]
            if any(output.weights for output in members):
                stages.append((stage, members[-1]))
    else:
        # a Staged of two stages is a library's network as a whole and its classifier
        prefix = f"{network.stages[0]}." if isinstance(network, Staged) else ""
        stages = _by_resolution(network, outputs)
        if len(stages) < 2:
            stages = _by_block(network, outputs) or stages
    names = _short_names([name for name, _ in stages], prefix)
    influential = [_last_influential(outputs, stages, index) for index in range(len(stages))]
    return [_tap(name, output) for name, output in zip(names, influential, strict=True)]


def find_tap(network: nn.Module, shape: tuple[int, ...], name: str) -> Tap:
    """Return a tap by the name of its stage, or of any module whose output has a grid.

    Raises:
        UserError: there is no such layer (the fix suggests the nearest name), or no layer of the network has a grid.
    """
    taps = find_taps(network, shape)
    for tap in taps:
        if tap.name == name:
            return tap
    modules = {output.path: output for output in trace_outputs(network, shape)}
    if name in modules:
        return _tap(name, modules[name])
    names = [tap.name for tap in taps]
    if not names:
        raise UserError("no layer of this network has a spatial grid", "omit the layer")
    hint = nearest(name, names)
    if hint.startswith("choose"):
        hint = nearest(name, [*names, *modules])
    hint = hint if not hint.startswith("choose") else f"choose from {', '.join(names)}"
    raise UserError(f"the network has no layer {name!r} with a spatial grid", hint)


@contextmanager
def tapped(network: nn.Module, taps: Sequence[Tap], *, cut: bool = False) -> Iterator[list[Tensor]]:
    """Record the outputs of taps within the context: each forward pass in evaluation mode updates the list.

    Outputs are as returned by the module (`Tap.to_grid` rearranges them) and part of the autograd graph, so that
    gradients flow to and through them. They are not affected by later in-place operations.

    Args:
        network: any module; the modes of its modules are restored.
        taps: taps of this network.
        cut: start the autograd graph at the first of these outputs instead of at the image. Earlier layers are then
            not differentiated, and a frozen network has gradients nevertheless.
    """
    modules = dict(network.named_modules())
    recorded: list[Tensor] = [torch.zeros(0)] * len(taps)
    calls = dict.fromkeys((tap.module for tap in taps), 0)
    hooks = []
    started = False

    def reset(module: nn.Module, inputs: object) -> None:
        nonlocal started
        started = False
        for name in calls:
            calls[name] = 0

    def record(name: str, output: object) -> object:
        nonlocal started
        calls[name] += 1
        indices = [index for index, tap in enumerate(taps) if (tap.module, tap.call + 1) == (name, calls[name])]
        if not indices:
            return output
        first, *others = output if isinstance(output, tuple | list) else (output,)
        if cut and not started:
            first = first.detach().requires_grad_()
        started = True
        for index in indices:
            recorded[index] = first
        clone = first.clone()  # protects the recorded tensor from later in-place operations
        return (clone, *others) if isinstance(output, tuple | list) else clone

    try:
        hooks.append(network.register_forward_pre_hook(reset))
        for name in calls:
            hooks.append(
                modules[name].register_forward_hook(lambda module, inputs, output, name=name: record(name, output))
            )
        with eval_mode(network):
            yield recorded
    finally:
        for hook in hooks:
            hook.remove()


def _by_resolution(network: nn.Module, outputs: list[TracedOutput]) -> list[tuple[str, TracedOutput]]:
    """Return the last output at each resolution that has weights, except within a block that changes resolution."""
    modules = dict(network.named_modules())
    candidates = [output for output in outputs if not _in_changing_block(output, outputs, modules)]
    stages: list[tuple[str, TracedOutput]] = []
    for grid in dict.fromkeys(output.grid for output in candidates):
        members = [output for output in candidates if output.grid == grid]
        weighted = [
            output for output in members if any(other.weights and other.inside(output.path) for other in members)
        ]
        if weighted:
            name = _outermost(weighted, stages).path  # named after the block with weights, not the activation after it
            stages.append((name, _outermost(members, stages)))
    return sorted(stages, key=lambda stage: stage[1].place)


def _outermost(outputs: list[TracedOutput], stages: list[tuple[str, TracedOutput]]) -> TracedOutput:
    """Return the last output of a module that contains no earlier stage; nested modules end with the outermost."""
    taken = [output.path for _, output in stages]
    separate = [output for output in outputs if not any(path.startswith(f"{output.path}.") for path in taken)]
    return (separate or outputs)[-1]


def _in_changing_block(output: TracedOutput, outputs: list[TracedOutput], modules: dict[str, nn.Module]) -> bool:
    """Return whether an output is within a block that changes resolution.

    A sequence of blocks does not count as a block, nor does an encoder with more than two resolutions.
    """
    for block in outputs:
        if block.path != output.path and output.inside(block.path) and block.grid != output.grid:
            grids = {other.grid for other in outputs if other.inside(block.path)}
            if len(grids) <= 2 and type(modules[block.path]) not in CONTAINERS:
                return True
    return False


def _by_block(network: nn.Module, outputs: list[TracedOutput]) -> list[tuple[str, TracedOutput]]:
    """Return the blocks of the longest sequence of blocks with weights; a following norm belongs to its block."""
    best: list[tuple[str, TracedOutput]] = []
    longest = (1, True)
    for path, module in network.named_modules():
        stages: list[tuple[str, TracedOutput]] = []
        for child, _ in module.named_children():
            name = f"{path}.{child}" if path else child
            members = [output for output in outputs if output.inside(name)]
            if any(output.weights for output in members):
                stages.append((name, members[-1]))
            elif members and stages and members[-1].place > stages[-1][1].place:
                stages[-1] = (stages[-1][0], members[-1])
        length = len(stages), isinstance(module, CONTAINERS)
        if length > longest:
            best, longest = stages, length
    return best


def _last_influential(outputs: list[TracedOutput], stages: list[tuple[str, TracedOutput]], index: int) -> TracedOutput:
    """Return the output of a stage, or the last one of the same layout in the stage that influences the logits."""
    last = stages[index][1]
    if last.influential:
        return last
    start = stages[index - 1][1].place if index else -1
    between = [output for output in outputs if start < output.place < last.place]
    layout = (last.shape, last.tokens)
    same = [output for output in between if output.influential and (output.shape, output.tokens) == layout]
    return same[-1] if same else last


def _short_names(names: list[str], prefix: str) -> list[str]:
    """Remove prefixes that all names have in common."""
    for wrapper in (prefix, "network."):
        if wrapper and all(name.startswith(wrapper) for name in names):
            names = [name.removeprefix(wrapper) for name in names]
    return names


def _tap(name: str, output: TracedOutput) -> Tap:
    return Tap(name, output.path, output.shape, output.tokens, output.channels_last, output.call)
