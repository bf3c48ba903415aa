"""What lessons 3 to 5 call: kernels by hand, recipes compared, frozen features, and a look inside a network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from coverslip.core.errors import UserError
from coverslip.course.frozen import frozen_features
from coverslip.course.image_set import Images
from coverslip.course.kernels import LIGHT_AND_DARK, VERTICAL_EDGE, maps_figure, pool, side_after, slide, sum_figure
from coverslip.course.looking import class_map, ideal_of, scrambled, where_it_looks
from coverslip.course.trials import Normalize, compare_on, curves, repeat


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Images:
    """24 noisy images of 12 leaves; the second class is brighter."""
    chance = np.random.default_rng(0)
    y = np.arange(24) % 2
    x = (chance.integers(0, 120, (24, 16, 16, 3)) + 90 * y[:, None, None, None]).astype(np.uint8)
    groups = [f"{'ab'[row % 2]}{row // 4}" for row in range(24)]
    return Images(x, y, ("dark", "light"), groups, [f"{row}.png" for row in range(24)], tmp_path_factory.mktemp("no"))


def small() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(),
        nn.Conv2d(4, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )  # fmt: skip


def test_the_vertical_edge_kernel_gives_the_four_by_four_answer_that_one_finds_by_hand() -> None:
    assert slide(LIGHT_AND_DARK, VERTICAL_EDGE).tolist() == [[0, 30, 30, 0]] * 4


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (1, 1), (2, 0), (2, 1), (3, 2)])
def test_sliding_agrees_with_the_convolution_of_pytorch(stride: int, padding: int) -> None:
    chance = np.random.default_rng(1)
    image, kernel = chance.normal(size=(7, 5)), chance.normal(size=(3, 2))
    given = torch.tensor(image)[None, None], torch.tensor(kernel)[None, None]
    wanted = nn.functional.conv2d(*given, stride=stride, padding=padding)[0, 0].numpy()
    assert np.allclose(slide(image, kernel, stride=stride, padding=padding), wanted)


def test_pooling_keeps_the_largest_and_drops_what_is_left_over() -> None:
    assert pool([[1, 5, 9], [3, 4, 9], [9, 9, 9]]).tolist() == [[5]]


def test_a_kernel_that_does_not_fit_is_explained() -> None:
    with pytest.raises(UserError, match="does not fit into 4 pixels"):
        side_after(4, 5)
    with pytest.raises(UserError, match="no tables of numbers"):
        slide(np.zeros((4, 4, 3)), VERTICAL_EDGE)


def test_the_drawing_spells_out_the_sum_at_one_place() -> None:
    figure = sum_figure(LIGHT_AND_DARK, VERTICAL_EDGE, stride=2, padding=1, place=(0, 1))
    assert next(text.get_text() for text in figure.texts if "·" in text.get_text()).endswith("= 20")
    assert len(maps_figure([LIGHT_AND_DARK, VERTICAL_EDGE], ["a", "b"]).axes) == 2


def test_a_recipe_is_trained_from_other_weights_each_time_and_again_the_same(few: Images) -> None:
    def make() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(768, 2))

    first, again = (repeat(make, few, times=2, epochs=1) for _ in range(2))
    weights = [history.network[1].weight for history in (*first, *again)]
    assert not torch.equal(weights[0], weights[1])
    assert torch.equal(weights[0], weights[2])
    with pytest.raises(UserError, match="function that builds a new one"):
        repeat(make(), few)  # type: ignore[arg-type]


def test_a_recipe_that_was_trained_twice_counts_a_leaf_once(few: Images) -> None:
    right, coin = np.eye(2)[few.y] * 0.9 + 0.05, np.full((24, 2), 0.5)
    told = compare_on(few, {"coin": [coin, coin], "good": [right, right]}, score="log_loss")
    assert told.found["groups"] == 12
    assert told.difference("good", "coin")["better"] == "good"
    assert "each trained 2 times" in repr(told)
    scores, differences = told.plot().axes
    assert [each.get_text() for each in scores.get_yticklabels()] == ["coin", "good"]
    assert [each.get_text() for each in differences.get_yticklabels()] == ["good \N{MINUS SIGN} coin"]


@pytest.mark.parametrize(
    ("rivals", "problem"),
    [
        ({"one": np.full((24, 2), 0.5)}, "two rivals"),
        ({"one": np.full((24, 2), 0.5), "two": [np.full((24, 2), 0.5)] * 2}, "equally often: one 1, two 2"),
        ({"one": np.full((24, 2), 0.5), "two": np.full((23, 2), 0.5)}, r"shape \(23, 2\)"),
    ],
)
def test_what_cannot_be_compared_is_explained(few: Images, rivals: dict[str, object], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        compare_on(few, rivals)


def test_curves_name_a_column_that_is_not_there(few: Images) -> None:
    history = repeat(small, few, times=1, epochs=2)[0]
    assert len(curves({"small": history}, "validation_loss").axes[0].lines) == 1
    with pytest.raises(UserError, match="train_loss"):
        curves({"small": history}, "train_los")


def test_normalized_training_images_have_mean_0_and_spread_1(few: Images) -> None:
    x = few.x / 255
    layer = Normalize(x.mean(axis=(0, 1, 2)), x.std(axis=(0, 1, 2)))
    seen = layer(torch.tensor(x, dtype=torch.float32).permute(0, 3, 1, 2))
    assert torch.allclose(seen.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-4)
    assert torch.allclose(seen.std(dim=(0, 2, 3), correction=0), torch.ones(3), atol=1e-4)


def test_a_fully_convolutional_network_answers_at_each_place_of_a_larger_image(few: Images) -> None:
    network = small().train()
    sheet = np.tile(few.x[0], (2, 2, 1))
    maps = class_map(network, sheet)
    assert maps.shape == (2, 16, 16)
    assert network.training
    with torch.no_grad():
        scores = network.eval()(torch.tensor(sheet.transpose(2, 0, 1)[None] / 255, dtype=torch.float32))
    assert np.allclose(maps.mean(axis=(1, 2)), scores[0].numpy(), atol=1e-5)
    with pytest.raises(UserError, match="does not average"):
        class_map(nn.Flatten(), sheet)


def test_scrambling_leaves_the_network_as_it_was(few: Images) -> None:
    network = small()
    before = network[0].weight.detach().clone()
    other = scrambled(network)
    assert torch.equal(network[0].weight, before)
    assert not torch.equal(other[0].weight, before)
    assert torch.equal(other[0].weight.flatten().sort().values, before.flatten().sort().values)


def test_maps_and_ideal_images_are_drawn_for_a_network_of_ones_own(few: Images) -> None:
    network = small()
    texts = [each.get_text() for each in where_it_looks(network, few.x[0], few.names).texts]
    assert {"block 1", "block 2", "dark", "light"} <= set(texts)
    assert len(ideal_of(network, 16, few.names, steps=2).axes) == 2
    assert len(ideal_of(network, 16, layer="3", steps=2).axes) == 4  # one for each filter
    with pytest.raises(UserError, match="one image"):
        where_it_looks(network, few.x, few.names)
    with pytest.raises(UserError, match="3 names for 2 outputs"):
        where_it_looks(network, few.x[0], ["a", "b", "c"])


def test_frozen_features_do_not_depend_on_the_other_images(few: Images) -> None:
    both = frozen_features(few.x[:2], side=64)
    assert both.shape == (2, 1280)
    assert np.allclose(both[1], frozen_features(few.x[1:2], side=64)[0], atol=1e-4)
    with pytest.raises(UserError, match="uint8 images"):
        frozen_features(few.x / 255)


def test_normalizing_before_anything_was_measured_says_what_is_missing() -> None:
    with pytest.raises(UserError, match="mean is not one number for each color"):
        Normalize(..., ...)  # type: ignore[arg-type]
