"""What the filters of a pretrained network like to see, from its first layers to its later ones."""

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

LAYERS = {"stem": "first layer", "block3": "a later one", "block5": "later still"}
SIDE, STEPS = 96, 40  # pixels and steps of an ideal image: enough to see what a filter is about
INCH = 0.88


def hierarchy_figure(
    layers: Mapping[str, str] | None = None, *, filters: int = 8, network: str = DEFAULT_NETWORK
) -> Figure:
    """Ideal images of some filters of several layers, a row a layer. Nothing is trained, nothing downloaded.

    Args:
        layers: stage of the network -> what its row is called; without it three of the default network.
        filters: of each layer, its first ones.
        network: one with pretrained weights.

    Raises:
        UserError: no such stage or network.
    """
    rows = dict(LAYERS if layers is None else layers)
    design = Design(network=network, size=(SIDE, SIDE))
    entry = network_entry(network)
    whole = build_network(design, 1)
    names = [name for name, _ in whole.named_children()]
    for layer in rows:
        if layer not in names:
            raise UserError(f"{network} has no stage {layer!r}", nearest(layer, names))
    whole.before(CLASSIFIER).load_state_dict(pretrained_weights(design))
    spec = InputSpec(size=(SIDE, SIDE), mean=(entry.mean,) * 3, std=(entry.std,) * 3)
    made = [ideal_images(whole.eval(), spec, range(filters), layer=layer, starts=1, steps=STEPS).best for layer in rows]
    left, tall = 1.25, len(rows) * (INCH + 0.08) + 0.35
    wide = left + filters * (INCH + 0.06) + 0.1
    with style():
        figure = new_figure(figsize=(wide, tall))
        for row, (said, images) in enumerate(zip(rows.values(), made, strict=True)):
            bottom = tall - 0.08 - (row + 1) * (INCH + 0.08)
            figure.text(0.1 / wide, (bottom + INCH / 2) / tall, said, color=INK, size=9, weight="bold", va="center")
            for column, image in enumerate(images):
                at = left + column * (INCH + 0.06)
                show_image(figure.add_axes((at / wide, bottom / tall, INCH / wide, INCH / tall)), image)
        note = "Each square: the image that one filter answers most strongly, made by climbing the network's gradient."
        figure.text(left / wide, 0.1 / tall, note, color=MUTED, size=7.5)
        return figure
