"""Synthetic images that maximize an output or filter, in a grid with their names and activations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from coverslip.figures.contact import as_rgb
from coverslip.figures.labels import text_width, wrap_name
from coverslip.figures.style import INK, LINE, MUTED, VERMILION, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIDE = 1.35  # of an image with a name, inches
SMALL = 0.72  # of a filter in a palette, inches
CAPTION = "Synthetic images that maximize an output of the network by gradient ascent. They are not real images."


def ideal_figure(
    images: npt.NDArray[Any],
    names: Sequence[str],
    *,
    values: npt.NDArray[np.floating] | None = None,
    real: npt.NDArray[np.floating] | None = None,
    title: str = "",
    caption: str = CAPTION,
) -> Figure:
    """Draw the synthetic image of each class or unit; results of several starts are side by side.

    Args:
        images: shape (U, H, W, C) or (U, S, H, W, C), float in 0..1 or uint8. One channel is shown as grey, two as red
            and green; of more than three, the first three are shown.
        names: names of the U units.
        values: activations, shape (U,) or (U, S); None: not shown.
        real: highest activation of any real image, shape (U,), for comparison.
        title: title of the figure.
        caption: text below the figure.

    Returns:
        A figure with one axes per image: S columns per unit, several units per row if they fit.
    """
    images = images[:, None] if images.ndim == 4 else images
    units, starts, height, width = images.shape[:4]
    if len(names) != units:
        raise ValueError(f"{len(names)} names for {units} units")
    activations = None if values is None else np.asarray(values, float).reshape(units, -1)
    beside = max(1, min(units, 6 // starts))
    down = math.ceil(units / beside)
    tall = SIDE * height / width
    with style():
        over, under = 0.45 if title else 0.12, 0.34 if caption else 0.1
        head = 0.36 if values is None else 0.5
        between = 0.22
        breadth = max(0.3 + beside * (starts * (SIDE + 0.05) + between) - between, 4.0)
        length = over + down * (head + tall + 0.1) + under
        figure = new_figure(figsize=(breadth, length))
        for unit in range(units):
            row, column = divmod(unit, beside)
            left = 0.15 + column * (starts * (SIDE + 0.05) + between)
            top = length - over - row * (head + tall + 0.1) - head
            place = left / breadth, (top + (0.05 if activations is None else 0.2)) / length
            name = wrap_name(names[unit], 18 * starts, 2)
            figure.text(*place, name, color=INK, size=8.5, weight="bold", va="bottom", linespacing=1.1)
            if activations is not None:
                note = _note(activations[unit, 0], None if real is None else float(real[unit]))
                figure.text(left / breadth, (top + 0.05) / length, note, color=MUTED, size=7.5, va="bottom")
            for start in range(starts):
                at = (left + start * (SIDE + 0.05)) / breadth, (top - tall) / length, SIDE / breadth, tall / length
                show_image(figure.add_axes(at), images[unit, start])
        if title:
            figure.text(0.15 / breadth, 1 - 0.1 / length, title, color=INK, size=11, weight="bold", va="top")
        if caption:
            text = _wrapped(caption, breadth - 0.3)
            figure.text(0.15 / breadth, 0.08 / length, text, color=MUTED, size=7.5, va="bottom")
        return figure


def filter_palette(
    images: npt.NDArray[Any],
    names: Sequence[str] = (),
    *,
    silent: Sequence[bool] | npt.NDArray[np.bool_] = (),
    columns: int = 8,
    side: float = SMALL,
    title: str = "",
    caption: str = "",
) -> Figure:
    """Draw many small images: the synthetic images of a layer's filters, or its weights.

    Args:
        images: shape (F, H, W, C), float in 0..1 or uint8.
        names: short names of the filters; default: numbers from 0.
        silent: whether each filter is never active; these have a dashed frame.
        columns: images per row.
        side: side of an image, inches.
        title: title of the figure.
        caption: text below the figure.

    Returns:
        A figure with one axes per image.
    """
    count, height, width = images.shape[:3]
    labels = list(names) or [str(number) for number in range(count)]
    if len(labels) != count or len(silent) not in (0, count):
        raise ValueError(f"{len(labels)} names and {len(silent)} marks for {count} images")
    quiet = [bool(value) for value in silent] or [False] * count
    labels = [f"{label} inactive" if mute else label for label, mute in zip(labels, quiet, strict=True)]
    labels = [wrap_name(label, int(side / text_width("0", 7)), 2) for label in labels]
    columns = max(1, min(columns, count))
    rows = math.ceil(count / columns)
    tall, head = side * height / width, 0.07 + 0.12 * (1 + max(label.count("\n") for label in labels))
    with style():
        breadth = max(0.24 + columns * (side + 0.07), 3.6)
        caption = _wrapped(caption, breadth - 0.24) if caption else ""
        over = 0.36 if title else 0.08
        under = 0.12 + 0.14 * (caption.count("\n") + 1) if caption else 0.08
        length = over + rows * (tall + head) + under
        figure = new_figure(figsize=(breadth, length))
        for index, image in enumerate(images):
            row, column = divmod(index, columns)
            left, bottom = 0.12 + column * (side + 0.07), length - over - (row + 1) * (tall + head) + 0.02
            ax = figure.add_axes((left / breadth, bottom / length, side / breadth, tall / length))
            show_image(ax, image, silent=quiet[index])
            ax.set_title(labels[index], loc="left", fontsize=7, fontweight="normal", color=MUTED, pad=2)
        if title:
            figure.text(0.12 / breadth, 1 - 0.09 / length, title, color=INK, size=10, weight="bold", va="top")
        if caption:
            figure.text(0.12 / breadth, 0.06 / length, caption, color=MUTED, size=7, va="bottom")
        return figure


def show_image(ax: Axes, image: npt.NDArray[Any], *, silent: bool = False) -> None:
    """Draw an image of shape (H, W, C) without interpolation and with a thin frame, dashed if ``silent``."""
    ax.imshow(as_rgb(image), interpolation="nearest", aspect="auto")
    ax.set(xticks=[], yticks=[])
    look: dict[str, Any] = {"color": LINE, "linewidth": 0.6}
    if silent:
        look = {"color": VERMILION, "linewidth": 1.4, "linestyle": (0, (3, 2))}
    for spine in ax.spines.values():
        spine.set(visible=True, **look)


def _note(value: float, real: float | None) -> str:
    return f"activation {value:.3g}" + ("" if real is None else f" (real images: up to {real:.3g})")


def _wrapped(text: str, inches: float) -> str:
    import textwrap

    return textwrap.fill(text, max(int(inches * 72 / (7.5 * 0.5)), 20))
