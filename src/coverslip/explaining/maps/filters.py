"""What single filters look for: their weights, their maps of an image, and the real images that they answer most."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from coverslip.core.errors import UserError
from coverslip.data.inputs import InputSpec
from coverslip.explaining.maps.units import SCORES, Layer, find_layer
from coverslip.models.taps import find_taps, tapped
from coverslip.models.trial import still

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False, slots=True)
class FirstFilters:
    """The weights that see the image itself.

    Attributes:
        layer: module path.
        weights: float32 (F, kh, kw, C), channels last, per unit of a sample on the scale 0 to 1: what images are
            divided by in their preparation is taken out. Filters of a convolution, patches of a transformer, or whole
            images (kh, kw) = (H, W) where the first layer is dense.
        whole: whether each is as large as the image.
    """

    layer: str
    weights: FloatArray
    whole: bool


def first_filters(network: nn.Module, spec: InputSpec) -> FirstFilters:
    """The weights of the first layer, as images.

    Of a convolution they are its filters; of ``linear`` they are one image a class, of ``mlp`` one a hidden unit.

    Raises:
        UserError: the first layer with weights is neither a convolution over images nor dense over all pixels.
    """
    pixels = spec.channels * spec.size[0] * spec.size[1]
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d) and module.in_channels == spec.channels and module.groups == 1:
            return FirstFilters(name, _last(module.weight, spec), False)
        if isinstance(module, nn.Linear) and module.in_features == pixels:
            return FirstFilters(name, _last(module.weight.reshape(-1, spec.channels, *spec.size), spec), True)
        if next(module.parameters(recurse=False), None) is not None:
            break
    raise UserError(
        "the first layer of this network has no weights that are images",
        "look at its stages with feature maps, or at ideal images",
    )


def _last(weight: Tensor, spec: InputSpec) -> FloatArray:
    scaled = weight.detach().float().cpu().permute(0, 2, 3, 1).numpy() / np.array(spec.std, np.float32)
    return np.ascontiguousarray(scaled, np.float32)


@dataclass(frozen=True, eq=False, slots=True)
class FeatureMaps:
    """What one stage makes of one image.

    Attributes:
        layer: name of the stage.
        maps: float32 (C, h, w), every filter's answer at each place, on the stage's own grid.
    """

    layer: str
    maps: FloatArray

    def strongest(self, most: int) -> npt.NDArray[np.int64]:
        """The filters whose answers differ most over this image, the first first."""
        order: npt.NDArray[np.int64] = np.argsort(-self.maps.std(axis=(1, 2)), kind="stable")[:most]
        return order


def feature_maps(network: nn.Module, image: Tensor) -> list[FeatureMaps]:
    """What each stage that keeps the image's plane makes of one image, first to last.

    Args:
        network: it works in evaluation mode and is left as it was.
        image: float32 (C, H, W) or (1, C, H, W), prepared.

    Raises:
        UserError: the network has no such stage (dense layers only).
    """
    image = image[None] if image.ndim == 3 else image
    taps = find_taps(network, tuple(image.shape[1:]))
    if not taps:
        raise UserError(
            "this network has no stage that keeps the image's plane, so there are no feature maps",
            "look at its first weights, at ideal images, or at occlusion",
        )
    with torch.no_grad(), tapped(network, taps) as outputs:
        network(image)
        maps = [tap.to_grid(output)[0].float().cpu().numpy() for tap, output in zip(taps, outputs, strict=True)]
    return [FeatureMaps(tap.name, np.asarray(each)) for tap, each in zip(taps, maps, strict=True)]


@dataclass(frozen=True, eq=False, slots=True)
class Strongest:
    """The real images that filters, units or classes answer most and least.

    Attributes:
        layer: module path; "" for the classes' scores.
        units: their numbers, U of them.
        most: int64 (U, k), rows of the images, the strongest first.
        most_values: float32 (U, k), the answers.
        most_places: float32 (U, k, 2), where in the image: (down, across), 0 to 1; NaN where the layer has no plane.
        least: int64 (U, k), rows of the images, the weakest first.
        least_values: float32 (U, k).
        silent: float32 (U,), share of the images that are answered with 0 or less.
    """

    layer: str
    units: tuple[int, ...]
    most: npt.NDArray[np.int64]
    most_values: FloatArray
    most_places: FloatArray
    least: npt.NDArray[np.int64]
    least_values: FloatArray
    silent: FloatArray


def strongest_images(
    network: nn.Module,
    batches: Iterable[Tensor],
    units: Sequence[int] | None = None,
    *,
    layer: str = SCORES,
    images: int = 8,
) -> Strongest:
    """The real images that each unit of a layer answers most and least, in one pass with flat memory.

    A filter's answer to an image is its largest over all places: it found there what it looks for.

    Args:
        network: it works in evaluation mode and is left as it was.
        batches: float32 (n, C, H, W) each, prepared; rows are counted through all of them.
        units: their numbers; all of the layer without.
        layer: module path; without it the classes' scores, each above the mean of the others.
        images: k, how many of the most and of the least; fewer where there are not as many.

    Raises:
        UserError: no images, no such layer (the nearest is named), or no such unit.
    """
    kept: _Extremes | None = None
    with still(network), torch.no_grad():
        for batch in batches:
            if len(batch) and kept is None:
                place = find_layer(network, (batch.shape[1], batch.shape[2], batch.shape[3]), layer)
                kept = _Extremes(place, place.need(range(place.units) if units is None else units), images)
            if len(batch) and kept is not None:
                kept.add(kept.layer.answers(network, batch)[:, list(kept.units)])
    if kept is None:
        raise UserError("there are no images to look through", "give some")
    return kept.result()


class _Extremes:
    """The largest and smallest answers so far; nothing else is kept."""

    def __init__(self, layer: Layer, units: tuple[int, ...], number: int) -> None:
        self.layer, self.units, self.number = layer, units, number
        self.seen = 0
        empty, nowhere = np.zeros((len(units), 0)), np.zeros((len(units), 0, 2), np.float32)
        self.most: _Kept = empty.astype(np.int64), empty.astype(np.float32), nowhere
        self.least: _Kept = self.most
        self.zero = np.zeros(len(units))

    def add(self, answers: Tensor) -> None:
        """(n, U, places) of the next n images."""
        largest, place = answers.max(dim=-1)
        values = largest.T.float().cpu().numpy()
        rows = np.broadcast_to(np.arange(self.seen, self.seen + len(answers)), values.shape)
        where = np.full((*values.shape, 2), np.nan, np.float32)
        grid = self.layer.grid
        if grid is not None:
            down, across = np.divmod(place.T.cpu().numpy(), grid[-1])
            where[..., 0], where[..., 1] = (down + 0.5) / grid[0], (across + 0.5) / grid[-1]
        self.seen += len(answers)
        self.zero += (values <= 0).sum(axis=1)
        self.most = _join(self.most, (rows, values, where), self.number, -1)
        self.least = _join(self.least, (rows, values, where), self.number, 1)

    def result(self) -> Strongest:
        silent = (self.zero / self.seen).astype(np.float32)
        return Strongest(self.layer.name, self.units, *self.most, *self.least[:2], silent)


_Kept = tuple[npt.NDArray[np.int64], FloatArray, FloatArray]  # rows, answers and places, (U, k, ...)


def _join(kept: _Kept, new: _Kept, number: int, sign: int) -> _Kept:
    """The first ``number`` of both by their answers, rising (``sign`` 1) or falling (-1); earlier rows first."""
    values = np.concatenate((kept[1], new[1]), axis=1)
    order = np.argsort(sign * values, axis=1, kind="stable")[:, :number]
    rows = np.take_along_axis(np.concatenate((kept[0], new[0]), axis=1), order, axis=1)
    places = np.take_along_axis(np.concatenate((kept[2], new[2]), axis=1), order[..., None], axis=1)
    return rows, np.take_along_axis(values, order, axis=1), places
