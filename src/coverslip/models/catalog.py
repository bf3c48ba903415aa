"""Every network by name. A network is added by one function with the decorator ``@NETWORKS.register(name)``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from coverslip.models.freeze import Frozen, Prefix
from coverslip.registry import Registry
from coverslip.storage import building, digest, drop_entry, entry_folder, locked


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
        packages: whose versions decide what ``build`` gives.
    """

    build: Callable[[int, bool], Prefix]
    size: tuple[int, int]
    mean: float
    std: float
    features: int
    origin: str
    packages: tuple[str, ...]


NETWORKS: Registry[Callable[[], NetworkEntry]] = Registry("network")
WEIGHTS_FILE = "weights.safetensors"
DEFAULT_NETWORK = "efficientnet-lite0"


def network_entry(name: str) -> NetworkEntry:
    """The entry of a network.

    Raises:
        UserError: no network has this name; the nearest that does is given.
    """
    from coverslip.models import timm_family  # noqa: F401  (registers its networks)

    return NETWORKS[name]()


def pretrained(name: str, channels: int) -> Frozen:
    """The frozen part of a network with its pretrained weights, adapted to ``channels``.

    The adapted weights are kept in the cache folder, so that later runs need not build the network to have them.
    """
    entry = network_entry(name)
    key = digest("weights", name, channels, [version(package) for package in entry.packages])
    with locked("weights", key):
        weights = _kept(key)
        if weights is None:
            with building("weights") as draft:
                state = entry.build(channels, True).state_dict()
                weights = {name: tensor.contiguous() for name, tensor in state.items()}
                (draft.folder / WEIGHTS_FILE).write_bytes(save(weights))
                draft.key = key
    return Frozen(lambda: entry.build(channels, False), weights)


def _kept(key: str) -> dict[str, Tensor] | None:
    """Weights from the cache folder; spoilt ones are removed, to be made anew."""
    folder = entry_folder("weights", key)
    if folder is None:
        return None
    try:
        return load_file(folder / WEIGHTS_FILE)
    except (OSError, SafetensorError):
        drop_entry("weights", key)
        return None
