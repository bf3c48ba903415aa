import numpy as np
import pytest
import torch
from torch import nn

from coverslip.core.errors import UserError
from coverslip.figures.lr_range import lr_range_figure
from coverslip.training.batches import ArrayInputs
from coverslip.training.config import TrainingConfig
from coverslip.training.loop import train_network
from coverslip.training.lr_finder import find_lr, suggest_lr

CPU = torch.device("cpu")
CONFIG = TrainingConfig(batch_size=16)


def images(count=256):
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 3
    means = rng.normal(size=(3, 2, 6, 6))
    return (rng.normal(size=(count, 2, 6, 6)) + means[labels]).astype(np.float32), labels


def cnn():
    torch.manual_seed(0)
    body = [nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.1)]
    return nn.Sequential(*body, nn.Flatten(), nn.Linear(96, 3))


def find(network, **options):
    values, labels = images()
    return find_lr(network, ArrayInputs(values), labels, 3, CONFIG, device=CPU, **options)


def test_the_network_is_restored():
    network = cnn().eval()
    network[0].train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    find(network)
    after = network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert [module.training for module in network] == [True] + [False] * 5
    assert all(parameter.grad is None for parameter in network.parameters())


def test_the_suggested_learning_rate_is_better_than_a_much_smaller_or_larger_one():
    values, labels = images()
    lr = find(cnn()).suggestion
    losses = {}
    for factor in (0.05, 1.0, 200.0):
        config = TrainingConfig(epochs=2, batch_size=16, lr=lr * factor)
        result = train_network(cnn(), ArrayInputs(values), labels, 3, config, device=CPU)
        losses[factor] = result.history["train_loss"][-1]
    assert losses[1.0] == min(losses.values())


def test_the_test_ends_when_the_loss_diverges_and_contains_finite_losses():
    result = find(cnn(), high=1e6)
    assert len(result.frame) < 100 and np.isfinite(result.frame["loss"].to_numpy()).all()
    assert result.frame["lr"].is_sorted() and result.frame["lr"][0] == pytest.approx(1e-6)
    assert find(cnn(), high=1e6).frame.equals(result.frame)


def test_the_suggestion_is_at_the_steepest_decrease_despite_noise():
    lrs = np.geomspace(1e-6, 10, 100)
    losses = 1 / (1 + np.exp((np.log10(lrs) + 2.5) * 3)) + np.where(lrs > 0.5, (lrs - 0.5) * 2, 0)
    for seed in range(5):
        noise = np.random.default_rng(seed).normal(size=100) * 0.05
        assert -2.9 < np.log10(suggest_lr(lrs, losses + noise)) < -2.1


def test_a_decrease_while_large_initial_logits_shrink_is_ignored():
    position = np.log10(np.geomspace(1e-6, 10, 100))
    shrinking, learning, diverging = (
        height / (1 + np.exp((position - at) * 6)) for height, at in ((1, -5), (0.4, -3), (-9, 0))
    )
    assert -3.4 < np.log10(suggest_lr(10**position, 10 + shrinking + learning + diverging)) < -2.6


@pytest.mark.parametrize("invalid", [{"low": 0.0}, {"low": 1.0, "high": 0.1}, {"high": float("inf")}, {"steps": 3}])
def test_an_invalid_range_is_refused(invalid):
    with pytest.raises(UserError, match="range test"):
        find(cnn(), **invalid)


def test_a_loss_that_diverges_at_once_is_an_error():
    values, labels = images()
    network = nn.Sequential(nn.Flatten(), nn.Linear(72, 3))
    with pytest.raises(UserError, match="diverged after 0 steps"):
        find_lr(network, ArrayInputs(values * np.float32(np.nan)), labels, 3, CONFIG, device=CPU)
    assert all(bool(torch.isfinite(parameter).all()) for parameter in network.parameters())


def test_the_plot_shows_the_losses_and_the_suggested_learning_rate():
    result = find(cnn())
    frame = result.frame
    figure = lr_range_figure(
        frame["lr"].to_list(), frame["loss"].to_list(), frame["smooth"].to_list(), result.suggestion
    )
    (ax,) = figure.axes
    assert ax.get_xscale() == "log" and ax.get_xlabel() == "learning rate" and ax.get_ylabel() == "loss"
    assert any(f"{result.suggestion:.1e}" in text.get_text() for text in ax.get_legend().get_texts())
    low, high = ax.get_ylim()
    assert low < frame["smooth"].min() and frame["smooth"][0] < high
