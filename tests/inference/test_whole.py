"""The whole network says what the predictor says, and lets one look inside."""

import numpy as np
import pytest
import torch

from coverslip import api
from coverslip.data.cache import read_pixels
from coverslip.data.scan import scan
from coverslip.inference.whole import whole_network


@pytest.fixture(scope="module")
def predictor(small_run):
    return api.load(small_run.folder)


@pytest.fixture(scope="module")
def prepared(predictor, leaves):
    cache = read_pixels(scan(leaves), predictor.spec.size, predictor.spec.fit)
    rows = list(range(0, len(cache.pixels), 7))
    keys = cache.facts["row_hash"].to_list()
    expected = predictor.probabilities(predictor.extractor.extract(cache.pixels, rows, keys))
    return torch.from_numpy(predictor.spec.prepare(cache.pixels[rows])), expected


def test_its_probabilities_are_the_predictors_temperature_included(predictor, prepared):
    images, expected = prepared
    assert predictor.task.temperature != 1
    with torch.no_grad():
        said = whole_network(predictor)(images).double().softmax(1).numpy()
    assert np.abs(said - expected).max() < 0.01  # features are kept in half precision


def test_gradients_reach_the_image_and_a_batch_of_one_is_no_trouble(predictor, prepared):
    image = prepared[0][:1].clone().requires_grad_()
    network = whole_network(predictor)
    network(image)[0, 0].backward()
    assert image.grad.abs().max() > 0
    assert all(weight.grad is None for weight in network.parameters())


def test_every_stage_is_named_and_each_call_gives_a_network_of_its_own(predictor):
    one, two = whole_network(predictor), whole_network(predictor)
    assert (one.stages[0], one.stages[-1]) == ("stem", "classifier")
    with torch.no_grad():
        one[-1].weight.zero_()
    assert two[-1].weight.abs().max() > 0
    assert not any(getattr(module, "inplace", False) for module in one.modules())
