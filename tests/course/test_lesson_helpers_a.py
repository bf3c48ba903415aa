"""Helpers of lessons 0 to 2: sweeps, loss surfaces and figures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from coverslip.core.errors import UserError
from coverslip.course.centering import Center
from coverslip.course.hierarchy import hierarchy_figure
from coverslip.course.lesson_figures import (
    accuracy_text,
    activation_figure,
    average_figure,
    interval,
    interval_figure,
    numbers_figure,
    threshold_figure,
)
from coverslip.course.surface import Surface, two_features
from coverslip.course.sweeps import sweep


@pytest.fixture(scope="module")
def cards() -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return 48 images of 24 cards, two of each: one class is reddish, the other greenish, on random gray."""
    rng = np.random.default_rng(0)
    y = np.arange(48) // 2 % 2
    x = rng.integers(80, 140, (48, 8, 8, 3)).astype(np.uint8)
    x[np.arange(48), :, :, y] += 90
    return x, y, [f"card {row // 2}" for row in range(48)]


def plain(units: int = 4) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(192, units), nn.ReLU(), nn.Linear(units, 2))


def test_every_value_of_a_sweep_is_evaluated_on_the_same_leaves_with_an_interval(cards):
    x, y, groups = cards
    by_value = sweep(plain, x, y, groups=groups, lr=[1e-6, 1e-3], epochs=12, batch_size=8)
    assert by_value.values == (1e-6, 1e-3) and by_value.best == 1e-3
    assert len(by_value.labels) == 12 and len(set(by_value.groups.tolist())) == 6  # a quarter, whole cards
    good = by_value[1e-3]
    assert good.frame["epoch"].to_list() == list(range(1, 13))
    assert good.held_out["value"] > 0.9 > by_value[1e-6].held_out["value"]
    assert good.held_out["low"] <= good.held_out["value"] and good.held_out["groups"] == 6
    assert "0.001" in repr(by_value) and "12 images of 6 groups" in repr(by_value)
    assert "lr 0.001" in by_value.compare(1e-6)[0]


def test_networks_trained_together_equal_those_trained_alone(cards):
    x, y, groups = cards
    both = sweep(plain, x, y, groups=groups, lr=[1e-4, 1e-3], epochs=3)
    alone = sweep(plain, x, y, groups=groups, lr=[1e-3], epochs=3)
    np.testing.assert_allclose(both[1e-3].probabilities, alone[1e-3].probabilities, atol=1e-4)


def test_a_sweep_can_vary_an_argument_of_the_network(cards):
    x, y, groups = cards
    by_value = sweep(plain, x, y, groups=groups, units=[1, 3], epochs=1)
    assert [result.network[1].out_features for result in by_value.trained] == [1, 3]
    assert by_value.name == "units" and len(by_value.plot().axes) == 1 and len(by_value.curves().axes) == 2


def test_a_diverging_training_is_a_result_and_not_an_error(cards):
    x, y, groups = cards
    by_value = sweep(plain, x, y, groups=groups, lr=[1e-3, 1e30], epochs=3, optimizer="sgd", momentum=0.0)
    assert by_value[1e30].diverged and by_value[1e30].held_out is None
    assert by_value.best == 1e-3 and by_value.wins(1e-3) is False
    assert "diverged" in repr(by_value)
    by_value.plot(), by_value.curves()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": 1e-3}, "no setting is a list"),
        ({"lr": [1e-3], "epochs": [1, 2]}, "lr and epochs are lists"),
        ({"lr": [1e-3, 1e-3]}, "a value twice"),
        ({"lr": [1e-3], "epoch": 3}, "unknown setting 'epoch'"),
        ({"lr": [1e-3], "validation_split": 0.0}, "not between 0 and 1"),
    ],
)
def test_an_invalid_sweep_is_refused(cards, settings, message):
    x, y, groups = cards
    with pytest.raises(UserError, match=message):
        sweep(plain, x, y, groups=groups, **settings)


def test_an_unknown_value_of_a_sweep_is_refused(cards):
    x, y, _ = cards
    with pytest.raises(UserError, match="not in this sweep"):
        sweep(plain, x, y, lr=[1e-3], epochs=1)[0.5]


