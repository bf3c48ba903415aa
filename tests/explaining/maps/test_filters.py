"""Filters: their weights, their feature maps, and the images with the highest and lowest activations."""

import numpy as np
import pytest
import torch
from torch import nn

from coverslip.core.errors import UserError
from coverslip.data.inputs import InputSpec
from coverslip.explaining.maps.filters import feature_maps, first_filters, top_images
from coverslip.models.catalog import build_network
from coverslip.models.design import Design

SPEC = InputSpec(size=(16, 16), mean=(0.5, 0.5, 0.5), std=(0.25, 0.5, 0.25))


def built(name, **options):
    torch.manual_seed(0)
    return build_network(Design(network=name, size=(16, 16), **options), 4).eval()


def random_images(number=20):
    return torch.randn(number, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def test_first_weights_are_images_for_every_kind_of_first_layer():
    network = built("cnn", filters=(5, 6))
    found = first_filters(network, SPEC)
    assert found.layer == "block1.0" and not found.full_size and found.weights.shape == (5, 3, 3, 3)
    assert np.allclose(found.weights[2, 1, 0], network.block1[0].weight[2, :, 1, 0].detach() / torch.tensor(SPEC.std))
    linear = first_filters(built("linear"), SPEC)
    assert linear.full_size and linear.layer == "classifier" and linear.weights.shape == (4, 16, 16, 3)
    hidden = first_filters(built("mlp", hidden=(7,)), SPEC)
    assert hidden.full_size and hidden.weights.shape == (7, 16, 16, 3)


def test_first_weights_of_a_linear_network_explain_its_logits():
    """The logit changes by the weight when a pixel value changes by one."""
    network = built("linear")
    pixels = np.zeros((1, 16, 16, 3), np.uint8)
    brighter = pixels.copy()
    brighter[0, 4, 5, 1] = 255
    with torch.no_grad():
        change = network(torch.from_numpy(SPEC.prepare(brighter))) - network(torch.from_numpy(SPEC.prepare(pixels)))
    assert np.allclose(first_filters(network, SPEC).weights[:, 4, 5, 1], change[0], atol=1e-5)


def test_first_weights_that_cannot_be_shown_as_images_are_refused():
    network = nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(48, 2))
    with pytest.raises(UserError, match="cannot be shown as images"):
        first_filters(network, SPEC)


def test_feature_maps_are_the_outputs_of_the_stages():
    network, image = built("cnn", filters=(5, 6), batch_norm=True).train(), random_images(1)[0]
    found = feature_maps(network, image)
    assert network.training and network.block1[1].num_batches_tracked == 0
    assert [(each.layer, each.maps.shape) for each in found] == [("block1", (5, 8, 8)), ("block2", (6, 4, 4))]
    with torch.no_grad():
        first = network.eval().block1(image[None])
        assert np.allclose(found[0].maps, first[0], atol=1e-6)
        assert np.allclose(found[1].maps, network.block2(first)[0], atol=1e-6)
    order = found[0].most_variable(3)
    spread = found[0].maps.std(axis=(1, 2))
    assert len(order) == 3 and spread[order[0]] == spread.max()
    with pytest.raises(UserError, match="no feature maps"):
        feature_maps(built("linear"), image)


@pytest.mark.parametrize("parts", [[20], [7, 7, 6], [1] * 20])
def test_top_images_equal_those_of_brute_force(parts):
    network, images = built("cnn", filters=(5, 6)), random_images()
    found = top_images(network, images.split(parts), [4, 0], layer="block2", images=3)
    with torch.no_grad():
        maps = network.block2(network.block1(images)).numpy()[:, [4, 0]]
    largest = maps.max(axis=(2, 3)).T  # (2, 20)
    assert found.units == (4, 0) and found.layer == "block2"
    assert np.array_equal(found.top, np.argsort(-largest, axis=1, kind="stable")[:, :3])
    assert np.array_equal(found.bottom, np.argsort(largest, axis=1, kind="stable")[:, :3])
    assert np.allclose(found.top_values, -np.sort(-largest, axis=1)[:, :3], atol=1e-5)
    assert np.allclose(found.bottom_values, np.sort(largest, axis=1)[:, :3], atol=1e-5)
    assert np.allclose(found.silent, (largest <= 0).mean(axis=1))
    for unit in range(2):
        for position, row in zip(found.top_places[unit], found.top[unit], strict=True):
            down, across = (position * 4).astype(int)
            assert maps[row, unit, down, across] == pytest.approx(maps[row, unit].max(), abs=1e-5)


def test_top_images_of_classes_and_of_dense_units():
    network, images = built("mlp", hidden=(7,)), random_images(5)
    classes = top_images(network, [images], images=8)
    assert classes.units == (0, 1, 2, 3) and classes.top.shape == (4, 5)  # there are only five images
    with torch.no_grad():
        logits = network(images).numpy()
    assert classes.top[2, 0] == (logits[:, 2] - np.delete(logits, 2, axis=1).mean(axis=1)).argmax()
    assert np.isnan(classes.top_places).all()
    assert top_images(network, [images], layer="hidden1", images=2).top.shape == (7, 2)


def test_invalid_input_raises_user_errors():
    network = built("cnn", filters=(5, 6))
    with pytest.raises(UserError, match="no images"):
        top_images(network, [])
    with pytest.raises(UserError, match="did you mean 'block2'"):
        top_images(network, [random_images()], layer="blok2")
    with pytest.raises(UserError, match="number 6"):
        top_images(network, [random_images()], [6], layer="block2")
