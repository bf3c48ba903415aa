"""A network is tried with one blank image before anything is spent on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from coverslip.core.errors import UserError


def output_shape(network: nn.Module, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of what a network gives for one input.

    Args:
        network: tried in evaluation mode; its mode comes back as it was.
        shape: of one input, such as (3, 64, 64), without the batch.

    Returns:
        Of one output, without the batch.

    Raises:
        UserError: the network cannot take such an input (images too small for its poolings, other channels).
    """
    own = next(network.parameters(), torch.zeros(0))
    blank = torch.zeros(1, *shape, device=own.device, dtype=own.dtype if own.is_floating_point() else torch.float32)
    with still(network), torch.no_grad():
        try:
            given = network(blank)
        except (RuntimeError, ValueError, AssertionError) as error:
            raise UserError(
                f"the network cannot take an input of {shape_text(shape)}: {_first_line(error)}",
                "give larger images, or another network"
                if _too_small(error)
                else "check the input's size and channels",
            ) from error
    if not isinstance(given, torch.Tensor) or given.ndim < 1 or len(given) != 1:
        raise UserError(
            f"the network gives {_given_text(given)} for one image, not one row of numbers",
            "let it return a tensor whose first axis is the images",
        )
    return tuple(given.shape[1:])


def check_network(network: nn.Module, shape: tuple[int, ...], classes: int) -> None:
    """Make sure that a network gives one score a class.

    Args:
        network: any module.
        shape: of one input, without the batch.
        classes: how many scores an image there must be.

    Raises:
        UserError: it cannot take the input, or gives something else.
    """
    given = output_shape(network, shape)
    if given != (classes,):
        one = len(given) == 1
        raise UserError(
            f"the network gives {shape_text(given)} for an image, not {classes} scores, one a class",
            f"let its last layer have {classes} outputs" if one else "flatten its output to (N, classes)",
        )


@contextmanager
def still(network: nn.Module) -> Iterator[None]:
    """The network in evaluation mode; afterwards each of its modules is in the mode it was in."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def shape_text(shape: tuple[int, ...]) -> str:
    """A shape as people write it.

    >>> shape_text((3, 64, 64)), shape_text((7,))
    ('3 x 64 x 64', '7')
    """
    return " x ".join(map(str, shape)) if shape else "a single number"


def _given_text(given: object) -> str:
    return f"{shape_text(tuple(given.shape))}" if isinstance(given, torch.Tensor) else f"a {type(given).__name__}"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _too_small(error: BaseException) -> bool:
    return any(word in str(error) for word in ("too small", "Kernel size can't be greater", "smaller than", "empty"))
