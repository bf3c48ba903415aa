"""The moving average of the weights, which is often better than any of the weights it averages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Ema:
    """An exponential moving average of everything in a network that training changes, batch norm's statistics too.

    The decay of the first steps is smaller, min(decay, (1 + step) / (10 + step)), so that the random start is
    forgotten soon.

    Args:
        network: whose weights are averaged.
        decay: a step, 0 to below 1; 0.999 remembers about 1,000 steps.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.live = dict(_changing(network))
        self.average = {name: tensor.detach().clone() for name, tensor in self.live.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after this step (from 1)."""
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.average.values()), list(self.live.values()), share)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The network holds the averages for the length of the block; no number is copied."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def keep(self) -> None:
        """Put the averages into the network for good."""
        self._swap()

    def _swap(self) -> None:
        for name, tensor in self.live.items():
            tensor.data, self.average[name] = self.average[name], tensor.data


def _changing(network: nn.Module) -> list[tuple[str, Tensor]]:
    trained = [(name, each) for name, each in network.named_parameters() if each.requires_grad]
    return trained + [(name, each) for name, each in network.named_buffers() if each.is_floating_point()]
