"""Output shape of a network for a given input, found by a forward pass of one blank image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from coverslip.core.errors import UserError


def output_shape(network: nn.Module, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of one output of a network.

    Args:
        network: run in evaluation mode; its mode is restored.
        shape: shape of one input without the batch axis, such as (3, 64, 64).

    Returns:
        Shape of one output without the batch axis.

    Raises:
        UserError: the network does not accept the input (images too small for its pooling, wrong number of channels),
            or does not return a batched tensor.
    """
    parameter = next(network.parameters(), torch.zeros(0))
    dtype = parameter.dtype if parameter.is_floating_point() else torch.float32
    blank = torch.zeros(1, *shape, device=parameter.device, dtype=dtype)
    with eval_mode(network), torch.no_grad():
        try:
            output = network(blank)
        except (RuntimeError, ValueError, AssertionError) as error:
            raise UserError(
                f"the network does not accept an input of shape {shape_text(shape)}: {_first_line(error)}",
                "use larger images, or another network" if _too_small(error) else "check input size and channels",
            ) from error
    if not isinstance(output, torch.Tensor) or output.ndim < 1 or len(output) != 1:
        raise UserError(
            f"the network returns {_describe(output)} for one image, not one row of numbers",
            "return a tensor whose first axis is the batch",
        )
    return tuple(output.shape[1:])


def check_network(network: nn.Module, shape: tuple[int, ...], classes: int) -> None:
    """Check that a network returns one logit per class.

    Args:
        network: any module.
        shape: shape of one input without the batch axis.
        classes: expected number of logits.

    Raises:
        UserError: the network does not accept the input, or its output has another shape.
    """
    output = output_shape(network, shape)
    if output != (classes,):
        raise UserError(
            f"the network returns {shape_text(output)} values per image, not {classes} logits, one per class",
            f"give its last layer {classes} outputs" if len(output) == 1 else "flatten its output to (N, classes)",
        )


@contextmanager
def eval_mode(network: nn.Module) -> Iterator[None]:
    """Put a network in evaluation mode within the context; the mode of each module is restored afterwards."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def shape_text(shape: tuple[int, ...]) -> str:
    """Return a shape as text.

    >>> shape_text((3, 64, 64)), shape_text((7,))
    ('3 x 64 x 64', '7')
    """
    return " x ".join(map(str, shape)) if shape else "a single number"


def _describe(output: object) -> str:
    if isinstance(output, torch.Tensor):
        return f"a tensor of shape {shape_text(tuple(output.shape))}"
    return f"a {type(output).__name__}"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _too_small(error: BaseException) -> bool:
    return any(
        phrase in str(error) for phrase in ("too small", "Kernel size can't be greater", "smaller than", "empty")
    )
