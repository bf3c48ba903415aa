"""Each lane of a stack equals the training that its network would have had alone."""

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
from coverslip.training.array_data import Part
from coverslip.training.batches import ArrayInputs
from coverslip.training.config import TrainingConfig
from coverslip.training.lanes import Stack
from coverslip.training.loop import score_network, train_network

CPU = torch.device("cpu")
CLASSES = 3
SGD = {"optimizer": "sgd"}


def images(count=100, seed=0, side=8):
    """uint8 images (count, 3, side, side) whose brightness tells the class, mostly."""
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


def recipes(*changes, **shared):
    """One recipe a change; rate 0.003, two epochs of ten steps."""
    usual = {"epochs": 2, "batch_size": 10, "lr": 0.003}
    return [TrainingConfig(**(usual | shared | change)) for change in changes]


def check_equal(networks, plans, rows=None, mix=None):
    """Weights after training, and what was measured on the way, of the stack and of each network alone.

    Weights are compared all in all: where a gradient is nearly 0, Adam makes a whole step of what was rounded away.
    """
    x, y = images()
    validation = ArrayInputs(images(40, 1)[0]), images(40, 1)[1]
    stack = Stack(networks, plans, ArrayInputs(x), y, CLASSES, rows=rows, validation=validation, mix=mix, device=CPU)
    epochs = [stack.run_epoch() for _ in range(max(plan.epochs for plan in plans))]
    for lane, (network, plan) in enumerate(zip(networks, plans, strict=True)):
        alone = copy.deepcopy(network)
        inputs, labels = ArrayInputs(x), y
        if rows is not None:
            inputs, labels = Part(inputs, rows[lane]), y[rows[lane]]
        last = replace(plan, keep_best=False)  # the stack holds the last weights
        done = train_network(alone, inputs, labels, CLASSES, last, validation=validation, mix=mix, device=CPU)
        if lane in stack.lanes:
            own, wanted = stack.weights(lane), alone.state_dict()
            assert {name: each.shape for name, each in own.items()} == {
                name: each.shape for name, each in wanted.items()
            }
            gap = torch.cat([(own[name] - each).flatten().double() for name, each in wanted.items()])
            assert float(gap.square().mean().sqrt()) < 1e-5, lane
            scores = stack.scores(validation[0])[stack.lanes.index(lane)]
            np.testing.assert_allclose(scores, score_network(alone, validation[0], device=CPU), atol=1e-3)
        seen = [each for epoch in epochs for each in epoch if each.lane == lane]
        assert len(seen) == plan.epochs
        for each, row in zip(seen, done.history.iter_rows(named=True), strict=True):
            assert each.epoch == row["epoch"]
            for name in ("lr", "train_loss", "validation_loss"):
                assert getattr(each, name) == pytest.approx(row[name], abs=1e-4), (lane, name)
            for name in ("train_accuracy", "validation_accuracy"):
                assert getattr(each, name) == pytest.approx(row[name], abs=0.03), (lane, name)
    return stack


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("build", [head, mlp])
def test_lanes_with_their_own_numbers_equal_trainings_alone(build, optimizer):
    plans = recipes(
        {"lr": 0.01, "weight_decay": 0.1},
        {"seed": 3, "schedule": "cosine", "l2": 0.01},
        {"label_smoothing": 0.2, "momentum": 0.5, "schedule": "constant"},
        {"balance": "sampling", "seed": 1, "warmup": 0.6},
        {"class_weights": (1.0, 2.0, 0.5)},
        optimizer=optimizer,
    )
    check_equal([build(seed) for seed in range(5)], plans)


@pytest.mark.parametrize("shared", [{"nesterov": True, "optimizer": "sgd"}, {"clip": 0.05}, {"loss": "focal"}])
def test_what_all_lanes_have_in_common_is_kept(shared):
    plans = recipes({"l2": 0.001}, {"seed": 1, "lr": 0.01, "gamma": 1.0}, **shared)
    check_equal([mlp(), mlp(1)], plans)


@pytest.mark.parametrize("size", [0, 1, 7])
def test_any_batch_size(size):
    check_equal([mlp(), mlp(1)], recipes({}, {"seed": 1}, batch_size=size))


@pytest.mark.parametrize("activation", ["relu", "leaky-relu", "elu", "gelu", "silu", "tanh", "sigmoid"])
def test_narrower_networks_lie_within_the_widest(activation):
    hidden = ((12, 6), (5, 9), (3, 2))
    networks = [mlp(seed, hidden=each, activation=activation, dropout=0.3) for seed, each in enumerate(hidden)]
    check_equal(networks, recipes({}, {"seed": 2, "l2": 0.01}, {"lr": 0.03}))


