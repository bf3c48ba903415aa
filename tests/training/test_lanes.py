"""Each lane of a stack equals a separate training of its network."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from coverslip.data.augment import Augmentation
from coverslip.models.catalog import build_network
from coverslip.models.design import Design
from coverslip.training.array_data import Subset
from coverslip.training.batches import ArrayInputs
from coverslip.training.config import TrainingConfig
from coverslip.training.forward import compute_logits
from coverslip.training.lanes import Stack
from coverslip.training.loop import train_network

CPU = torch.device("cpu")
CLASSES = 3
SGD = {"optimizer": "sgd"}


def images(count=100, seed=0, side=8):
    """Return uint8 images (count, 3, side, side) whose brightness depends on the class, with overlap."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % CLASSES)
    values = rng.normal(90 + 30 * labels[:, None, None, None], 40, (count, 3, side, side))
    return values.clip(0, 255).astype(np.uint8), labels


def mlp(seed=0, **options):
    torch.manual_seed(seed)
    return build_network(Design(network="mlp", size=(8, 8), **({"hidden": (12, 6)} | options)), CLASSES)


def cnn(seed=0, kind="cnn-full", **options):
    torch.manual_seed(seed)
    return build_network(Design(network=kind, size=(8, 8), **({"filters": (4, 6)} | options)), CLASSES)


def head(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(192, CLASSES))


def configs(*changes, **shared):
    """Return one config per change; learning rate 0.003, two epochs of ten steps."""
    defaults = {"epochs": 2, "batch_size": 10, "lr": 0.003}
    return [TrainingConfig(**(defaults | shared | change)) for change in changes]


def check_equal(networks, settings, rows=None, mix=None):
    """Compare final weights and metrics of the stack with those of separate trainings.

    Weights are compared by their root mean square: for a gradient near 0, Adam turns rounding errors into full steps.
    """
    x, y = images()
    validation = ArrayInputs(images(40, 1)[0]), images(40, 1)[1]
    stack = Stack(networks, settings, ArrayInputs(x), y, CLASSES, rows=rows, validation=validation, mix=mix, device=CPU)
    epochs = [stack.run_epoch() for _ in range(max(config.epochs for config in settings))]
    for lane, (network, config) in enumerate(zip(networks, settings, strict=True)):
        alone = copy.deepcopy(network)
        inputs, labels = ArrayInputs(x), y
        if rows is not None:
            inputs, labels = Subset(inputs, rows[lane]), y[rows[lane]]
        last = replace(config, keep_best=False)  # the stack has the last weights
        result = train_network(alone, inputs, labels, CLASSES, last, validation=validation, mix=mix, device=CPU)
        if lane in stack.lanes:
            weights, expected = stack.weights(lane), alone.state_dict()
            shapes = {name: tensor.shape for name, tensor in expected.items()}
            assert {name: tensor.shape for name, tensor in weights.items()} == shapes
            gap = torch.cat([(weights[name] - tensor).flatten().double() for name, tensor in expected.items()])
            assert float(gap.square().mean().sqrt()) < 1e-5, lane
            logits = stack.logits(validation[0])[stack.lanes.index(lane)]
            np.testing.assert_allclose(logits, compute_logits(alone, validation[0], device=CPU), atol=1e-3)
        metrics = [entry for epoch in epochs for entry in epoch if entry.lane == lane]
        assert len(metrics) == config.epochs
        for entry, row in zip(metrics, result.history.iter_rows(named=True), strict=True):
            assert entry.epoch == row["epoch"]
            for name in ("lr", "train_loss", "validation_loss"):
                assert getattr(entry, name) == pytest.approx(row[name], abs=1e-4), (lane, name)
            for name in ("train_accuracy", "validation_accuracy"):
                assert getattr(entry, name) == pytest.approx(row[name], abs=0.03), (lane, name)
    return stack


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("build", [head, mlp])
def test_lanes_with_different_settings_equal_separate_trainings(build, optimizer):
    settings = configs(
        {"lr": 0.01, "weight_decay": 0.1},
        {"seed": 3, "schedule": "cosine", "l2": 0.01},
        {"label_smoothing": 0.2, "momentum": 0.5, "schedule": "constant"},
        {"balance": "sampling", "seed": 1, "warmup": 0.6},
        {"class_weights": (1.0, 2.0, 0.5)},
        optimizer=optimizer,
    )
    check_equal([build(seed) for seed in range(5)], settings)


@pytest.mark.parametrize("shared", [{"nesterov": True, "optimizer": "sgd"}, {"clip": 0.05}, {"loss": "focal"}])
def test_shared_settings_apply_to_all_lanes(shared):
    settings = configs({"l2": 0.001}, {"seed": 1, "lr": 0.01, "gamma": 1.0}, **shared)
    check_equal([mlp(), mlp(1)], settings)


