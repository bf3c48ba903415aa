"""A figure of ideal images for filters of a pretrained network, from its first layers to its later ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from coverslip.core.errors import UserError
from coverslip.core.registry import nearest
from coverslip.data.inputs import InputSpec
from coverslip.explaining.maps.ideal_images import ideal_images
from coverslip.figures.ideal import show_image
from coverslip.figures.style import INK, MUTED, new_figure, style
from coverslip.models.catalog import build_network, network_entry
from coverslip.models.design import DEFAULT_NETWORK, Design
from coverslip.models.stages import CLASSIFIER
from coverslip.models.weights import pretrained_weights

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LAYERS = {"stem": "first layer", "block3": "a later layer", "block5": "a still later layer"}
SIDE, STEPS = 96, 40  # pixels and optimization steps of an ideal image: enough to recognize what a filter detects
TILE = 0.88  # inches, side of one ideal image in the figure


def hierarchy_figure(
    layers: Mapping[str, str] | None = None, *, filters: int = 8, network: str = DEFAULT_NETWORK
) -> Figure:
    """Draw ideal images of the first filters of several layers, one row per layer.

    Nothing is trained and nothing is downloaded.

    Args:
        layers: stage name -> label of its row; by default three stages of the default network.
        filters: number of filters shown per layer.
        network: name of a network with pretrained weights.

    Raises:
        UserError: the network or a stage does not exist.
    """
    rows = dict(LAYERS if layers is None else layers)
    design = Design(network=network, size=(SIDE, SIDE))
    entry = network_entry(network)
    model = build_network(design, 1)
    stages = [name for name, _ in model.named_children()]
    for layer in rows:
        if layer not in stages:
            raise UserError(f"{network} has no stage {layer!r}", nearest(layer, stages))
    model.before(CLASSIFIER).load_state_dict(pretrained_weights(design))
    spec = InputSpec(size=(SIDE, SIDE), mean=(entry.mean,) * 3, std=(entry.std,) * 3)
    best = [ideal_images(model.eval(), spec, range(filters), layer=layer, starts=1, steps=STEPS).best for layer in rows]
    left, height = 1.25, len(rows) * (TILE + 0.08) + 0.35
    width = left + filters * (TILE + 0.06) + 0.1
    with style():
        figure = new_figure(figsize=(width, height))
        for row, (label, images) in enumerate(zip(rows.values(), best, strict=True)):
            bottom = height - 0.08 - (row + 1) * (TILE + 0.08)
            figure.text(0.1 / width, (bottom + TILE / 2) / height, label, color=INK, size=9, weight="bold", va="center")
            for column, image in enumerate(images):
                x = left + column * (TILE + 0.06)
                show_image(figure.add_axes((x / width, bottom / height, TILE / width, TILE / height)), image)
        note = "Each square is the image that activates one filter most strongly, found by gradient ascent."
        figure.text(left / width, 0.1 / height, note, color=MUTED, size=7.5)
        return figure
