"""Copy-paste augmentation: annotated objects of one image pasted into another, with their masks and boxes."""

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
from coverslip.data.augment.transforms import ImageBatch


@dataclass(frozen=True, slots=True)
class Pasted:
    """A batch with pasted objects.

    Attributes:
        images: the images with the objects, shape (N, C, H, W).
        masks: the masks with the objects, int64, shape (N, H, W).
        boxes: boxes of each image, followed by the tight boxes of the pasted objects in the order of ``numbers``; or
            None.
        origin: index in the batch of the image that the objects were copied from, int64, shape (N,); -1 if there are
            none.
        numbers: for each image the numbers of the pasted objects in the mask of ``origin``, int64, shape (k,).
    """

    images: Tensor
    masks: Tensor
    boxes: list[Tensor] | None
    origin: Tensor
    numbers: list[Tensor]


def paste(batch: ImageBatch, config: Augmentation, seed: int, *, instances: bool = True) -> Pasted:
    """Paste about half of the objects of one image at the same position into another, mirrored or not.

    For segmentation and detection; call it after `augment`, which has moved the images relative to each other. Edges
    are blended over one pixel. Where a pasted object hides another, it replaces it in the mask; boxes are unchanged.

    Args:
        batch: images, integer masks (N, H, W) with 0 for the background, and optionally boxes.
        config: ``paste`` is the fraction of images that receive objects.
        seed: seed of the batch.
        instances: numbers in a mask are objects, and a pasted object gets a new number; otherwise they are classes,
            which are kept, and all pixels of a class in an image count as one object.

    Raises:
        UserError: there are no masks.

    Reference: Ghiasi et al., "Simple copy-paste is a strong data augmentation method", CVPR 2021.
    """
    if batch.masks is None or batch.masks.dim() != 3:
        raise UserError("paste needs one mask (H, W) per image", "give masks, or set paste to 0")
    count = len(batch.images)
    images, masks = batch.images.clone(), batch.masks.long()
    result = masks.clone()
    boxes = None if batch.boxes is None else list(batch.boxes)
    origin = torch.full((count,), -1)
    numbers = [torch.empty(0, dtype=torch.int64)] * count
    if count < 2 or not config.uses("paste"):
        return Pasted(images, result, boxes, origin, numbers)
    rng = generator(seed, "paste")
    partner = partners(count, rng)
    chosen, mirrored = rng.random(count) < config.paste, rng.random(count) < 0.5
    for row in np.flatnonzero(chosen).tolist():
        source, source_mask = batch.images[partner[row]], masks[partner[row]]
        if mirrored[row]:
            source, source_mask = source.flip(-1), source_mask.flip(-1)
        objects = _sample_half(source_mask, rng)
        if not len(objects):
            continue
        pasted = torch.isin(source_mask, objects)
        alpha = avg_pool2d(pasted[None].to(source), 3, stride=1, padding=1, count_include_pad=False)
        images[row] = torch.lerp(images[row], source, alpha)
        result[row] = torch.where(pasted, source_mask + (result[row].max() if instances else 0), result[row])
        origin[row], numbers[row] = int(partner[row]), objects.cpu()
        if boxes is not None:
            new_boxes = torch.stack([tight_box(source_mask == number) for number in objects])
            boxes[row] = torch.cat([boxes[row], new_boxes.to(boxes[row])])
    return Pasted(images, result, boxes, origin, numbers)


def tight_box(mask: Tensor) -> Tensor:
    """Return the box around the true pixels of bool (H, W): left, top, right, bottom; at least one must be true."""
    down, across = mask.any(1).nonzero(), mask.any(0).nonzero()
    return torch.cat([across[0], down[0], across[-1] + 1, down[-1] + 1])


def _sample_half(mask: Tensor, rng: np.random.Generator) -> Tensor:
    """Return about half of the object numbers in a mask, at least one if there is any."""
    objects: Tensor = torch.unique(mask[mask > 0])
    selected = rng.random(len(objects)) < 0.5
    if len(objects):
        selected[rng.integers(len(objects))] = True
    return objects[torch.from_numpy(selected).to(objects.device)]
