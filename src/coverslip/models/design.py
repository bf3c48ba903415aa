"""Architecture of a network."""

from __future__ import annotations

from dataclasses import dataclass

from coverslip.core.errors import UserError
from coverslip.core.registry import nearest

ACTIVATIONS = ("relu", "leaky-relu", "elu", "gelu", "silu", "tanh", "sigmoid")
DEFAULT_NETWORK = "efficientnet-lite0"


@dataclass(frozen=True, kw_only=True, slots=True)
class Design:
    """Architecture of a network without its number of classes; stored with the weights.

    The options a network supports (``hidden`` and below) are listed in its `NetworkEntry`; others are an error.

    Attributes:
        network: name in the catalog.
        channels: number of input channels.
        size: input (height, width) in pixels.
        hidden: units of each dense layer before the classifier; () uses the default of the network.
        filters: filters of each convolution block; () uses the default of the network.
        batch_norm: whether to use batch normalization, before the activation.
        dropout: dropout probability before the classifier and within blocks, in [0, 1).
        activation: one of `ACTIVATIONS`.

    Raises:
        UserError: a value is out of range.

    >>> Design(network="mlp", size=(64, 64), hidden=(128, 32)).hidden
    (128, 32)
    """

    network: str = DEFAULT_NETWORK
    channels: int = 3
    size: tuple[int, int] = (224, 224)
    hidden: tuple[int, ...] = ()
    filters: tuple[int, ...] = ()
    batch_norm: bool = False
    dropout: float = 0.0
    activation: str = "relu"

    def __post_init__(self) -> None:
        if self.channels < 1:
            raise UserError(f"channels={self.channels} is not positive", "give 1 or more; RGB images have 3")
        if min(self.size) < 1:
            raise UserError(f"size={self.size} is not a size in pixels", "give height and width, such as (224, 224)")
        for name, units in (("hidden", self.hidden), ("filters", self.filters)):
            if units and min(units) < 1:
                raise UserError(f"{name}={units} contains an empty layer", "give 1 or more for each layer")
        if not 0 <= self.dropout < 1:
            raise UserError(f"dropout={self.dropout} is not in [0, 1)", "use 0 for no dropout, 0.5 to drop half")
        if self.activation not in ACTIVATIONS:
            raise UserError(f"unknown activation {self.activation!r}", nearest(self.activation, ACTIVATIONS))
