"""Figures of synthetic images and filters: every image is shown, with the right scale."""

import numpy as np
import pytest

from coverslip.figures.filters import feature_maps_figure, first_filters_figure, strongest_figure
from coverslip.figures.ideal import filter_palette, ideal_figure


def images(*shape):
    return np.random.default_rng(0).random(shape)


def texts(figure):
    return [each.get_text() for each in figure.texts] + [ax.get_title(loc="left") for ax in figure.axes]


def test_each_start_of_each_class_is_shown_with_its_activation_and_that_of_real_images():
    figure = ideal_figure(
        images(3, 2, 8, 8, 3), ["rust", "blight", "healthy"], values=np.array([[9, 8], [7, 6], [5, 4]]),
        real=np.array([2.5, 3, 4]), title="Ideals"
    )  # fmt: skip
    assert len(figure.axes) == 6
    assert "activation 9 (real images: up to 2.5)" in texts(figure)
    assert any("not real images" in text for text in texts(figure))
    assert len(ideal_figure(images(2, 8, 8, 1), ["a", "b"]).axes) == 2
    with pytest.raises(ValueError, match="1 names for 2"):
        ideal_figure(images(2, 8, 8, 3), ["a"])


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_a_palette_takes_any_number_of_channels_and_marks_inactive_filters(channels):
    figure = filter_palette(images(10, 6, 6, channels), silent=np.arange(10) == 3)
    assert len(figure.axes) == 10
    assert [text for text in texts(figure) if "inactive" in text] == ["3 inactive"]
    assert figure.axes[3].spines["left"].get_linewidth() > figure.axes[2].spines["left"].get_linewidth()
    with pytest.raises(ValueError, match="2 names"):
        filter_palette(images(3, 6, 6, channels), ["a", "b"])


def test_first_filters_share_one_scale_with_mid_grey_as_zero():
    weights = np.zeros((3, 3, 3, 3))
    weights[0] = 0.8
    weights[1] = -0.4
    figure = first_filters_figure(weights)
    shown = [ax.images[0].get_array() for ax in figure.axes]
    assert [int(image[0, 0, 0]) for image in shown] == [255, 64, 128]
    assert len(first_filters_figure(np.ones((4, 3, 3, 5))).axes) == 20
    assert len(first_filters_figure(np.zeros((2, 3, 3, 3))).axes) == 2  # nothing to scale by


def test_maps_of_a_stage_share_a_scale_and_a_flat_stage_is_flat():
    maps = np.stack([np.full((4, 4), 2.0), np.full((4, 4), 1.0)])
    figure = feature_maps_figure(images(8, 8, 3), [("block1", maps, [7, 3]), ("block2", np.zeros((1, 2, 2)), [0])])
    limits = [ax.images[0].get_clim() for ax in figure.axes[1:]]
    assert limits[0] == limits[1] == (0.0, 2.0)
    assert limits[2][0] == 0 and (figure.axes[3].images[0].norm(0.0)) == 0
    assert {"filter 7", "filter 3", "block2"} <= set(texts(figure))


def test_the_most_activating_images_have_rings_at_the_maximum():
    places = np.array([[[0.25, 0.75], [np.nan, np.nan]]])
    figure = strongest_figure(
        ["filter 0"], [images(2, 8, 8, 3)], np.array([[3.0, 2.0]]), [images(1, 8, 8, 3)], np.array([[0.0]]),
        places=places, ideal=images(1, 8, 8, 3)
    )  # fmt: skip
    assert len(figure.axes) == 4
    rings = [ax for ax in figure.axes if ax.lines]
    assert len(rings) == 1
    assert (rings[0].lines[0].get_xdata()[0], rings[0].lines[0].get_ydata()[0]) == (5.5, 1.5)
    assert {"highest activation", "lowest activation", "synthetic"} <= set(texts(figure))
