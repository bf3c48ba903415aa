"""Ideal images: right where the answer is known, independent of each other, honest about what answers to nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from coverslip.core.errors import UserError
from coverslip.data.inputs import InputSpec
from coverslip.explaining.maps.ideal_images import ideal_images
from coverslip.explaining.maps.priors import Priors, total_variation
from coverslip.explaining.maps.units import find_layer, leaking

SPEC = InputSpec(size=(24, 24), mean=(0.5, 0.4, 0.6), std=(0.25, 0.25, 0.25))
FREE = Priors(decay=0, jitter=0, blur=(0, 0), variation=0, contrast=0.3, gray=0)


def linear_network(classes=2):
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 24 * 24, classes))


def conv_network():
    """Filter 0 looks for vertical stripes of green, filter 1 for horizontal ones, filter 2 for nothing."""
    network = nn.Sequential(
        nn.Conv2d(3, 3, 4, bias=True), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2)
    )
    stripes = torch.tensor([1.0, 1.0, -1.0, -1.0])
    weights = torch.zeros(3, 3, 4, 4)
    weights[0, 1], weights[1, 1] = stripes.expand(4, 4), stripes[:, None].expand(4, 4)
    network[0].weight.data, network[0].bias.data = weights, torch.tensor([0.0, 0.0, -100.0])
    return network


def alike(one, other):
    return float(np.corrcoef(np.ravel(one), np.ravel(other))[0, 1])


def test_of_a_linear_network_they_are_its_weights_and_two_classes_are_opposites():
    network = linear_network()
    weights = network[1].weight.detach().reshape(2, 3, 24, 24).permute(0, 2, 3, 1).numpy()
    made = ideal_images(network, SPEC, [0, 1], priors=FREE, starts=1, steps=60)
    assert made.best.shape == (2, 24, 24, 3) and made.best.dtype == np.float32
    assert made.best.min() >= 0 and made.best.max() <= 1
    assert alike(made.best[0], weights[0] - weights[1]) > 0.9
    assert alike(made.best[0], made.best[1]) < -0.9


def test_a_class_is_measured_against_the_others():
    """What is added to all scores changes no probability, and no ideal image."""
    network = linear_network(3)
    before = ideal_images(network, SPEC, [1], starts=1, steps=20)
    with torch.no_grad():
        network[1].weight.add_(torch.randn(1, 3 * 24 * 24))
        network[1].bias.add_(5)
    after = ideal_images(network, SPEC, [1], starts=1, steps=20)
    assert np.allclose(before.best, after.best, atol=1e-3)
    assert np.allclose(before.activations, after.activations, atol=1e-3)


def test_a_filter_for_stripes_gets_stripes():
    made = ideal_images(conv_network(), SPEC, [0, 1], layer="0", starts=1, steps=60, priors=Priors(jitter=2))
    across, down = (np.abs(np.diff(made.best[..., 1], axis=axis)).mean(axis=(1, 2)) for axis in (2, 1))
    assert across[0] > 1.5 * down[0] and down[1] > 1.5 * across[1]


def test_the_answers_are_the_networks_own_and_the_strongest_is_first():
    network = conv_network()
    made = ideal_images(network, SPEC, [1, 0], layer="1", starts=3, steps=8)
    assert made.images.shape == (2, 3, 24, 24, 3)
    assert (np.diff(made.activations, axis=1) <= 0).all()
    images = torch.from_numpy(made.images[0]).permute(0, 3, 1, 2)
    with torch.no_grad():
        own = network[:2](SPEC.normalized(images))[:, 1].mean(dim=(1, 2))
        blank = network[:2](torch.zeros(1, 3, 24, 24))[0, 1].mean()
    assert np.allclose(made.activations[0], own, atol=1e-5)
    assert made.plain[0] == pytest.approx(float(blank), abs=1e-6)
    assert (made.activations[:, 0] > made.plain).all()


def test_an_image_does_not_depend_on_what_else_is_asked_for():
    network = conv_network()
    both = ideal_images(network, SPEC, [0, 1], layer="1", starts=2, steps=12, seed=3)
    alone = ideal_images(network, SPEC, [1], layer="1", starts=2, steps=12, seed=3)
    assert np.allclose(both.images[1], alone.images[0], atol=1e-4)
    other = ideal_images(network, SPEC, [1], layer="1", starts=2, steps=12, seed=4)
    assert not np.allclose(other.images, alone.images, atol=1e-2)


def test_a_filter_that_answers_nothing_is_said_to_be_silent_and_a_closed_one_wakes():
    network = conv_network()
    made = ideal_images(network, SPEC, [0, 2], layer="1", starts=1, steps=30)
    assert made.silent.tolist() == [False, True]
    network[0].bias.data[0] = -4.0  # closed on grey images, and on the noise that an ascent begins with
    assert not ideal_images(network, SPEC, [0], layer="1", starts=1, steps=60).silent[0]


def test_a_leak_changes_gradients_and_not_a_number():
    network = conv_network()
    images = torch.rand(2, 3, 24, 24, requires_grad=True)
    expected = network[:2](images)
    with leaking(network, 0.1):
        found = network[:2](images)
    assert torch.equal(found, expected)
    (gradient,) = torch.autograd.grad(found[:, 2].sum(), images)
    assert (torch.autograd.grad(expected[:, 2].sum(), images)[0] == 0).all()
    network[0].weight.data[2] = 1
    with leaking(network, 0.1):
        (gradient,) = torch.autograd.grad(network[:2](images)[:, 2].sum(), images)
    assert (gradient > 0).any()
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_priors_do_what_they_say():
    network = linear_network()

    def rough(**priors):
        made = ideal_images(network, SPEC, [0], starts=1, steps=30, priors=replace(FREE, **priors))
        return made.best, float(total_variation(torch.from_numpy(made.best).permute(0, 3, 1, 2)))

    image, free = rough()
    assert rough(blur=(2, 2))[1] < 0.5 * free
    assert rough(variation=1.0)[1] < 0.8 * free
    assert rough(decay=1.0)[1] < free
    assert rough(contrast=0.1)[0].std() < 0.7 * image.std()
    gray = rough(gray=0.95)[0]
    assert alike(gray[..., 0], gray[..., 2]) > alike(image[..., 0], image[..., 2]) + 0.3


def test_the_network_is_left_as_it_was():
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
def test_any_number_of_channels_and_a_size_of_ones_own(channels):
    spec = InputSpec(size=(16, 16), channels=channels, mean=(0.5,) * channels, std=(0.25,) * channels)
    network = nn.Sequential(
        nn.Conv2d(channels, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
    made = ideal_images(network, spec, [0, 3], layer="0", size=(17, 12), starts=1, steps=3)
    assert made.best.shape == (2, 17, 12, channels)


class Tokens(nn.Module):
    """Patches of 6 pixels become tokens behind a class token, as in a vision transformer."""

    def __init__(self):
        super().__init__()
        self.patches, self.block = nn.Conv2d(3, 5, 6, 6), nn.Linear(5, 5)
        self.begin, self.head = nn.Parameter(torch.zeros(1, 1, 5)), nn.Linear(5, 2)

    def forward(self, images):
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        tokens = self.block(torch.cat([self.begin.expand(len(images), -1, -1), tokens], dim=1))
        return self.head(tokens.mean(dim=1))


def test_layers_are_found_by_stage_or_path_with_places_tokens_or_neither():
    network = conv_network()
    assert [find_layer(network, (3, 24, 24), name).units for name in ("", "0", "3")] == [2, 3, 3]
    assert find_layer(network, (3, 24, 24), "0").grid == (21, 21)
    assert find_layer(network, (3, 24, 24), "3").grid is None
    transformer = Tokens()
    block = find_layer(transformer, (3, 24, 24), "block")
    assert (block.units, block.grid) == (5, (4, 4))
    images = torch.rand(2, 3, 24, 24)
    own = transformer.block(transformer.patches(images).flatten(2).transpose(1, 2)).transpose(1, 2)
    assert torch.allclose(block.answers(transformer, images), own, atol=1e-6)  # without the class token
    assert ideal_images(transformer, SPEC, [4], layer="block", starts=1, steps=2).best.shape == (1, 24, 24, 3)


def test_bad_input_is_refused_in_words():
    network = conv_network()
    with pytest.raises(UserError, match="no class with the number 2") as refused:
        ideal_images(network, SPEC, [2])
    assert "0 to 1" in refused.value.fix
    with pytest.raises(UserError, match="unit of the layer '0' with the number -1"):
        ideal_images(network, SPEC, [-1], layer="0")
    with pytest.raises(UserError, match="no layer 'blocks'") as refused:
        ideal_images(Tokens(), SPEC, [0], layer="blocks")
    assert "did you mean 'block'" in str(refused.value)
    with pytest.raises(UserError, match="no class is named"):
        ideal_images(network, SPEC, [])
    with pytest.raises(UserError, match="cannot take an input of 3 x 12 x 12"):
        ideal_images(linear_network(), SPEC, [0], size=(12, 12))
    with pytest.raises(UserError, match="starts=0"):
        ideal_images(network, SPEC, [0], starts=0)
    for wrong in ({"blur": (-1.0, 0.0)}, {"jitter": -1}, {"gray": 1.0}, {"variation": float("nan")}):
        with pytest.raises(UserError, match=next(iter(wrong))):
            Priors(**wrong)
