import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from coverslip.training.config import TrainingConfig
from coverslip.training.losses import build_loss, cross_entropy, focal, soft_targets
from coverslip.training.optimizers import add_l2, build_optimizer, decay_groups


def scores(count=7, classes=3):
    return torch.randn(count, classes, generator=torch.Generator().manual_seed(0)), torch.arange(count) % classes


def test_cross_entropy_is_minus_the_log_of_the_true_classs_probability():
    told = torch.log(torch.tensor([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]]))
    assert float(cross_entropy(told, torch.tensor([0, 2]))) == pytest.approx(-math.log(0.7) - math.log(0.5))
    weighed = cross_entropy(told, torch.tensor([0, 2]), weights=torch.tensor([2.0, 1.0, 0.0]))
    assert float(weighed) == pytest.approx(-2 * math.log(0.7))


def test_smoothing_spreads_a_share_over_all_classes():
    told = torch.log(torch.tensor([[0.7, 0.2, 0.1]]))
    expected = -(0.9 + 0.1 / 3) * math.log(0.7) - 0.1 / 3 * (math.log(0.2) + math.log(0.1))
    for loss in (cross_entropy, focal):
        assert float(loss(told, torch.tensor([0]), smoothing=0.1, gamma=0.0)) == pytest.approx(expected, rel=1e-6)


def test_focal_counts_what_is_already_probable_less():
    told = torch.log(torch.tensor([[0.9, 0.1], [0.4, 0.6]]))
    expected = -(0.1**2) * math.log(0.9) - 0.6**2 * math.log(0.4)
    assert float(focal(told, torch.tensor([0, 0]), gamma=2.0)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("loss", [cross_entropy, focal])
def test_shares_of_one_class_are_that_class_and_mixed_shares_mix_the_losses(loss):
    told, truth = scores()
    weights = torch.tensor([1.0, 2.0, 0.5])
    hard = loss(told, truth, weights=weights)
    assert torch.allclose(loss(told, soft_targets(truth, 3), weights=weights), hard)
    other = truth.roll(1)
    mixed = loss(told, 0.3 * soft_targets(truth, 3) + 0.7 * soft_targets(other, 3), weights=weights)
    assert torch.allclose(mixed, 0.3 * hard + 0.7 * loss(told, other, weights=weights))


def test_focal_has_a_gradient_where_the_network_is_certain():
    told = torch.tensor([[200.0, -200.0], [-200.0, 200.0]], requires_grad=True)
    build_loss("focal", gamma=0.5)(told, torch.tensor([0, 0])).backward()
    assert bool(torch.isfinite(told.grad).all())


def layers():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3), nn.Linear(3, 2))


def built_by(network, config):
    return build_optimizer(
        network,
        config.optimizer,
        lr=config.lr,
        weight_decay=config.weight_decay,
        momentum=config.momentum,
        nesterov=config.nesterov,
    )


def stepped(config, penalty_in_loss=0.0, steps=3):
    """The weights after steps on the same numbers; ``penalty_in_loss`` writes the L2 term out for autograd."""
    network = layers()
    optimizer, (decayed, _) = built_by(network, config), decay_groups(network)
    images = torch.randn(8, 4, generator=torch.Generator().manual_seed(1))
    for _ in range(steps):
        loss = functional.cross_entropy(network(images), torch.arange(8) % 2)
        loss = loss + penalty_in_loss * sum(each.square().sum() for each in decayed)
        optimizer.zero_grad()
        loss.backward()
        add_l2(decayed, config.l2)
        optimizer.step()
    return torch.cat([each.detach().flatten() for each in network.parameters()])


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_l2_is_the_gradient_of_the_term_written_in_the_loss(optimizer):
    plain = {"lr": 0.1, "optimizer": optimizer, "weight_decay": 0.0}
    written = stepped(TrainingConfig(**plain), penalty_in_loss=0.05)
    assert torch.allclose(stepped(TrainingConfig(**plain, l2=0.05)), written, atol=1e-6)
    assert not torch.allclose(stepped(TrainingConfig(**plain)), written, atol=1e-3)


def test_l2_and_decoupled_decay_are_one_for_plain_sgd_and_not_for_adam():
    sgd = {"lr": 0.1, "optimizer": "sgd", "momentum": 0.0}
    as_term = stepped(TrainingConfig(**sgd, weight_decay=0.0, l2=0.05))
    assert torch.allclose(as_term, stepped(TrainingConfig(**sgd, weight_decay=0.1)), atol=1e-6)
    adam = {"lr": 0.1, "optimizer": "adam"}
    as_term = stepped(TrainingConfig(**adam, weight_decay=0.0, l2=0.05))
    assert not torch.allclose(as_term, stepped(TrainingConfig(**adam, weight_decay=0.1)), atol=1e-2)


def test_adam_with_decoupled_decay_is_pytorchs_adamw_and_without_it_pytorchs_adam():
    for config, theirs in (
        (TrainingConfig(lr=0.1, weight_decay=0.2), lambda groups: torch.optim.AdamW(groups, lr=0.1)),
        (TrainingConfig(lr=0.1, optimizer="adam", weight_decay=0.0), lambda groups: torch.optim.Adam(groups, lr=0.1)),
    ):
        network = layers()
        decayed, others = ({"params": each} for each in decay_groups(network))
        optimizer = theirs([decayed | {"weight_decay": config.weight_decay}, others | {"weight_decay": 0}])
        images = torch.randn(8, 4, generator=torch.Generator().manual_seed(1))
        for _ in range(3):
            optimizer.zero_grad()
            functional.cross_entropy(network(images), torch.arange(8) % 2).backward()
            optimizer.step()
        expected = torch.cat([each.detach().flatten() for each in network.parameters()])
        assert torch.allclose(stepped(config), expected, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_biases_and_norms_are_not_decayed(optimizer):
    network = layers()
    built = built_by(network, TrainingConfig(lr=0.1, optimizer=optimizer, weight_decay=0.5))
    for each in network.parameters():
        each.grad = torch.zeros_like(each)
    before = [each.detach().clone() for each in network.parameters()]
    built.step()
    for old, new in zip(before, network.parameters(), strict=True):
        expected = old * 0.95 if old.ndim > 1 else old
        np.testing.assert_allclose(new.detach().numpy(), expected.numpy(), rtol=1e-6)
