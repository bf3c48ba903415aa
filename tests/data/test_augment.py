import numpy as np
import pytest
import torch

from coverslip.core.config import from_mapping, to_mapping
from coverslip.core.errors import UserError
from coverslip.data.augment import PRESETS, VIEWS, Augmentation, augmentation, view
from coverslip.data.augment.color import mean_luma
from coverslip.data.augment.copy_paste import paste, tight_box
from coverslip.data.augment.geometry import draw_flips, flip_exactly, flip_matrices, sample_bilinear, sampling_grid
from coverslip.data.augment.pipeline import augment, mix
from coverslip.data.augment.random import image_seeds, uniform
from coverslip.data.augment.transforms import ImageBatch


def noise(count=8, channels=3, height=16, width=16):
    return torch.from_numpy(np.random.default_rng(0).random((count, channels, height, width), np.float32))


def seeds(count, epoch=0):
    return image_seeds(0, epoch, np.arange(count))


# random numbers


def test_a_seed_is_the_same_on_every_machine():
    assert image_seeds(1, 2, np.array([3, 4])).tolist() == [-1340075769574268180, 6773437200094119103]
    assert uniform(torch.tensor([5]), "flips", 2)[0].tolist() == pytest.approx([0.75775903, 0.73650718], abs=1e-7)


def test_seeds_differ_by_seed_epoch_and_row():
    all_of_them = [image_seeds(seed, epoch, np.arange(50)) for seed in range(-1, 5) for epoch in range(5)]
    assert len(torch.cat(all_of_them).unique()) == 6 * 5 * 50


def test_random_numbers_are_uniform_and_uncorrelated():
    numbers = uniform(seeds(20_000), "anything", 2)
    assert numbers.min() >= 0 and numbers.max() < 1
    assert torch.histc(numbers, 10, 0, 1).min() > 3_700  # of 4,000 expected; 3,700 is five standard deviations off
    pairs = torch.stack([numbers[:-1, 0], numbers[1:, 0], numbers[:-1, 1], uniform(seeds(20_000), "other", 1)[:-1, 0]])
    assert (torch.corrcoef(pairs) - torch.eye(4)).abs().max() < 0.04


# geometry


def test_flips_and_turns_are_the_eight_views_and_change_no_value():
    images = noise(200, 1, 6, 6)
    result = augment(images, PRESETS["flips"], seeds(200)).images.numpy()
    rows = images.numpy().transpose(0, 2, 3, 1)
    views = np.stack([view(rows, number) for number in range(VIEWS)]).transpose(1, 0, 4, 2, 3)
    equal = (result[:, None] == views).all((2, 3, 4))
    assert (equal.sum(1) == 1).all() and (equal.sum(0) > 10).all()


def test_quarter_turns_do_not_mirror():
    images = noise(60, 1, 6, 6)
    result = augment(images, Augmentation(turns=True), seeds(60)).images
    rotated = torch.stack([torch.rot90(images, number, (2, 3)) for number in range(4)], 1)
    equal = (result[:, None] == rotated).all(4).all(3).all(2)
    assert (equal.sum(1) == 1).all() and (equal.sum(0) > 5).all()


@pytest.mark.parametrize("size", [(16, 16), (12, 20)])
def test_flips_by_matrices_agree_with_exact_flips(size):
    images = noise(40, 2, *size)
    flips = draw_flips(PRESETS["flips"], seeds(40), square=size[0] == size[1])
    sampled = sample_bilinear(images, sampling_grid(flip_matrices(flips), *size))
    assert torch.allclose(sampled, flip_exactly(images, flips), atol=1e-4)


def test_a_matrix_maps_the_result_to_the_original():
    images = noise(1, 1, 10, 10)
    matrix = torch.tensor([[[1.0, 0.0, 3.0], [0.0, 1.0, -2.0]]])  # three to the right, two up
    warped = sample_bilinear(images, sampling_grid(matrix, 10, 10))
    assert torch.allclose(warped[0, 0, 2:, :7], images[0, 0, :8, 3:], atol=1e-5)
    assert torch.allclose(warped[0, 0, 2:, 7:], images[0, 0, :8, 7:].flip(-1), atol=1e-5)  # reflected beyond the edge


