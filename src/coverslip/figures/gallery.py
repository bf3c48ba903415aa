"""Images in a grid, with the class of each, and with what a model said of it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from coverslip.core.errors import UserError
from coverslip.figures.labels import wrap_name
from coverslip.figures.pixels import shown_pixels
from coverslip.figures.style import ACCENT, LINE, VERMILION, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIDE = 1.4  # inches of an image
WIDE = 21  # letters above it


def examples(
    x: Any,
    y: Any = None,
    classes: Sequence[str] | None = None,
    *,
    predicted: Any = None,
    most: int = 18,
    columns: int = 6,
    layout: str | None = None,
) -> Figure:
    """A grid of images. Without predictions the classes take turns, so that each is seen.

    A right prediction has a tick and a thin frame, a wrong one a cross, a thick dashed frame and the true class.

    Args:
        x: images, NumPy or torch, (N, H, W, C) or (N, C, H, W), uint8 or float 0 to 1. Of more than three channels
            the first three are shown.
        y: the class of each: numbers, one-hot rows (N, K), or names; None where nobody knows.
        classes: names of the numbers.
        predicted: what a model said of each: numbers, names, or probabilities (N, K), whose largest is shown too.
            The images then come in their own order: choose them before, such as ``x[wrong]``.
        most: images that are shown at most.
        columns: images in a row.
        layout: "NHWC" or "NCHW", where the shape does not tell.

    Returns:
        A figure with one axes an image.

    Raises:
        UserError: no images, a shape or scale that is none of images', or another number of labels.
    """
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    if len(x) == 0:
        raise UserError("there is no image to show", "give at least one")
    truth, _ = _names(y, classes, len(x), "y")
    said, sure = _names(predicted, classes, len(x), "predicted")
    rows = (_in_turns(truth or [""] * len(x)) if predicted is None else list(range(len(x))))[:most]
    pixels = shown_pixels(x[rows] if hasattr(x, "shape") else np.asarray(x)[rows], layout)
    columns = max(1, min(columns, len(rows)))
    down = math.ceil(len(rows) / columns)
    lines = 4 if truth and said and truth != said else 2 if truth or said else 0
    with style():
        size = (columns * (SIDE + 0.12), down * (SIDE + 0.08 + 0.17 * lines))
        figure = new_figure(figsize=size, layout=ConstrainedLayoutEngine(w_pad=0.05, h_pad=0.04))
        axes = figure.subplots(down, columns, squeeze=False).ravel()
        for unused in axes[len(rows) :]:
            figure.delaxes(unused)
        for ax, row, image in zip(axes, rows, pixels, strict=False):
            ax.imshow(image, interpolation="nearest", vmin=0, vmax=1)
            ax.set(xticks=[], yticks=[])
            if said is None:
                ax.set_title(wrap_name(truth[row], WIDE) if truth else "", loc="left", fontsize=8, fontweight="normal")
            else:
                _judge(ax, truth[row] if truth else None, said[row], sure[row] if sure else "")
        return figure


def _judge(ax: Axes, truth: str | None, said: str, sure: str) -> None:
    """Title and frame of an image with a prediction."""
    look: dict[str, Any] = {"color": LINE, "linewidth": 0.8}
    title = f"{said} {sure}"
    if truth == said:
        look, title = {"color": ACCENT, "linewidth": 1.2}, f"✓ {title}"
    elif truth is not None:
        look, title = {"color": VERMILION, "linewidth": 2.6, "linestyle": (0, (3, 1.5))}, f"✗ {title}"
    title = wrap_name(title, WIDE)
    if truth is not None and truth != said:
        title += "\n" + wrap_name(f"is {truth}", WIDE)
    ax.set_title(title, loc="left", fontsize=8, fontweight="normal")
    for spine in ax.spines.values():
        spine.set(visible=True, **look)


def _names(
    labels: Any, classes: Sequence[str] | None, count: int, what: str
) -> tuple[list[str] | None, list[str] | None]:
    """Names of labels in any form, and of probabilities the largest as text."""
    if labels is None:
        return None, None
    values = np.asarray(labels.detach().cpu() if hasattr(labels, "detach") else labels)
    if len(values) != count:
        raise UserError(f"{count} images, {len(values)} labels in {what}", "give one an image")
    sure = None
    if values.ndim == 2 and values.shape[1] > 1:
        if not np.isin(values, (0, 1)).all():
            sure = [f"{each:.2f}" for each in values.max(axis=1)]
        values = values.argmax(axis=1)
    flat = values.reshape(-1).tolist()
    numbers = [isinstance(each, int | float) for each in flat]
    if classes is None or not all(numbers):
        return [str(each) for each in flat], sure
    if flat and not 0 <= min(flat) <= max(flat) < len(classes):
        raise UserError(
            f"{what} goes from {min(flat)} to {max(flat)}, and there are {len(classes)} class names",
            "give a name for every number, counted from 0",
        )
    return [str(classes[int(each)]) for each in flat], sure


def _in_turns(names: Sequence[str]) -> list[int]:
    """The first image of each class, then the second of each ..."""
    seen: Counter[str] = Counter()
    rank = []
    for name in names:
        rank.append((seen[name], name))
        seen[name] += 1
    return sorted(range(len(names)), key=lambda row: rank[row])
