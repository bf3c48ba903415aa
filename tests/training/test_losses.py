import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from coverslip.training.config import TrainingConfig
from coverslip.training.losses import build_loss, cross_entropy, focal, soft_targets
from coverslip.training.optimizers import add_l2, build_optimizer, decay_groups


def logits_and_labels(count=7, classes=3):
    return torch.randn(count, classes, generator=torch.Generator().manual_seed(0)), torch.arange(count) % classes


def test_cross_entropy_is_the_negative_log_probability_of_the_true_class():
    logits = torch.log(torch.tensor([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]]))
    assert float(cross_entropy(logits, torch.tensor([0, 2]))) == pytest.approx(-math.log(0.7) - math.log(0.5))
    weighted = cross_entropy(logits, torch.tensor([0, 2]), weights=torch.tensor([2.0, 1.0, 0.0]))
    assert float(weighted) == pytest.approx(-2 * math.log(0.7))


def test_label_smoothing_spreads_a_fraction_over_all_classes():
    logits = torch.log(torch.tensor([[0.7, 0.2, 0.1]]))
    expected = -(0.9 + 0.1 / 3) * math.log(0.7) - 0.1 / 3 * (math.log(0.2) + math.log(0.1))
    for loss in (cross_entropy, focal):
        assert float(loss(logits, torch.tensor([0]), smoothing=0.1, gamma=0.0)) == pytest.approx(expected, rel=1e-6)


def test_focal_loss_weights_well_classified_images_less():
    logits = torch.log(torch.tensor([[0.9, 0.1], [0.4, 0.6]]))
    expected = -(0.1**2) * math.log(0.9) - 0.6**2 * math.log(0.4)
    assert float(focal(logits, torch.tensor([0, 0]), gamma=2.0)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("loss", [cross_entropy, focal])
def test_one_hot_fractions_equal_labels_and_mixed_fractions_mix_the_losses(loss):
    logits, labels = logits_and_labels()
    weights = torch.tensor([1.0, 2.0, 0.5])
    hard = loss(logits, labels, weights=weights)
    assert torch.allclose(loss(logits, soft_targets(labels, 3), weights=weights), hard)
    other = labels.roll(1)
    mixed = loss(logits, 0.3 * soft_targets(labels, 3) + 0.7 * soft_targets(other, 3), weights=weights)
    assert torch.allclose(mixed, 0.3 * hard + 0.7 * loss(logits, other, weights=weights))


def test_focal_loss_has_a_finite_gradient_for_extreme_logits():
    logits = torch.tensor([[200.0, -200.0], [-200.0, 200.0]], requires_grad=True)
    build_loss("focal", gamma=0.5)(logits, torch.tensor([0, 0])).backward()
    assert bool(torch.isfinite(logits.grad).all())


def layers():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3), nn.Linear(3, 2))


def make_optimizer(network, config):
    return build_optimizer(
        network,
        config.optimizer,
        lr=config.lr,
        weight_decay=config.weight_decay,
        momentum=config.momentum,
        nesterov=config.nesterov,
    )


def weights_after(config, penalty_in_loss=0.0, steps=3):
    """Return the weights after some steps; with ``penalty_in_loss`` the L2 term is differentiated by autograd."""
    network = layers()
    optimizer, (decayed, _) = make_optimizer(network, config), decay_groups(network)
    images = torch.randn(8, 4, generator=torch.Generator().manual_seed(1))
    for _ in range(steps):
        loss = functional.cross_entropy(network(images), torch.arange(8) % 2)
        loss = loss + penalty_in_loss * sum(weight.square().sum() for weight in decayed)
        optimizer.zero_grad()
        loss.backward()
        add_l2(decayed, config.l2)
        optimizer.step()
    return torch.cat([each.detach().flatten() for each in network.parameters()])


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_add_l2_equals_the_gradient_of_an_explicit_penalty(optimizer):
    plain = {"lr": 0.1, "optimizer": optimizer, "weight_decay": 0.0}
    expected = weights_after(TrainingConfig(**plain), penalty_in_loss=0.05)
    assert torch.allclose(weights_after(TrainingConfig(**plain, l2=0.05)), expected, atol=1e-6)
    assert not torch.allclose(weights_after(TrainingConfig(**plain)), expected, atol=1e-3)


def test_l2_and_decoupled_decay_are_equivalent_for_plain_sgd_but_not_for_adam():
    sgd = {"lr": 0.1, "optimizer": "sgd", "momentum": 0.0}
    as_term = weights_after(TrainingConfig(**sgd, weight_decay=0.0, l2=0.05))
    assert torch.allclose(as_term, weights_after(TrainingConfig(**sgd, weight_decay=0.1)), atol=1e-6)
    adam = {"lr": 0.1, "optimizer": "adam"}
    as_term = weights_after(TrainingConfig(**adam, weight_decay=0.0, l2=0.05))
    assert not torch.allclose(as_term, weights_after(TrainingConfig(**adam, weight_decay=0.1)), atol=1e-2)


def test_adam_with_decay_equals_torch_adamw_and_without_decay_torch_adam():
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
        assert torch.allclose(weights_after(config), expected, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_biases_and_norms_have_no_weight_decay(optimizer):
    network = layers()
    built = make_optimizer(network, TrainingConfig(lr=0.1, optimizer=optimizer, weight_decay=0.5))
    for each in network.parameters():
        each.grad = torch.zeros_like(each)
    before = [each.detach().clone() for each in network.parameters()]
    built.step()
    for old, new in zip(before, network.parameters(), strict=True):
        expected = old * 0.95 if old.ndim > 1 else old
        np.testing.assert_allclose(new.detach().numpy(), expected.numpy(), rtol=1e-6)
