"""A network of the user's own, by a name of its own for as long as the program runs."""

from __future__ import annotations

import copy

import torch
from torch import nn

from coverslip.core.errors import UserError
from coverslip.models.design import Design
from coverslip.models.entry import NetworkEntry
from coverslip.models.keras_adapter import as_module
from coverslip.models.stages import CLASSIFIER, Staged

OWN = "own:"  # before the name of its class, so that it is never taken for one of ours
_known: dict[str, nn.Module] = {}


def add_own(network: object) -> str:
    """Make a network known to this process; returns its name in the catalog.

    It takes prepared images, float32 (N, C, H, W) on the scale 0 to 1, and gives scores (N, K). It is never changed:
    what is trained is a copy.

    Raises:
        UserError: it is neither a PyTorch module nor a Keras model.
    """
    module = as_module(network)
    inner = getattr(module, "model", None) if type(module).__name__ == "KerasModule" else None
    name = f"{OWN}{type(module if inner is None else inner).__name__}"
    _known[name] = module
    return name


def own_entry(name: str) -> NetworkEntry:
    """The entry of a network that `add_own` has made known.

    Raises:
        UserError: it is not known to this process.
    """
    if name not in _known:
        kind = name.removeprefix(OWN)
        raise UserError(
            f"this model was trained with a network of your own, {kind!r}, which is not part of its files",
            f"in Python: coverslip.load(RUN, network={kind}(...)), with the network as it was built",
        )
    module = _known[name]

    def build(design: Design, classes: int) -> Staged:
        own: nn.Module = copy.deepcopy(module)
        if torch.get_default_device().type == "meta":
            own = own.to("meta")
        return Staged({"network": own, CLASSIFIER: nn.Identity()})

    return NetworkEntry(
        build=build,
        stages=lambda design: ("network", CLASSIFIER),
        size=(224, 224),
        mean=0.0,
        std=1.0,
        origin="a network of the user's own",
        packages=(),
        suits="what you made it for",
    )
