"""Table of the layers of a network: output shape, parameters, multiply-adds and receptive field."""

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
from coverslip.models.shapes import output_shape, shape_text

# modules that get a row although they have submodules
LAYERS = (nn.Linear, nn.modules.conv._ConvNd, nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.MultiheadAttention)
WINDOWED = (nn.modules.conv._ConvNd, nn.modules.pooling._MaxPoolNd, nn.modules.pooling._AvgPoolNd)
GLOBAL_POOLS = (nn.modules.pooling._AdaptiveAvgPoolNd, nn.modules.pooling._AdaptiveMaxPoolNd)
HEADINGS = ("layer", "type", "output", "parameters", "multiply-adds", "receptive field")


@dataclass(frozen=True, slots=True)
class LayerSummary:
    """One row of a `Summary`.

    Attributes:
        name: dotted name in the network.
        kind: class of the module.
        shape: shape of one output without the batch axis.
        parameters: number of parameters; those of a module that is used twice are counted once.
        multiply_adds: number of multiply-adds for one input.
        receptive_field: (height, width) in pixels of the input, beyond its borders if applicable; None if undefined.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    multiply_adds: int
    receptive_field: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Summary:
    """A network layer by layer; displayed as a table by ``print`` and in notebooks.

    Attributes:
        layers: layers in the order in which they ran.
        shape: shape of one input without the batch axis.
        parameters: number of parameters of the network.
        trained: number of parameters that are not frozen.
        multiply_adds: multiply-adds of the whole network for one input, including operations outside of layers.
    """

    layers: tuple[LayerSummary, ...]
    shape: tuple[int, ...]
    parameters: int
    trained: int
    multiply_adds: int

    def rows(self) -> list[tuple[str, ...]]:
        """Return the rows of the table as text, without headings."""
        return [
            (
                layer.name,
                layer.kind,
                shape_text(layer.shape),
                f"{layer.parameters:,}" if layer.parameters else "",
                f"{layer.multiply_adds:,}" if layer.multiply_adds else "",
                "" if layer.receptive_field is None else shape_text(layer.receptive_field),
            )
            for layer in self.layers
        ]

    def total(self) -> str:
        """Return parameters and multiply-adds of the whole network in one line."""
        frozen = f" ({self.trained:,} of them trained)" if self.trained < self.parameters else ""
        return (
            f"{self.parameters:,} parameters{frozen}, {self.multiply_adds:,} multiply-adds "
            f"for an input of {shape_text(self.shape)}"
        )

    def __str__(self) -> str:
        rows = [HEADINGS, *self.rows()]
        widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
        lines = []
        for row in rows:
            cells = [
                cell.ljust(width) if column < 3 else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            lines.append("  ".join(cells).rstrip())
        return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:], "", self.total()])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(heading)}</th>" for heading in HEADINGS)
        body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in self.rows())
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><p>{escape(self.total())}</p>"


def summary(network: nn.Module, shape: tuple[int, ...]) -> Summary:
    """Return a table of the layers of a network, found by a forward pass of one blank input in evaluation mode.

    Multiply-adds are those of matrix products and convolutions, as counted by PyTorch. The receptive field is
    propagated from layer to layer by kernel size, stride and dilation (Araujo, Norris and Sim, Distill, 2019). Where
    paths are merged outside of a layer, the largest receptive field so far is used. Global operations outside of
    layers (attention, squeeze-and-excitation) are not taken into account.

    Args:
        network: any module; it is not modified.
        shape: shape of one input without the batch axis, such as (3, 224, 224).

    Raises:
        UserError: the network does not accept such an input.

    >>> print(summary(nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(16, 2)), (1, 4, 4)))
    layer  type     output     parameters  multiply-adds  receptive field
    ---------------------------------------------------------------------
    0      Conv2d   4 x 2 x 2          40            144            3 x 3
    1      Flatten  16
    2      Linear   2                  34             32            4 x 4
    <BLANKLINE>
    74 parameters, 176 multiply-adds for an input of 1 x 4 x 4
    """
    if not isinstance(shape, Sequence) or not all(isinstance(side, int) and side > 0 for side in shape):
        raise UserError(
            f"{shape!r} is not the shape of one input", "give for example (3, 224, 224): channels, height, width"
        )
    layers: list[LayerSummary] = []
    with FlopCounterMode(display=False) as counter, _record_layers(network, shape, counter, layers):
        output_shape(network, shape)
    parameters = list(network.parameters())
    return Summary(
        _keras_layers(network) or tuple(layers),
        tuple(shape),
        sum(parameter.numel() for parameter in parameters),
        sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
        counter.get_total_flops() // 2,
    )


def _keras_layers(network: nn.Module) -> tuple[LayerSummary, ...]:
    """Return the layers of a Keras model, which PyTorch hooks do not see."""
    if not isinstance(network, KerasModule):
        return ()
    return tuple(
        LayerSummary(layer.name, type(layer).__name__, tuple(layer.output.shape[1:]), layer.count_params(), 0, None)
        for layer in network.model.layers
        if type(layer).__name__ != "InputLayer"
    )


@dataclass(slots=True)
class _Field:
    """Receptive field of one element of a tensor, and the distance between neighboring elements, in input pixels."""

    size: tuple[int, int]
    step: tuple[int, int]


@contextmanager
def _record_layers(
    network: nn.Module, shape: tuple[int, ...], counter: FlopCounterMode, layers: list[LayerSummary]
) -> Iterator[None]:
    """Append a row to ``layers`` for each layer that runs within the context."""
    input_size = (shape[-2], shape[-1]) if len(shape) == 3 else None
    fields: dict[int, _Field] = {}  # by id of the tensor
    kept: list[Any] = []  # keeps tensors alive, because the id of a deleted tensor can be reused
    counted: set[nn.Parameter] = set()
    flops_before: list[int] = []
    start = _Field((1, 1), (1, 1))

    def enter(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        flops_before.append(counter.get_total_flops())

    def leave(name: str, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        flops = counter.get_total_flops() - flops_before.pop()
        output = output[0] if isinstance(output, tuple | list) else output
        if not isinstance(output, Tensor):
            return
        given = inputs[0] if inputs and isinstance(inputs[0], Tensor) else None
        largest = max(fields.values(), key=lambda field: field.size, default=start)
        known = fields.get(id(given), largest) if fields else start
        field = _output_field(module, known, given, input_size)
        fields[id(output)] = field
        kept.extend((given, output))
        new = [parameter for parameter in module.parameters() if parameter not in counted]
        counted.update(new)
        if isinstance(module, nn.Identity):
            return
        spatial = input_size and (output.ndim == 4 or isinstance(module, nn.Linear))
        number = sum(parameter.numel() for parameter in new)
        size = field.size if spatial else None
        layers.append(LayerSummary(name, type(module).__name__, tuple(output.shape[1:]), number, flops // 2, size))

    hooks = []
    for name, module in _layers_of(network):
        hooks.append(module.register_forward_pre_hook(enter))
        hooks.append(
            module.register_forward_hook(lambda module, inputs, output, name=name: leave(name, module, inputs, output))
        )
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _layers_of(network: nn.Module, name: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yield the modules that get a row: those without submodules, and those of `LAYERS`."""
    children = list(network.named_children())
    if not children or isinstance(network, LAYERS):
        yield name or "network", network
        return
    for child, module in children:
        yield from _layers_of(module, f"{name}.{child}" if name else child)


def _output_field(module: nn.Module, field: _Field, given: Tensor | None, input_size: tuple[int, int] | None) -> _Field:
    """Return the receptive field of the output of a layer from that of its input ``given``."""
    flattened = isinstance(module, nn.Linear) and given is not None and given.ndim == 2
    if isinstance(module, GLOBAL_POOLS) or flattened:
        return _Field(input_size or field.size, field.step)
    if not isinstance(module, WINDOWED) or isinstance(module, nn.modules.conv._ConvTransposeNd):
        return field
    kernel, stride = _pair(module.kernel_size), _pair(module.stride)
    dilation = _pair(getattr(module, "dilation", 1))
    size = tuple(
        before + (length - 1) * spacing * step
        for before, length, spacing, step in zip(field.size, kernel, dilation, field.step, strict=True)
    )
    steps = tuple(step * factor for step, factor in zip(field.step, stride, strict=True))
    return _Field((size[0], size[1]), (steps[0], steps[1]))


def _pair(value: Any) -> tuple[int, int]:
    values = tuple(value) if isinstance(value, tuple | list) else (value, value)
    return values if len(values) == 2 else (1, 1)
