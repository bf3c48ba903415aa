"""Networks of the user, registered in the catalog for the lifetime of the process."""

from __future__ import annotations

import copy

import torch
from torch import nn

from coverslip.core.errors import UserError
from coverslip.models.design import Design
from coverslip.models.entry import NetworkEntry
from coverslip.models.keras_adapter import as_module
from coverslip.models.stages import CLASSIFIER, Staged

USER_NETWORK = "own:"  # prefix of the class name, so that it cannot be confused with a network of the catalog
_registered: dict[str, nn.Module] = {}


def register_user_network(network: object) -> str:
    """Register a network for this process and return its name in the catalog.

    The network maps prepared images, float32 (N, C, H, W) on the scale 0 to 1, to logits (N, K). It is never modified:
    a copy is trained.

    Raises:
        UserError: the network is neither a PyTorch module nor a Keras model.
    """
    module = as_module(network)
    keras_model = getattr(module, "model", None) if type(module).__name__ == "KerasModule" else None
    name = f"{USER_NETWORK}{type(module if keras_model is None else keras_model).__name__}"
    _registered[name] = module
    return name


def user_network_entry(name: str) -> NetworkEntry:
    """Return the entry of a network registered by `register_user_network`.

    Raises:
        UserError: no such network was registered in this process.
    """
    if name not in _registered:
        class_name = name.removeprefix(USER_NETWORK)
        raise UserError(
            f"this model was trained with your own network {class_name!r}, which is not stored in its files",
            f"in Python, use coverslip.load(RUN, network={class_name}(...)) with the same arguments as for training",
        )
    module = _registered[name]

    def build(design: Design, classes: int) -> Staged:
        network: nn.Module = copy.deepcopy(module)
        if torch.get_default_device().type == "meta":
            network = network.to("meta")
        return Staged({"network": network, CLASSIFIER: nn.Identity()})

    return NetworkEntry(
        build=build,
        stages=lambda design: ("network", CLASSIFIER),
        size=(224, 224),
        mean=0.0,
        std=1.0,
        origin="a network defined by the user",
        packages=(),
        suited_for="defined by the user",
    )
