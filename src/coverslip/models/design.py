"""All that decides a network's shape but its classes."""

from __future__ import annotations

from dataclasses import dataclass

from coverslip.core.errors import UserError
from coverslip.core.registry import nearest

ACTIVATIONS = ("relu", "leaky-relu", "elu", "gelu", "silu", "tanh", "sigmoid")
DEFAULT_NETWORK = "efficientnet-lite0"


@dataclass(frozen=True, kw_only=True, slots=True)
class Design:
    """All that decides a network's shape but its classes; travels with the weights.

    Which of the options from ``hidden`` on a network knows stands in its `NetworkEntry`; another one given is refused.

    Raises:
        UserError: a value is out of its range.

    >>> Design(network="mlp", size=(64, 64), hidden=(128, 32)).hidden
    (128, 32)
    """

    network: str = DEFAULT_NETWORK
    channels: int = 3
    size: tuple[int, int] = (224, 224)  # height, width, pixels
    hidden: tuple[int, ...] = ()  # units of each dense layer before the classifier; () is the network's own
    filters: tuple[int, ...] = ()  # filters of each block of convolutions; () is the network's own
    batch_norm: bool = False  # before the activation
    dropout: float = (
        0.0  # share of the inputs that a layer does not get in training; before the classifier, and in blocks
    )
    activation: str = "relu"

    def __post_init__(self) -> None:
        if self.channels < 1:
            raise UserError(f"channels={self.channels} is not a number of channels", "give 1 or more; color has 3")
        if min(self.size) < 1:
            raise UserError(f"size={self.size} is not a size in pixels", "give height and width, such as (224, 224)")
        for name, units in (("hidden", self.hidden), ("filters", self.filters)):
            if units and min(units) < 1:
                raise UserError(f"{name}={units} has a layer of nothing", "give 1 or more for each layer")
        if not 0 <= self.dropout < 1:
            raise UserError(f"dropout={self.dropout} is not in 0 to <1", "0.5 drops half; 0 is none")
        if self.activation not in ACTIVATIONS:
            raise UserError(f"activation={self.activation!r} is not known", nearest(self.activation, ACTIVATIONS))
