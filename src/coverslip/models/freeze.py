"""The freeze point: a network is cut in a frozen part, which runs once a picture, and a part that is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from torch import Tensor, nn

from coverslip.errors import UserError
from coverslip.storage import digest


class Prefix(nn.Module):
    """The frozen part of a network, cut at its end: float32 (N, C, H, W) -> (N, D) features."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.requires_grad_(False)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """The pooled output of the last convolutional stage, before any classifier."""
        network = self.network
        return network.forward_head(network.forward_features(images), pre_logits=True)  # type: ignore[operator, no-any-return]


@dataclass(frozen=True)
class Frozen:
    """A frozen part by its weights; the network itself is built only when it has to run.

    Where features are cached, or a compiled network is, the weights are all that is needed, and the seconds that
    importing a library of networks takes are saved.

    Attributes:
        build: makes the network with any weights.
        weights: its state dict.
    """

    build: Callable[[], Prefix] = field(repr=False)
    weights: Mapping[str, Tensor] = field(repr=False)

    @cached_property
    def key(self) -> str:
        """A name for the weights: the same numbers under the same names give the same key."""
        parts: list[object] = []
        for name, tensor in sorted(self.weights.items()):
            parts += [name, tuple(tensor.shape), tensor.detach().cpu().contiguous().numpy().tobytes()]
        return digest(*parts)

    def module(self) -> Prefix:
        """The network with these weights, in evaluation mode.

        Raises:
            UserError: the weights are of another network.
        """
        prefix = self.build()
        try:
            prefix.load_state_dict(self.weights)
        except RuntimeError as error:
            raise UserError(
                "the weights are not of this network", "train again, or restore the model's files"
            ) from error
        return prefix
