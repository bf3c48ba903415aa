import numpy as np
import pytest
import torch
from torch import nn

from coverslip.core.errors import UserError
from coverslip.figures.rates import rates_figure
from coverslip.training.batches import ArrayInputs
from coverslip.training.config import TrainingConfig
from coverslip.training.loop import train_network
from coverslip.training.rate_finder import find_rate, suggest_rate

CPU = torch.device("cpu")
RECIPE = TrainingConfig(batch_size=16)


def images(count=256):
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 3
    means = rng.normal(size=(3, 2, 6, 6))
    return (rng.normal(size=(count, 2, 6, 6)) + means[labels]).astype(np.float32), labels


def cnn():
    torch.manual_seed(0)
    body = [nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.1)]
    return nn.Sequential(*body, nn.Flatten(), nn.Linear(96, 3))


def find(network, **named):
    values, labels = images()
    return find_rate(network, ArrayInputs(values), labels, 3, RECIPE, device=CPU, **named)


def test_the_network_is_as_it_was():
    network = cnn().eval()
    network[0].train()
    before = {name: each.clone() for name, each in network.state_dict().items()}
    find(network)
    after = network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert [module.training for module in network] == [True] + [False] * 5
    assert all(each.grad is None for each in network.parameters())


def test_the_suggested_rate_trains_better_than_a_twentieth_or_two_hundred_times_it():
    values, labels = images()
    rate = find(cnn()).suggestion
    losses = {}
    for factor in (0.05, 1.0, 200.0):
        config = TrainingConfig(epochs=2, batch_size=16, lr=rate * factor)
        found = train_network(cnn(), ArrayInputs(values), labels, 3, config, device=CPU)
        losses[factor] = found.history["train_loss"][-1]
    assert losses[1.0] == min(losses.values())


def test_it_ends_where_the_loss_breaks_and_keeps_only_numbers():
    found = find(cnn(), high=1e6)
    assert len(found.frame) < 100 and np.isfinite(found.frame["loss"].to_numpy()).all()
    assert found.frame["lr"].is_sorted() and found.frame["lr"][0] == pytest.approx(1e-6)
    assert find(cnn(), high=1e6).frame.equals(found.frame)


def test_the_steepest_fall_is_suggested_whatever_the_noise():
    rates = np.geomspace(1e-6, 10, 100)
    falls = 1 / (1 + np.exp((np.log10(rates) + 2.5) * 3)) + np.where(rates > 0.5, (rates - 0.5) * 2, 0)
    for seed in range(5):
        noise = np.random.default_rng(seed).normal(size=100) * 0.05
        assert -2.9 < np.log10(suggest_rate(rates, falls + noise)) < -2.1


def test_a_fall_while_the_first_scores_shrink_is_not_taken_for_learning():
    place = np.log10(np.geomspace(1e-6, 10, 100))
    shrinks, learns, breaks = (height / (1 + np.exp((place - at) * 6)) for height, at in ((1, -5), (0.4, -3), (-9, 0)))
    assert -3.4 < np.log10(suggest_rate(10**place, 10 + shrinks + learns + breaks)) < -2.6


@pytest.mark.parametrize("bad", [{"low": 0.0}, {"low": 1.0, "high": 0.1}, {"high": float("inf")}, {"steps": 3}])
def test_a_range_that_is_none_is_refused(bad):
    with pytest.raises(UserError, match="are no test"):
        find(cnn(), **bad)


def test_a_loss_that_breaks_at_once_is_told():
    values, labels = images()
    network = nn.Sequential(nn.Flatten(), nn.Linear(72, 3))
    with pytest.raises(UserError, match="the loss broke after"):
        find_rate(network, ArrayInputs(values * np.float32(np.nan)), labels, 3, RECIPE, device=CPU)
    assert all(bool(torch.isfinite(each).all()) for each in network.parameters())


def test_the_plot_shows_the_losses_and_names_the_rate():
    found = find(cnn())
    frame = found.frame
    figure = rates_figure(frame["lr"].to_list(), frame["loss"].to_list(), frame["smooth"].to_list(), found.suggestion)
    (ax,) = figure.axes
    assert ax.get_xscale() == "log" and ax.get_xlabel() == "learning rate" and ax.get_ylabel() == "loss"
    assert any(f"{found.suggestion:.1e}" in text.get_text() for text in ax.get_legend().get_texts())
    low, high = ax.get_ylim()
    assert low < frame["smooth"].min() and frame["smooth"][0] < high
