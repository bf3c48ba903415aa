"""A heat map with its metadata: image, class, layer, method and scale."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

FLAT = 1e-6  # relative to the maximum; a smaller range over the map is rounding, not heat
MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False, slots=True)
class Heatmap:
    """How much each region of one image supports one class.

    Attributes:
        values: float32 (h, w), >= 0, on the grid of the layer; (d, h, w) for a volume.
        method: name of the method, such as ``grad-cam``.
        layer: name of the stage or module; "" if the method uses no layer.
        class_name: name of the class.
        class_index: class id, from 0.
        image: path or name of the image.
        scale: maximum of the values before normalization, which makes maps of one method and layer comparable; 0 for a
            map without heat. Computed from the values.

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
        values = np.array(self.values, np.float32)  # a copy, so that later changes of the argument have no effect
        values.setflags(write=False)
        assert values.ndim in MODES and values.size and np.isfinite(values).all() and values.min() >= 0, values
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "scale", float(values.max()))

    @property
    def flat(self) -> bool:
        """Whether the map is constant, as with gradients of zero."""
        return float(np.ptp(self.values)) <= FLAT * self.scale

    @property
    def normalized(self) -> FloatArray:
        """Values divided by their maximum, float32 (h, w), 0 to 1; all zeros for a flat map."""
        if self.flat:
            return np.zeros(self.values.shape, np.float32)
        scaled: FloatArray = self.values / np.float32(self.scale)
        return scaled

    def resized(self, size: tuple[int, ...]) -> FloatArray:
        """Return the values at another size, such as that of the image, float32 (H, W).

        Bilinear interpolation between cell centers; antialiased when shrinking. A grid of 7 x 7 over 224 pixels remains
        blurred, because the layer has no information finer than 32 pixels.

        >>> Heatmap(np.eye(2), "grad-cam", "", "rust", 0, "").resized((2, 4)).tolist()
        [[1.0, 0.75, 0.25, 0.0], [0.0, 0.25, 0.75, 1.0]]
        """
        return resize_maps(self.values, size)


def resize_maps(maps: FloatArray, size: tuple[int, ...]) -> FloatArray:
    """Resize many maps of one grid, float32 (..., h, w) -> (..., H, W), see `Heatmap.resized`."""
    axes = len(size)
    grid = maps.shape[-axes:]
    if grid == tuple(size):
        return np.array(maps, np.float32)
    shrinks = axes == 2 and any(new < old for new, old in zip(size, grid, strict=True))
    tensor = torch.tensor(maps, dtype=torch.float32).reshape(-1, 1, *grid)
    resized = functional.interpolate(tensor, size=tuple(size), mode=MODES[axes], antialias=shrinks)
    return np.asarray(resized.numpy().reshape(*maps.shape[:-axes], *size))