def test_pixels_beyond_the_edge_are_reflected_or_black():
    white = torch.ones(20, 1, 16, 16)
    options = {"rotate": 45, "shift": 0.3, "scale": 0.5, "shear": 20}
    assert augment(white, Augmentation(**options), seeds(20)).images.min() > 0.999
    assert augment(white, Augmentation(**options, outside="black"), seeds(20)).images.amin((1, 2, 3)).max() == 0


def test_a_crop_keeps_at_least_its_fraction_of_the_area():
    ramp = torch.stack(torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij"))[None].repeat(50, 1, 1, 1)
    cropped = augment(ramp / 64, Augmentation(crop=0.25), seeds(50)).images * 64
    sides = cropped.amax((2, 3)) - cropped.amin((2, 3))
    areas = sides.prod(1) / 64**2
    assert 0.22 < areas.min() < 0.4 and 0.8 < areas.max() <= 1


# colors


def test_contrast_preserves_the_mean_and_saturation_and_hue_preserve_grey_and_luma():
    images = 0.4 + 0.2 * noise()
    spread = augment(images, Augmentation(contrast=0.5), seeds(8)).images
    assert torch.allclose(mean_luma(spread), mean_luma(images), atol=1e-5)
    colored = augment(images, Augmentation(saturation=0.5, hue=0.1), seeds(8)).images
    weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    assert torch.allclose((colored * weights).sum(1), (images * weights).sum(1), atol=1e-3)
    grey = images[:, :1].expand(-1, 3, -1, -1)
    assert torch.allclose(augment(grey, Augmentation(saturation=2, hue=0.5), seeds(8)).images, grey, atol=1e-3)


def test_brightness_is_a_factor_as_often_above_one_as_below():
    images = torch.full((400, 5, 4, 4), 0.4)
    factor = augment(images, Augmentation(brightness=1), seeds(400)).images[:, 0, 0, 0] / 0.4
    assert 0.5 <= factor.min() < 0.53 and 1.9 < factor.max() <= 2
    assert 160 < (factor > 1).sum() < 240


def test_stain_augmentation_preserves_white():
    images = torch.ones(4, 3, 8, 8)
    images[:, :, :4] = torch.tensor([0.7, 0.4, 0.6])[:, None, None]  # eosin and hematoxylin
    result = augment(images, Augmentation(stain=0.5), seeds(4)).images
    assert torch.allclose(result[:, :, 4:], torch.ones(4, 3, 4, 8), atol=1e-5)
    assert (result[:, :, :4] - images[:, :, :4]).abs().amax((1, 2, 3)).min() > 0.01


def test_noise_has_the_configured_strength_and_differs_between_images():
    images = torch.full((100, 3, 32, 32), 0.5)
    added = augment(images, Augmentation(noise=0.1), seeds(100)).images - 0.5
    spread = added.std((1, 2, 3))
    assert spread.max() < 0.105 and 0.04 < spread.mean() < 0.06 and added.mean().abs() < 0.001
    assert torch.corrcoef(added[:, 0].flatten(1)).fill_diagonal_(0).abs().max() < 0.2


def test_blur_preserves_the_mean_and_reduces_the_variance():
    images = noise(8, 3, 32, 32)
    blurred = augment(images, Augmentation(blur=2), seeds(8)).images
    assert torch.allclose(blurred.mean((1, 2, 3)), images.mean((1, 2, 3)), atol=0.02)
    assert (blurred.std((1, 2, 3)) < images.std((1, 2, 3))).all()
    assert augment(noise(2, 1, 8, 3), Augmentation(blur=5), seeds(2)).images.shape == (2, 1, 8, 3)


# mixing


@pytest.mark.parametrize("config", [Augmentation(mixup=0.4), Augmentation(cutmix=1), Augmentation(mixup=1, cutmix=1)])
def test_targets_are_mixed_in_the_proportion_of_the_pixels(config):
    images = torch.arange(10.0).reshape(-1, 1, 1, 1).expand(10, 2, 30, 30)
    for seed in range(4):
        mixed, targets = mix(images, torch.eye(10), config, seed)
        assert torch.allclose(targets.sum(1), torch.ones(10))
        assert torch.allclose(mixed.mean((1, 2, 3)), targets @ torch.arange(10.0), atol=1e-3)
        assert not torch.equal(mixed, images)
        assert torch.equal(mix(images, torch.eye(10), config, seed)[0], mixed)


def test_mixup_accepts_feature_vectors_and_cutmix_rejects_them():
    features, targets = torch.rand(6, 20).half(), torch.eye(6)
    mixed, weights = mix(features, targets, Augmentation(mixup=1), 0)
    assert mixed.dtype == torch.float16
    assert torch.allclose(mixed.float(), weights @ features.float(), atol=5e-3)
    with pytest.raises(UserError, match="mixup"):
        mix(features, targets, Augmentation(cutmix=1), 0)


def test_a_single_image_is_not_mixed():
    images, targets = torch.rand(1, 3, 4, 4), torch.eye(1)
    assert mix(images, targets, Augmentation(mixup=1), 0)[0] is images


def squares(*places):
    """Return an image with squares of 4 pixels at these (left, top), its instance mask, and its boxes."""
    mask = torch.zeros(20, 20, dtype=torch.int16)
    for number, (left, top) in enumerate(places, 1):
        mask[top : top + 4, left : left + 4] = number
    boxes = torch.tensor([[left, top, left + 4, top + 4] for left, top in places]).float().reshape(-1, 4)
    return 0.1 + 0.8 * (mask > 0).float()[None], mask, boxes


def test_objects_are_pasted_with_their_pixels_numbers_and_boxes():
    images, masks, boxes = zip(squares((2, 3), (12, 12)), squares((2, 12)), squares(), strict=True)
    batch = ImageBatch(torch.stack(images), torch.stack(masks), list(boxes))
    pasted = paste(batch, Augmentation(paste=1), seed=1)
    assert sorted(pasted.origin.tolist())[0] == -1  # the empty image has nothing to paste
    for row in range(3):
        origin, numbers = int(pasted.origin[row]), pasted.numbers[row]
        before = int(batch.masks[row].max())
        assert len(pasted.boxes[row]) == len(batch.boxes[row]) + len(numbers)
        assert (len(numbers) > 0) == (origin >= 0)
        for number, box in zip(numbers.tolist(), pasted.boxes[row][len(batch.boxes[row]) :], strict=True):
            mask = pasted.masks[row] == before + number
            assert torch.equal(tight_box(mask).float(), box) and mask.sum() == 16
            assert pasted.images[row, 0][mask].mean() > 0.6
    classes = paste(batch, Augmentation(paste=1), seed=1, instances=False)
    assert set(classes.masks.unique().tolist()) <= {0, 1, 2}
    with pytest.raises(UserError, match="mask"):
        paste(ImageBatch(batch.images), Augmentation(paste=1), seed=1)


# settings


@pytest.mark.parametrize(
    ("options", "name"),
    [({"rotate": 200}, "rotate"), ({"crop": 0.0}, "crop"), ({"hue": float("nan")}, "hue"), ({"blur": -1}, "blur")],
)
def test_a_setting_out_of_range_is_rejected(options, name):
    with pytest.raises(UserError, match=f"{name}=.*is not within"):
        Augmentation(**options)


def test_a_misspelt_preset_or_setting_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="'strong'"):
        augmentation("stron")
    with pytest.raises(UserError, match="'rotate'"):
        augmentation("light", {"rotation": 5})
    with pytest.raises(UserError, match="bool"):
        augmentation("light", {"flip": "perhaps"})


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_survives_a_round_trip(name):
    assert from_mapping(Augmentation, to_mapping(PRESETS[name])) == PRESETS[name]
