"""Keras models on the PyTorch backend; skipped if Keras is not installed."""

import importlib.util
import subprocess
import sys

import pytest
import torch
from torch import nn

from coverslip.core.errors import UserError
from coverslip.models.keras_adapter import as_module

needs_keras = pytest.mark.skipif(importlib.util.find_spec("keras") is None, reason="Keras is not installed")

WITH_KERAS = """
import copy, numpy as np, torch, keras
from coverslip.core.errors import UserError
from coverslip.models.keras_adapter import as_module
from coverslip.models.summary import summary
from coverslip.models.shapes import check_network

def model(ending, units):
    layers = [keras.Input((16, 16, 3)), keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization(),
              keras.layers.ReLU(), keras.layers.Flatten(), keras.layers.Dropout(0.5)]
    if ending == "layer":
        return keras.Sequential([*layers, keras.layers.Dense(units), keras.layers.Softmax()])
    return keras.Sequential([*layers, keras.layers.Dense(units, activation=ending)])

images = torch.rand(5, 3, 16, 16)
for ending, units, classes in (("softmax", 3, 3), ("layer", 3, 3), (None, 3, 3), ("sigmoid", 1, 2)):
    keras.utils.set_random_seed(0)
    own = model(ending, units)
    network = as_module(own)
    check_network(network, (3, 16, 16), classes)
    said = own.predict(images.permute(0, 2, 3, 1).numpy(), verbose=0)
    network.eval()
    with torch.no_grad():
        scores = network(images)
        np.testing.assert_array_equal(scores, network(images))
    given = scores.softmax(1) if ending else scores
    np.testing.assert_allclose(given[:, 1:] if units == 1 else given, said, atol=1e-5)

    network.train()
    assert not torch.equal(network(images), network(images)), "dropout is off"
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(images), torch.tensor([0, 1, 0, 1, 1]))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2, losses
    moved = {name: each.clone() for name, each in network.state_dict().items()}
    fresh = as_module(model(ending, units))
    fresh.load_state_dict(moved)
    with torch.no_grad():
        torch.testing.assert_close(fresh.eval()(images), network.eval()(images))
    copied = copy.deepcopy(network)
    with torch.no_grad():
        torch.testing.assert_close(copied.eval()(images), network(images))
        next(copied.parameters()).zero_()
        assert not torch.equal(copied(images), network(images)), "a copy must not share weights"
    assert len(moved) == len({each.data_ptr() for each in network.parameters()}) and "000_kernel" in moved
rows = summary(network, (3, 16, 16))
kinds = ["Conv2D", "BatchNormalization", "ReLU", "Flatten", "Dropout", "Dense"]
assert [each.kind for each in rows.layers] == kinds, rows.layers
assert rows.layers[0].parameters == 3 * 3 * 3 * 4 + 4 and rows.layers[0].shape == (14, 14, 4)
try:
    summary(network, (16, 16, 3))
except UserError as error:
    assert "the Keras model expects" in error.problem, error
else:
    raise AssertionError("a wrong axis order was accepted")
for bad in (keras.Sequential([keras.layers.Dense(2)]), keras.Sequential([keras.Input((7,)), keras.layers.Dense(2)])):
    try:
        as_module(bad)
    except UserError as error:
        assert "not that of images" in error.problem
    else:
        raise AssertionError("accepted")
"""


@needs_keras
def test_a_keras_model_returns_the_same_probabilities_and_can_be_trained():
    done = subprocess.run(
        [sys.executable, "-c", WITH_KERAS], env={"KERAS_BACKEND": "torch"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_module_is_returned_unchanged_and_anything_else_is_an_error():
    network = nn.Linear(2, 2)
    assert as_module(network) is network
    with pytest.raises(UserError, match="'resnet18' is the name of a network"):
        as_module("resnet18")
    with pytest.raises(UserError, match="a Tensor is not a network"):
        as_module(torch.zeros(2))
