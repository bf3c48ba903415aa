"""What single filters, units and classes of a network answer to images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from coverslip.core.errors import UserError
from coverslip.core.registry import nearest
from coverslip.models.taps import Tap, find_tap, find_taps
from coverslip.models.trial import output_shape, shape_text, still

SCORES = ""  # the layer that stands for the network's last output


class _Enough(Exception):  # no error: what comes after the layer need not be computed
    pass


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer whose units can be asked for.

    Attributes:
        name: of the stage, or the module's path; "" for the scores of the classes.
        units: how many filters, units or classes it has.
        tap: where it is, if it has a grid of places; else None.
    """

    name: str
    units: int
    tap: Tap | None = None

    @property
    def grid(self) -> tuple[int, ...] | None:
        """Places, (h, w); None where it has none."""
        return None if self.tap is None else self.tap.grid

    def answers(self, network: nn.Module, images: Tensor) -> Tensor:
        """(N, U, places), places in rows; 1 place where there is no grid. What comes after the layer is not run.

        A class's answer is how far its score is above the mean of the others: probabilities stay the same when one
        number is added to all scores, so only their differences mean something.
        """
        if self.tap is not None:
            return self.tap.to_grid(_output(network, images, self.tap.module, self.tap.call)).flatten(2)
        if self.name != SCORES:
            return _output(network, images, self.name)[:, :, None]
        scores: Tensor = network(images)
        if self.units > 1:
            scores = scores - (scores.sum(dim=-1, keepdim=True) - scores) / (self.units - 1)
        return scores[:, :, None]

    def own_answers(self, network: nn.Module, images: Tensor, units: Sequence[int]) -> Tensor:
        """(N,): what unit ``units[n]`` answers to image n, its mean over all places."""
        found = self.answers(network, images)
        return found[torch.arange(len(found), device=found.device), list(units)].mean(dim=-1)

    def need(self, units: Sequence[int]) -> tuple[int, ...]:
        """The units as numbers.

        Raises:
            UserError: none is given, or one that the layer does not have.
        """
        what = f"unit of the layer {self.name!r}" if self.name else "class"
        if not len(units):
            raise UserError(f"no {what} is named", f"give numbers from 0 to {self.units - 1}")
        for unit in units:
            if not 0 <= unit < self.units:
                raise UserError(f"there is no {what} with the number {unit}", f"they are 0 to {self.units - 1}")
        return tuple(int(unit) for unit in units)


def find_layer(network: nn.Module, shape: tuple[int, int, int], name: str = SCORES) -> Layer:
    """A layer by the name of its stage or the path of any module in it; "" is the scores of the classes.

    Args:
        network: any module; it is left as it was.
        shape: of one prepared image, (C, H, W).
        name: with a grid of places, or with one row of units an image.

    Raises:
        UserError: there is no such layer (the nearest is named), it has neither, or the network cannot take images
            of this shape.
    """
    if name == SCORES:
        given = output_shape(network, shape)
        if len(given) != 1:
            raise UserError(f"the network gives {shape_text(given)} for an image, not a row of scores", "name a layer")
        return Layer(SCORES, given[0])
    taps = {tap.name: tap for tap in find_taps(network, shape)}
    if name in taps:
        return Layer(name, taps[name].shape[0], taps[name])
    modules = dict(network.named_modules())
    if name not in modules:
        children = [child for child, _ in network.named_children()]
        hint = nearest(name, [*taps, *children])
        if hint.startswith("choose"):
            hint = nearest(name, list(modules)[1:])
        if hint.startswith("choose"):
            hint = f"choose from {', '.join(dict.fromkeys([*taps, *children]))}"
        raise UserError(f"the network has no layer {name!r}", hint)
    device = next(network.parameters()).device
    with still(network), torch.no_grad():
        output = _output(network, torch.zeros(1, *shape, device=device), name)
    if output.ndim == 2:
        return Layer(name, output.shape[1])
    tap = find_tap(network, shape, name)
    return Layer(name, tap.shape[0], tap)


def _output(network: nn.Module, images: Tensor, path: str, call: int = 0) -> Tensor:
    """What a module gives the time it is called for; the rest of the network is not run."""
    found: list[Any] = []
    calls = 0

    def keep(module: nn.Module, inputs: Any, output: Any) -> None:
        nonlocal calls
        calls += 1
        if calls > call:
            found.append(output[0] if isinstance(output, tuple | list) else output)
            raise _Enough

    handle = network.get_submodule(path).register_forward_hook(keep)
    try:
        network(images)
    except _Enough:
        pass
    finally:
        handle.remove()
    if not found or not isinstance(found[0], Tensor):
        raise UserError(f"the layer {path!r} gives no array of numbers", "name another layer, such as a stage")
    return found[0]


@contextmanager
def leaking(network: nn.Module, slope: float) -> Iterator[None]:
    """ReLUs that let this share of a gradient through where they are closed; what they give stays the same.

    A filter that answers nothing at all has no gradient, and no ascent could begin.
    """
    if slope == 0:
        yield
        return
    came: dict[nn.Module, Tensor] = {}

    def before(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        came[module] = inputs[0]
        return (inputs[0].clone(), *inputs[1:])  # it may work in place

    def after(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        given = came.pop(module)
        return output + slope * (given - given.detach())

    handles = []
    for module in network.modules():
        if isinstance(module, nn.ReLU | nn.ReLU6):
            handles += [module.register_forward_pre_hook(before), module.register_forward_hook(after)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
