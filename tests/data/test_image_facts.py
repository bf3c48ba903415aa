"""Image statistics and file metadata that are recorded while decoding."""

import io

import numpy as np
import pytest
import tifffile
from PIL import Image

from coverslip.data.cache import read_pixels
from coverslip.data.image import decode
from coverslip.data.inputs import content_box, fit_batch
from coverslip.data.scan import scan
from coverslip.data.statistics import image_statistics

RNG = np.random.default_rng(0)


def jpeg(image, **options):
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


def camera_exif(make="Canon", model="EOS 5D", software=None, taken=None):
    exif = Image.Exif()
    for tag, value in ((271, make), (272, model), (305, software)):
        if value is not None:
            exif[tag] = value
    if taken is not None:
        exif.get_ifd(0x8769)[36867] = taken
    return exif


@pytest.fixture
def facts(tmp_path):
    """Return the facts of a folder with a square and a wide image, dark on the left and bright on the right."""
    (tmp_path / "images" / "a").mkdir(parents=True)
    (tmp_path / "images" / "b").mkdir()
    for name, width in (("a/square", 100), ("b/wide", 400)):
        pixels = np.zeros((100, width, 3), np.uint8)
        pixels[:, width // 2 :] = (200, 100, 0)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{name}.png")
    (tmp_path / "images" / "a" / "broken.jpg").write_bytes(b"nothing")
    return read_pixels(scan(tmp_path / "images"), (64, 64)).facts


def test_padding_is_excluded_from_the_statistics(facts):
    broken, square, wide = facts.sort("path").to_dicts()
    assert broken["status"] != "ok" and broken["thumbnail"] is None and broken["brightness"] is None
    for fact in (square, wide):
        assert fact["brightness"] == pytest.approx(50 / 255, abs=0.004)
        assert fact["contrast"] == pytest.approx(50 / 255, abs=0.004)
        assert fact["means"] == pytest.approx([100 / 255, 50 / 255, 0], abs=0.004)
        thumbnail = np.frombuffer(fact["thumbnail"], np.uint8).reshape(32, 32)
        assert thumbnail[:, :14].max() == 0 and thumbnail[:, 18:].min() == thumbnail.max() == 100


@pytest.mark.parametrize(("width", "height"), [(400, 100), (100, 400), (64, 64), (1, 300), (37, 29)])
def test_the_content_box_agrees_with_the_resize(width, height):
    top, left, tall, wide = content_box(width, height, (64, 48), "pad")
    pixels = np.full((1, height, width, 1), 10, np.uint8)
    pixels[0, :, width // 2 :] = 250  # so that the fill color, the mean, differs from both
    fitted = fit_batch(pixels, (64, 48), "pad")[0, :, :, 0]
    outside = np.ones((64, 48), bool)
    outside[top : top + tall, left : left + wide] = False
    assert len(np.unique(fitted[outside])) <= 1
    assert tall == 64 or wide == 48


def test_sharpness_increases_from_blur_to_detail_to_noise():
    smooth = np.kron(RNG.integers(0, 256, (1, 8, 8, 3)), np.ones((1, 16, 16, 1))).astype(np.uint8)
    blurred = fit_batch(fit_batch(smooth, (16, 16), "squash"), (128, 128), "squash")
    noise = RNG.integers(0, 256, smooth.shape).astype(np.uint8)
    low, middle, high = (image_statistics(pixels).sharpness[0] for pixels in (blurred, smooth, noise))
    assert low < middle < high
    assert image_statistics(np.full_like(smooth, 77)).sharpness[0] == 0


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_statistics_do_not_depend_on_the_depth_for_any_number_of_channels(channels):
    pixels = RNG.integers(0, 256, (2, 40, 50, channels), np.uint8)
    eight_bit, sixteen_bit = image_statistics(pixels), image_statistics(pixels.astype(np.uint16) * 257)
    assert eight_bit.means.shape == (2, channels)
    for name in ("brightness", "contrast", "sharpness", "means"):
        np.testing.assert_allclose(getattr(eight_bit, name), getattr(sixteen_bit, name), atol=0.003, rtol=0.01)


def test_a_twelve_bit_image_is_dark_but_its_thumbnail_is_not():
    ramp = np.tile(np.linspace(0, 4095, 64).astype(np.uint16)[None, None, :, None], (1, 64, 1, 1))
    statistics = image_statistics(ramp)
    assert statistics.brightness[0] == pytest.approx(0.5 * 4095 / 65535, rel=0.05)
    assert statistics.thumbnails.min() == 0 and statistics.thumbnails.max() == 255


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (3, 3)])
def test_statistics_of_tiny_images_are_finite(shape):
    statistics = image_statistics(RNG.integers(0, 256, (3, *shape, 3), np.uint8))
    assert np.isfinite([statistics.brightness, statistics.contrast, statistics.sharpness]).all()


