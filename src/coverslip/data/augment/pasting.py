"""Marked objects of one image pasted onto another, their masks and boxes with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from coverslip.core.errors import UserError
from coverslip.core.seeds import generator
from coverslip.data.augment.mixing import partners
from coverslip.data.augment.settings import Augmentation
from coverslip.data.augment.steps import Augmented


@dataclass(frozen=True, slots=True)
class Pasted:
    """Images with pasted objects.

    Attributes:
        images: as given, with the objects.
        masks: int64 (N, H, W), with the objects.
        boxes: an image's own, then the tight ones around what was pasted, in the order of ``numbers``; or None.
        origin: int64 (N,): the place in the batch of the image that the objects are from; -1 where there are none.
        numbers: for each image int64 (k,): the numbers that the pasted objects have in the mask of ``origin``.
    """

    images: Tensor
    masks: Tensor
    boxes: list[Tensor] | None
    origin: Tensor
    numbers: list[Tensor]


def paste(sample: Augmented, how: Augmentation, seed: int, *, instances: bool = True) -> Pasted:
    """Paste about half of the objects of one image onto another of the batch, mirrored or not, else where they were.

    For segmentation and detection, after `augment`, which has moved the images against each other. Edges are blended
    over one pixel. What comes to lie under a pasted object leaves the mask there; its box stays as it is.

    Args:
        sample: images, and masks (N, H, W) of whole numbers, 0 where there is no object; perhaps boxes.
        how: ``paste`` is the share of images that get objects.
        seed: of this batch.
        instances: a number names one object, and what is pasted gets a new one; else it names a class, which it keeps,
            and all of a class in an image counts as one object.

    Raises:
        UserError: no masks.

    Reference: Ghiasi et al., "Simple copy-paste is a strong data augmentation method", CVPR 2021.
    """
    if sample.masks is None or sample.masks.dim() != 3:
        raise UserError("pasting needs a mask (H, W) for each image", "give masks, or set paste to 0")
    count = len(sample.images)
    images, masks = sample.images.clone(), sample.masks.long()
    given, result = masks, masks.clone()
    boxes = None if sample.boxes is None else list(sample.boxes)
    origin = torch.full((count,), -1)
    numbers = [torch.empty(0, dtype=torch.int64)] * count
    if count < 2 or not how.uses("paste"):
        return Pasted(images, result, boxes, origin, numbers)
    rng = generator(seed, "paste")
    other = partners(count, rng)
    chosen, mirrored = rng.random(count) < how.paste, rng.random(count) < 0.5
    for row in np.flatnonzero(chosen).tolist():
        source, theirs = sample.images[other[row]], given[other[row]]
        if mirrored[row]:
            source, theirs = source.flip(-1), theirs.flip(-1)
        objects = _about_half(theirs, rng)
        if not len(objects):
            continue
        shape = torch.isin(theirs, objects)
        soft = avg_pool2d(shape[None].to(source), 3, stride=1, padding=1, count_include_pad=False)
        images[row] = torch.lerp(images[row], source, soft)
        result[row] = torch.where(shape, theirs + (result[row].max() if instances else 0), result[row])
        origin[row], numbers[row] = int(other[row]), objects.cpu()
        if boxes is not None:
            boxes[row] = torch.cat(
                [boxes[row], torch.stack([tight_box(theirs == one) for one in objects]).to(boxes[row])]
            )
    return Pasted(images, result, boxes, origin, numbers)


def tight_box(shape: Tensor) -> Tensor:
    """The box around what is true in bool (H, W): left, top, right, bottom in pixels; at least one must be."""
    down, across = shape.any(1).nonzero(), shape.any(0).nonzero()
    return torch.cat([across[0], down[0], across[-1] + 1, down[-1] + 1])


def _about_half(mask: Tensor, rng: np.random.Generator) -> Tensor:
    """About half of the numbers in a mask, one at least where there is one."""
    objects: Tensor = torch.unique(mask[mask > 0])
    taken = rng.random(len(objects)) < 0.5
    if len(objects):
        taken[rng.integers(len(objects))] = True
    return objects[torch.from_numpy(taken).to(objects.device)]
