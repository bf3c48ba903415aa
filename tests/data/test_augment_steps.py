"""What every step of augmentation promises, over all that are registered; a new one is tested by being in STEPS."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from coverslip.data.augment.pasting import tight_box
from coverslip.data.augment.pipeline import STEPS, augment, image_seeds
from coverslip.data.augment.settings import LIMITS, OFF, Augmentation

MANY_IMAGES = ("mixup", "cutmix", "paste")
MOVING = STEPS[0].settings
SETTINGS = [(step, name) for step in STEPS for name in step.settings]
named = pytest.mark.parametrize(("step", "name"), SETTINGS, ids=[name for _, name in SETTINGS])


def strength(name):
    """A third of the way up to the most that the setting takes."""
    if name not in LIMITS:
        return Augmentation(**{name: True})
    low, high = LIMITS[name]
    return Augmentation(**{name: type(OFF[name])(low + 0.3 * (high - low))})


def random_images(count=6, channels=3, height=40, width=40):
    """Colored blobs of 0..1 on a slope: nothing in them is symmetric."""
    rng = np.random.default_rng(channels)
    y, x = np.mgrid[:height, :width] + 0.5
    result = []
    for _ in range(count * channels):
        cx, cy, size = rng.uniform(0.35, 0.65) * width, rng.uniform(0.35, 0.65) * height, rng.uniform(4, 7)
        blob = np.exp(-((x - cx) ** 2 + 2 * (y - cy) ** 2) / (2 * size**2))
        result.append(0.05 + 0.1 * x / width + 0.1 * y / height + 0.6 * blob)
    return torch.from_numpy(np.array(result, np.float32).reshape(count, channels, height, width))


def seeds(count, epoch=0):
    return image_seeds(3, epoch, np.arange(count))


def test_every_setting_belongs_to_one_step():
    known = [name for step in STEPS for name in step.settings]
    assert sorted([*known, *MANY_IMAGES, "outside"]) == sorted(field.name for field in fields(Augmentation))


@named
@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("size", [(40, 40), (24, 36)])
def test_an_image_keeps_its_shape_type_and_range(step, name, channels, size):
    images = random_images(6, channels, *size)
    before = images.clone()
    result = augment(images, strength(name), seeds(6)).images
    assert result.shape == images.shape and result.dtype == torch.float32
    assert result.min() >= 0 and result.max() <= 1
    assert torch.equal(images, before)  # it was not written into
    if step.channels not in (0, channels) or (name in ("saturation", "hue") and channels != 3):
        assert torch.equal(result, images)
    elif name != "turns" or size[0] == size[1]:
        assert not torch.allclose(result, images, atol=0.01)


@named
def test_an_images_result_depends_on_its_own_seed_only(step, name):
    images, own, how = random_images(), seeds(6), strength(name)
    together = augment(images, how, own).images
    order = torch.tensor([4, 0, 5, 2, 1, 3])
    assert torch.allclose(augment(images[order], how, own[order]).images, together[order], atol=1e-6)
    for row in range(6):
        alone = augment(images[row : row + 1], how, own[row : row + 1]).images
        assert torch.allclose(alone, together[row : row + 1], atol=1e-6)
    assert not torch.allclose(augment(images, how, seeds(6, epoch=1)).images, together, atol=0.003)


@named
def test_masks_move_with_the_image_and_are_never_blended(step, name):
    images = random_images(12, 1)
    masks = (images[:, 0] > 0.5).to(torch.uint8) * 7
    moved = augment(images, strength(name), seeds(12), masks)
    assert moved.masks.dtype == torch.uint8 and set(moved.masks.unique().tolist()) <= {0, 7}
    if name not in MOVING:
        assert torch.equal(moved.masks, masks)
        return
    assert not torch.equal(moved.masks, masks)
    agree = (moved.images[:, 0] > 0.5) == (moved.masks == 7)
    assert agree.float().mean(dim=(1, 2)).min() > 0.97  # they differ by half a pixel along the outline at most
    several = torch.stack([masks, 7 - masks], 1)
    assert torch.equal(augment(images, strength(name), seeds(12), several).masks[:, 0], moved.masks)


@named
@pytest.mark.parametrize("size", [(40, 40), (24, 36)])
def test_a_box_stays_around_what_it_marks(step, name, size):
    images = random_images(12, 1, *size)
    masks = (images[:, 0] > 0.5).long()
    boxes = [torch.stack([tight_box(mask), torch.zeros(4, dtype=torch.long)]).float() for mask in masks]
    boxes[3] = torch.zeros(0, 4)
    how = replace(strength(name), outside="black")  # a mirror image has no box
    moved = augment(images, how, seeds(12), masks, boxes)
    assert [each.shape for each in moved.boxes] == [each.shape for each in boxes]
    for row in range(12):
        if row == 3 or not moved.masks[row].any():
            continue
        around, box = tight_box(moved.masks[row]), moved.boxes[row][0]
        assert (box[:2] <= around[:2] + 1).all() and (box[2:] >= around[2:] - 1).all()
        if name in ("flip", "flip_vertical", "turns"):
            assert torch.equal(box, around.float())
        assert (box >= 0).all() and box[2] <= size[1] and box[3] <= size[0]


@pytest.mark.parametrize("how", [Augmentation(), Augmentation(mixup=1, cutmix=1, paste=1, outside="black")])
def test_what_is_off_gives_back_the_very_same_images(how):
    images = random_images()
    assert augment(images, how, seeds(6)).images is images


@pytest.mark.parametrize("name", [n for _, n in SETTINGS if n in LIMITS and n not in ("jpeg", "cutout")])
def test_the_weakest_strength_is_hardly_seen(name):
    weak = Augmentation(**{name: 0.999 if name == "crop" else 1e-5})
    images = random_images()
    assert torch.allclose(augment(images, weak, seeds(6)).images, images, atol=2e-3)


@named
def test_no_images_are_no_images(step, name):
    assert augment(random_images()[:0], strength(name), seeds(0)).images.shape == (0, 3, 40, 40)
