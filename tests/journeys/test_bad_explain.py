"""Mistakes in explaining a model are answered with two lines, and no files are left behind."""

import shutil
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from coverslip import api
from coverslip.core.errors import UserError


@pytest.fixture(scope="module")
def runs(leaves, session_cache, tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    small = {"training_epochs": 1, "input_size": 16}
    api.train(leaves, root / "cnn", model_network="cnn", model_filters=(4, 4), **small)
    api.train(leaves, root / "one stage", model_network="cnn-full", model_filters=(4,), **small)
    api.train(leaves, root / "normed", model_network="cnn", model_filters=(4, 4), model_batch_norm=True, **small)
    api.train(leaves, root / "mlp", model_network="mlp", **small)
    return root


@pytest.fixture(scope="module")
def image(leaves):
    return next((leaves.parent / "images").rglob("*.jpg"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["IMAGE", "--class", "tomato_helthy"], ["tomato_helthy", "did you mean 'tomato_healthy'"]),
        (["IMAGE", "--method", "gradcam"], ["gradcam", "did you mean 'grad-cam'"]),
        (["IMAGE", "--layer", "blok1"], ["blok1", "did you mean 'block1'"]),
        (["IMAGE", "--method", "occlusion", "--layer", "block1"], ["uses no layer", "omit --layer"]),
        (["--filters", "block9"], ["block9", "block"]),
        ([], ["nothing to explain", "--test"]),
        (["nowhere.jpg"], ["nowhere.jpg", "check the path"]),
        (["IMAGE", "--masks", "nowhere"], ["nowhere", "check the path"]),
        (["IMAGE", "--masks", "RUN"], ["no mask"]),
        (["IMAGE", "--method", "cam"], ["average", "grad-cam"]),
    ],
)
def test_a_mistake_is_answered_in_two_lines_and_leaves_nothing_behind(
    coverslip, snapshot, runs, image, arguments, words
):
    run = runs / "cnn"
    filled = [{"IMAGE": str(image), "RUN": str(run)}.get(argument, argument) for argument in arguments]
    before = snapshot(run)
    coverslip("explain", run, *filled).refused(*words)
    assert snapshot(run) == before


def test_a_network_without_convolutions_is_answered_with_alternatives(coverslip, runs, image):
    coverslip("explain", runs / "mlp", image, "--method", "grad-cam").refused("no convolutions", "ideal", "occlusion")
    coverslip("explain", runs / "mlp", image, "--layer", "hidden1").refused("no convolutions", "occlusion")


def test_a_network_of_one_stage_is_drawn_with_one_column(runs, image):
    (explained,) = api.explain(runs / "one stage", [image]).images
    assert [heatmap.layer for heatmap in explained.heatmaps[0]] == ["block1"] and explained.trust is not None


def test_the_maps_of_an_image_do_not_depend_on_the_batch(runs, image):
    alone = api.explain(runs / "normed", [image]).images[0]
    folder = api.explain(runs / "normed", [image.parent], trust=False).images
    same = next(explained for explained in folder if explained.name.endswith(image.name))
    assert np.allclose(alone.heatmaps[0][0].values, same.heatmaps[0][0].values, atol=1e-5)


def test_a_constant_network_gives_flat_maps(leaves, runs, image, tmp_path):
    class Constant(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.last = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)

        def forward(self, images):
            return self.last(0 * self.conv(images).mean((2, 3)))

    network = Constant()
    run = api.train(leaves, tmp_path / "run", network=network, input_size=16, training_epochs=1)
    found = api.explain(run.folder, [image], tmp_path / "out", network=network)
    assert all(heatmap.flat and heatmap.normalized.max() == 0 for heatmap in found.heatmaps)
    assert "no heat" in [text.get_text() for text in found.figures[0].texts]


def test_a_broken_image_is_reported_and_refused_if_there_is_no_other(coverslip, runs, image, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(image.read_bytes()[:900])
    shutil.copy(image, tmp_path / "good.jpg")
    answer = coverslip("explain", runs / "cnn", tmp_path, "--no-trust", "--out", tmp_path / "out").done()
    assert "broken.jpg" in answer.err and "good.jpg" in answer.out
    coverslip("explain", runs / "cnn", tmp_path / "broken.jpg").refused("broken.jpg", "another image")


def test_an_image_with_more_channels_than_the_model_takes_is_refused(coverslip, runs, tmp_path):
    import tifffile

    pixels = np.zeros((16, 16, 5), np.uint8)
    tifffile.imwrite(tmp_path / "five.tif", pixels, photometric="minisblack", planarconfig="contig")
    coverslip("explain", runs / "cnn", tmp_path / "five.tif").refused("five.tif", "channels")


def test_too_many_images_are_refused(coverslip, runs, tmp_path):
    for number in range(65):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / f"{number}.png")
    coverslip("explain", runs / "cnn", tmp_path).refused("65 images", "--test")


def test_nothing_is_overwritten_and_a_free_name_is_suggested(coverslip, runs, image, tmp_path):
    (tmp_path / "notes.txt").write_text("a note of the user")
    coverslip("explain", runs / "cnn", image, "--out", tmp_path).refused("not empty", f"{tmp_path.name}-")


def test_missing_test_images_are_reported(coverslip, leaves, runs, image, tmp_path):
    copy = shutil.copytree(leaves.parent, tmp_path / "leaves")
    api.train(copy, tmp_path / "run", model_network="cnn", model_filters=(4,), input_size=16, training_epochs=1)
    (tmp_path / "run" / "table.csv").rename(tmp_path / "table.csv")
    coverslip("explain", tmp_path / "run", "--test").refused("table.csv")
    coverslip("explain", tmp_path / "run", image, "--no-trust").done()  # needs only the model
    (tmp_path / "table.csv").rename(tmp_path / "run" / "table.csv")
    shutil.rmtree(copy)
    coverslip("explain", tmp_path / "run", "--test").refused("no longer", "--test")


@pytest.mark.parametrize("method", ["integrated-gradients", "guided-backprop"])
def test_without_captum_the_error_names_the_extra_before_anything_is_computed(
    coverslip, monkeypatch, runs, image, method
):
    monkeypatch.setitem(sys.modules, "captum", None)
    coverslip("explain", runs / "cnn", image, "--method", method).refused("captum", "coverslip[explain]")
    api.explain(runs / "cnn", [image])  # other methods do not need it


def test_the_figure_of_guided_backpropagation_has_a_warning(runs, image):
    pytest.importorskip("captum")
    figure = api.explain(runs / "cnn", [image], method="guided-backprop", trust=False).figures[0]
    assert any("Warning" in text.get_text() for text in figure.texts)


@pytest.mark.parametrize("value", [255, 3])
def test_a_color_mask_is_refused(coverslip, runs, image, tmp_path, value):
    (tmp_path / "masks").mkdir()
    Image.new("RGB", (64, 64), (value, 0, 0)).save(tmp_path / "masks" / f"{image.stem}.png")
    coverslip("explain", runs / "cnn", image, "--masks", tmp_path / "masks").refused("3 channels", "0 background")


def test_a_run_with_a_custom_network_needs_the_network(leaves, image, tmp_path):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    torch.manual_seed(0)
    run = api.train(leaves, tmp_path / "run", network=network, input_size=16, training_epochs=1)
    found = api.explain(run.folder, [image], network=network, trust=False)
    assert found.images[0].heatmaps[0][0].values.shape == (14, 14)
    from coverslip.models.user_network import _registered

    _registered.clear()
    with pytest.raises(UserError, match="your own network"):
        api.explain(run.folder, [image])
