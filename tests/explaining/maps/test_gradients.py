"""Gradient methods are correct for known networks, and change neither the network nor the random state."""

import sys

import numpy as np
import pytest
import torch
from torch import nn

from coverslip.core.errors import UserError
from coverslip.explaining.maps.gradients import GRADIENTS, attributions, gradient_map

pytest.importorskip("captum", reason="the extra [explain] is not installed")
METHODS = tuple(GRADIENTS)


def small_network(activation=nn.ReLU, inplace=True):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        activation(inplace=inplace) if activation is not nn.GELU else nn.GELU(),
        nn.Conv2d(6, 6, 3, padding=1),
        activation(inplace=inplace) if activation is not nn.GELU else nn.GELU(),
        nn.Flatten(),
        nn.Linear(6 * 12 * 12, 3),
    )


def random_images(number=2, side=12):
    return torch.randn(number, 3, side, side, generator=torch.Generator().manual_seed(1))


def linear_network():
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 12, 2))
    return network, network[1].weight.detach().reshape(2, 3, 12, 12)


def test_gradients_of_a_linear_network_are_its_weights():
    network, weights = linear_network()
    images = random_images()
    for method in ("gradient", "smooth-grad"):
        assert np.allclose(attributions(network, images, [1, 0], method=method), weights[[1, 0]], atol=1e-6)
        assert np.allclose(
            gradient_map(network, images, [1, 0], method=method), weights[[1, 0]].abs().amax(1), atol=1e-6
        )
    expected = weights[[1, 0]] * (images - images.mean(dim=(2, 3), keepdim=True))
    assert np.allclose(attributions(network, images, [1, 0]), expected, atol=1e-5)
    assert np.allclose(gradient_map(network, images, [1, 0]), expected.sum(1).clamp_min(0), atol=1e-5)


def test_integrated_gradients_add_up_to_the_difference_of_the_logits():
    network, images = small_network().eval(), random_images()
    baseline = images.mean(dim=(2, 3), keepdim=True).expand_as(images)
    with torch.no_grad():
        difference = (network(images) - network(baseline))[[0, 1], [2, 0]]
    total = attributions(network, images, [2, 0]).sum(axis=(1, 2, 3))
    assert np.allclose(total, difference, atol=0.02 * float(difference.abs().max()) + 1e-3)


def guided_by_hand(network, image, number):
    """Backpropagate by hand; a ReLU passes only positive gradients of positive inputs."""
    inputs, values = [], image
    for layer in network:
        inputs.append(values)
        values = layer(values)
    gradient = torch.zeros_like(values)
    gradient[0, number] = 1
    for layer, layer_input in zip(reversed(network), reversed(inputs), strict=True):
        source = layer_input.detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(layer(source.clone()), source, gradient)
        if isinstance(layer, nn.ReLU | nn.ReLU6):
            gradient = gradient.clamp_min(0)
    return gradient


@pytest.mark.parametrize("activation", [nn.ReLU, nn.ReLU6])
def test_guided_backpropagation_follows_the_paper(activation):
    network, images = small_network(activation, inplace=False).eval(), random_images(1)
    expected = guided_by_hand(network, images, 1)
    found = attributions(network, images, [1], method="guided-backprop")
    plain = attributions(network, images, [1], method="gradient")
    assert np.allclose(found, expected.detach(), atol=1e-6)
    assert not np.allclose(found, plain, atol=1e-3)


def test_guided_backpropagation_has_a_warning_and_needs_relus():
    assert [name for name in METHODS if not GRADIENTS[name].recommended] == ["guided-backprop"]
    assert GRADIENTS["guided-backprop"].about.startswith("Warning")
    with pytest.raises(UserError, match="none") as refused:
        gradient_map(small_network(nn.GELU), random_images(), [0, 0], method="guided-backprop")
    assert "smooth-grad" in refused.value.fix


@pytest.mark.parametrize("method", METHODS)
def test_network_and_random_state_are_not_changed(method):
    network, images = small_network().train(), random_images()
    network[0].requires_grad_(False)
    before = {name: each.clone() for name, each in network.state_dict().items()}
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first = gradient_map(network, images, [0, 1], method=method)
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(each, before[name]) for name, each in network.state_dict().items())
    assert all(module.training for module in network.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    assert not images.requires_grad
    assert [parameter.requires_grad for parameter in network[0].parameters()] == [False, False]
    alone = gradient_map(network, images[1:], [1], method=method)  # a batch of one, with batch norm
    assert np.allclose(alone[0], first[1], atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_a_constant_logit_gives_a_flat_map(method):
    network = small_network()
    nn.init.zeros_(network[-1].weight)
    found = gradient_map(network, random_images(), [0, 1], method=method)
    assert found.shape == (2, 12, 12) and found.dtype == np.float32
    assert (found == 0).all()
    assert np.isfinite(gradient_map(small_network(), torch.zeros(1, 3, 12, 12), [0], method=method)).all()


def test_invalid_input_raises_user_errors(monkeypatch):
    network, images = small_network(), random_images()
    with pytest.raises(UserError, match="smooth-grad"):
        gradient_map(network, images, [0, 0], method="smoothgrad")
    with pytest.raises(UserError, match="no class 3"):
        gradient_map(network, images, [0, 3])
    with pytest.raises(UserError, match="2 images have 1 classes"):
        gradient_map(network, images, [0])
    assert gradient_map(network, images[:0], []).shape == (0, 12, 12)
    monkeypatch.setitem(sys.modules, "captum", None)
    with pytest.raises(UserError, match=r"coverslip\[explain\]"):
        gradient_map(network, images, [0, 0])