@pytest.mark.parametrize("size", [0, 1, 7])
def test_lanes_equal_separate_trainings_for_any_batch_size(size):
    check_equal([mlp(), mlp(1)], configs({}, {"seed": 1}, batch_size=size))


@pytest.mark.parametrize("activation", ["relu", "leaky-relu", "elu", "gelu", "silu", "tanh", "sigmoid"])
def test_narrower_networks_are_padded_to_the_widest(activation):
    hidden = ((12, 6), (5, 9), (3, 2))
    networks = [mlp(seed, hidden=widths, activation=activation, dropout=0.3) for seed, widths in enumerate(hidden)]
    check_equal(networks, configs({}, {"seed": 2, "l2": 0.01}, {"lr": 0.03}))


def test_dropout_masks_equal_those_of_separate_trainings():
    networks = [mlp(dropout=rate) for rate in (0.0, 0.2, 0.5)]
    check_equal(networks, configs({}, {"seed": 4}, {"seed": 9}))


def test_dropout_of_the_inputs():
    networks = [nn.Sequential(nn.Flatten(), nn.Dropout(rate), nn.Linear(192, CLASSES)) for rate in (0.1, 0.6)]
    check_equal(networks, configs({}, {"seed": 4}))


@pytest.mark.parametrize("hidden", [((12, 6),) * 3, ((12, 6), (7, 6), (12, 3))])
def test_batch_norm_statistics_are_separate_for_each_lane(hidden):
    networks = [mlp(seed, batch_norm=True, hidden=widths) for seed, widths in enumerate(hidden)]
    check_equal(networks, configs({}, {"seed": 4, "lr": 0.01}, {"seed": 2}))


def test_folds_of_different_lengths():
    rng = np.random.default_rng(0)
    rows = [np.sort(rng.permutation(100)[:count]) for count in (100, 71, 64, 71)]
    check_equal([mlp(seed, batch_norm=True, dropout=0.2) for seed in range(4)], configs(*[SGD] * 4), rows)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_folds_of_different_lengths_with_other_optimizers(optimizer):
    rows = [np.arange(100), np.arange(0, 100, 2), np.arange(30, 95)]
    check_equal([head(seed) for seed in range(3)], configs(*[{}] * 3, optimizer=optimizer), rows)


def test_lanes_leave_after_their_last_epoch():
    stack = check_equal([head(), head(1)], configs({"epochs": 1}, {"epochs": 3}))
    assert stack.lanes == [1] and stack.run_epoch() == []


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_large_layers_are_updated_one_lane_at_a_time(optimizer, monkeypatch):
    monkeypatch.setattr("coverslip.training.lanes.optimizers.LARGE", 40)
    monkeypatch.setattr("coverslip.training.lanes.steps.LARGE", 40)
    for seeds in ((0, 0, 0, 0, 0, 0, 0), (0, 1, 2, 0, 1, 2, 5)):
        settings = configs(*({"seed": seed, "l2": 0.001 * seed} for seed in seeds), optimizer=optimizer)
        check_equal([mlp(seed) for seed in range(7)], settings)


def test_mixed_images():
    settings = configs({"label_smoothing": 0.1}, {"seed": 1}, {"seed": 1, "lr": 0.01})
    check_equal([mlp(), mlp(1), mlp(2)], settings, mix=Augmentation(mixup=0.4))


@pytest.mark.parametrize("kind", ["cnn", "cnn-full"])
@pytest.mark.parametrize("options", [{}, {"batch_norm": True, "dropout": 0.3}])
def test_small_convolutional_networks(kind, options):
    settings = configs({}, {"seed": 1, "lr": 0.01}, {"seed": 1, "weight_decay": 0.1}, optimizer="sgd")
    check_equal([cnn(seed, kind, **options) for seed in range(3)], settings)


def test_convolutions_with_shared_images():
    check_equal([cnn(seed, batch_norm=True) for seed in range(3)], configs({}, {"lr": 0.01}, {"lr": 0.001}))


def test_a_long_training_ends_at_the_same_loss():
    x, y = images(200)
    networks = [mlp(seed, dropout=0.2) for seed in range(3)]
    settings = configs({"lr": 0.01}, {"seed": 1}, {"optimizer": "adam", "seed": 2}, epochs=12)
    stack = Stack(networks, settings, ArrayInputs(x), y, CLASSES, device=CPU)
    while stack.epoch < 12:
        stack.run_epoch()
    validation, labels = images(60, 1)
    for lane, config in enumerate(settings):
        alone = train_network(networks[lane], ArrayInputs(x), y, CLASSES, config, device=CPU).network
        one = torch.from_numpy(compute_logits(alone, ArrayInputs(validation), device=CPU))
        other = torch.from_numpy(stack.logits(ArrayInputs(validation))[lane])
        targets = torch.from_numpy(labels)
        assert float(cross_entropy(one, targets)) == pytest.approx(float(cross_entropy(other, targets)), abs=1e-3)
