"""Images in a grid with their classes and predictions."""

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

SIDE = 1.4  # of an image, inches
WIDE = 21  # characters of a line above it


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
    """Draw a grid of images. Without predictions, the classes alternate, so that each is shown.

    Correct predictions have a check mark and a thin frame, wrong ones a cross, a thick dashed frame and the true class.

    Args:
        x: images, NumPy array or torch tensor, shape (N, H, W, C) or (N, C, H, W), uint8 or float in 0..1. Of more
            than three channels, the first three are shown.
        y: true classes: ids, one-hot rows (N, K), or names; None if unknown.
        classes: class names by id.
        predicted: predictions: ids, names, or probabilities (N, K), of which the largest is shown. The images keep
            their order; select them beforehand, for example ``x[wrong]``.
        most: maximum number of images.
        columns: images per row.
        layout: "NHWC" or "NCHW", if the shape is ambiguous.

    Returns:
        A figure with one axes per image.

    Raises:
        UserError: there are no images, ``x`` has not the shape or range of images, or the number of labels differs.
    """
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    if len(x) == 0:
        raise UserError("there are no images to show", "give at least one image")
    truth, _ = _names(y, classes, len(x), "y")
    predictions, confidences = _names(predicted, classes, len(x), "predicted")
    rows = (_alternating(truth or [""] * len(x)) if predicted is None else list(range(len(x))))[:most]
    pixels = shown_pixels(x[rows] if hasattr(x, "shape") else np.asarray(x)[rows], layout)
    columns = max(1, min(columns, len(rows)))
    down = math.ceil(len(rows) / columns)
    lines = 4 if truth and predictions and truth != predictions else 2 if truth or predictions else 0
    with style():
        size = (columns * (SIDE + 0.12), down * (SIDE + 0.08 + 0.17 * lines))
        figure = new_figure(figsize=size, layout=ConstrainedLayoutEngine(w_pad=0.05, h_pad=0.04))
        axes = figure.subplots(down, columns, squeeze=False).ravel()
        for unused in axes[len(rows) :]:
            figure.delaxes(unused)
        for ax, row, image in zip(axes, rows, pixels, strict=False):
            ax.imshow(image, interpolation="nearest", vmin=0, vmax=1)
            ax.set(xticks=[], yticks=[])
            if predictions is None:
                ax.set_title(wrap_name(truth[row], WIDE) if truth else "", loc="left", fontsize=8, fontweight="normal")
            else:
                _annotate(ax, truth[row] if truth else None, predictions[row], confidences[row] if confidences else "")
        return figure


def _annotate(ax: Axes, truth: str | None, predicted: str, confidence: str) -> None:
    """Set the title and frame of an image with a prediction."""
    look: dict[str, Any] = {"color": LINE, "linewidth": 0.8}
    title = f"{predicted} {confidence}"
    if truth == predicted:
        look, title = {"color": ACCENT, "linewidth": 1.2}, f"✓ {title}"
    elif truth is not None:
        look, title = {"color": VERMILION, "linewidth": 2.6, "linestyle": (0, (3, 1.5))}, f"✗ {title}"
    title = wrap_name(title, WIDE)
    if truth is not None and truth != predicted:
        title += "\n" + wrap_name(f"true {truth}", WIDE)
    ax.set_title(title, loc="left", fontsize=8, fontweight="normal")
    for spine in ax.spines.values():
        spine.set(visible=True, **look)


def _names(
    labels: Any, classes: Sequence[str] | None, count: int, what: str
) -> tuple[list[str] | None, list[str] | None]:
    """Return names of labels in any form, and for probabilities the largest as text."""
    if labels is None:
        return None, None
    values = np.asarray(labels.detach().cpu() if hasattr(labels, "detach") else labels)
    if len(values) != count:
        raise UserError(f"there are {count} images, but {len(values)} labels in {what}", "give one label per image")
    confidences = None
    if values.ndim == 2 and values.shape[1] > 1:
        if not np.isin(values, (0, 1)).all():
            confidences = [f"{value:.2f}" for value in values.max(axis=1)]
        values = values.argmax(axis=1)
    flat = values.reshape(-1).tolist()
    if classes is None or not all(isinstance(value, int | float) for value in flat):
        return [str(value) for value in flat], confidences
    if flat and not 0 <= min(flat) <= max(flat) < len(classes):
        raise UserError(
            f"{what} has ids from {min(flat)} to {max(flat)}, but there are {len(classes)} class names",
            "give one name per id, counted from 0",
        )
    return [str(classes[int(value)]) for value in flat], confidences


def _alternating(names: Sequence[str]) -> list[int]:
    """Return the first image of each class, then the second of each, and so on."""
    counts: Counter[str] = Counter()
    rank = []
    for name in names:
        rank.append((counts[name], name))
        counts[name] += 1
    return sorted(range(len(names)), key=lambda row: rank[row])