def test_the_gradient_of_the_surface_equals_numerical_derivatives():
    rng = np.random.default_rng(1)
    surface = Surface(rng.normal(size=(30, 2)), np.arange(30) % 2)
    weights, small = np.array([0.7, -1.2]), 1e-6
    for axis in np.eye(2):
        slope = (surface.loss(weights + small * axis) - surface.loss(weights - small * axis)) / (2 * small)
        assert slope == pytest.approx(float(surface.gradient(weights) @ axis), abs=1e-6)
    assert np.abs(surface.gradient(surface.bottom)).max() < 1e-9
    assert surface.loss((0.0, 0.0)) == pytest.approx(1)  # every output is 0, at a distance of 1 from its target


def test_a_walk_goes_down_with_a_good_learning_rate_and_diverges_with_a_huge_one(cards):
    x, y, _ = cards
    surface = Surface(two_features(x), y)
    lr_limit = surface.lr_limit
    good = surface.walk(0.4 * lr_limit, steps=30)
    assert (np.diff(good.losses) < 1e-12).all() and good.steps == 30
    assert surface.walk(0.97 * lr_limit).losses[-1] < good.losses[0] < surface.walk(1.03 * lr_limit).losses[-1]
    diverging = surface.walk(1e5, steps=30)
    assert diverging.steps < 30 and np.isfinite(diverging.losses).all()
    stochastic = surface.walk(0.1 * lr_limit, steps=30, batch_size=1)
    assert (np.diff(stochastic.losses) > 0).any() and stochastic.losses[-1] < stochastic.losses[0]
    full_batch = surface.walk(0.1 * lr_limit, steps=5, batch_size=len(y))
    np.testing.assert_allclose(full_batch.points, surface.walk(0.1 * lr_limit, steps=5).points)
    assert len(surface.plot({"good": good, "stochastic": stochastic}).axes) == 4


def test_a_stochastic_walk_uses_every_image_once_before_any_is_repeated():
    numbers = np.eye(2)[np.arange(6) % 2] * np.arange(1, 7)[:, None]
    surface = Surface(numbers, [0, 1, 0, 1, 0, 1])
    used = []
    surface.gradient = lambda weights, rows=None: used.extend(rows.tolist()) or np.zeros(2)
    surface.walk(0.1, steps=6, batch_size=1)
    assert sorted(used) == list(range(6))


def test_a_surface_needs_two_classes_and_a_walk_a_positive_learning_rate():
    with pytest.raises(UserError, match="two classes"):
        Surface(np.zeros((3, 2)), [1, 1, 1])
    with pytest.raises(UserError, match="lr=-1"):
        Surface(np.eye(2), [0, 1]).walk(-1)


def test_center_subtracts_the_mean_and_has_no_parameters(cards):
    x, _, _ = cards
    center = Center(x)
    pixels = torch.from_numpy(x).permute(0, 3, 1, 2).float() / 255
    assert center(pixels).mean(0).abs().max() < 1e-6
    assert not list(center.parameters()) and "average" in center.state_dict()
    with pytest.raises(UserError, match="images"):
        Center(np.zeros((4, 192)))


def test_the_interval_of_ten_of_ten_is_wide_and_wider_with_groups():
    assert interval(10, 10) == (0.6915, 1.0)
    with pytest.raises(UserError):
        interval(11, 10)
    correct = np.array([True] * 30 + [False] * 10)

    def width(groups):
        low, high = accuracy_text(correct, groups).split("[")[1].split("]")[0].split(", ")
        return float(high) - float(low)

    assert width([f"{row // 4}" for row in range(40)]) > width([str(row) for row in range(40)])


def test_figures_are_labeled(cards):
    x, y, _ = cards
    figure = numbers_figure(x[0], 2, 3, side=4)
    numbers = [text.get_text() for text in figure.axes[1].texts]
    assert numbers == [str(value) for value in x[0, 2:6, 3:7, 0].ravel()]
    with pytest.raises(UserError, match="window"):
        numbers_figure(x[0], 6, 6, side=4)
    assert [ax.get_title(loc="left") for ax in average_figure(x, y, ("red", "green")).axes] == ["all", "red", "green"]
    assert interval_figure(0.9, (10, 100)).axes[0].get_xticklabels()[1].get_text() == "90\nof 100"
    slope = activation_figure({"ReLU": torch.relu}).axes[0].lines[-1].get_ydata()
    assert set(np.unique(slope)) == {0.0, 1.0}
    assert len(threshold_figure(np.arange(4.0), np.array([0, 0, 1, 1]), ("a", "b"), 1.5).axes) == 1


def test_a_stage_that_the_network_does_not_have_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="block3"):
        hierarchy_figure({"blok3": "third"})
