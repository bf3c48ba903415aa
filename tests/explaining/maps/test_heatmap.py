"""A heat map keeps its metadata, and normalization does not exaggerate it."""

import numpy as np
import pytest

from coverslip.explaining.maps.heatmap import Heatmap, resize_maps


def heat(values):
    return Heatmap(np.asarray(values), "grad-cam", "block3", "rust", 2, "IMG_01.tif")


def test_the_scale_is_the_maximum_and_normalization_divides_by_it():
    map = heat([[0, 1], [2, 4]])
    assert map.scale == 4
    assert map.normalized.tolist() == [[0, 0.25], [0.5, 1]]
    assert map.values.dtype == map.normalized.dtype == np.float32


@pytest.mark.parametrize("level", [0.0, 1e-30, 3.0])
def test_a_flat_map_is_normalized_to_zeros(level):
    map = heat(np.full((4, 4), level))
    assert map.flat and not map.normalized.any() and map.scale == np.float32(level)
    rounding = np.full((4, 4), level, np.float32)
    rounding[0, 0] *= 1 + 1e-7
    assert heat(rounding).flat


def test_a_faint_map_is_not_flat():
    assert heat([[0, 1e-20]]).normalized.tolist() == [[0, 1]]


def test_normalization_does_not_subtract_the_minimum():
    assert heat([[4.0, 5.0]]).normalized.tolist() == [[np.float32(0.8), 1]]


def test_resizing_keeps_positions_and_the_mean():
    values = np.zeros((7, 7))
    values[1, 5] = 1
    large = heat(values).resized((224, 224))
    assert large.shape == (224, 224) and large.dtype == np.float32
    assert np.unravel_index(large.argmax(), large.shape) == pytest.approx((1.5 * 32, 5.5 * 32), abs=1)
    assert large.mean() == pytest.approx(values.mean(), rel=1e-5)
    small = resize_maps(np.random.default_rng(0).random((3, 40, 60), np.float32), (4, 6))
    assert small.shape == (3, 4, 6) and 0.3 < small.min() < small.max() < 0.7  # averaged, not subsampled


def test_any_aspect_ratio_and_volumes_are_supported():
    assert heat(np.ones((7, 7))).resized((10, 30)).shape == (10, 30)
    assert resize_maps(np.ones((2, 3, 4, 5), np.float32), (6, 8, 10)).shape == (2, 6, 8, 10)


def test_the_values_of_a_map_are_read_only():
    values = np.ones((2, 2), np.float32)
    map = heat(values)
    values[:] = 7
    assert map.scale == map.values.max() == 1
    with pytest.raises(ValueError, match="read-only"):
        map.values[0, 0] = 2
