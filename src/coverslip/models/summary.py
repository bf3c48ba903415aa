"""A network as a table: each layer's output, parameters, multiply-adds, and how much of an image it sees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import Any

from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from coverslip.core.errors import UserError
from coverslip.models.keras_adapter import KerasModule
from coverslip.models.trial import output_shape, shape_text

OWN_WEIGHTS = (nn.Linear, nn.modules.conv._ConvNd, nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.MultiheadAttention)
WINDOWS = (nn.modules.conv._ConvNd, nn.modules.pooling._MaxPoolNd, nn.modules.pooling._AvgPoolNd)
WHOLE = (nn.modules.pooling._AdaptiveAvgPoolNd, nn.modules.pooling._AdaptiveMaxPoolNd)
HEADINGS = ("layer", "kind", "output", "parameters", "multiply-adds", "sees")


@dataclass(frozen=True, slots=True)
class Layer:
    """One row of a `Summary`.

    Attributes:
        name: dotted name in the network.
        kind: its class.
        shape: of one output, without the batch.
        parameters: numbers that it holds; a layer that is used twice is counted once.
        multiply_adds: of one input.
        sees: receptive field, (height, width) in pixels of the input, borders included; None where that has no meaning.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    multiply_adds: int
    sees: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Summary:
    """A network layer by layer; `str` gives a table, a notebook shows it as one.

    Attributes:
        layers: in the order in which they ran.
        shape: of one input.
        parameters: of the whole network.
        trained: of these, those that are not frozen.
        multiply_adds: of the whole network for one input, also of what no layer does.
    """

    layers: tuple[Layer, ...]
    shape: tuple[int, ...]
    parameters: int
    trained: int
    multiply_adds: int

    def rows(self) -> list[tuple[str, ...]]:
        """The table as text, without its headings."""
        return [
            (
                each.name,
                each.kind,
                shape_text(each.shape),
                f"{each.parameters:,}" if each.parameters else "",
                f"{each.multiply_adds:,}" if each.multiply_adds else "",
                _sees_text(each.sees),
            )
            for each in self.layers
        ]

    def total(self) -> str:
        """Parameters and multiply-adds of the whole, in a line."""
        frozen = f" ({self.trained:,} of them trained)" if self.trained < self.parameters else ""
        return (
            f"{self.parameters:,} parameters{frozen}, {self.multiply_adds:,} multiply-adds "
            f"for an input of {shape_text(self.shape)}"
        )

    def __str__(self) -> str:
        rows = [HEADINGS, *self.rows()]
        widths = [max(len(row[place]) for row in rows) for place in range(len(HEADINGS))]
        lines = []
        for row in rows:
            cells = [
                cell.ljust(width) if place < 3 else cell.rjust(width)
                for place, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            lines.append("  ".join(cells).rstrip())
        return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:], "", self.total()])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(each)}</th>" for each in HEADINGS)
        body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in self.rows())
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><p>{escape(self.total())}</p>"


def summary(network: nn.Module, shape: tuple[int, ...]) -> Summary:
    """What a network is made of, found by running one blank input through it in evaluation mode.

    Multiply-adds are those of matrix products and convolutions, as PyTorch counts them. The receptive field is followed
    from layer to layer by kernel, stride and dilation (Araujo, Norris and Sim, Distill, 2019); where paths join outside
    of any layer, the largest field so far counts; what joins the whole image outside of a layer (attention,
    squeeze-and-excitation) is not seen.

    Args:
        network: any module; it is left as it was.
        shape: of one input without the batch, such as (3, 224, 224).

    Raises:
        UserError: the network cannot take such an input.

    >>> print(summary(nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(16, 2)), (1, 4, 4)))
    layer  kind     output     parameters  multiply-adds   sees
    -----------------------------------------------------------
    0      Conv2d   4 x 2 x 2          40            144  3 x 3
    1      Flatten  16
    2      Linear   2                  34             32  4 x 4
    <BLANKLINE>
    74 parameters, 176 multiply-adds for an input of 1 x 4 x 4
    """
    if not isinstance(shape, Sequence) or not all(isinstance(side, int) and side > 0 for side in shape):
        raise UserError(
            f"{shape!r} is not the shape of one input", "for example (3, 224, 224): channels, height, width"
        )
    layers: list[Layer] = []
    with FlopCounterMode(display=False) as counter, _watched(network, shape, counter, layers):
        output_shape(network, shape)
    parameters = list(network.parameters())
    return Summary(
        _keras_layers(network) or tuple(layers),
        tuple(shape),
        sum(each.numel() for each in parameters),
        sum(each.numel() for each in parameters if each.requires_grad),
        counter.get_total_flops() // 2,
    )


