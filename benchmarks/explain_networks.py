"""The networks and the image of `explain.py`, identical in every process and environment."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from coverslip.models.catalog import build_network, network_entry
from coverslip.models.design import Design
from coverslip.models.stages import CLASSIFIER, Staged
from coverslip.models.taps import Tap, find_taps
from coverslip.models.weights import pretrained_weights

CLASSES, SIZE = 15, 224
LAYERS = {
    "resnet18": ("layer1", "layer2", "layer3", "layer4"),
    "efficientnet-lite0": ("block3", "block5", "block7", "top"),
    "vit_tiny_patch16_224": ("blocks.2", "blocks.5", "blocks.8", "blocks.11"),
}


def network_of(name: str) -> tuple[Staged, list[Tap]]:
    """Return a network of 15 classes in evaluation mode (pretrained if the weights exist) and four of its layers."""
    torch.manual_seed(0)
    design = Design(network=name, size=(SIZE, SIZE))
    network = build_network(design, CLASSES)
    if network_entry(name).has_weights():
        network.before(CLASSIFIER).load_state_dict(pretrained_weights(design))
    taps = {tap.name: tap for tap in find_taps(network, (3, SIZE, SIZE))}
    return network.eval(), [taps[layer] for layer in LAYERS[name]]


def image() -> Tensor:
    """Soft noise: float32 (1, 3, 224, 224)."""
    coarse = torch.randn(1, 3, 14, 14, generator=torch.Generator().manual_seed(0))
    return functional.interpolate(coarse, size=(SIZE, SIZE), mode="bicubic")
