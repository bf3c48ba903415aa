"""Activations of single filters, units and classes of a network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from coverslip.core.errors import UserError
from coverslip.core.registry import nearest
from coverslip.models.shapes import eval_mode, output_shape, shape_text
from coverslip.models.taps import Tap, find_tap, find_taps

LOGITS = ""  # name of the layer that stands for the output of the network


class _StopForward(Exception):  # stops the forward pass after the layer of interest; not an error
    pass


@dataclass(frozen=True, slots=True)
class UnitLayer:
    """A layer with units: filters of a convolution, units of a dense layer, or classes.

    Attributes:
        name: name of the stage, or path of the module; "" for the logits.
        units: number of filters, units or classes.
        tap: location of the layer in the network; None if it has no spatial grid.
    """

    name: str
    units: int
    tap: Tap | None = None

    @property
    def grid(self) -> tuple[int, ...] | None:
        """Spatial grid, (h, w); None if the layer has none."""
        return None if self.tap is None else self.tap.grid

    def activations(self, network: nn.Module, images: Tensor) -> Tensor:
        """Compute the activations of all units, (N, U, P) with P = h * w positions, or 1 without a spatial grid.

        Later layers are not run. The activation of a class is its logit minus the mean of the other logits: adding a
        constant to all logits does not change the probabilities, so only differences are meaningful.
        """
        if self.tap is not None:
            return self.tap.to_grid(_output(network, images, self.tap.module, self.tap.call)).flatten(2)
        if self.name != LOGITS:
            return _output(network, images, self.name)[:, :, None]
        logits: Tensor = network(images)
        if self.units > 1:
            logits = logits - (logits.sum(dim=-1, keepdim=True) - logits) / (self.units - 1)
        return logits[:, :, None]

    def unit_activations(self, network: nn.Module, images: Tensor, units: Sequence[int]) -> Tensor:
        """Compute the activation of unit ``units[n]`` for image n, averaged over positions, shape (N,)."""
        values = self.activations(network, images)
        return values[torch.arange(len(values), device=values.device), list(units)].mean(dim=-1)

    def check_units(self, units: Sequence[int]) -> tuple[int, ...]:
        """Return the units as a tuple of integers.

        Raises:
            UserError: there are no units, or the layer does not have one of them.
        """
        what = f"unit of the layer {self.name!r}" if self.name else "class"
        if not len(units):
            raise UserError(f"no {what} was given", f"give numbers from 0 to {self.units - 1}")
        for unit in units:
            if not 0 <= unit < self.units:
                raise UserError(f"there is no {what} with the number {unit}", f"use numbers from 0 to {self.units - 1}")
        return tuple(int(unit) for unit in units)


def find_layer(network: nn.Module, shape: tuple[int, int, int], name: str = LOGITS) -> UnitLayer:
    """Find a layer by the name of its stage or the path of a module.

    Args:
        network: any module; it is not changed.
        shape: shape of one prepared image, (C, H, W).
        name: layer with a spatial grid, or with one vector of units per image; "" for the logits.

    Raises:
        UserError: there is no such layer, its output has neither form, or the network does not accept images of this
            shape.
    """
    if name == LOGITS:
        output_size = output_shape(network, shape)
        if len(output_size) != 1:
            raise UserError(
                f"the network returns {shape_text(output_size)} for an image instead of one logit per class",
                "specify a layer",
            )
        return UnitLayer(LOGITS, output_size[0])
    taps = {tap.name: tap for tap in find_taps(network, shape)}
    if name in taps:
        return UnitLayer(name, taps[name].shape[0], taps[name])
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
    with eval_mode(network), torch.no_grad():
        output = _output(network, torch.zeros(1, *shape, device=device), name)
    if output.ndim == 2:
        return UnitLayer(name, output.shape[1])
    tap = find_tap(network, shape, name)
    return UnitLayer(name, tap.shape[0], tap)


def _output(network: nn.Module, images: Tensor, path: str, call: int = 0) -> Tensor:
    """Return the output of a module in its call number ``call``; the rest of the network is not run."""
    outputs: list[Any] = []
    calls = 0

    def keep(module: nn.Module, inputs: Any, output: Any) -> None:
        nonlocal calls
        calls += 1
        if calls > call:
            outputs.append(output[0] if isinstance(output, tuple | list) else output)
            raise _StopForward

    handle = network.get_submodule(path).register_forward_hook(keep)
    try:
        network(images)
    except _StopForward:
        pass
    finally:
        handle.remove()
    if not outputs or not isinstance(outputs[0], Tensor):
        raise UserError(f"the layer {path!r} does not return a tensor", "use another layer, such as a stage")
    return outputs[0]


@contextmanager
def leaky_relus(network: nn.Module, slope: float) -> Iterator[None]:
    """Make ReLUs pass this fraction of the gradient where they are inactive, without changing their output.

    Otherwise a filter that is inactive for the starting image has no gradient, and gradient ascent could not start.
    """
    if slope == 0:
        yield
        return
    inputs_of: dict[nn.Module, Tensor] = {}

    def before(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        inputs_of[module] = inputs[0]
        return (inputs[0].clone(), *inputs[1:])  # the module may work in place

    def after(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        original = inputs_of.pop(module)
        return output + slope * (original - original.detach())

    handles = []
    for module in network.modules():
        if isinstance(module, nn.ReLU | nn.ReLU6):
            handles += [module.register_forward_pre_hook(before), module.register_forward_hook(after)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
