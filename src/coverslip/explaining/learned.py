"""Figures of what a network has learned: ideal images, filters, and the real images that activate them most."""

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
from coverslip.explaining.image_set import ImageSet
from coverslip.explaining.maps.filters import FirstFilters, feature_maps, first_filters, top_images
from coverslip.explaining.maps.ideal_images import ideal_images
from coverslip.explaining.maps.units import find_layer
from coverslip.figures.filters import feature_maps_figure, first_filters_figure, strongest_figure
from coverslip.figures.ideal import filter_palette, ideal_figure
from coverslip.inference.predictor import Predictor
from coverslip.models.shapes import output_shape
from coverslip.models.stages import Staged

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_FILTERS = 32  # filters with an ideal image
MAX_WITH_IMAGES = 8  # filters with real images
MAX_FEATURE_MAPS = 8  # feature maps per stage
IDEAL_SIZE = 128  # pixels: larger ideal images take longer and show nothing more
MANY_CLASSES = 6  # with more classes, a single start per class


@dataclass(frozen=True)
class Drawing:
    """A figure with its data.

    Attributes:
        name: base name of the files.
        title: title for readers.
        caption: caption of one sentence.
        figure: the figure.
        arrays: arrays of the ``.npz`` file by name.
    """

    name: str
    title: str
    caption: str
    figure: Figure
    arrays: dict[str, npt.NDArray[Any]] = field(default_factory=dict)


def draw_ideal(predictor: Predictor, network: Staged, progress: Progress = SILENT) -> list[Drawing]:
    """Draw an ideal image of each class; for a single dense layer, also its weights as images."""
    names = predictor.task.names
    size = ideal_size(network, predictor.spec)
    ideal = ideal_images(
        network,
        predictor.spec,
        range(len(names)),
        size=size,
        starts=1 if len(names) > MANY_CLASSES else 2,
        progress=progress,
    )
    figure = ideal_figure(ideal.images, list(names), values=ideal.activations, title="Ideal images of the classes")
    caption = (
        "Synthetic images that maximize the logit of each class relative to the others, found by gradient ascent. They "
        "show which patterns the network responds to."
    )
    arrays = {"images": ideal.images, "answers": ideal.activations, "classes": np.array(names)}
    drawings = [Drawing("ideal-images", "Ideal images of the classes", caption, figure, arrays)]
    first = _first(network, predictor.spec)
    if first is not None and first.full_size and len(first.weights) == len(names):
        drawings.append(_weights(first, list(names)))
    return drawings


def draw_filters(
    predictor: Predictor,
    network: Staged,
    layer: str,
    images: ImageSet | None,
    real: ImageSet | None,
    device: torch.device,
    progress: Progress = SILENT,
) -> list[Drawing]:
    """Draw the patterns that the filters of a layer respond to.

    Args:
        predictor: trained model.
        network: the same model as one network, on ``device``.
        layer: stage or module.
        images: images of the user; feature maps are drawn for the first one.
        real: images to search for those with the highest and lowest activations.
        device: device of the computation.
        progress: receives the stages.

    Returns:
        Ideal images of at most 32 filters, real images for 8 of them, the weights if this is the first layer, and
        feature maps of an image.

    Raises:
        UserError: there is no such layer.
    """
    spec = predictor.spec
    shape = (spec.channels, *spec.size)
    unit_layer = find_layer(network, shape, layer)
    units = range(min(unit_layer.units, MAX_FILTERS))
    ideal = ideal_images(network, spec, units, layer=layer, size=ideal_size(network, spec), starts=1, progress=progress)
    count = (
        f"The first {len(units)} of {unit_layer.units}" if len(units) < unit_layer.units else f"All {unit_layer.units}"
    )
    caption = f"{count} filters of {layer}: synthetic images that maximize their activation."
    figure = filter_palette(
        ideal.best, [str(unit) for unit in units], silent=ideal.silent, title=f"Filters of {layer}", caption=caption
    )
    arrays = {"images": ideal.best, "answers": ideal.activations[:, 0], "units": np.array(units)}
    drawings = [Drawing("filters", f"Filters of {layer}", caption, figure, arrays)]
    searched = real or images
    if searched is not None:
        active = [unit for unit in units if not ideal.silent[unit]] or list(units)
        drawings.append(_top_images(predictor, network, layer, active[:MAX_WITH_IMAGES], searched, ideal.best, device))
    first = _first(network, spec)
    if first is not None and (first.layer == layer or first.layer.startswith(f"{layer}.")):
        drawings.append(_weights(first))
    if images is not None and unit_layer.tap is not None:
        drawings.append(_feature_maps(predictor, network, images, device))
    return drawings


