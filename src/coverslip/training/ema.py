"""Exponential moving average (EMA) of the weights, which often generalizes better than the last weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Ema:
    """The exponential moving average of everything that training changes, including batch-norm statistics.

    In the first steps the decay is min(decay, (1 + step) / (10 + step)), so that the initial weights are soon
    forgotten.

    Args:
        network: the network whose weights are averaged.
        decay: decay per step, 0 to below 1; 0.999 averages over about 1,000 steps.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.current = dict(_changing_tensors(network))
        self.average = {name: tensor.detach().clone() for name, tensor in self.current.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Add the weights after this step (from 1) to the average."""
        weight = 1 - min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.average.values()), list(self.current.values()), weight)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within the block, the network uses the averaged weights; tensors are swapped without copying."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def apply(self) -> None:
        """Load the averaged weights into the network permanently."""
        self._swap()

    def _swap(self) -> None:
        for name, tensor in self.current.items():
            tensor.data, self.average[name] = self.average[name], tensor.data


def _changing_tensors(network: nn.Module) -> list[tuple[str, Tensor]]:
    parameters = [(name, tensor) for name, tensor in network.named_parameters() if tensor.requires_grad]
    return parameters + [(name, tensor) for name, tensor in network.named_buffers() if tensor.is_floating_point()]