def _keras_layers(network: nn.Module) -> tuple[Layer, ...]:
    """The rows of a Keras model, whose layers PyTorch does not see run."""
    if not isinstance(network, KerasModule):
        return ()
    return tuple(
        Layer(each.name, type(each).__name__, tuple(each.output.shape[1:]), each.count_params(), 0, None)
        for each in network.model.layers
        if type(each).__name__ != "InputLayer"
    )


@dataclass(slots=True)
class _Field:
    """What one number of a tensor sees of the input: pixels, and pixels from one number to the next; by axis."""

    sees: tuple[int, int]
    step: tuple[int, int]


@contextmanager
def _watched(
    network: nn.Module, shape: tuple[int, ...], counter: FlopCounterMode, layers: list[Layer]
) -> Iterator[None]:
    """While this lasts, every layer that runs adds a row."""
    whole = (shape[-2], shape[-1]) if len(shape) == 3 else None
    fields: dict[int, _Field] = {}
    kept: list[Any] = []  # a tensor that is gone could hand its id to another
    seen: set[nn.Parameter] = set()
    before: list[int] = []
    start = _Field((1, 1), (1, 1))

    def enter(module: nn.Module, given: tuple[Any, ...]) -> None:
        before.append(counter.get_total_flops())

    def leave(name: str, module: nn.Module, given: tuple[Any, ...], output: Any) -> None:
        flops = counter.get_total_flops() - before.pop()
        output = output[0] if isinstance(output, tuple | list) else output
        if not isinstance(output, Tensor):
            return
        come = given[0] if given and isinstance(given[0], Tensor) else None
        largest = max(fields.values(), key=lambda each: each.sees, default=start)
        known = fields.get(id(come), largest) if fields else start
        field = _passed(module, known, come, whole)
        fields[id(output)] = field
        kept.extend((come, output))
        new = [each for each in module.parameters() if each not in seen]
        seen.update(new)
        if isinstance(module, nn.Identity):
            return
        spatial = whole and (output.ndim == 4 or isinstance(module, nn.Linear))
        numbers = sum(each.numel() for each in new)
        sees = field.sees if spatial else None
        layers.append(Layer(name, type(module).__name__, tuple(output.shape[1:]), numbers, flops // 2, sees))

    hooks = []
    for name, module in _leaves(network):
        hooks.append(module.register_forward_pre_hook(enter))
        hooks.append(
            module.register_forward_hook(lambda module, given, output, name=name: leave(name, module, given, output))
        )
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _leaves(network: nn.Module, name: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Modules that get a row: those without parts, and those that hold weights themselves and know how to use them."""
    children = list(network.named_children())
    if not children or isinstance(network, OWN_WEIGHTS):
        yield name or "network", network
        return
    for child, module in children:
        yield from _leaves(module, f"{name}.{child}" if name else child)


def _passed(module: nn.Module, field: _Field, given: Tensor | None, whole: tuple[int, int] | None) -> _Field:
    """The field behind a layer."""
    joins = isinstance(module, WHOLE) or (isinstance(module, nn.Linear) and given is not None and given.ndim == 2)
    if joins:
        return _Field(whole or field.sees, field.step)
    if not isinstance(module, WINDOWS) or isinstance(module, nn.modules.conv._ConvTransposeNd):
        return field
    kernel, stride = _pair(module.kernel_size), _pair(module.stride)
    dilation = _pair(getattr(module, "dilation", 1))
    sees = tuple(
        now + (size - 1) * wide * step
        for now, size, wide, step in zip(field.sees, kernel, dilation, field.step, strict=True)
    )
    steps = tuple(step * each for step, each in zip(field.step, stride, strict=True))
    return _Field((sees[0], sees[1]), (steps[0], steps[1]))


def _pair(value: Any) -> tuple[int, int]:
    values = tuple(value) if isinstance(value, tuple | list) else (value, value)
    return values if len(values) == 2 else (1, 1)


def _sees_text(sees: tuple[int, int] | None) -> str:
    return "" if sees is None else shape_text(sees)
