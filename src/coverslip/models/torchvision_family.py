"""Networks of torchvision: AlexNet and ResNets, with ImageNet weights from PyTorch's hub."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from coverslip.models.design import Design
from coverslip.models.entry import NETWORKS, NetworkEntry
from coverslip.models.hub import fetch_torch_hub, torch_hub_path
from coverslip.models.pretrained import load_matching_weights, read_weights
from coverslip.models.stages import CLASSIFIER, Staged

IMAGENET = 1000  # classes
MEAN, STD = 0.449, 0.226  # of ImageNet, averaged over channels, because any number of channels is supported
ALEXNET_BLOCKS = ((0, 3), (3, 6), (6, 8), (8, 10), (10, 13))  # layers of torchvision's `features`
ALEXNET_STAGES = (*(f"block{number}" for number in range(1, 6)), "pool", "dense1", "dense2", CLASSIFIER)
RESNET_STAGES = ("stem", "layer1", "layer2", "layer3", "layer4", "pool", CLASSIFIER)


@NETWORKS.register("alexnet")
def alexnet() -> NetworkEntry:
    """AlexNet, single-column variant of torchvision (Krizhevsky, 2014), including its two dropout layers (0.5)."""
    return _entry(
        "alexnet",
        _alexnet_stages,
        ALEXNET_STAGES,
        tail="dense1",
        first_conv="block1.0",
        suited_for="historical; large",
    )


@NETWORKS.register("resnet18")
def resnet18() -> NetworkEntry:
    """ResNet-18 (He et al., CVPR 2016)."""
    return _resnet("resnet18", "common baseline")


@NETWORKS.register("resnet34")
def resnet34() -> NetworkEntry:
    """ResNet-34."""
    return _resnet("resnet34", "deeper, twice as slow")


@NETWORKS.register("resnet50")
def resnet50() -> NetworkEntry:
    """ResNet-50."""
    return _resnet("resnet50", "standard in publications")


def _resnet(name: str, suited_for: str) -> NetworkEntry:
    return _entry(
        name,
        _resnet_stages,
        RESNET_STAGES,
        tail="layer4",
        first_conv="stem.conv",
        options=("dropout",),
        suited_for=suited_for,
    )


def _entry(
    name: str,
    to_stages: Callable[[Any, Design], Staged],
    stages: tuple[str, ...],
    *,
    tail: str,
    first_conv: str,
    suited_for: str,
    options: tuple[str, ...] = (),
) -> NetworkEntry:
    """Return the entry of a network; ``to_stages`` divides torchvision's network into ``stages``."""

    def library(classes: int) -> Any:
        import torchvision

        return torchvision.models.get_model(name, weights=None, num_classes=classes)

    def url() -> str:
        import torchvision

        return str(torchvision.models.get_model_weights(name).IMAGENET1K_V1.url)

    def load(design: Design) -> Staged:
        network = library(IMAGENET)
        load_matching_weights(network, read_weights(fetch_torch_hub(url())), f"the file of {name!r}")
        return to_stages(network, design)

    return NetworkEntry(
        build=lambda design, classes: to_stages(library(classes), design),
        stages=lambda design: stages,
        size=(224, 224),
        mean=MEAN,
        std=STD,
        options=options,
        load=load,
        has_weights=lambda: torch_hub_path(url()).exists(),
        tail=tail,
        first_conv=first_conv,
        origin="ImageNet-1k, torchvision's IMAGENET1K_V1 (BSD-3-Clause)",
        licence="BSD-3-Clause",
        packages=("torchvision",),
        suited_for=suited_for,
    )


def _alexnet_stages(network: Any, design: Design) -> Staged:
    blocks = {f"block{n}": network.features[start:end] for n, (start, end) in enumerate(ALEXNET_BLOCKS, 1)}
    dense = network.classifier
    return Staged(
        {
            **blocks,
            "pool": nn.Sequential(network.avgpool, nn.Flatten()),
            "dense1": dense[0:3],
            "dense2": dense[3:6],
            CLASSIFIER: dense[6],
        }
    )


def _resnet_stages(network: Any, design: Design) -> Staged:
    stem = nn.Sequential()
    for name, layer in (("conv", network.conv1), ("norm", network.bn1), ("relu", network.relu)):
        stem.add_module(name, layer)
    stem.add_module("pool", network.maxpool)
    dropout = [nn.Dropout(design.dropout)] if design.dropout else []
    pool = nn.Sequential(network.avgpool, nn.Flatten(), *dropout)
    layers = {name: getattr(network, name) for name in RESNET_STAGES if name.startswith("layer")}
    return Staged({"stem": stem, **layers, "pool": pool, CLASSIFIER: network.fc})
