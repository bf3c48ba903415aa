"""Every network by name. A network is added by one function with the decorator ``@NETWORKS.register(name)``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coverslip.registry import Registry

if TYPE_CHECKING:
    from coverslip.models.freeze import Prefix


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkEntry:
    """What the rest of the program needs to know of a network before it is built.

    Attributes:
        build: (channels, pretrained) -> the frozen part, in evaluation mode, giving ``features`` numbers a picture.
        size: (height, width) that the weights were trained at, pixels.
        mean: of the input, one number for all channels, on the scale 0 to 1.
        std: likewise.
        features: numbers a picture at the end of the frozen part.
        origin: where the weights come from, and their licence.
    """

    build: Callable[[int, bool], Prefix]
    size: tuple[int, int]
    mean: float
    std: float
    features: int
    origin: str


NETWORKS: Registry[Callable[[], NetworkEntry]] = Registry("network")
DEFAULT_NETWORK = "efficientnet-lite0"


def network_entry(name: str) -> NetworkEntry:
    """The entry of a network.

    Raises:
        UserError: no network has this name; the nearest that does is given.
    """
    from coverslip.models import timm_family  # noqa: F401  (registers its networks)

    return NETWORKS[name]()
