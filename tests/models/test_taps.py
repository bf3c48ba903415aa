"""Taps: the outputs of a network with a spatial grid, and that recording them changes nothing."""

import copy

import pytest
import timm
import torch
from torch import nn
from torchvision.models import VisionTransformer

from coverslip.core.errors import UserError
from coverslip.models.catalog import build_network
from coverslip.models.design import Design
from coverslip.models.taps import Tap, find_tap, find_taps, tapped
from coverslip.models.tracing import read_shape


def list_taps(network, shape):
    return [(tap.name, tap.module, tap.shape) for tap in find_taps(network, shape)]


def built(name, size, **options):
    torch.manual_seed(0)
    return build_network(Design(network=name, size=size, **options), 3)


class SharedLayers(nn.Module):
    """One pooling and one activation for all layers, as in the lessons."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 5), nn.Conv2d(4, 6, 5)
        self.pool, self.relu, self.dense = nn.MaxPool2d(2), nn.ReLU(inplace=True), nn.Linear(6 * 4 * 9, 3)

    def forward(self, images):
        maps = self.pool(self.relu(self.first(images)))
        maps = self.pool(self.relu(self.second(maps)))
        return self.dense(maps.flatten(1))


def test_named_stages_are_used_and_end_before_pooling():
    assert list_taps(built("cnn", (64, 32)), (3, 64, 32)) == [
        ("block1", "block1", (32, 32, 16)),
        ("block2", "block2", (64, 16, 8)),
        ("block3", "block3", (128, 8, 4)),
    ]
    resnet = list_taps(built("resnet18", (64, 64)), (3, 64, 64))
    assert [name for name, *_ in resnet] == ["stem", "layer1", "layer2", "layer3", "layer4"]
    lite = list_taps(built("efficientnet-lite0", (64, 64)), (3, 64, 64))
    assert [name for name, *_ in lite] == ["stem", *(f"block{number}" for number in range(1, 8)), "top"]
    assert lite[-1] == ("top", "top.norm", (1280, 2, 2))


def test_the_pooling_of_alexnet_is_not_a_stage():
    with torch.device("meta"):
        empty = built("alexnet", (96, 96))
    names = [name for name, *_ in list_taps(empty.to_empty(device="cpu"), (3, 96, 96))]
    assert names == [f"block{number}" for number in range(1, 6)]


@pytest.mark.parametrize("name", ["linear", "mlp"])
def test_dense_layers_have_no_grid(name):
    assert find_taps(built(name, (16, 16)), (3, 16, 16)) == []


def test_other_networks_are_divided_by_resolution():
    network = built("resnet10t", (64, 64))
    assert [tap.name for tap in find_taps(network, (3, 64, 64))] == ["conv1", "layer1", "layer2", "layer3", "layer4"]
    dense = timm.models.DenseNet(4, (1, 1, 1, 1), num_classes=3)
    assert [tap.module for tap in find_taps(dense, (3, 64, 64))] == [
        "features.norm0",
        "features.denseblock1",
        "features.denseblock2",
        "features.denseblock3",
        "features.norm5",
    ]


def test_calls_of_a_shared_layer_are_distinguished():
    network = SharedLayers()
    taps = find_taps(network, (3, 28, 48))
    assert [(tap.name, tap.module, tap.call, tap.shape) for tap in taps] == [
        ("first", "relu", 0, (4, 24, 44)),
        ("second", "relu", 1, (6, 8, 18)),
    ]
    with tapped(network, taps) as outputs, torch.no_grad():
        for images in torch.rand(2, 1, 3, 28, 48):  # calls are counted from 0 in each forward pass
            network(images)
            assert [tuple(each.shape[1:]) for each in outputs] == [tap.shape for tap in taps]
            assert torch.equal(outputs[0], network.first(images).relu())


def test_with_a_class_token_the_last_influential_output_is_used():
    options = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 3, "num_heads": 2, "num_classes": 3}
    token = find_taps(timm.models.VisionTransformer(**options), (3, 32, 32))
    assert [(tap.name, tap.module) for tap in token] == [
        ("blocks.0", "blocks.0"),
        ("blocks.1", "blocks.1"),
        ("blocks.2", "blocks.2.norm1"),
    ]
    assert all(tap.tokens == (4, 4) and tap.shape == (24, 4, 4) for tap in token)
    average = find_taps(timm.models.VisionTransformer(**options, global_pool="avg", reg_tokens=4), (3, 32, 32))
    assert [tap.module for tap in average] == ["blocks.0", "blocks.1", "blocks.2"]


def test_a_classifier_initialized_to_zero_does_not_hide_the_blocks():
    network = VisionTransformer(32, 8, 2, 2, 24, 48, num_classes=3)  # torchvision initializes the last layer to zero
    assert [tap.module for tap in find_taps(network, (3, 32, 32))] == [
        "encoder.layers.encoder_layer_0",
        "encoder.layers.encoder_layer_1",
    ]


def test_tokens_are_arranged_like_the_image():
    network = timm.models.VisionTransformer(
        img_size=(16, 32), patch_size=8, embed_dim=6, depth=1, num_heads=1, num_classes=2, reg_tokens=2
    )
    tap = find_taps(network, (3, 16, 32))[0]
    row = torch.arange(3 + 8)[None, :, None].expand(1, -1, 6)  # class token and registers come first
    assert tap.to_grid(row)[0, 0].tolist() == [[3, 4, 5, 6], [7, 8, 9, 10]]


def test_channels_last_outputs_are_permuted():
    network = timm.models.SwinTransformer(
        img_size=64, patch_size=4, window_size=4, embed_dim=12, depths=(1, 1), num_heads=(1, 1), num_classes=3
    )
    taps = find_taps(network, (3, 64, 64))
    assert [(tap.name, tap.shape, tap.channels_last) for tap in taps] == [
        ("layers.0", (12, 16, 16), True),
        ("layers.1", (24, 8, 8), True),
    ]
    assert taps[0].to_grid(torch.zeros(2, 16, 16, 12)).shape == (2, 12, 16, 16)


def test_volumes_have_three_dimensional_grids():
    network = nn.Sequential(
        nn.Conv3d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool3d(2), nn.Conv3d(4, 6, 3, padding=1), nn.Flatten()
    )
    assert [tap.shape for tap in find_taps(network, (1, 8, 12, 16))] == [(4, 8, 12, 16), (6, 4, 6, 8)]


def test_attention_weights_are_not_a_grid():
    assert read_shape((3, 197, 64), (224, 224), [(14, 14)]) is None  # heads, tokens, features
    assert read_shape((32, 1, 1), (64, 64), []) is None
    assert read_shape((64, 4, 7), (65, 97), [])[0] == (64, 4, 7)  # rounding distorts a small grid


def test_finding_and_recording_do_not_modify_the_network():
    network = built("cnn", (16, 16), batch_norm=True, dropout=0.5).train()
    network.block1.eval().requires_grad_(False)
    before, modes = copy.deepcopy(network.state_dict()), [each.training for each in network.modules()]
    chance = torch.get_rng_state()
    taps = find_taps(network, (3, 16, 16))
    with tapped(network, taps):
        network(torch.zeros(1, 3, 16, 16))  # batch norm accepts a batch of one in evaluation mode only
    assert torch.equal(chance, torch.get_rng_state())
    assert [each.training for each in network.modules()] == modes
    assert all(torch.equal(each, before[name]) for name, each in network.state_dict().items())
    assert all(each.grad is None for each in network.parameters())
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in network.modules())


def test_recorded_outputs_are_not_affected_by_in_place_operations():
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(inplace=True), nn.Flatten())
    tap = Tap("0", "0", (8, 6, 6))
    images = torch.randn(2, 3, 8, 8)
    with tapped(network, [tap], cut=True) as outputs:
        scores = network(images)
    assert torch.equal(outputs[0], network[0](images)) and (outputs[0] < 0).any()
    assert torch.autograd.grad(scores.sum(), outputs)[0].unique().tolist() == [0, 1]


def test_a_tap_is_found_by_the_name_of_its_stage_or_module():
    network = built("cnn", (16, 16))
    assert find_tap(network, (3, 16, 16), "block2").shape == (64, 4, 4)
    assert find_tap(network, (3, 16, 16), "block2.0").shape == (64, 8, 8)
    with pytest.raises(UserError, match=r"'blok3'.*\n.*'block3'"):
        find_tap(network, (3, 16, 16), "blok3")
    with pytest.raises(UserError, match=r"'dense'.*\n.*block1, block2"):
        find_tap(network, (3, 16, 16), "dense")
    with pytest.raises(UserError, match="no layer of this network has a spatial grid"):
        find_tap(built("linear", (8, 8)), (3, 8, 8), "flatten")


def test_an_invalid_input_shape_is_an_error():
    with pytest.raises(UserError, match="1 x 16 x 16"):
        find_taps(built("cnn", (16, 16)), (1, 16, 16))
