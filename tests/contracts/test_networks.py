"""Requirements for every network of the catalog and of timm; a new one is tested as soon as it is registered."""

import dataclasses

import pytest
import torch
from torch import nn

from coverslip.core.errors import UserError
from coverslip.models.catalog import build_network, count_parameters, network_entry, network_names, stage_names
from coverslip.models.design import Design
from coverslip.models.entry import OPTIONS
from coverslip.models.freeze import FrozenModule, first_trained_stage, frozen_stages, unflatten
from coverslip.models.shapes import check_network, output_shape

TIMM = ("mobilenetv3_small_050.lamb_in1k", "vit_tiny_patch16_224")
NAMES = (*network_names(), *TIMM)
OTHERS = {"hidden": (8,), "filters": (4, 6), "batch_norm": True, "dropout": 0.25, "activation": "gelu"}
CLASSES = 4


def small(name, channels=3):
    return Design(network=name, channels=channels, size=(64, 64))


@pytest.fixture(scope="module", params=NAMES)
def built(request):
    design = small(request.param)
    torch.manual_seed(0)
    return design, build_network(design, CLASSES)


def test_returns_one_logit_per_class_and_has_gradients_in_every_parameter(built):
    design, network = built
    logits = network.train()(torch.randn(2, 3, *design.size))
    assert logits.shape == (2, CLASSES)
    nn.functional.cross_entropy(logits, torch.tensor([0, 3])).backward()
    assert all(each.grad is not None and torch.isfinite(each.grad).all() for each in network.parameters())
    network.zero_grad(set_to_none=True)


def test_stages_and_parameters_are_known_before_building(built):
    design, network = built
    assert stage_names(design) == network.stages
    assert count_parameters(design, CLASSES) == sum(each.numel() for each in network.parameters())
    assert network.stages[-1] == "classifier"
    assert isinstance(network.get_submodule("classifier"), nn.Linear | nn.Identity)
    for stage in network.stages:
        assert first_trained_stage(network_entry(design.network), network.stages, stage) == stage


@torch.no_grad()
def test_can_be_divided_before_every_stage(built):
    design, network = built
    images = torch.randn(2, 3, *design.size)
    whole = network.eval()(images)
    for stage in network.stages:
        flat = FrozenModule(network.before(stage), (3, *design.size))
        rows = flat(images)
        assert rows.shape == (2, torch.tensor(flat.shape).prod())
        torch.testing.assert_close(network.starting_at(stage)(unflatten(rows, flat.shape)), whole, atol=1e-4, rtol=1e-4)
        names = {**network.before(stage).state_dict(), **network.starting_at(stage).state_dict()}
        assert list(names) == list(network.state_dict())
    network.requires_grad_(True)


@pytest.mark.parametrize("channels", [1, 5])
@pytest.mark.parametrize("name", NAMES)
def test_accepts_any_number_of_channels(name, channels):
    with torch.device("meta"):  # shapes only
        check_network(build_network(small(name, channels), CLASSES), (channels, 64, 64), CLASSES)


@pytest.mark.parametrize("name", NAMES)
def test_supported_options_have_an_effect_and_others_are_an_error(name):
    for option in OPTIONS:
        design = dataclasses.replace(small(name), **{option: OTHERS[option]})
        if option in network_entry(name).options:
            with torch.device("meta"):
                assert repr(build_network(design, CLASSES)) != repr(build_network(small(name), CLASSES))
        else:
            with pytest.raises(UserError, match=f"does not support {option}"):
                build_network(design, CLASSES)


@pytest.mark.parametrize("name", NAMES)
def test_the_tail_is_a_stage_and_weights_have_a_licence(name):
    entry, stages = network_entry(name), stage_names(small(name))
    assert not entry.tail or entry.tail in stages[1:-1]
    assert (entry.load is None) == (not entry.licence)
    if entry.first_conv:
        with torch.device("meta"):
            assert isinstance(build_network(small(name), 2).get_submodule(entry.first_conv), nn.Conv2d)


def test_frozen_stages_contain_no_later_weights_and_their_key_depends_on_the_cut():
    design = small("cnn-full")
    network = build_network(design, CLASSES)
    parts = [frozen_stages(design, network.state_dict(), cut) for cut in ("block2", "pool", "classifier")]
    assert [len(each.weights) for each in parts] == [2, 6, 6]
    assert len({each.key for each in parts}) == 3  # the last two have the same weights, but different outputs
    assert [each.shape for each in parts] == [(32, 32, 32), (128, 8, 8), (128,)]
    images = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(parts[2].module()(images), network.eval().before("classifier")(images))
    other = dataclasses.replace(design, activation="tanh")
    assert frozen_stages(other, network.state_dict()).key != parts[2].key


def test_feature_maps_are_flattened_channels_last():
    network = nn.Sequential(nn.Identity())
    images = torch.arange(24.0).reshape(1, 2, 3, 4)
    frozen = FrozenModule(network, (2, 3, 4))
    assert frozen(images)[0, :4].tolist() == [0, 12, 1, 13]
    assert unflatten(frozen(images), frozen.shape).is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(unflatten(frozen(images), frozen.shape), images)


@pytest.mark.parametrize("name", ["linear", "cnn"])
def test_a_network_without_a_tail_is_an_error(name):
    with pytest.raises(UserError, match="no tail"):
        first_trained_stage(network_entry(name), stage_names(small(name)), "tail")


def test_a_misspelled_name_suggests_the_nearest():
    with pytest.raises(UserError, match="did you mean 'resnet18'"):
        network_entry("resnet-18")
    with pytest.raises(UserError, match="did you mean 'vit_tiny_patch16_224'"):
        network_entry("vit_tiny_patch16_225")
    with pytest.raises(UserError, match="choose from 'alexnet'"):
        network_entry("xxxxxxxxxxxxxxxxxxxxxxxx")
    with pytest.raises(UserError, match=r"did you mean 'block5'.*block6"):
        first_trained_stage(network_entry("efficientnet-lite0"), stage_names(Design()), "blok5")
    with pytest.raises(UserError, match=r"unknown network 'resnet18\.no"):
        network_entry("resnet18.no_such_weights")


@pytest.mark.parametrize("name", ["cnn", "alexnet", "inception_v3"])
def test_images_that_are_too_small_are_an_error(name):
    with torch.device("meta"), pytest.raises(UserError, match=r"too small|does not accept"):
        check_network(build_network(Design(network=name, size=(7, 7)), 2), (3, 7, 7), 2)


def test_an_unexpected_output_shape_is_an_error():
    for network, words in (
        (nn.Sequential(nn.Flatten(), nn.Linear(48, 5)), "returns 5 values per image, not 2 logits"),
        (nn.Conv2d(3, 2, 1), "returns 2 x 4 x 4"),
        (nn.Sequential(nn.Flatten(0), nn.Linear(48, 2)), "not one row"),
        (nn.Linear(7, 2), "does not accept an input of shape 3 x 4 x 4"),
    ):
        with pytest.raises(UserError, match=words):
            check_network(network, (3, 4, 4), 2)
    lstm = nn.LSTM(4, 2)
    with pytest.raises(UserError, match="returns a tuple"):
        check_network(lstm, (4,), 2)


def test_the_mode_of_a_network_is_restored():
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(48, 2))
    network[0].eval()
    before = {name: each.clone() for name, each in network.state_dict().items()}
    assert output_shape(network, (3, 4, 4)) == (2,)
    assert [each.training for each in network] == [False, True, True]
    assert all(torch.equal(each, before[name]) for name, each in network.state_dict().items())
