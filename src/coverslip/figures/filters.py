"""Filters of a network: weights of the first layer, feature maps of an image, and the most activating images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from coverslip.figures.ideal import SMALL, filter_palette, show_image
from coverslip.figures.labels import wrap_name
from coverslip.figures.style import INK, LINE, MUTED, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDE = 0.95  # of a map, inches
LARGE, WIDE = 1.35, 16  # side in inches of filters wider than this number of pixels
NAMES = 1.05  # for names, left of the maps, inches


def first_filters_figure(
    weights: npt.NDArray[np.floating], names: Sequence[str] = (), *, columns: int = 8, title: str = ""
) -> Figure:
    """Draw the weights of the first layer as images; mid-grey is 0, and all filters share one scale.

    Args:
        weights: shape (F, kh, kw, C). Three channels are shown as a color image, other numbers of channels as grey
            images side by side.
        names: short names of the filters; default: numbers from 0.
        columns: filters per row.
        title: title of the figure.
    """
    largest = float(np.abs(weights).max(initial=0))
    shown = 0.5 + weights / (2 * largest) if largest else np.full(weights.shape, 0.5)
    labels = list(names) or [str(number) for number in range(len(weights))]
    channels = weights.shape[-1]
    if channels not in (1, 3):
        shown = np.moveaxis(shown, -1, 1).reshape(-1, *weights.shape[1:3], 1)
        labels = [f"{label}.{channel}" for label in labels for channel in range(channels)]
        columns = channels * max(1, columns // channels)
    scale = f"Mid-grey is 0; black and white are −{largest:.3g} and +{largest:.3g} in all filters."
    if channels == 3:
        scale += " A filter that responds to red is red."
    side = LARGE if weights.shape[1] > WIDE else SMALL
    return filter_palette(shown, labels, columns=columns, side=side, title=title, caption=scale)


def feature_maps_figure(
    image: npt.NDArray[Any],
    stages: Sequence[tuple[str, npt.NDArray[np.floating], Sequence[int]]],
    *,
    title: str = "",
) -> Figure:
    """Draw the feature maps of an image: one row per stage, one column per filter.

    Args:
        image: preprocessed image, shape (H, W, C), float in 0..1 or uint8.
        stages: (name, maps of shape (F, h, w), numbers of these F filters), first to last. The maps of a stage share a
            scale from 0 (or their minimum) to their maximum, which is printed next to them.
        title: title of the figure.
    """
    if not stages:
        raise ValueError("there are no stages to show")
    columns = max(len(maps) for _, maps, _ in stages)
    tall = SIDE * image.shape[0] / image.shape[1]
    with style():
        over, pitch = 0.4 if title else 0.12, tall + 0.22
        breadth = NAMES + (columns + 1) * (SIDE + 0.06) + 0.25
        length = over + len(stages) * pitch + 0.34
        figure = new_figure(figsize=(breadth, length))
        first = length - over - 0.14 - tall
        ax = figure.add_axes((0.12 / breadth, first / length, SIDE / breadth, tall / length))
        show_image(ax, image)
        _small(ax, "input")
        for row, (name, maps, numbers) in enumerate(stages):
            bottom = first - row * pitch
            low, high = min(float(maps.min()), 0.0), float(maps.max())
            left = 0.12 + SIDE + 0.1
            middle = (bottom + tall / 2) / length
            label = wrap_name(name, 13, 2)
            figure.text(left / breadth, middle, label, color=INK, size=8.5, weight="bold", va="bottom")
            note = f"{maps.shape[1]} × {maps.shape[2]}\n{low:.2g} to {high:.2g}"
            figure.text(left / breadth, middle - 0.03 / length, note, color=MUTED, size=7, va="top")
            for column, (feature_map, number) in enumerate(zip(maps, numbers, strict=True)):
                at = left + NAMES - 0.15 + column * (SIDE + 0.06)
                ax = figure.add_axes((at / breadth, bottom / length, SIDE / breadth, tall / length))
                ax.imshow(feature_map, cmap="cividis", vmin=low, vmax=max(high, low + 1e-12), aspect="auto")
                ax.set(xticks=[], yticks=[])
                _small(ax, f"filter {number}")
        if title:
            figure.text(0.12 / breadth, 1 - 0.09 / length, title, color=INK, size=10, weight="bold", va="top")
        caption = (
            "Yellow: high activation. The filters that vary most over this image are shown; each row has its own scale."
        )
        figure.text(0.12 / breadth, 0.08 / length, caption, color=MUTED, size=7.5, va="bottom")
        return figure


def strongest_figure(
    names: Sequence[str],
    most: Sequence[npt.NDArray[Any]],
    most_values: npt.NDArray[np.floating],
    least: Sequence[npt.NDArray[Any]],
    least_values: npt.NDArray[np.floating],
    *,
    places: npt.NDArray[np.floating] | None = None,
    ideal: npt.NDArray[Any] | None = None,
    title: str = "",
) -> Figure:
    """Draw one row per filter: its synthetic image, and the real images with the highest and lowest activation.

    Args:
        names: names of the U filters.
        most: U arrays of shape (k, H, W, C), float in 0..1 or uint8, highest activation first.
        most_values: their activations, shape (U, k).
        least: U arrays of shape (l, H, W, C), lowest activation first.
        least_values: their activations, shape (U, l).
        places: positions of the highest activation as fractions (down, across) of the image, shape (U, k, 2); drawn as
            rings; NaN for none.
        ideal: synthetic images that maximize the activation, shape (U, h, w, C); None: not shown.
        title: title of the figure.
    """
    most_each, least_each = most_values.shape[1], least_values.shape[1]
    height, width = most[0].shape[1:3]
    tall = SIDE * height / width
    with style():
        pitch, over = tall + 0.26, 0.52 if title else 0.27
        columns = (ideal is not None) + most_each + least_each
        breadth = 0.12 + NAMES + columns * (SIDE + 0.06) + 0.2 * (1 + (ideal is not None))
        length = over + len(names) * pitch + 0.1
        figure = new_figure(figsize=(breadth, length))
        start = 0.12 + NAMES + (SIDE + 0.2 if ideal is not None else 0)
        second = start + most_each * (SIDE + 0.06) + 0.2
        heads = [(start, "highest activation"), (second, "lowest activation")]
        heads += [(0.12 + NAMES, "synthetic")] if ideal is not None else []
        for left, head in heads:
            at = left / breadth, (length - over + 0.05) / length
            figure.text(*at, head, color=INK, size=8.5, weight="bold", va="bottom")
        for unit, name in enumerate(names):
            bottom = length - over - unit * pitch - 0.14 - tall
            middle = (bottom + tall / 2) / length
            figure.text(0.12 / breadth, middle, wrap_name(name, 12, 3), color=INK, size=8.5, weight="bold", va="center")
            cells = [(0.12 + NAMES, ideal[unit], "", None)] if ideal is not None else []
            for column in range(most_each):
                where = None if places is None else places[unit, column]
                value = f"{most_values[unit, column]:.3g}"
                cells.append((start + column * (SIDE + 0.06), most[unit][column], value, where))
            for column in range(least_each):
                value = f"{least_values[unit, column]:.3g}"
                cells.append((second + column * (SIDE + 0.06), least[unit][column], value, None))
            for left, image, value, where in cells:
                ax = figure.add_axes((left / breadth, bottom / length, SIDE / breadth, tall / length))
                show_image(ax, image)
                _small(ax, value)
                if where is not None and np.isfinite(where).all():
                    x, y = where[1] * image.shape[1] - 0.5, where[0] * image.shape[0] - 0.5
                    for color, thick in ((INK, 2.6), ("#ffffff", 1.2)):
                        ax.plot(
                            [x], [y], "o", markersize=13, markerfacecolor="none", color=color, markeredgewidth=thick
                        )
        if title:
            figure.text(0.12 / breadth, 1 - 0.09 / length, title, color=INK, size=10, weight="bold", va="top")
        return figure


def _small(ax: Any, text: str) -> None:
    ax.set_title(text, loc="left", fontsize=7, fontweight="normal", color=MUTED, pad=2)
    for spine in ax.spines.values():
        spine.set(visible=True, color=LINE, linewidth=0.6)
