"""Geometric transforms: flips, quarter turns, rotation, shift, scale, shear and crop as one resampling of each image.

Coordinates are pixels from the center of the image, x to the right and y down. The matrices, shape (N, 2, 3), are
affine maps from points of the result to points of the original (inverse warping).
"""

from __future__ import annotations

import math
from functools import reduce

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from coverslip.data.augment.random import log_uniform, uniform
from coverslip.data.augment.settings import Augmentation
from coverslip.data.augment.transforms import ImageBatch

EXACT = ("flip", "flip_vertical", "turns")
AFFINE = ("rotate", "shift", "scale", "shear")
CROP = ("crop",)
MAX_ASPECT = 4 / 3  # aspect ratio of a crop relative to that of the image


def warp(batch: ImageBatch, config: Augmentation, seeds: Tensor) -> ImageBatch:
    """Warp each image, its masks and its boxes.

    Pixels beyond the edge are a reflection of the image, and of its mask, so there are no black corners. (The
    reflection of a numbered object keeps its number, but has no box; where this matters, set ``outside="black"``.)
    Images are sampled bilinearly and masks by nearest neighbor; a box becomes the upright box around the warped one.
    Flips and quarter turns alone change no pixel's value.
    """
    height, width = batch.images.shape[-2:]
    flips = draw_flips(config, seeds, square=height == width) if config.uses(*EXACT) else None
    images, masks, boxes = batch.images, batch.masks, batch.boxes
    if config.uses(*AFFINE, *CROP):
        matrices = _matrices(config, seeds, flips, height, width)
        points = sampling_grid(matrices.to(images.device), height, width)
        images = sample_bilinear(images, points, config.outside)
        masks = None if masks is None else sample_nearest(masks, points, config.outside)
    else:
        assert flips is not None  # otherwise the pipeline skips this transform
        matrices = flip_matrices(flips)
        images = flip_exactly(images, flips)
        masks = None if masks is None else flip_exactly(masks, flips)
    return ImageBatch(images, masks, None if boxes is None else warp_boxes(boxes, matrices, height, width))


def _matrices(config: Augmentation, seeds: Tensor, flips: Tensor | None, height: int, width: int) -> Tensor:
    """Return the composition of everything that is on: the image is flipped, then warped, then cropped."""
    matrices = [] if flips is None else [flip_matrices(flips)]
    if config.uses(*AFFINE):
        matrices.append(draw_affine(config, seeds, height, width))
    if config.uses(*CROP):
        matrices.append(draw_crop(config, seeds, height, width))
    return reduce(compose, matrices)


def draw_flips(config: Augmentation, seeds: Tensor, *, square: bool) -> Tensor:
    """Return bool (N, 3): whether to transpose the image, then to flip it left to right, then top to bottom."""
    uniforms = uniform(seeds, "flips", 3)
    turns = (uniforms[:, 2] * 4).long() * config.turns  # multiples of 90 degrees
    half_turn = turns >= 2
    left_right = (uniforms[:, 0] < 0.5) & config.flip ^ half_turn
    if square:
        up_down = (uniforms[:, 1] < 0.5) & config.flip_vertical ^ (turns == 1) ^ (turns == 2)
        return torch.stack([turns % 2 == 1, left_right, up_down], 1)
    up_down = (uniforms[:, 1] < 0.5) & config.flip_vertical ^ half_turn
    return torch.stack([torch.zeros_like(half_turn), left_right, up_down], 1)


def flip_exactly(pixels: Tensor, flips: Tensor) -> Tensor:
    """Return images (N, ..., H, W), each transposed and flipped according to its row of `draw_flips`."""
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


def flip_matrices(flips: Tensor) -> Tensor:
    """Return the flips of `draw_flips` as matrices, shape (N, 2, 3): undo the two reflections, then transpose."""
    transposed, left_right, up_down = flips.float().unbind(1)
    across, down, zero = 1 - 2 * left_right, 1 - 2 * up_down, torch.zeros(len(flips))
    x = torch.stack([across * (1 - transposed), down * transposed, zero], 1)
    y = torch.stack([across * transposed, down * (1 - transposed), zero], 1)
    return torch.stack([x, y], 1)


def draw_affine(config: Augmentation, seeds: Tensor, height: int, width: int) -> Tensor:
    """Return random matrices of rotation, shear, scale and shift, shape (N, 2, 3)."""
    uniforms = uniform(seeds, "affine", 5)
    signed = 2 * uniforms - 1
    angle = signed[:, 0] * math.radians(config.rotate)
    slope = torch.tan(signed[:, 1] * math.radians(config.shear))
    scale = log_uniform(uniforms[:, 2], config.scale)
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    x = torch.stack([cos, cos * slope - sin, signed[:, 3] * config.shift * width], 1)
    y = torch.stack([sin, sin * slope + cos, signed[:, 4] * config.shift * height], 1)
    return torch.stack([x, y], 1)


