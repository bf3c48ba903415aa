"""Occlusion maps: how far the logit of a class drops when a region of the image is covered."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from coverslip.core.errors import UserError
from coverslip.core.progress import SILENT, Progress
from coverslip.core.registry import nearest
from coverslip.explaining.maps.gradients import check_classes
from coverslip.models.shapes import eval_mode
from coverslip.training.forward import has_conv, to_channels_last

CELLS = 14  # along the longer side of the image
WINDOW = 2  # side of the covered window, in cells
FILLS = ("blur", "mean")
COARSE = 6  # side of the image after downsampling, for blurring
BATCH_SIZE = 64  # covered images per forward pass


def occlusion(
    network: nn.Module,
    images: Tensor,
    classes: Sequence[int],
    *,
    cells: int = CELLS,
    window: int = WINDOW,
    fill: str = "blur",
    progress: Progress = SILENT,
) -> npt.NDArray[np.float32]:
    """Compute occlusion maps of one class per image. The method supports every network.

    Args:
        network: maps prepared images to logits (N, K).
        images: prepared images, float32 (N, C, H, W).
        classes: class id of each image, length N.
        cells: see `logit_drops`.
        window: see `logit_drops`.
        fill: see `logit_drops`.
        progress: see `logit_drops`.

    Returns:
        Maps on the grid of cells, float32 (N, h, w), >= 0; zeros where covering does not lower the logit.

    Raises:
        UserError: a class does not exist; see also `logit_drops`.
    """
    check_classes(network, images, classes)
    drops = logit_drops(network, images, cells=cells, window=window, fill=fill, progress=progress)
    chosen = [drop[number] for drop, number in zip(drops, classes, strict=True)]
    return np.asarray(np.maximum(np.stack(chosen), 0) if chosen else drops[:, :0].sum(axis=1))


def logit_drops(
    network: nn.Module,
    images: Tensor,
    *,
    cells: int = CELLS,
    window: int = WINDOW,
    fill: str = "blur",
    progress: Progress = SILENT,
) -> npt.NDArray[np.float32]:
    """Compute the drop of the logits of all classes when regions of the image are covered, in one pass.

    The image is divided into cells; a window of several cells slides over it cell by cell. The value of a cell is the
    mean drop over all windows that cover it.

    Args:
        network: maps prepared images to logits (N, K); used in evaluation mode and not changed.
        images: prepared images on the device of the network, float32 (N, C, H, W).
        cells: number of cells along the longer side; fewer if a cell would be smaller than a pixel.
        window: side of the window in cells.
        fill: content of the covered window: ``blur`` for the blurred image, ``mean`` for the mean color. A cover is
            visual evidence too: a brown one on a green leaf can be mistaken for a lesion. On 54 built-in leaves, the
            hottest cell was in a lesion for 0.87 of them with ``blur`` and for 0.63 with ``mean``.
        progress: receives a stage that counts the covered images.

    Returns:
        Drops, float32 (N, K, h, w): positive where covering lowers the logit, negative where it raises it.

    Raises:
        UserError: there are fewer than one cell, the window does not fit or covers everything, or ``fill`` is unknown.

    Reference: Zeiler and Fergus, Visualizing and understanding convolutional networks, 2014.
    """
    if fill not in FILLS:
        raise UserError(f"unknown fill {fill!r}", nearest(fill, FILLS))
    height, width = images.shape[-2:]
    rows, columns = _edges(height, max(height, width), cells), _edges(width, max(height, width), cells)
    down, across = len(rows) - window, len(columns) - window  # positions of the window
    if window < 1 or down < 1 or across < 1 or down * across == 1:
        raise UserError(
            f"a window of {window} cells does not fit in {len(rows) - 1} x {len(columns) - 1} cells",
            "use more cells or a smaller window; the defaults are 14 and 2",
        )
    boxes = [
        (rows[top], rows[top + window], columns[left], columns[left + window])
        for top in range(down)
        for left in range(across)
    ]
    convolved = has_conv(network)
    drops = []
    with (
        eval_mode(network),
        torch.no_grad(),
        progress.stage("computing occlusion maps", len(images) * len(boxes)) as stage,
    ):
        for image in images:
            cover = _cover(image, fill)
            reference = network(image[None])
            differences = []
            for start in range(0, len(boxes), BATCH_SIZE):
                batch = boxes[start : start + BATCH_SIZE]
                covered = image.repeat(len(batch), 1, 1, 1)
                for target, (top, bottom, left, right) in zip(covered, batch, strict=True):
                    target[:, top:bottom, left:right] = cover[:, top:bottom, left:right]
                differences.append(reference - network(to_channels_last(covered, convolved)))
                stage.advance(len(batch))
            drops.append(_spread(torch.cat(differences).T.reshape(-1, down, across), window))
        if not drops:
            classes = network(images.new_zeros(1, *images.shape[1:])).shape[-1]
            return np.zeros((0, classes, len(rows) - 1, len(columns) - 1), np.float32)
    return np.asarray(torch.stack(drops).float().cpu().numpy())


def _edges(side: int, longer: int, cells: int) -> list[int]:
    """Return the boundaries of the cells along one side, in pixels."""
    if cells < 1:
        raise UserError(f"cells={cells} is less than 1", f"use 1 or more; the default is {CELLS}")
    number = min(max(round(cells * side / longer), 1), side)
    return [round(side * cell / number) for cell in range(number + 1)]


def _cover(image: Tensor, fill: str) -> Tensor:
    if fill == "mean":
        return image.mean(dim=(-2, -1), keepdim=True).expand_as(image)
    coarse = adaptive_avg_pool2d(image[None], COARSE)
    return interpolate(coarse, image.shape[-2:], mode="bilinear", align_corners=False)[0]


def _spread(differences: Tensor, window: int) -> Tensor:
    """Average drops of window positions (K, rows, columns) over the windows that cover each cell, (K, h, w)."""
    kernel = differences.new_ones(1, 1, window, window)
    total = torch.conv_transpose2d(differences[:, None], kernel)[:, 0]
    return total / torch.conv_transpose2d(torch.ones_like(differences[:1])[:, None], kernel)[:, 0]
