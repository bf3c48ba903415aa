"""Heat maps over images: the grid of stages and classes, the sanity checks, and galleries."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from coverslip.figures.heat_review import GalleryItem, map_gallery, mean_map_figure
from coverslip.figures.heatmaps import MapRow, SanityStrip, heatmap_figure
from coverslip.figures.overlay import enlarged, heat_colors, overlay, relative, with_outlines

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (32, 48, 3)).astype(np.uint8)
HOT = np.zeros((4, 6), np.float32)
HOT[1, 4] = 2.0


def texts(figure):
    return [text.get_text() for text in figure.texts]


def saturation(pixels):
    return (pixels.max(axis=-1).astype(int) - pixels.min(axis=-1)).max()


@pytest.mark.parametrize("heat", [np.zeros((4, 6)), np.full((4, 6), 3.0), np.full((1, 1), 2.0)])
def test_a_flat_map_is_drawn_as_the_image_in_grey(heat):
    drawn = overlay(IMAGE, heat)
    assert drawn.dtype == np.uint8 and saturation(drawn) <= 1
    assert saturation(overlay(IMAGE, HOT)) > 60


def test_heat_is_drawn_at_its_position_and_outlined():
    drawn = overlay(IMAGE, HOT)
    height, width = drawn.shape[:2]
    assert (height, width) == (171, 256)  # small images are enlarged in their proportions
    colored = drawn.max(axis=2).astype(int) - drawn.min(axis=2)
    row, column = np.unravel_index(colored.argmax(), colored.shape)
    assert abs(row / height - 1.5 / 4) < 0.2 and abs(column / width - 4.5 / 6) < 0.2
    white = (drawn == 255).all(axis=2)
    assert white.any() and not (overlay(IMAGE, HOT, line=False) == 255).all(axis=2).any()


def test_a_map_on_the_scale_of_a_stronger_one_is_pale():
    strong, weak = overlay(IMAGE, HOT), overlay(IMAGE, HOT, scale=20.0)
    assert saturation(weak) < saturation(strong)
    assert relative(HOT, 20.0).max() == pytest.approx(0.1)


def test_the_colors_of_the_scale_increase_in_brightness():
    light = heat_colors(np.linspace(0, 1, 32)) @ np.array([0.299, 0.587, 0.114])
    assert (np.diff(light) > 0).all()


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_images_of_any_channels_are_drawn(channels):
    image = RNG.random((20, 20, channels))
    assert overlay(image, HOT).shape == (256, 256, 3)
    assert with_outlines(image, {"leaf": np.eye(20, dtype=bool)}).shape == (256, 256, 3)


def test_a_large_image_is_not_resized():
    large = np.zeros((300, 400, 3), np.uint8)
    assert enlarged(large) is large


def strip(**options):
    shares = np.linspace(0, 1, 5)
    return SanityStrip(
        title="sanity checks",
        own=HOT,
        random=[("classifier", HOT, 0.4), ("all weights", np.zeros((4, 6)), 0.1)],
        shares=shares,
        curves={"blurred": 1 - shares, "random, blurred": 1 - shares**2},
        others=[("occlusion", HOT, 0.7), ("layer-cam", HOT, float("nan"))],
        sentences=["The map depends on the learned weights."],
        **options,
    )


def test_the_grid_has_classes_and_stages_and_marks_flat_or_weak_maps():
    rows = [
        MapRow("rust", "true and predicted, 0.90", [HOT, HOT]),
        MapRow("blight", "next, 0.10", [HOT * 0.1, np.zeros((4, 6))]),
        MapRow("mildew", "next, 0.00", [HOT, np.full((4, 6), 1.0)]),
    ]
    figure = heatmap_figure(IMAGE, rows, ["block1\n4 x 6", "top\n4 x 6"], title="IMG_1.tif", under=["predicted rust"])
    shown = texts(figure)
    for word in (
        "IMG_1.tif",
        "rust",
        "blight",
        "block1",
        "top",
        "4 x 6",
        "predicted rust",
        "at most 10 %",
        "no heat",
        "flat",
    ):
        assert word in shown, shown
    assert sum("%" in text for text in shown) == 1  # strong maps have no number


def test_the_strip_is_below_the_grid_with_every_similarity_and_sentence():
    rows = [MapRow("rust", "predicted, 0.90", [HOT])]
    plain = heatmap_figure(IMAGE, rows, ["top\n4 x 6"])
    figure = heatmap_figure(IMAGE, rows, ["top\n4 x 6"], strip=strip(warning="Warning: it draws edges."))
    assert figure.get_figheight() > plain.get_figheight()
    shown = texts(figure)
    for word in ("similarity 0.40", "similarity 0.10", "rank correlation 0.70", "flat", "Warning: it draws edges."):
        assert word in shown
    assert [line.get_label() for line in figure.axes[0].lines] == ["blurred", "random, blurred"]


def test_a_flat_map_has_no_similarity():
    flat = replace(strip(), random=[("all weights", HOT, float("nan"))])
    shown = texts(heatmap_figure(IMAGE, [MapRow("rust", "predicted, 0.90", [HOT])], ["top\n4 x 6"], strip=flat))
    assert "flat" in shown and not [text for text in shown if "nan" in text]


def test_all_text_is_inside_the_figure():
    rows = [MapRow("a_class_with_quite_a_long_name_of_many_words", "true, 0.01", [HOT] * 9)] * 3
    figure = heatmap_figure(
        IMAGE,
        rows,
        [f"block{number}\n4 x 6" for number in range(9)],
        title="x" * 80,
        strip=strip(),
        caption="y " * 200,
    )
    renderer = FigureCanvasAgg(figure).get_renderer()
    whole = figure.bbox
    for text in figure.texts:
        box = text.get_window_extent(renderer)
        assert box.x0 >= -1 and box.x1 <= whole.x1 + 1 and box.y0 >= -1 and box.y1 <= whole.y1 + 1, text


def test_a_gallery_takes_images_of_any_aspect_ratio():
    tall = np.zeros((60, 20, 3), np.uint8)
    figure = map_gallery(
        [GalleryItem([tall, tall], "predicted rust 0.9", "a.jpg"), GalleryItem([IMAGE, IMAGE], "b")], title="Mistakes"
    )
    assert {"predicted rust 0.9", "a.jpg", "Mistakes"} <= set(texts(figure))
    with pytest.raises(ValueError, match="needs an image"):
        map_gallery([])


def test_mean_maps_show_the_number_of_images_of_each_class():
    maps = np.stack([HOT, np.full_like(HOT, np.nan)])
    assert {"rust", "1,200 images", "no images"} <= set(texts(mean_map_figure(["rust", "blight"], maps, [1200, 0])))
