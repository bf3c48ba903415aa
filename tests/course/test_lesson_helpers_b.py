"""Helpers of lessons 3 to 5: convolutions, comparisons, frozen features, and figures of a network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from coverslip.core.errors import UserError
from coverslip.course.comparison import Normalize, compare_on_test, curves, repeat
from coverslip.course.frozen import frozen_features
from coverslip.course.image_set import Images
from coverslip.course.inspection import cam_figure, class_map, ideal_images_figure, shuffled_weights
from coverslip.course.kernels import (
    LIGHT_AND_DARK,
    VERTICAL_EDGE,
    convolution_figure,
    maps_figure,
    output_size,
    pool,
    slide_kernel,
)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Images:
    """Return 24 noisy images of 12 leaves; the second class is brighter."""
    rng = np.random.default_rng(0)
    y = np.arange(24) % 2
    x = (rng.integers(0, 120, (24, 16, 16, 3)) + 90 * y[:, None, None, None]).astype(np.uint8)
    groups = [f"{'ab'[row % 2]}{row // 4}" for row in range(24)]
    return Images(x, y, ("dark", "light"), groups, [f"{row}.png" for row in range(24)], tmp_path_factory.mktemp("no"))


def small() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(),
        nn.Conv2d(4, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )  # fmt: skip


def test_the_vertical_edge_kernel_gives_the_output_computed_by_hand() -> None:
    assert slide_kernel(LIGHT_AND_DARK, VERTICAL_EDGE).tolist() == [[0, 30, 30, 0]] * 4


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (1, 1), (2, 0), (2, 1), (3, 2)])
def test_the_output_equals_the_convolution_of_pytorch(stride: int, padding: int) -> None:
    rng = np.random.default_rng(1)
    image, kernel = rng.normal(size=(7, 5)), rng.normal(size=(3, 2))
    tensors = torch.tensor(image)[None, None], torch.tensor(kernel)[None, None]
    expected = nn.functional.conv2d(*tensors, stride=stride, padding=padding)[0, 0].numpy()
    assert np.allclose(slide_kernel(image, kernel, stride=stride, padding=padding), expected)


def test_pooling_keeps_the_maximum_and_drops_incomplete_squares() -> None:
    assert pool([[1, 5, 9], [3, 4, 9], [9, 9, 9]]).tolist() == [[5]]


def test_a_kernel_that_does_not_fit_is_refused() -> None:
    with pytest.raises(UserError, match="does not fit into 4 pixels"):
        output_size(4, 5)
    with pytest.raises(UserError, match="two dimensions"):
        slide_kernel(np.zeros((4, 4, 3)), VERTICAL_EDGE)


def test_the_figure_writes_out_the_sum_at_one_position() -> None:
    figure = convolution_figure(LIGHT_AND_DARK, VERTICAL_EDGE, stride=2, padding=1, position=(0, 1))
    assert next(text.get_text() for text in figure.texts if "·" in text.get_text()).endswith("= 20")
    assert len(maps_figure([LIGHT_AND_DARK, VERTICAL_EDGE], ["a", "b"]).axes) == 2


def test_repeated_trainings_have_other_weights_and_are_reproducible(few: Images) -> None:
    def make() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(768, 2))

    first, again = (repeat(make, few, times=2, epochs=1) for _ in range(2))
    weights = [history.network[1].weight for history in (*first, *again)]
    assert not torch.equal(weights[0], weights[1])
    assert torch.equal(weights[0], weights[2])
    with pytest.raises(UserError, match="function that builds a new network"):
        repeat(make(), few)  # type: ignore[arg-type]


def test_a_variant_that_was_trained_twice_counts_a_leaf_once(few: Images) -> None:
    good, coin = np.eye(2)[few.y] * 0.9 + 0.05, np.full((24, 2), 0.5)
    comparison = compare_on_test(few, {"coin": [coin, coin], "good": [good, good]}, score="log_loss")
    assert comparison.result["groups"] == 12
    assert comparison.difference("good", "coin")["better"] == "good"
    assert "each trained 2 times" in repr(comparison)
    scores, differences = comparison.plot().axes
    assert [label.get_text() for label in scores.get_yticklabels()] == ["coin", "good"]
    assert [label.get_text() for label in differences.get_yticklabels()] == ["good \N{MINUS SIGN} coin"]


@pytest.mark.parametrize(
    ("variants", "problem"),
    [
        ({"one": np.full((24, 2), 0.5)}, "two variants"),
        ({"one": np.full((24, 2), 0.5), "two": [np.full((24, 2), 0.5)] * 2}, "equally often: one 1, two 2"),
        ({"one": np.full((24, 2), 0.5), "two": np.full((23, 2), 0.5)}, r"shape \(23, 2\)"),
    ],
)
def test_an_invalid_comparison_is_refused(few: Images, variants: dict[str, object], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        compare_on_test(few, variants)


def test_an_unknown_column_of_curves_is_refused(few: Images) -> None:
    history = repeat(small, few, times=1, epochs=2)[0]
    assert len(curves({"small": history}, "validation_loss").axes[0].lines) == 1
    with pytest.raises(UserError, match="train_loss"):
        curves({"small": history}, "train_los")


def test_normalized_training_images_have_mean_0_and_spread_1(few: Images) -> None:
    x = few.x / 255
    layer = Normalize(x.mean(axis=(0, 1, 2)), x.std(axis=(0, 1, 2)))
    normalized = layer(torch.tensor(x, dtype=torch.float32).permute(0, 3, 1, 2))
    assert torch.allclose(normalized.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-4)
    assert torch.allclose(normalized.std(dim=(0, 2, 3), correction=0), torch.ones(3), atol=1e-4)


def test_a_fully_convolutional_network_has_logits_at_each_position_of_a_larger_image(few: Images) -> None:
    network = small().train()
    sheet = np.tile(few.x[0], (2, 2, 1))
    maps = class_map(network, sheet)
    assert maps.shape == (2, 16, 16)
    assert network.training
    with torch.no_grad():
        logits = network.eval()(torch.tensor(sheet.transpose(2, 0, 1)[None] / 255, dtype=torch.float32))
    assert np.allclose(maps.mean(axis=(1, 2)), logits[0].numpy(), atol=1e-5)
    with pytest.raises(UserError, match="does not average"):
        class_map(nn.Flatten(), sheet)


def test_shuffling_the_weights_does_not_change_the_network(few: Images) -> None:
    network = small()
    before = network[0].weight.detach().clone()
    shuffled = shuffled_weights(network)
    assert torch.equal(network[0].weight, before)
    assert not torch.equal(shuffled[0].weight, before)
    assert torch.equal(shuffled[0].weight.flatten().sort().values, before.flatten().sort().values)


def test_maps_and_ideal_images_are_drawn_for_any_network(few: Images) -> None:
    network = small()
    texts = [text.get_text() for text in cam_figure(network, few.x[0], few.names).texts]
    assert {"block 1", "block 2", "dark", "light"} <= set(texts)
    assert len(ideal_images_figure(network, 16, few.names, steps=2).axes) == 2
    assert len(ideal_images_figure(network, 16, layer="3", steps=2).axes) == 4  # one per filter
    with pytest.raises(UserError, match="one image"):
        cam_figure(network, few.x, few.names)
    with pytest.raises(UserError, match="3 names for 2 outputs"):
        cam_figure(network, few.x[0], ["a", "b", "c"])


def test_frozen_features_do_not_depend_on_the_other_images(few: Images) -> None:
    both = frozen_features(few.x[:2], side=64)
    assert both.shape == (2, 1280)
    assert np.allclose(both[1], frozen_features(few.x[1:2], side=64)[0], atol=1e-4)
    with pytest.raises(UserError, match="uint8 images"):
        frozen_features(few.x / 255)


def test_normalizing_with_missing_values_names_them() -> None:
    with pytest.raises(UserError, match="mean is not one number for each color"):
        Normalize(..., ...)  # type: ignore[arg-type]
