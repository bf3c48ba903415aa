"""Where pixels go: flips, quarter turns, rotation, shift, scale, shear and cut as ONE sampling of each image.

Coordinates are pixels from the image's center, x to the right and y down. A motion maps a point of the result to the
point of the original that is seen there, (N, 2, 3).
"""

from __future__ import annotations

import math
from functools import reduce

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from coverslip.data.augment.chance import factors, uniform
from coverslip.data.augment.settings import Augmentation
from coverslip.data.augment.steps import Augmented

EXACT = ("flip", "flip_vertical", "turns")
AFFINE = ("rotate", "shift", "scale", "shear")
CUT = ("crop",)
LONGEST_SIDES = 4 / 3  # of a cut, as its sides would be in a square image


def move(sample: Augmented, how: Augmentation, seeds: Tensor) -> Augmented:
    """Move the pixels of each image, its masks and its boxes.

    What lies outside of the image is its mirror image, as is its mask: no black corners. (The mirror image of a
    numbered object keeps its number, and that of a box has none: where this matters, ``outside="black"``.) Images are
    sampled bilinearly, masks take the nearest pixel, and a box becomes the upright box around the moved one. Flips and
    quarter turns alone change no pixel's value.
    """
    height, width = sample.images.shape[-2:]
    flips = draw_flips(how, seeds, square=height == width) if how.uses(*EXACT) else None
    images, masks, boxes = sample.images, sample.masks, sample.boxes
    if how.uses(*AFFINE, *CUT):
        motions = _motions(how, seeds, flips, height, width)
        points = sampling_points(motions.to(images.device), height, width)
        images = sample_bilinear(images, points, how.outside)
        masks = None if masks is None else sample_nearest(masks, points, how.outside)
    else:
        assert flips is not None  # or this step would not have been called
        motions = flip_motions(flips)
        images = flip_exactly(images, flips)
        masks = None if masks is None else flip_exactly(masks, flips)
    return Augmented(images, masks, None if boxes is None else move_boxes(boxes, motions, height, width))


def _motions(how: Augmentation, seeds: Tensor, flips: Tensor | None, height: int, width: int) -> Tensor:
    """All that is on, composed: seen from the result, first the cut is undone, then the affine, then the flips."""
    parts = [] if flips is None else [flip_motions(flips)]
    if how.uses(*AFFINE):
        parts.append(draw_affine(how, seeds, height, width))
    if how.uses(*CUT):
        parts.append(draw_cut(how, seeds, height, width))
    return reduce(compose, parts)


def draw_flips(how: Augmentation, seeds: Tensor, *, square: bool) -> Tensor:
    """bool (N, 3): whether rows and columns change places, then left and right, then top and bottom."""
    chance = uniform(seeds, "flips", 3)
    turn = (chance[:, 2] * 4).long() * how.turns  # so many times 90 degrees
    around = turn >= 2
    left_right = (chance[:, 0] < 0.5) & how.flip ^ around
    if square:
        up_down = (chance[:, 1] < 0.5) & how.flip_vertical ^ (turn == 1) ^ (turn == 2)
        return torch.stack([turn % 2 == 1, left_right, up_down], 1)
    up_down = (chance[:, 1] < 0.5) & how.flip_vertical ^ around
    return torch.stack([torch.zeros_like(around), left_right, up_down], 1)


def flip_exactly(pixels: Tensor, flips: Tensor) -> Tensor:
    """(N, ..., H, W) with each image flipped as its row of `draw_flips` says."""
    ones = [1] * (pixels.dim() - 1)
    for axis, flip in enumerate((_transpose, _left_right, _up_down)):
        chosen = flips[:, axis]
        if chosen.any():
            pixels = torch.where(chosen.reshape(-1, *ones).to(pixels.device), flip(pixels), pixels)
    return pixels


def _transpose(pixels: Tensor) -> Tensor:
    return pixels.transpose(-1, -2)


def _left_right(pixels: Tensor) -> Tensor:
    return pixels.flip(-1)


def _up_down(pixels: Tensor) -> Tensor:
    return pixels.flip(-2)


def flip_motions(flips: Tensor) -> Tensor:
    """The same as motions (N, 2, 3): undo the two mirrors, then change x and y."""
    transposed, left_right, up_down = flips.float().unbind(1)
    across, down, zero = 1 - 2 * left_right, 1 - 2 * up_down, torch.zeros(len(flips))
    x = torch.stack([across * (1 - transposed), down * transposed, zero], 1)
    y = torch.stack([across * transposed, down * (1 - transposed), zero], 1)
    return torch.stack([x, y], 1)


