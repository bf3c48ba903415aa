"""The resize of the exported graph equals the resize of training, for any size, fit, depth and number of channels."""

import numpy as np
import pytest
import torch

from coverslip.data.inputs import FITS, InputSpec, fit_batch
from coverslip.exporting.preparation import Preparation

SIZES = [(256, 256), (100, 333), (64, 48), (37, 64), (9, 9), (480, 640), (700, 31), (1, 1), (1, 50), (63, 49)]


def spec_of(fit, depth, channels):
    deep = {"low": (1000.0,) * channels, "high": (60000.0,) * channels} if depth == "uint16" else {}
    mean, std = tuple(np.linspace(0.3, 0.6, channels)), (0.25,) * channels
    return InputSpec(size=(64, 48), fit=fit, channels=channels, depth=depth, mean=mean, std=std, **deep)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize(("depth", "channels"), [("uint8", 3), ("uint8", 1), ("uint16", 1), ("uint16", 5)])
def test_images_of_any_size_are_resized_and_scaled_as_in_training(fit, depth, channels):
    spec = spec_of(fit, depth, channels)
    preparation = Preparation(spec)
    rng = np.random.default_rng(0)
    for height, width in SIZES:
        ramp = np.linspace(0, 0.8, height)[:, None, None] * np.linspace(0.2, 1, width)[:, None]
        noise = rng.random((2, height, width, channels)) * 0.2
        pixels = ((ramp + noise) * np.iinfo(depth).max).astype(depth)
        expected = fit_batch(pixels, spec.size, fit)
        resized, prepared = preparation(torch.from_numpy(pixels))
        difference = np.abs(resized.permute(0, 2, 3, 1).numpy() - expected.astype(np.float32))
        # 8-bit weights are rounded in the same way, so almost nothing differs; with 16 bits the last level may differ.
        assert difference.max() <= 1, (height, width)
        assert (difference > 0).mean() < (1e-3 if depth == "uint8" else 0.2), (height, width)
        again = spec.prepare(resized.permute(0, 2, 3, 1).numpy().astype(depth))
        np.testing.assert_allclose(prepared.numpy(), again, atol=1e-5)


def test_a_thin_image_is_padded_with_its_own_mean_color():
    spec = spec_of("pad", "uint8", 3)
    pixels = np.full((1, 10, 100, 3), (10, 100, 200), np.uint8)
    pixels[:, :, 50:] = (30, 120, 100)
    resized = Preparation(spec).resize(torch.from_numpy(pixels)).permute(0, 2, 3, 1).numpy()
    assert resized[0, 0, 0].tolist() == resized[0, -1, -1].tolist() == [20, 110, 150]


def test_crop_removes_both_ends_and_does_not_mix_them_in():
    spec = spec_of("crop", "uint8", 3)
    pixels = np.full((1, 64, 200, 3), 255, np.uint8)
    pixels[:, :, 76:124] = 40
    assert (Preparation(spec).resize(torch.from_numpy(pixels)) == 40).all()
