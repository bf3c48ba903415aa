"""Where a network still has a grid of places: the outputs that can be laid over an image, found by their shape."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from coverslip.core.errors import UserError
from coverslip.core.registry import nearest
from coverslip.models.stages import Staged
from coverslip.models.tracing import Output, trace_outputs
from coverslip.models.trial import still

ROWS = (nn.Sequential, nn.ModuleList, Staged)  # hold one part after the other and do nothing of their own


@dataclass(frozen=True, slots=True)
class Tap:
    """One output of a network that has a grid.

    Attributes:
        name: of its stage, for people.
        module: dotted name in the network of the module that gives it.
        shape: (C, h, w), whatever order the module gives it in; (C, d, h, w) in a network of volumes.
        tokens: the grid, where the module gives a row of tokens (N, T, C), its class token and registers in front;
            else None.
        channels_last: whether the module gives (N, h, w, C).
        call: which of the module's calls it is, from 0, where it is used more than once.
    """

    name: str
    module: str
    shape: tuple[int, ...]
    tokens: tuple[int, ...] | None = None
    channels_last: bool = False
    call: int = 0

    @property
    def grid(self) -> tuple[int, ...]:
        """Places, (h, w)."""
        return self.shape[1:]

    def to_grid(self, output: Tensor) -> Tensor:
        """What the module gives -> (N, C, h, w); tokens that are no place are left out."""
        if self.tokens is not None:
            output = output[:, -math.prod(self.tokens) :].reshape(len(output), *self.tokens, -1)
        return output.movedim(-1, 1) if self.tokens is not None or self.channels_last else output


def find_taps(network: nn.Module, shape: tuple[int, ...]) -> list[Tap]:
    """The last output with a grid of every stage, first stage to last.

    Stages are the network's own where they have names (`Staged`). In a library's or a user's network they are what
    happens at one resolution; where all of it has one resolution (vision transformers), the blocks of its longest row.
    A stage without weights (pooling) is none. In the last block of a transformer that classifies by its class token,
    the places end before attention: what comes after has no influence, and its maps would be blank.

    Args:
        network: any module; it is left as it was.
        shape: of one prepared image, (C, H, W); (C, D, H, W) of a volume.

    Returns:
        None for a network of dense layers alone.

    Raises:
        UserError: the network cannot take such an input.

    >>> network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3), nn.Flatten())
    >>> [(tap.name, tap.module, tap.shape) for tap in find_taps(network, (3, 12, 12))]
    [('0', '1', (8, 10, 10)), ('3', '3', (16, 3, 3))]
    """
    outputs = trace_outputs(network, shape)
    prefix = ""
    chosen: list[tuple[str, Output]] = []
    if isinstance(network, Staged) and len(network.stages) > 2:
        for stage in network.stages:
            own = [each for each in outputs if each.inside(stage)]
            if any(each.weights for each in own):
                chosen.append((stage, own[-1]))
    else:
        prefix = f"{network.stages[0]}." if isinstance(network, Staged) else ""  # a whole network and its classifier
        chosen = _by_resolution(network, outputs)
        if len(chosen) < 2:
            chosen = _by_block(network, outputs) or chosen
    names = _short_names([name for name, _ in chosen], prefix)
    felt = [_felt(outputs, chosen, place) for place in range(len(chosen))]
    return [_tap(name, each) for name, each in zip(names, felt, strict=True)]


def find_tap(network: nn.Module, shape: tuple[int, ...], name: str) -> Tap:
    """One tap by the name of its stage, or of any module whose output has a grid.

    Raises:
        UserError: there is no such layer (the nearest is named), or the network has no grid at all.
    """
    taps = find_taps(network, shape)
    for tap in taps:
        if tap.name == name:
            return tap
    modules = {each.path: each for each in trace_outputs(network, shape)}
    if name in modules:
        return _tap(name, modules[name])
    names = [tap.name for tap in taps]
    if not names:
        raise UserError("this network has no layer with a grid of places", "leave the layer out")
    hint = nearest(name, names)
    if hint.startswith("choose"):
        hint = nearest(name, [*names, *modules])
    hint = hint if not hint.startswith("choose") else f"choose from {', '.join(names)}"
    raise UserError(f"the network has no layer {name!r} with a grid of places", hint)


@contextmanager
def tapped(network: nn.Module, taps: Sequence[Tap], *, cut: bool = False) -> Iterator[list[Tensor]]:
    """While this lasts, every run of the network in evaluation mode leaves the taps' outputs in the list.

    They are as the module gives them (`Tap.to_grid` lays them out), with their history, so that gradients flow to and
    through them. What later layers do in place does not reach them.

    Args:
        network: any module; its modes come back as they were.
        taps: of this network.
        cut: let history begin at the first of these outputs instead of at the image: nothing goes back further, and
            a frozen network has gradients all the same.
    """
    modules = dict(network.named_modules())
    kept: list[Tensor] = [torch.zeros(0)] * len(taps)
    calls = dict.fromkeys((tap.module for tap in taps), 0)
    hooks = []
    begun = False

    def start(module: nn.Module, given: object) -> None:
        nonlocal begun
        begun = False
        for name in calls:
            calls[name] = 0

    def keep(name: str, output: object) -> object:
        nonlocal begun
        calls[name] += 1
        places = [place for place, tap in enumerate(taps) if (tap.module, tap.call + 1) == (name, calls[name])]
        if not places:
            return output
        first, *others = output if isinstance(output, tuple | list) else (output,)
        if cut and not begun:
            first = first.detach().requires_grad_()
        begun = True
        for place in places:
            kept[place] = first
        safe = first.clone()
        return (safe, *others) if isinstance(output, tuple | list) else safe

    try:
        hooks.append(network.register_forward_pre_hook(start))
        for name in calls:
            hooks.append(
                modules[name].register_forward_hook(lambda module, given, output, name=name: keep(name, output))
            )
        with still(network):
            yield kept
    finally:
        for hook in hooks:
            hook.remove()


def _by_resolution(network: nn.Module, outputs: list[Output]) -> list[tuple[str, Output]]:
    """The last output at each resolution that has weights; none from within a block that changes the resolution."""
    modules = dict(network.named_modules())
    inner = [each for each in outputs if not _passing(each, outputs, modules)]
    chosen: list[tuple[str, Output]] = []
    for grid in dict.fromkeys(each.grid for each in inner):
        own = [each for each in inner if each.grid == grid]
        heavy = [each for each in own if any(other.weights and other.inside(each.path) for other in own)]
        if heavy:
            name = _outermost(heavy, chosen).path  # of the part with weights, not of the activation behind it
            chosen.append((name, _outermost(own, chosen)))
    return sorted(chosen, key=lambda each: each[1].place)


def _outermost(outputs: list[Output], chosen: list[tuple[str, Output]]) -> Output:
    """The last output of a part that holds none of those chosen before; of parts that hand it on, the largest."""
    taken = [other.path for _, other in chosen]
    alone = [each for each in outputs if not any(path.startswith(f"{each.path}.") for path in taken)]
    return (alone or outputs)[-1]


def _passing(output: Output, outputs: list[Output], modules: dict[str, nn.Module]) -> bool:
    """Whether it is within a block that gives another resolution (a row of blocks is none, nor a whole encoder)."""
    for block in outputs:
        if block.path != output.path and output.inside(block.path) and block.grid != output.grid:
            grids = {each.grid for each in outputs if each.inside(block.path)}
            if len(grids) <= 2 and type(modules[block.path]) not in ROWS:
                return True
    return False


def _by_block(network: nn.Module, outputs: list[Output]) -> list[tuple[str, Output]]:
    """The parts of the longest row of parts with weights; what follows a part without weights belongs to it."""
    best: list[tuple[str, Output]] = []
    longest = (1, True)
    for path, module in network.named_modules():
        chosen: list[tuple[str, Output]] = []
        for child, _ in module.named_children():
            name = f"{path}.{child}" if path else child
            own = [each for each in outputs if each.inside(name)]
            if any(each.weights for each in own):
                chosen.append((name, own[-1]))
            elif own and chosen and own[-1].place > chosen[-1][1].place:
                chosen[-1] = (chosen[-1][0], own[-1])
        length = len(chosen), isinstance(module, ROWS)
        if length > longest:
            best, longest = chosen, length
    return best


def _felt(outputs: list[Output], chosen: list[tuple[str, Output]], place: int) -> Output:
    """The chosen output, or the last one like it in its stage on whose places the scores depend at all."""
    last = chosen[place][1]
    if last.felt:
        return last
    start = chosen[place - 1][1].place if place else -1
    between = [each for each in outputs if start < each.place < last.place]
    like = [each for each in between if each.felt and (each.shape, each.tokens) == (last.shape, last.tokens)]
    return like[-1] if like else last


def _short_names(names: list[str], prefix: str) -> list[str]:
    for wrapper in (prefix, "network."):
        if wrapper and all(name.startswith(wrapper) for name in names):
            names = [name.removeprefix(wrapper) for name in names]
    return names


def _tap(name: str, output: Output) -> Tap:
    return Tap(name, output.path, output.shape, output.tokens, output.channels_last, output.call)