def draw_affine(how: Augmentation, seeds: Tensor, height: int, width: int) -> Tensor:
    """Rotation, shear, scale and shift: motions (N, 2, 3)."""
    chance = uniform(seeds, "affine", 5)
    swing = 2 * chance - 1
    angle = swing[:, 0] * math.radians(how.rotate)
    slope = torch.tan(swing[:, 1] * math.radians(how.shear))
    size = factors(chance[:, 2], how.scale)
    cos, sin = torch.cos(angle) / size, torch.sin(angle) / size
    x = torch.stack([cos, cos * slope - sin, swing[:, 3] * how.shift * width], 1)
    y = torch.stack([sin, sin * slope + cos, swing[:, 4] * how.shift * height], 1)
    return torch.stack([x, y], 1)


def draw_cut(how: Augmentation, seeds: Tensor, height: int, width: int) -> Tensor:
    """A window of the image that is stretched to the whole: motions (N, 2, 3)."""
    chance = uniform(seeds, "cut", 4)
    area = how.crop + (1 - how.crop) * chance[:, 0]
    sides = LONGEST_SIDES ** (2 * chance[:, 1] - 1)
    sides = torch.minimum(torch.maximum(sides, area), 1 / area)  # no side is longer than the image's
    across, down = torch.sqrt(area * sides), torch.sqrt(area / sides)
    zero = torch.zeros(len(seeds))
    x = torch.stack([across, zero, (chance[:, 2] - 0.5) * (1 - across) * width], 1)
    y = torch.stack([zero, down, (chance[:, 3] - 0.5) * (1 - down) * height], 1)
    return torch.stack([x, y], 1)


def compose(first: Tensor, second: Tensor) -> Tensor:
    """The motion that is ``second`` and then, of its point, ``first``; both (N, 2, 3)."""
    turned = first[:, :, :2] @ second
    turned[:, :, 2] += first[:, :, 2]
    return turned


def sampling_points(motions: Tensor, height: int, width: int) -> Tensor:
    """Where each pixel is sampled: (N, H, W, 2), x and y of -1 to 1 from edge to edge, as `grid_sample` takes them."""
    half = motions.new_tensor([width / 2, height / 2])
    across = torch.arange(width, device=motions.device) + 0.5 - width / 2
    down = torch.arange(height, device=motions.device) + 0.5 - height / 2
    row = across[:, None] * (motions[:, None, :, 0] / half) + motions[:, None, :, 2] / half
    column = down[:, None] * (motions[:, None, :, 1] / half)
    return row[:, None] + column[:, :, None]  # a sum of two small arrays: a third of the time of affine_grid


def sample_bilinear(images: Tensor, points: Tensor, outside: str = "mirror") -> Tensor:
    """float (N, C, H, W) at the points (N, H, W, 2)."""
    padding = "reflection" if outside == "mirror" else "zeros"
    return grid_sample(images, points, mode="bilinear", padding_mode=padding, align_corners=False)


def sample_nearest(masks: Tensor, points: Tensor, outside: str = "mirror") -> Tensor:
    """(N, H, W) or (N, M, H, W) of any type at the points: the nearest pixel's own value, never a blend."""
    height, width = masks.shape[-2:]
    index = _nearest(points[..., 1], height) * width + _nearest(points[..., 0], width)
    flat = masks.reshape(len(masks), -1, height * width)
    taken = flat.gather(2, index.flatten(1)[:, None].expand(-1, flat.shape[1], -1)).reshape(masks.shape)
    if outside == "mirror":
        return taken
    within = (points.abs() < 1).all(3)
    return torch.where(within if masks.dim() == 3 else within[:, None], taken, torch.zeros_like(taken))


def _nearest(points: Tensor, length: int) -> Tensor:
    """-1..1 from edge to edge -> the number of the pixel there, mirrored at the edges as often as it takes."""
    place = ((points + 1) * (length / 2)).remainder(2 * length)
    return torch.minimum(place, 2 * length - place).long().clamp_(max=length - 1)


def move_boxes(boxes: list[Tensor], motions: Tensor, height: int, width: int) -> list[Tensor]:
    """The upright boxes around each image's moved boxes, cut off at its edges: float (n, 4) each, n may be 0."""
    counts = [len(each) for each in boxes]
    joined = torch.cat(boxes).reshape(-1, 4)
    back = motions.to(joined).repeat_interleave(torch.tensor(counts, device=joined.device), 0)
    center = joined.new_tensor([width / 2, height / 2])
    corners = joined[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2) - center - back[:, None, :, 2]
    corners = corners @ torch.linalg.inv(back[:, :, :2]).mT + center  # a motion leads back: here its inverse leads on
    limits = 2 * center
    low = torch.minimum(corners.amin(1).clamp(min=0), limits)
    high = torch.minimum(corners.amax(1).clamp(min=0), limits)
    return list(torch.split(torch.cat([low, high], 1), counts))
