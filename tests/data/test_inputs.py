import numpy as np
import pytest
from PIL import Image

from coverslip.core.errors import UserError
from coverslip.data.inputs import InputSpec, fit_batch, resize


def triangle(count_in, count_out):
    """Return the weights of the triangle filter, shape (count_out, count_in); each row sums to 1."""
    scale = max(count_in / count_out, 1.0)
    centers = (np.arange(count_out) + 0.5) * count_in / count_out
    weights = np.clip(1 - np.abs(np.arange(count_in) + 0.5 - centers[:, None]) / scale, 0, None)
    return weights / weights.sum(1, keepdims=True)


def resize_exactly(pixels, size):
    """Resize with one matrix product per axis, rounded once."""
    down = np.tensordot(triangle(pixels.shape[1], size[0]), pixels.astype(float), axes=(1, 1))  # (H, N, w, C)
    both = np.tensordot(triangle(pixels.shape[2], size[1]), down, axes=(1, 2))  # (W, H, N, C)
    return np.rint(both.transpose(2, 1, 0, 3))


@pytest.mark.parametrize("size", [(224, 224), (100, 40), (300, 280)])
def test_the_resize_is_within_one_grey_level_of_the_exact_filter(size):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 256, 240, 3), np.uint8)
    assert np.abs(resize(pixels, size) - resize_exactly(pixels, size)).max() <= 1


def test_sixteen_bits_are_kept_and_resized_exactly():
    pixels = np.random.default_rng(0).integers(0, 65536, (1, 64, 64, 2)).astype(np.uint16)
    resized = resize(pixels, (32, 32))
    assert resized.dtype == np.uint16
    assert np.abs(resized - resize_exactly(pixels, (32, 32))).max() <= 1


def test_an_image_is_resized_equally_alone_and_in_a_batch():
    pixels = np.random.default_rng(0).integers(0, 256, (9, 90, 70, 3), np.uint8)
    batch = fit_batch(pixels, (64, 64), "pad")
    single = np.concatenate([fit_batch(image[None], (64, 64), "pad") for image in pixels])
    np.testing.assert_array_equal(batch, single)


def test_pad_keeps_the_whole_image_and_fills_with_its_mean_color():
    pixels = np.full((1, 20, 80, 3), (200, 100, 50), np.uint8)
    pixels[:, :, :40] = (0, 0, 0)
    padded = fit_batch(pixels, (40, 40), "pad")[0]
    assert (padded[:15] == (100, 50, 25)).all()
    assert (padded[16:24, :16] == 0).all()
    assert (padded[16:24, 24:] == (200, 100, 50)).all()


def test_crop_fills_the_square_and_squash_keeps_all():
    ramp = np.linspace(0, 255, 80).astype(np.uint8)
    pixels = np.broadcast_to(ramp[None, None, :, None], (1, 20, 80, 1)).copy()
    cropped, squashed = fit_batch(pixels, (20, 20), "crop")[0], fit_batch(pixels, (20, 20), "squash")[0]
    assert cropped.min() > 90 and cropped.max() < 165
    assert squashed.min() < 12 and squashed.max() > 243


def test_an_image_of_one_pixel_is_resized():
    assert (fit_batch(np.full((1, 1, 1, 3), 7, np.uint8), (32, 32), "pad") == 7).all()


def test_the_input_of_the_default_network_is_normalized_as_in_its_training():
    spec = InputSpec(size=(8, 8), mean=(127 / 255,) * 3, std=(128 / 255,) * 3)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    expected = (pixels.astype(np.float64).transpose(0, 3, 1, 2) - 127) / 128
    np.testing.assert_allclose(spec.prepare(pixels), expected, atol=1e-6)


def test_percentiles_come_from_the_training_rows_only():
    pixels = np.zeros((10, 8, 8, 1), np.uint16)
    pixels[:5] = np.arange(64).reshape(8, 8, 1) * 10 + 1000
    pixels[5:] = 60000
    spec = InputSpec(size=(8, 8), channels=1, depth="uint16", mean=(0.5,), std=(0.5,)).with_percentiles(
        pixels, [0, 1, 2, 3, 4]
    )
    assert 990 < spec.low[0] < 1020 and 1500 < spec.high[0] < 1640
    prepared = spec.prepare(pixels)
    assert prepared[0].min() == pytest.approx(-1, abs=0.05) and prepared[9].max() == pytest.approx(1)


def test_a_misspelt_fit_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="did you mean 'squash'"):
        InputSpec(size=(8, 8), fit="sqush", mean=(0.5,), std=(0.5,), channels=1)


def test_the_resize_agrees_with_pillow():
    # Pillow's filter is the same, but rounds twice.
    pixels = np.random.default_rng(3).integers(0, 256, (128, 96, 3), np.uint8)
    expected = np.asarray(Image.fromarray(pixels).resize((50, 60), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(resize(pixels[None], (60, 50))[0].astype(int) - expected).max() <= 2
