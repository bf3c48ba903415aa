"""Occlusion: a part of the image is covered, and the score is seen to fall."""

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
from coverslip.models.trial import still
from coverslip.training.scoring import arranged, convolves

CELLS = 14  # along the longer side
WINDOW = 2  # cells that are covered at once, along each side
FILLS = ("blur", "mean")
COARSE = 6  # pixels a side that are left of a blurred image
TOGETHER = 64  # covered images a batch


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
    """How far the score of a class falls when a part of the image is covered. It suits every network.

    Args:
        network: prepared images -> scores (N, K).
        images: float32 (N, C, H, W), prepared.
        classes: one an image.
        cells: see `score_drops`, as all that follows.

    Returns:
        float32 (N, h, w), >= 0, on the grid of cells; zeros where covering never lowers the score.

    Raises:
        UserError: no such class, or see `score_drops`.
    """
    check_classes(network, images, classes)
    drops = score_drops(network, images, cells=cells, window=window, fill=fill, progress=progress)
    own = [each[number] for each, number in zip(drops, classes, strict=True)]
    return np.asarray(np.maximum(np.stack(own), 0) if own else drops[:, :0].sum(axis=1))


def score_drops(
    network: nn.Module,
    images: Tensor,
    *,
    cells: int = CELLS,
    window: int = WINDOW,
    fill: str = "blur",
    progress: Progress = SILENT,
) -> npt.NDArray[np.float32]:
    """The fall of every class's score, in one pass for all classes.

    The image is divided into cells; a window of several cells slides over it, cell by cell. A cell's value is the
    mean fall over the windows that cover it.

    Args:
        network: prepared images -> scores (N, K); it works in evaluation mode and is left as it was.
        images: float32 (N, C, H, W), prepared, on the network's device.
        cells: along the longer side; fewer where a cell would be smaller than a pixel.
        window: its side in cells.
        fill: what covers: ``blur`` the image itself, out of focus, or ``mean`` its mean color. A cover is an image
            too: a brown one on a green leaf can be taken for a lesion. On 54 built-in leaves the hottest place was in
            a lesion for 0.87 of them with ``blur`` and for 0.63 with ``mean``.
        progress: told of every covered image.

    Returns:
        float32 (N, K, h, w): positive where covering lowers the score, negative where it raises it.

    Raises:
        UserError: fewer than one cell, a window that covers all or nothing, or no such fill.

    Reference: Zeiler and Fergus, Visualizing and understanding convolutional networks, 2014.
    """
    if fill not in FILLS:
        raise UserError(f"fill={fill!r} is not known", nearest(fill, FILLS))
    height, width = images.shape[-2:]
    rows, columns = _edges(height, max(height, width), cells), _edges(width, max(height, width), cells)
    down, across = len(rows) - window, len(columns) - window  # places of the window
    if window < 1 or down < 1 or across < 1 or down * across == 1:
        raise UserError(
            f"a window of {window} cells does not fit in {len(rows) - 1} x {len(columns) - 1} cells",
            "give more cells, or a smaller window; 14 and 2 are usual",
        )
    boxes = [
        (rows[top], rows[top + window], columns[left], columns[left + window])
        for top in range(down)
        for left in range(across)
    ]
    convolved = convolves(network)
    found = []
    with still(network), torch.no_grad(), progress.stage("covering", len(images) * len(boxes)) as stage:
        for image in images:
            cover = _cover(image, fill)
            before = network(image[None])
            falls = []
            for start in range(0, len(boxes), TOGETHER):
                some = boxes[start : start + TOGETHER]
                covered = image.repeat(len(some), 1, 1, 1)
                for one, (top, bottom, left, right) in zip(covered, some, strict=True):
                    one[:, top:bottom, left:right] = cover[:, top:bottom, left:right]
                falls.append(before - network(arranged(covered, convolved)))
                stage.advance(len(some))
            found.append(_spread(torch.cat(falls).T.reshape(-1, down, across), window))
        if not found:
            classes = network(images.new_zeros(1, *images.shape[1:])).shape[-1]
            return np.zeros((0, classes, len(rows) - 1, len(columns) - 1), np.float32)
    return np.asarray(torch.stack(found).float().cpu().numpy())


def _edges(side: int, longer: int, cells: int) -> list[int]:
    """Where cells begin, and the last one's end."""
    if cells < 1:
        raise UserError(f"{cells} cells are none", f"{CELLS} are usual")
    number = min(max(round(cells * side / longer), 1), side)
    return [round(side * place / number) for place in range(number + 1)]


def _cover(image: Tensor, fill: str) -> Tensor:
    if fill == "mean":
        return image.mean(dim=(-2, -1), keepdim=True).expand_as(image)
    coarse = adaptive_avg_pool2d(image[None], COARSE)
    return interpolate(coarse, image.shape[-2:], mode="bilinear", align_corners=False)[0]


def _spread(falls: Tensor, window: int) -> Tensor:
    """(K, places down, places across) -> (K, h, w): the mean over the windows that cover each cell."""
    kernel = falls.new_ones(1, 1, window, window)
    total = torch.conv_transpose2d(falls[:, None], kernel)[:, 0]
    return total / torch.conv_transpose2d(torch.ones_like(falls[:1])[:, None], kernel)[:, 0]