def draw_crop(config: Augmentation, seeds: Tensor, height: int, width: int) -> Tensor:
    """Return random matrices, shape (N, 2, 3), that stretch a window of the image to its full size."""
    uniforms = uniform(seeds, "cut", 4)
    area = config.crop + (1 - config.crop) * uniforms[:, 0]
    aspect = MAX_ASPECT ** (2 * uniforms[:, 1] - 1)
    aspect = torch.minimum(torch.maximum(aspect, area), 1 / area)  # so that the window is inside the image
    across, down = torch.sqrt(area * aspect), torch.sqrt(area / aspect)
    zero = torch.zeros(len(seeds))
    x = torch.stack([across, zero, (uniforms[:, 2] - 0.5) * (1 - across) * width], 1)
    y = torch.stack([zero, down, (uniforms[:, 3] - 0.5) * (1 - down) * height], 1)
    return torch.stack([x, y], 1)


def compose(first: Tensor, second: Tensor) -> Tensor:
    """Return the matrices that apply ``second`` to a point and ``first`` to the result; all (N, 2, 3)."""
    composed = first[:, :, :2] @ second
    composed[:, :, 2] += first[:, :, 2]
    return composed


def sampling_grid(matrices: Tensor, height: int, width: int) -> Tensor:
    """Return the sampling points of each pixel for `grid_sample`: (N, H, W, 2), x and y from -1 to 1 between edges."""
    half = matrices.new_tensor([width / 2, height / 2])
    across = torch.arange(width, device=matrices.device) + 0.5 - width / 2
    down = torch.arange(height, device=matrices.device) + 0.5 - height / 2
    row = across[:, None] * (matrices[:, None, :, 0] / half) + matrices[:, None, :, 2] / half
    column = down[:, None] * (matrices[:, None, :, 1] / half)
    return row[:, None] + column[:, :, None]  # a sum of two small arrays: a third of the time of affine_grid


def sample_bilinear(images: Tensor, points: Tensor, outside: str = "mirror") -> Tensor:
    """Sample images, float (N, C, H, W), at points (N, H, W, 2) with bilinear interpolation."""
    padding = "reflection" if outside == "mirror" else "zeros"
    return grid_sample(images, points, mode="bilinear", padding_mode=padding, align_corners=False)


def sample_nearest(masks: Tensor, points: Tensor, outside: str = "mirror") -> Tensor:
    """Sample masks (N, H, W) or (N, M, H, W) of any dtype at points (N, H, W, 2): the nearest pixel, not a blend."""
    height, width = masks.shape[-2:]
    index = _nearest(points[..., 1], height) * width + _nearest(points[..., 0], width)
    flat = masks.reshape(len(masks), -1, height * width)
    sampled = flat.gather(2, index.flatten(1)[:, None].expand(-1, flat.shape[1], -1)).reshape(masks.shape)
    if outside == "mirror":
        return sampled
    within = (points.abs() < 1).all(3)
    return torch.where(within if masks.dim() == 3 else within[:, None], sampled, torch.zeros_like(sampled))


def _nearest(points: Tensor, length: int) -> Tensor:
    """Return the pixel index of coordinates from -1 to 1 between edges, reflected at the edges as often as needed."""
    position = ((points + 1) * (length / 2)).remainder(2 * length)
    return torch.minimum(position, 2 * length - position).long().clamp_(max=length - 1)


def warp_boxes(boxes: list[Tensor], matrices: Tensor, height: int, width: int) -> list[Tensor]:
    """Return the upright boxes around the warped boxes of each image, clipped at its edges: float (n, 4) per image.

    Args:
        boxes: boxes of each image, float, shape (n, 4), n may be 0.
        matrices: the matrices of the images, shape (N, 2, 3).
        height: height of the images, pixels.
        width: width of the images, pixels.
    """
    counts = [len(image_boxes) for image_boxes in boxes]
    joined = torch.cat(boxes).reshape(-1, 4)
    inverse_maps = matrices.to(joined).repeat_interleave(torch.tensor(counts, device=joined.device), 0)
    center = joined.new_tensor([width / 2, height / 2])
    corners = joined[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2) - center - inverse_maps[:, None, :, 2]
    # The matrices map the result to the original; boxes need the opposite direction.
    corners = corners @ torch.linalg.inv(inverse_maps[:, :, :2]).mT + center
    limits = 2 * center
    low = torch.minimum(corners.amin(1).clamp(min=0), limits)
    high = torch.minimum(corners.amax(1).clamp(min=0), limits)
    return list(torch.split(torch.cat([low, high], 1), counts))
