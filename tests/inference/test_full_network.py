"""The full network predicts as the predictor does, and gives access to gradients and inner layers."""

import numpy as np
import pytest
import torch

from coverslip import api
from coverslip.data.cache import read_pixels
from coverslip.data.scan import scan
from coverslip.inference.full_network import full_network


@pytest.fixture(scope="module")
def predictor(small_run):
    return api.load(small_run.folder)


@pytest.fixture(scope="module")
def prepared(predictor, leaves):
    cache = read_pixels(scan(leaves), predictor.spec.size, predictor.spec.fit)
    rows = list(range(0, len(cache.pixels), 7))
    keys = cache.facts["row_hash"].to_list()
    expected = predictor.task.probabilities(predictor.outputs(predictor.extractor.extract(cache.pixels, rows, keys)))
    return torch.from_numpy(predictor.spec.prepare(cache.pixels[rows])), expected


def test_its_probabilities_equal_the_calibrated_ones_of_the_predictor(predictor, prepared):
    images, expected = prepared
    assert predictor.task.temperature != 1
    with torch.no_grad():
        probabilities = full_network(predictor)(images).double().softmax(1).numpy()
    assert np.abs(probabilities - expected).max() < 0.01  # the cache stores features as float16


def test_gradients_reach_a_single_image(predictor, prepared):
    image = prepared[0][:1].clone().requires_grad_()
    network = full_network(predictor)
    network(image)[0, 0].backward()
    assert image.grad.abs().max() > 0
    assert all(weight.grad is None for weight in network.parameters())


def test_stages_have_names_and_each_call_returns_a_new_network(predictor):
    one, two = full_network(predictor), full_network(predictor)
    assert (one.stages[0], one.stages[-1]) == ("stem", "classifier")
    with torch.no_grad():
        one[-1].weight.zero_()
    assert two[-1].weight.abs().max() > 0
    assert not any(getattr(module, "inplace", False) for module in one.modules())
