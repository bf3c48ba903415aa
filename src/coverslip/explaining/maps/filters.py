"""Filters: their weights, their feature maps, and the real images with the highest and lowest activations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from coverslip.core.errors import UserError
from coverslip.data.inputs import InputSpec
from coverslip.explaining.maps.units import LOGITS, UnitLayer, find_layer
from coverslip.models.shapes import eval_mode
from coverslip.models.taps import find_taps, tapped

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False, slots=True)
class FirstFilters:
    """Weights of the first layer, which are applied to the image itself.

    Attributes:
        layer: path of the module.
        weights: float32 (F, kh, kw, C), channels last, for pixel values from 0 to 1: the division by the standard
            deviation during preparation is undone. Filters of a convolution, patches of a transformer, or images of
            size (kh, kw) = (H, W) if the first layer is dense.
        full_size: whether each filter is as large as the image.
    """

    layer: str
    weights: FloatArray
    full_size: bool


def first_filters(network: nn.Module, spec: InputSpec) -> FirstFilters:
    """Return the weights of the first layer as images.

    For a convolution these are its filters, for ``linear`` one image per class, for ``mlp`` one per hidden unit.

    Raises:
        UserError: the first layer with weights is neither a convolution of the image nor a dense layer of all pixels.
    """
    pixels = spec.channels * spec.size[0] * spec.size[1]
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d) and module.in_channels == spec.channels and module.groups == 1:
            return FirstFilters(name, _channels_last(module.weight, spec), False)
        if isinstance(module, nn.Linear) and module.in_features == pixels:
            return FirstFilters(name, _channels_last(module.weight.reshape(-1, spec.channels, *spec.size), spec), True)
        if next(module.parameters(recurse=False), None) is not None:
            break
    raise UserError(
        "the weights of the first layer of this network cannot be shown as images",
        "use feature maps or ideal images instead",
    )


def _channels_last(weight: Tensor, spec: InputSpec) -> FloatArray:
    scaled = weight.detach().float().cpu().permute(0, 2, 3, 1).numpy() / np.array(spec.std, np.float32)
    return np.ascontiguousarray(scaled, np.float32)


@dataclass(frozen=True, eq=False, slots=True)
class FeatureMaps:
    """Feature maps of one stage for one image.

    Attributes:
        layer: name of the stage.
        maps: activations of all filters on the grid of the stage, float32 (C, h, w).
    """

    layer: str
    maps: FloatArray

    def most_variable(self, count: int) -> npt.NDArray[np.int64]:
        """Return the filters whose activations vary most over this image, the most variable first."""
        order: npt.NDArray[np.int64] = np.argsort(-self.maps.std(axis=(1, 2)), kind="stable")[:count]
        return order


def feature_maps(network: nn.Module, image: Tensor) -> list[FeatureMaps]:
    """Compute the feature maps of all stages with a spatial grid, from first to last.

    Args:
        network: the network; used in evaluation mode and not changed.
        image: one prepared image, float32 (C, H, W) or (1, C, H, W).

    Raises:
        UserError: the network has no such stage, because it only has dense layers.
    """
    image = image[None] if image.ndim == 3 else image
    taps = find_taps(network, tuple(image.shape[1:]))
    if not taps:
        raise UserError(
            "this network has no stage with a spatial grid, so there are no feature maps",
            "use first weights, ideal images or occlusion instead",
        )
    with torch.no_grad(), tapped(network, taps) as outputs:
        network(image)
        maps = [tap.to_grid(output)[0].float().cpu().numpy() for tap, output in zip(taps, outputs, strict=True)]
    return [FeatureMaps(tap.name, np.asarray(stage_maps)) for tap, stage_maps in zip(taps, maps, strict=True)]


@dataclass(frozen=True, eq=False, slots=True)
class TopImages:
    """Real images with the highest and lowest activations of filters, units or classes.

    Attributes:
        layer: path of the module; "" for the logits.
        units: numbers of the U units.
        top: rows of the images with the highest activations, in descending order, int64 (U, k).
        top_values: their activations, float32 (U, k).
        top_places: position of the maximum in the image, (vertical, horizontal), 0 to 1, float32 (U, k, 2); NaN if the
            layer has no spatial grid.
        bottom: rows of the images with the lowest activations, in ascending order, int64 (U, k).
        bottom_values: their activations, float32 (U, k).
        silent: fraction of the images with an activation of 0 or less, float32 (U,).
    """

    layer: str
    units: tuple[int, ...]
    top: npt.NDArray[np.int64]
    top_values: FloatArray
    top_places: FloatArray
    bottom: npt.NDArray[np.int64]
    bottom_values: FloatArray
    silent: FloatArray


def top_images(
    network: nn.Module,
    batches: Iterable[Tensor],
    units: Sequence[int] | None = None,
    *,
    layer: str = LOGITS,
    images: int = 8,
) -> TopImages:
    """Find the images with the highest and lowest activations of each unit, in one pass with constant memory.

    The activation of a filter for an image is its maximum over all positions.

    Args:
        network: the network; used in evaluation mode and not changed.
        batches: prepared images, float32 (n, C, H, W) each; rows are numbered across all batches.
        units: numbers of the units; None for all units of the layer.
        layer: path of the module; "" for the logits, each minus the mean of the others.
        images: number k of images with the highest, and of images with the lowest activations.

    Raises:
        UserError: there are no images, no such layer or no such unit.
    """
    extremes: _Extremes | None = None
    with eval_mode(network), torch.no_grad():
        for batch in batches:
            if len(batch) and extremes is None:
                found = find_layer(network, (batch.shape[1], batch.shape[2], batch.shape[3]), layer)
                chosen = found.check_units(range(found.units) if units is None else units)
                extremes = _Extremes(found, chosen, images)
            if len(batch) and extremes is not None:
                extremes.add(extremes.layer.activations(network, batch)[:, list(extremes.units)])
    if extremes is None:
        raise UserError("there are no images to search", "give at least one image")
    return extremes.result()


class _Extremes:
    """The highest and lowest activations so far."""

    def __init__(self, layer: UnitLayer, units: tuple[int, ...], number: int) -> None:
        self.layer, self.units, self.number = layer, units, number
        self.count = 0
        empty, no_places = np.zeros((len(units), 0)), np.zeros((len(units), 0, 2), np.float32)
        self.top: _Entries = empty.astype(np.int64), empty.astype(np.float32), no_places
        self.bottom: _Entries = self.top
        self.inactive = np.zeros(len(units))

    def add(self, activations: Tensor) -> None:
        """Add the activations (n, U, P) of the next n images."""
        largest, place = activations.max(dim=-1)
        values = largest.T.float().cpu().numpy()
        rows = np.broadcast_to(np.arange(self.count, self.count + len(activations)), values.shape)
        places = np.full((*values.shape, 2), np.nan, np.float32)
        grid = self.layer.grid
        if grid is not None:
            down, across = np.divmod(place.T.cpu().numpy(), grid[-1])
            places[..., 0], places[..., 1] = (down + 0.5) / grid[0], (across + 0.5) / grid[-1]
        self.count += len(activations)
        self.inactive += (values <= 0).sum(axis=1)
        self.top = _merge(self.top, (rows, values, places), self.number, -1)
        self.bottom = _merge(self.bottom, (rows, values, places), self.number, 1)

    def result(self) -> TopImages:
        silent = (self.inactive / self.count).astype(np.float32)
        return TopImages(self.layer.name, self.units, *self.top, *self.bottom[:2], silent)


_Entries = tuple[npt.NDArray[np.int64], FloatArray, FloatArray]  # rows, activations and positions, (U, k, ...)


def _merge(old: _Entries, new: _Entries, number: int, sign: int) -> _Entries:
    """Return the first ``number`` of both by ascending (``sign`` 1) or descending (-1) activation; ties by row."""
    values = np.concatenate((old[1], new[1]), axis=1)
    order = np.argsort(sign * values, axis=1, kind="stable")[:, :number]
    rows = np.take_along_axis(np.concatenate((old[0], new[0]), axis=1), order, axis=1)
    places = np.take_along_axis(np.concatenate((old[2], new[2]), axis=1), order[..., None], axis=1)
    return rows, np.take_along_axis(values, order, axis=1), places
