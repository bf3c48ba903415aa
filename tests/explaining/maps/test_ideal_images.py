"""Ideal images are correct for known networks, independent of each other, and mark inactive units."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from coverslip.core.errors import UserError
from coverslip.data.inputs import InputSpec
from coverslip.explaining.maps.ideal_images import ideal_images
from coverslip.explaining.maps.priors import Priors, total_variation
from coverslip.explaining.maps.units import find_layer, leaky_relus

SPEC = InputSpec(size=(24, 24), mean=(0.5, 0.4, 0.6), std=(0.25, 0.25, 0.25))
FREE = Priors(decay=0, jitter=0, blur=(0, 0), variation=0, contrast=0.3, gray=0)


def linear_network(classes=2):
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 24 * 24, classes))


def conv_network():
    """Build a network: filter 0 detects vertical green stripes, filter 1 horizontal ones, filter 2 is inactive."""
    network = nn.Sequential(
        nn.Conv2d(3, 3, 4, bias=True), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2)
    )
    stripes = torch.tensor([1.0, 1.0, -1.0, -1.0])
    weights = torch.zeros(3, 3, 4, 4)
    weights[0, 1], weights[1, 1] = stripes.expand(4, 4), stripes[:, None].expand(4, 4)
    network[0].weight.data, network[0].bias.data = weights, torch.tensor([0.0, 0.0, -100.0])
    return network


def correlation(one, other):
    return float(np.corrcoef(np.ravel(one), np.ravel(other))[0, 1])


def test_ideal_images_of_a_linear_network_are_its_weights():
    network = linear_network()
    weights = network[1].weight.detach().reshape(2, 3, 24, 24).permute(0, 2, 3, 1).numpy()
    ideal = ideal_images(network, SPEC, [0, 1], priors=FREE, starts=1, steps=60)
    assert ideal.best.shape == (2, 24, 24, 3) and ideal.best.dtype == np.float32
    assert ideal.best.min() >= 0 and ideal.best.max() <= 1
    assert correlation(ideal.best[0], weights[0] - weights[1]) > 0.9
    assert correlation(ideal.best[0], ideal.best[1]) < -0.9


def test_a_class_is_measured_relative_to_the_others():
    """Adding a constant to all logits changes neither probabilities nor ideal images."""
    network = linear_network(3)
    before = ideal_images(network, SPEC, [1], starts=1, steps=20)
    with torch.no_grad():
        network[1].weight.add_(torch.randn(1, 3 * 24 * 24))
        network[1].bias.add_(5)
    after = ideal_images(network, SPEC, [1], starts=1, steps=20)
    assert np.allclose(before.best, after.best, atol=1e-3)
    assert np.allclose(before.activations, after.activations, atol=1e-3)


def test_the_ideal_image_of_a_stripe_filter_has_stripes():
    ideal = ideal_images(conv_network(), SPEC, [0, 1], layer="0", starts=1, steps=60, priors=Priors(jitter=2))
    across, down = (np.abs(np.diff(ideal.best[..., 1], axis=axis)).mean(axis=(1, 2)) for axis in (2, 1))
    assert across[0] > 1.5 * down[0] and down[1] > 1.5 * across[1]


def test_activations_are_those_of_the_network_in_descending_order():
    network = conv_network()
    ideal = ideal_images(network, SPEC, [1, 0], layer="1", starts=3, steps=8)
    assert ideal.images.shape == (2, 3, 24, 24, 3)
    assert (np.diff(ideal.activations, axis=1) <= 0).all()
    images = torch.from_numpy(ideal.images[0]).permute(0, 3, 1, 2)
    with torch.no_grad():
        expected = network[:2](SPEC.normalized(images))[:, 1].mean(dim=(1, 2))
        blank = network[:2](torch.zeros(1, 3, 24, 24))[0, 1].mean()
    assert np.allclose(ideal.activations[0], expected, atol=1e-5)
    assert ideal.plain[0] == pytest.approx(float(blank), abs=1e-6)
    assert (ideal.activations[:, 0] > ideal.plain).all()


def test_an_image_does_not_depend_on_which_other_units_are_requested():
    network = conv_network()
    both = ideal_images(network, SPEC, [0, 1], layer="1", starts=2, steps=12, seed=3)
    alone = ideal_images(network, SPEC, [1], layer="1", starts=2, steps=12, seed=3)
    assert np.allclose(both.images[1], alone.images[0], atol=1e-4)
    other = ideal_images(network, SPEC, [1], layer="1", starts=2, steps=12, seed=4)
    assert not np.allclose(other.images, alone.images, atol=1e-2)


def test_an_inactive_filter_is_marked_as_silent_and_a_filter_that_can_be_activated_is_not():
    network = conv_network()
    ideal = ideal_images(network, SPEC, [0, 2], layer="1", starts=1, steps=30)
    assert ideal.silent.tolist() == [False, True]
    network[0].bias.data[0] = -4.0  # inactive for grey images and for the initial noise
    assert not ideal_images(network, SPEC, [0], layer="1", starts=1, steps=60).silent[0]


def test_leaky_relus_change_gradients_but_not_outputs():
    network = conv_network()
    images = torch.rand(2, 3, 24, 24, requires_grad=True)
    expected = network[:2](images)
    with leaky_relus(network, 0.1):
        outputs = network[:2](images)
    assert torch.equal(outputs, expected)
    (gradient,) = torch.autograd.grad(outputs[:, 2].sum(), images)
    assert (torch.autograd.grad(expected[:, 2].sum(), images)[0] == 0).all()
    network[0].weight.data[2] = 1
    with leaky_relus(network, 0.1):
        (gradient,) = torch.autograd.grad(network[:2](images)[:, 2].sum(), images)
    assert (gradient > 0).any()
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_each_prior_has_its_effect():
    network = linear_network()

    def roughness(**priors):
        ideal = ideal_images(network, SPEC, [0], starts=1, steps=30, priors=replace(FREE, **priors))
        return ideal.best, float(total_variation(torch.from_numpy(ideal.best).permute(0, 3, 1, 2)))

    image, free = roughness()
    assert roughness(blur=(2, 2))[1] < 0.5 * free
    assert roughness(variation=1.0)[1] < 0.8 * free
    assert roughness(decay=1.0)[1] < free
    assert roughness(contrast=0.1)[0].std() < 0.7 * image.std()
    gray = roughness(gray=0.95)[0]
    assert correlation(gray[..., 0], gray[..., 2]) > correlation(image[..., 0], image[..., 2]) + 0.3


def test_the_network_is_not_changed():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 22 * 22, 2))
    network[0].requires_grad_(False)
    before = {name: each.clone() for name, each in network.train().state_dict().items()}
    ideal_images(network, SPEC, [1], layer="2", starts=1, steps=2)
    with pytest.raises(UserError):
        ideal_images(network, SPEC, [7], starts=1, steps=2)
    assert all(torch.equal(each, before[name]) for name, each in network.state_dict().items())
    assert all(module.training for module in network.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    assert [each.requires_grad for each in network.parameters()] == [False, False, True, True, True, True]
    assert all(each.grad is None for each in network.parameters())


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_any_number_of_channels_and_custom_sizes(channels):
    spec = InputSpec(size=(16, 16), channels=channels, mean=(0.5,) * channels, std=(0.25,) * channels)
    network = nn.Sequential(
        nn.Conv2d(channels, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
    ideal = ideal_images(network, spec, [0, 3], layer="0", size=(17, 12), starts=1, steps=3)
    assert ideal.best.shape == (2, 17, 12, channels)


class Tokens(nn.Module):
    """Network with a class token followed by tokens of 6-pixel patches, as in a vision transformer."""

    def __init__(self):
        super().__init__()
        self.patches, self.block = nn.Conv2d(3, 5, 6, 6), nn.Linear(5, 5)
        self.class_token, self.head = nn.Parameter(torch.zeros(1, 1, 5)), nn.Linear(5, 2)

    def forward(self, images):
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        tokens = self.block(torch.cat([self.class_token.expand(len(images), -1, -1), tokens], dim=1))
        return self.head(tokens.mean(dim=1))


def test_layers_are_found_by_stage_or_path_with_grid_tokens_or_units():
    network = conv_network()
    assert [find_layer(network, (3, 24, 24), name).units for name in ("", "0", "3")] == [2, 3, 3]
    assert find_layer(network, (3, 24, 24), "0").grid == (21, 21)
    assert find_layer(network, (3, 24, 24), "3").grid is None
    transformer = Tokens()
    block = find_layer(transformer, (3, 24, 24), "block")
    assert (block.units, block.grid) == (5, (4, 4))
    images = torch.rand(2, 3, 24, 24)
    expected = transformer.block(transformer.patches(images).flatten(2).transpose(1, 2)).transpose(1, 2)
    assert torch.allclose(block.activations(transformer, images), expected, atol=1e-6)  # without the class token
    assert ideal_images(transformer, SPEC, [4], layer="block", starts=1, steps=2).best.shape == (1, 24, 24, 3)


def test_invalid_input_raises_user_errors():
    network = conv_network()
    with pytest.raises(UserError, match="no class with the number 2") as refused:
        ideal_images(network, SPEC, [2])
    assert "0 to 1" in refused.value.fix
    with pytest.raises(UserError, match="unit of the layer '0' with the number -1"):
        ideal_images(network, SPEC, [-1], layer="0")
    with pytest.raises(UserError, match="no layer 'blocks'") as refused:
        ideal_images(Tokens(), SPEC, [0], layer="blocks")
    assert "did you mean 'block'" in str(refused.value)
    with pytest.raises(UserError, match="no class was given"):
        ideal_images(network, SPEC, [])
    with pytest.raises(UserError, match="does not accept an input of shape 3 x 12 x 12"):
        ideal_images(linear_network(), SPEC, [0], size=(12, 12))
    with pytest.raises(UserError, match="starts=0"):
        ideal_images(network, SPEC, [0], starts=0)
    for wrong in ({"blur": (-1.0, 0.0)}, {"jitter": -1}, {"gray": 1.0}, {"variation": float("nan")}):
        with pytest.raises(UserError, match=next(iter(wrong))):
            Priors(**wrong)
