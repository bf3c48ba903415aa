"""What a network has learned: ideal images, filters, and the real images that filters answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from coverslip.core.errors import UserError
from coverslip.core.progress import SILENT, Progress
from coverslip.data.inputs import InputSpec
from coverslip.explaining.maps.filters import FirstFilters, feature_maps, first_filters, strongest_images
from coverslip.explaining.maps.ideal_images import ideal_images
from coverslip.explaining.maps.units import find_layer
from coverslip.explaining.subjects import Subjects
from coverslip.figures.filters import feature_maps_figure, first_filters_figure, strongest_figure
from coverslip.figures.ideal import filter_palette, ideal_figure
from coverslip.inference.predictor import Predictor
from coverslip.models.stages import Staged
from coverslip.models.trial import output_shape

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PALETTE = 32  # filters of a palette
DESCRIBED = 8  # filters whose real images are shown
ACROSS = 8  # filters of a stage, in the maps of an image
SMALL = 128  # pixels: larger ideal images take long and show no more
MANY = 6  # classes, from which on one start each must do


@dataclass(frozen=True)
class Drawing:
    """One figure with what it is made of.

    Attributes:
        name: for files.
        title: for people.
        caption: one sentence.
        figure: the figure.
        arrays: by name, for the ``.npz`` file.
    """

    name: str
    title: str
    caption: str
    figure: Figure
    arrays: dict[str, npt.NDArray[Any]] = field(default_factory=dict)


def draw_ideal(predictor: Predictor, network: Staged, progress: Progress = SILENT) -> list[Drawing]:
    """The image that each class is answered with most strongly; for one dense layer its weights as images too."""
    names = predictor.task.classes
    size = ideal_size(network, predictor.spec)
    made = ideal_images(
        network, predictor.spec, range(len(names)), size=size, starts=1 if len(names) > MANY else 2, progress=progress
    )
    figure = ideal_figure(made.images, list(names), values=made.activations, title="What each class looks like to it")
    caption = (
        "The image that each class answers most strongly, made by following the network’s own gradient: not a real "
        "image, and only what the network wants to see."
    )
    arrays = {"images": made.images, "answers": made.activations, "classes": np.array(names)}
    drawings = [Drawing("ideal-images", "Ideal images of the classes", caption, figure, arrays)]
    first = _first(network, predictor.spec)
    if first is not None and first.whole and len(first.weights) == len(names):
        drawings.append(_weights(first, list(names)))
    return drawings


def draw_filters(
    predictor: Predictor,
    network: Staged,
    layer: str,
    images: Subjects | None,
    real: Subjects | None,
    device: torch.device,
    progress: Progress = SILENT,
) -> list[Drawing]:
    """What the filters of a layer look for.

    Args:
        predictor: the trained model.
        network: the same in one piece.
        layer: a stage or module.
        images: those that the user named; the first is followed through the stages.
        real: images to look through for those that each filter answers most and least.
        device: to compute on.
        progress: told of the stages.

    Returns:
        Ideal images of at most 32 filters; real images of 8; first weights, where the layer is the first; maps of
        an image.

    Raises:
        UserError: no such layer; the nearest is named.
    """
    spec = predictor.spec
    shape = (spec.channels, *spec.size)
    place = find_layer(network, shape, layer)
    units = range(min(place.units, PALETTE))
    made = ideal_images(network, spec, units, layer=layer, size=ideal_size(network, spec), starts=1, progress=progress)
    count = f"The first {len(units)} of {place.units}" if len(units) < place.units else f"All {place.units}"
    caption = f"{count} filters of {layer}: the image that each answers most strongly."
    figure = filter_palette(
        made.best, [str(unit) for unit in units], silent=made.silent, title=f"Filters of {layer}", caption=caption
    )
    arrays = {"images": made.best, "answers": made.activations[:, 0], "units": np.array(units)}
    drawings = [Drawing("filters", f"Filters of {layer}", caption, figure, arrays)]
    looked = real or images
    if looked is not None:
        loud = [unit for unit in units if not made.silent[unit]] or list(units)
        drawings.append(_strongest(predictor, network, layer, loud[:DESCRIBED], looked, made.best, device))
    first = _first(network, spec)
    if first is not None and (first.layer == layer or first.layer.startswith(f"{layer}.")):
        drawings.append(_weights(first))
    if images is not None and place.tap is not None:
        drawings.append(_followed(predictor, network, images, device))
    return drawings


def ideal_size(network: Staged, spec: InputSpec) -> tuple[int, int] | None:
    """The size of ideal images: smaller than the network's own, where it is large and takes others."""
    if min(spec.size) <= SMALL:
        return None
    try:
        output_shape(network, (spec.channels, SMALL, SMALL))
    except UserError:
        return None
    return SMALL, SMALL


def _strongest(
    predictor: Predictor,
    network: Staged,
    layer: str,
    units: Sequence[int],
    looked: Subjects,
    ideal: npt.NDArray[np.float32],
    device: torch.device,
) -> Drawing:
    each = min(4, len(looked))
    batches = (looked.images(predictor, device, some) for some in looked.batches())
    found = strongest_images(network, batches, units, layer=layer, images=each)
    most, least = (
        [np.stack([looked.shown(predictor, int(row)) for row in rows]) for rows in table]
        for table in (found.most, found.least)
    )
    caption = (
        f"The images of {len(looked):,} that each filter answers most and least; a ring where in the image it "
        "found what it looks for."
    )
    figure = strongest_figure(
        [f"filter {unit}" for unit in units],
        most,
        found.most_values,
        least,
        found.least_values,
        places=found.most_places,
        ideal=ideal[list(units)],
        title=f"Filters of {layer} and real images",
    )
    arrays = {
        "units": np.array(units),
        "most": np.array([[looked.names[row] for row in rows] for rows in found.most]),
        "most_answers": found.most_values,
        "least": np.array([[looked.names[row] for row in rows] for rows in found.least]),
        "least_answers": found.least_values,
    }
    return Drawing("filters-images", f"Filters of {layer} and real images", caption, figure, arrays)


def _followed(predictor: Predictor, network: Staged, images: Subjects, device: torch.device) -> Drawing:
    found = feature_maps(network, images.images(predictor, device, [0]))
    chosen = [(each, each.strongest(ACROSS)) for each in found]
    stages = [(each.layer, each.maps[some], some.tolist()) for each, some in chosen]
    title = f"{images.names[0]} through the stages"
    figure = feature_maps_figure(images.shown(predictor, 0), stages, title=title)
    caption = f"The {ACROSS} filters of each stage whose answers differ most over the image."
    return Drawing("stages", title, caption, figure, {each.layer: each.maps for each in found})


def _weights(first: FirstFilters, names: Sequence[str] = ()) -> Drawing:
    title = "The weights themselves" if first.whole else f"First filters: the weights of {first.layer}"
    caption = "Grey is a weight of 0: what is brighter or in color speaks for the class, what is darker against it."
    if not first.whole:
        caption = "Grey is a weight of 0; each filter answers to what looks like it."
    figure = first_filters_figure(first.weights[:64], names, columns=8, title=title)
    return Drawing("first-weights", title, caption, figure, {"weights": first.weights})


def _first(network: Staged, spec: InputSpec) -> FirstFilters | None:
    try:
        return first_filters(network, spec)
    except UserError:
        return None