def ideal_size(network: Staged, spec: InputSpec) -> tuple[int, int] | None:
    """Return a smaller size for ideal images if the input of the network is large and can be changed; else None."""
    if min(spec.size) <= IDEAL_SIZE:
        return None
    try:
        output_shape(network, (spec.channels, IDEAL_SIZE, IDEAL_SIZE))
    except UserError:
        return None
    return IDEAL_SIZE, IDEAL_SIZE


def _top_images(
    predictor: Predictor,
    network: Staged,
    layer: str,
    units: Sequence[int],
    searched: ImageSet,
    ideal: npt.NDArray[np.float32],
    device: torch.device,
) -> Drawing:
    count = min(4, len(searched))
    batches = (searched.images(predictor, device, places) for places in searched.batches())
    result = top_images(network, batches, units, layer=layer, images=count)
    top, bottom = (
        [np.stack([searched.shown(predictor, int(row)) for row in rows]) for rows in table]
        for table in (result.top, result.bottom)
    )
    caption = (
        f"Of {len(searched):,} images, those with the highest and lowest activation of each filter; a ring marks the "
        "position of the maximum."
    )
    figure = strongest_figure(
        [f"filter {unit}" for unit in units],
        top,
        result.top_values,
        bottom,
        result.bottom_values,
        places=result.top_places,
        ideal=ideal[list(units)],
        title=f"Filters of {layer} and real images",
    )
    arrays = {
        "units": np.array(units),
        "most": np.array([[searched.names[row] for row in rows] for rows in result.top]),
        "most_answers": result.top_values,
        "least": np.array([[searched.names[row] for row in rows] for rows in result.bottom]),
        "least_answers": result.bottom_values,
    }
    return Drawing("filters-images", f"Filters of {layer} and real images", caption, figure, arrays)


def _feature_maps(predictor: Predictor, network: Staged, images: ImageSet, device: torch.device) -> Drawing:
    stages = feature_maps(network, images.images(predictor, device, [0]))
    chosen = [(stage, stage.most_variable(MAX_FEATURE_MAPS)) for stage in stages]
    drawn = [(stage.layer, stage.maps[filters], filters.tolist()) for stage, filters in chosen]
    title = f"Feature maps of {images.names[0]}"
    figure = feature_maps_figure(images.shown(predictor, 0), drawn, title=title)
    caption = f"The {MAX_FEATURE_MAPS} filters of each stage whose activations vary most over the image."
    return Drawing("stages", title, caption, figure, {stage.layer: stage.maps for stage in stages})


def _weights(first: FirstFilters, names: Sequence[str] = ()) -> Drawing:
    title = "Weights of the classes" if first.full_size else f"First filters: weights of {first.layer}"
    caption = "Grey is a weight of 0. Brighter or colored pixels support the class; darker pixels oppose it."
    if not first.full_size:
        caption = "Grey is a weight of 0. Each filter responds to patterns that look like its weights."
    figure = first_filters_figure(first.weights[:64], names, columns=8, title=title)
    return Drawing("first-weights", title, caption, figure, {"weights": first.weights})


def _first(network: Staged, spec: InputSpec) -> FirstFilters | None:
    try:
        return first_filters(network, spec)
    except UserError:
        return None