def test_camera_and_time_come_from_exif():
    data = jpeg(Image.new("RGB", (20, 20)), exif=camera_exif(software="Lightroom", taken="2015:05:06 16:01:13"))
    metadata = decode(data).metadata
    assert (metadata.camera, metadata.taken) == ("Canon EOS 5D Lightroom", "2015-05-06T16:01:13")
    assert decode(jpeg(Image.new("RGB", (20, 20)))).metadata.camera == ""


@pytest.mark.parametrize("taken", ["0000:00:00 00:00:00", "yesterday", "2015:02:31 10:00:00"])
def test_an_invalid_time_counts_as_missing(taken):
    metadata = decode(jpeg(Image.new("RGB", (20, 20)), exif=camera_exif(taken=taken))).metadata
    assert metadata.taken is None and metadata.camera == "Canon EOS 5D"


def test_broken_exif_does_not_change_the_pixels():
    clean = Image.fromarray(RNG.integers(0, 256, (40, 30, 3), np.uint8))
    data = jpeg(clean, exif=camera_exif(taken="2015:05:06 16:01:13"))
    start, expected = data.index(b"Exif\0\0") + 6, decode(jpeg(clean)).pixels
    end = start + int.from_bytes(data[start - 8 : start - 6], "big") - 8
    for seed in range(60):
        noise = bytearray(data)
        rng = np.random.default_rng(seed)
        for offset in rng.integers(start, end, 1 + seed):
            noise[offset] = int(rng.integers(256))
        pixels = decode(bytes(noise)).pixels
        assert sorted(pixels.shape) == sorted(expected.shape)  # a random orientation may be applied, but no more
    garbage = data[:start] + bytes(RNG.integers(0, 256, end - start, np.uint8)) + data[end:]
    np.testing.assert_array_equal(decode(garbage).pixels, expected)


def test_files_of_different_encoders_are_told_apart():
    image = Image.fromarray(RNG.integers(0, 256, (40, 30, 3), np.uint8))
    encoders = [
        decode(data).metadata.encoder
        for data in (
            jpeg(image, quality=92),
            jpeg(image, quality=60),
            jpeg(image, quality=60, subsampling=0),
            jpeg(image, quality=60, progressive=True),
            jpeg(image, qtables=[list(range(1, 65))] * 2),
        )
    ]
    assert encoders[0] == "JPEG quality 92 4:2:0 JFIF"
    assert len(set(encoders)) == 5


def test_camera_and_compression_of_a_tiff_are_read():
    file = io.BytesIO()
    tifffile.imwrite(
        file,
        RNG.integers(0, 65536, (20, 20), np.uint16),
        software="MicroManager",
        extratags=[(271, 2, 0, "Zeiss", True)],
    )
    metadata = decode(file.getvalue()).metadata
    assert metadata.camera == "Zeiss MicroManager" and metadata.encoder.startswith("TIFF NONE")


def test_a_truncated_png_is_unreadable():
    file = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (40, 30, 3), np.uint8)).save(file, "PNG")
    with pytest.raises(Exception, match="cannot be decoded"):
        decode(file.getvalue()[:-2000])
