"""One heat map with all that is needed to read it: image, class, layer, method and scale."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

FLAT = 1e-6  # of the largest value: what differs by less over the whole map is rounding, not heat
WAYS = {1: "linear", 2: "bilinear", 3: "trilinear"}

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False, slots=True)
class Heatmap:
    """How much each place of one image speaks for one class.

    Attributes:
        values: float32 (h, w), 0 or more, on the layer's own grid, not stretched; (d, h, w) of a volume.
        method: its name, such as ``grad-cam``.
        layer: name of the stage it was read from; "" where the method reads none.
        class_name: what it speaks for.
        class_index: from 0.
        image: path or name.
        scale: the largest value, before any drawing: two maps of one method and layer can be compared by it. 0 is a map
            without any heat. Found from the values.

    >>> Heatmap(np.array([[0, 2], [1, 4]]), "grad-cam", "block3", "rust", 2, "IMG_01.tif").scale
    4.0
    """

    values: FloatArray
    method: str
    layer: str
    class_name: str
    class_index: int
    image: str
    scale: float = field(init=False)

    def __post_init__(self) -> None:
        values = np.array(self.values, np.float32)  # a copy: nobody else can change it
        values.setflags(write=False)
        assert values.ndim in WAYS and values.size and np.isfinite(values).all() and values.min() >= 0, values
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "scale", float(values.max()))

    @property
    def flat(self) -> bool:
        """Whether no place differs from another, as with gradients of zero."""
        return float(np.ptp(self.values)) <= FLAT * self.scale

    @property
    def normalized(self) -> FloatArray:
        """The values divided by the largest, float32 (h, w), 0 to 1; 0 stays 0. A flat map stays flat: all zeros."""
        if self.flat:
            return np.zeros(self.values.shape, np.float32)
        shares: FloatArray = self.values / np.float32(self.scale)
        return shares

    def resized(self, size: tuple[int, ...]) -> FloatArray:
        """The values at another size, such as the image's: float32 (H, W).

        Bilinear between the middles of the places; averaged where it shrinks. A grid of 7 x 7 over 224 pixels stays
        blurred: what is finer than 32 pixels the layer does not know.

        >>> Heatmap(np.eye(2), "grad-cam", "", "rust", 0, "").resized((2, 4)).tolist()
        [[1.0, 0.75, 0.25, 0.0], [0.0, 0.25, 0.75, 1.0]]
        """
        return resize_maps(self.values, size)


def resize_maps(maps: FloatArray, size: tuple[int, ...]) -> FloatArray:
    """The same of many maps of one grid: float32 (..., h, w) -> (..., H, W)."""
    axes = len(size)
    grid = maps.shape[-axes:]
    if grid == tuple(size):
        return np.array(maps, np.float32)
    shrinks = axes == 2 and any(new < old for new, old in zip(size, grid, strict=True))
    given = torch.tensor(maps, dtype=torch.float32).reshape(-1, 1, *grid)
    found = functional.interpolate(given, size=tuple(size), mode=WAYS[axes], antialias=shrinks)
    return np.asarray(found.numpy().reshape(*maps.shape[:-axes], *size))
