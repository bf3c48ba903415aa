"""The contract of transforms, tested for every entry of TRANSFORMS."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from coverslip.data.augment.copy_paste import tight_box
from coverslip.data.augment.pipeline import TRANSFORMS, augment, image_seeds
from coverslip.data.augment.settings import LIMITS, OFF, Augmentation

BATCH_SETTINGS = ("mixup", "cutmix", "paste")
GEOMETRIC = TRANSFORMS[0].settings
SETTINGS = [(transform, name) for transform in TRANSFORMS for name in transform.settings]
every_setting = pytest.mark.parametrize(("transform", "name"), SETTINGS, ids=[name for _, name in SETTINGS])


def config_with(name):
    """Return a config with this setting at about a third of its range."""
    if name not in LIMITS:
        return Augmentation(**{name: True})
    low, high = LIMITS[name]
    return Augmentation(**{name: type(OFF[name])(low + 0.3 * (high - low))})


def random_images(count=6, channels=3, height=40, width=40):
    """Return images of a blob on a slope, values in 0..1, without any symmetry."""
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


def test_every_setting_belongs_to_one_transform():
    known = [name for transform in TRANSFORMS for name in transform.settings]
    assert sorted([*known, *BATCH_SETTINGS, "outside"]) == sorted(field.name for field in fields(Augmentation))


@every_setting
@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("size", [(40, 40), (24, 36)])
def test_an_image_keeps_its_shape_type_and_range(transform, name, channels, size):
    images = random_images(6, channels, *size)
    before = images.clone()
    result = augment(images, config_with(name), seeds(6)).images
    assert result.shape == images.shape and result.dtype == torch.float32
    assert result.min() >= 0 and result.max() <= 1
    assert torch.equal(images, before)  # the input was not modified
    if transform.channels not in (0, channels) or (name in ("saturation", "hue") and channels != 3):
        assert torch.equal(result, images)
    elif name != "turns" or size[0] == size[1]:
        assert not torch.allclose(result, images, atol=0.01)


@every_setting
def test_the_result_of_an_image_depends_on_its_own_seed_only(transform, name):
    images, seeds_of_batch, config = random_images(), seeds(6), config_with(name)
    batch = augment(images, config, seeds_of_batch).images
    order = torch.tensor([4, 0, 5, 2, 1, 3])
    assert torch.allclose(augment(images[order], config, seeds_of_batch[order]).images, batch[order], atol=1e-6)
    for row in range(6):
        single = augment(images[row : row + 1], config, seeds_of_batch[row : row + 1]).images
        assert torch.allclose(single, batch[row : row + 1], atol=1e-6)
    assert not torch.allclose(augment(images, config, seeds(6, epoch=1)).images, batch, atol=0.003)


@every_setting
def test_masks_are_warped_like_the_image_and_never_interpolated(transform, name):
    images = random_images(12, 1)
    masks = (images[:, 0] > 0.5).to(torch.uint8) * 7
    result = augment(images, config_with(name), seeds(12), masks)
    assert result.masks.dtype == torch.uint8 and set(result.masks.unique().tolist()) <= {0, 7}
    if name not in GEOMETRIC:
        assert torch.equal(result.masks, masks)
        return
    assert not torch.equal(result.masks, masks)
    agree = (result.images[:, 0] > 0.5) == (result.masks == 7)
    assert agree.float().mean(dim=(1, 2)).min() > 0.97  # they differ by at most half a pixel along the outline
    two_masks = torch.stack([masks, 7 - masks], 1)
    assert torch.equal(augment(images, config_with(name), seeds(12), two_masks).masks[:, 0], result.masks)


@every_setting
@pytest.mark.parametrize("size", [(40, 40), (24, 36)])
def test_a_box_still_encloses_its_object(transform, name, size):
    images = random_images(12, 1, *size)
    masks = (images[:, 0] > 0.5).long()
    boxes = [torch.stack([tight_box(mask), torch.zeros(4, dtype=torch.long)]).float() for mask in masks]
    boxes[3] = torch.zeros(0, 4)
    config = replace(config_with(name), outside="black")  # a reflection has no box
    result = augment(images, config, seeds(12), masks, boxes)
    assert [image_boxes.shape for image_boxes in result.boxes] == [image_boxes.shape for image_boxes in boxes]
    for row in range(12):
        if row == 3 or not result.masks[row].any():
            continue
        tight, box = tight_box(result.masks[row]), result.boxes[row][0]
        assert (box[:2] <= tight[:2] + 1).all() and (box[2:] >= tight[2:] - 1).all()
        if name in ("flip", "flip_vertical", "turns"):
            assert torch.equal(box, tight.float())
        assert (box >= 0).all() and box[2] <= size[1] and box[3] <= size[0]


@pytest.mark.parametrize("config", [Augmentation(), Augmentation(mixup=1, cutmix=1, paste=1, outside="black")])
def test_the_same_images_are_returned_if_all_transforms_are_off(config):
    images = random_images()
    assert augment(images, config, seeds(6)).images is images


@pytest.mark.parametrize("name", [n for _, n in SETTINGS if n in LIMITS and n not in ("jpeg", "cutout")])
def test_a_tiny_strength_hardly_changes_the_image(name):
    weak = Augmentation(**{name: 0.999 if name == "crop" else 1e-5})
    images = random_images()
    assert torch.allclose(augment(images, weak, seeds(6)).images, images, atol=2e-3)


@every_setting
def test_an_empty_batch_is_returned_empty(transform, name):
    assert augment(random_images()[:0], config_with(name), seeds(0)).images.shape == (0, 3, 40, 40)