def test_dropout_is_drawn_as_each_network_alone_would_draw_it():
    networks = [mlp(dropout=share) for share in (0.0, 0.2, 0.5)]
    check_equal(networks, recipes({}, {"seed": 4}, {"seed": 9}))


def test_dropped_inputs():
    networks = [nn.Sequential(nn.Flatten(), nn.Dropout(share), nn.Linear(192, CLASSES)) for share in (0.1, 0.6)]
    check_equal(networks, recipes({}, {"seed": 4}))


@pytest.mark.parametrize("hidden", [((12, 6),) * 3, ((12, 6), (7, 6), (12, 3))])
def test_batch_norm_sees_each_lane_alone(hidden):
    networks = [mlp(seed, batch_norm=True, hidden=each) for seed, each in enumerate(hidden)]
    check_equal(networks, recipes({}, {"seed": 4, "lr": 0.01}, {"seed": 2}))


def test_folds_of_other_lengths():
    rng = np.random.default_rng(0)
    rows = [np.sort(rng.permutation(100)[:count]) for count in (100, 71, 64, 71)]
    check_equal([mlp(seed, batch_norm=True, dropout=0.2) for seed in range(4)], recipes(*[SGD] * 4), rows)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_folds_of_other_lengths_by_other_optimizers(optimizer):
    rows = [np.arange(100), np.arange(0, 100, 2), np.arange(30, 95)]
    check_equal([head(seed) for seed in range(3)], recipes(*[{}] * 3, optimizer=optimizer), rows)


def test_lanes_end_after_their_own_epochs():
    stack = check_equal([head(), head(1)], recipes({"epochs": 1}, {"epochs": 3}))
    assert stack.lanes == [1] and stack.run_epoch() == []


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_large_layers_are_updated_a_lane_at_a_time(optimizer, monkeypatch):
    monkeypatch.setattr("coverslip.training.lanes.optimizers.LARGE", 40)
    monkeypatch.setattr("coverslip.training.lanes.steps.LARGE", 40)
    for seeds in ((0, 0, 0, 0, 0, 0, 0), (0, 1, 2, 0, 1, 2, 5)):
        plans = recipes(*({"seed": seed, "l2": 0.001 * seed} for seed in seeds), optimizer=optimizer)
        check_equal([mlp(seed) for seed in range(7)], plans)


def test_mixed_images():
    plans = recipes({"label_smoothing": 0.1}, {"seed": 1}, {"seed": 1, "lr": 0.01})
    check_equal([mlp(), mlp(1), mlp(2)], plans, mix=Augmentation(mixup=0.4))


@pytest.mark.parametrize("kind", ["cnn", "cnn-full"])
@pytest.mark.parametrize("options", [{}, {"batch_norm": True, "dropout": 0.3}])
def test_small_convolutional_networks(kind, options):
    plans = recipes({}, {"seed": 1, "lr": 0.01}, {"seed": 1, "weight_decay": 0.1}, optimizer="sgd")
    check_equal([cnn(seed, kind, **options) for seed in range(3)], plans)


def test_convolutions_that_see_the_same_images():
    check_equal([cnn(seed, batch_norm=True) for seed in range(3)], recipes({}, {"lr": 0.01}, {"lr": 0.001}))


def test_a_whole_training_ends_at_the_same_loss():
    x, y = images(200)
    networks = [mlp(seed, dropout=0.2) for seed in range(3)]
    plans = recipes({"lr": 0.01}, {"seed": 1}, {"optimizer": "adam", "seed": 2}, epochs=12)
    stack = Stack(networks, plans, ArrayInputs(x), y, CLASSES, device=CPU)
    while stack.epoch < 12:
        stack.run_epoch()
    validation, truth = images(60, 1)
    for lane, plan in enumerate(plans):
        alone = train_network(networks[lane], ArrayInputs(x), y, CLASSES, plan, device=CPU).network
        one = torch.from_numpy(score_network(alone, ArrayInputs(validation), device=CPU))
        other = torch.from_numpy(stack.scores(ArrayInputs(validation))[lane])
        truth_tensor = torch.from_numpy(truth)
        assert float(cross_entropy(one, truth_tensor)) == pytest.approx(
            float(cross_entropy(other, truth_tensor)), abs=1e-3
        )
