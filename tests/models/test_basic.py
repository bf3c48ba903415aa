"""Parameter counts, order of layers, and agreement with the networks of the libraries."""

import pytest
import torch
from torch import nn

from coverslip.core.errors import UserError
from coverslip.models.catalog import build_network, count_parameters
from coverslip.models.design import Design


@pytest.mark.parametrize(
    ("network", "options", "size", "classes", "count"),
    [
        ("linear", {}, 128, 2, 98_306),
        ("mlp", {"hidden": (192,)}, 128, 2, 9_437_762),
        ("mlp", {"hidden": (16,)}, 128, 10, 786_618),
        ("mlp", {"hidden": (32, 8), "batch_norm": True}, 4, 2, 48 * 32 + 2 * 32 + 32 * 8 + 2 * 8 + 8 * 2 + 2),
        ("cnn", {"filters": (4,), "hidden": (5,)}, 8, 2, 3 * 9 * 4 + 4 + 64 * 5 + 5 + 5 * 2 + 2),
        ("cnn-full", {"filters": (4, 6)}, 8, 2, 3 * 9 * 4 + 4 + 4 * 9 * 6 + 6 + 6 * 2 + 2),
        ("alexnet", {}, 224, 1000, 61_100_840),
        ("resnet18", {}, 224, 1000, 11_689_512),
        ("resnet34", {}, 224, 1000, 21_797_672),
        ("resnet50", {}, 224, 1000, 25_557_032),
        ("efficientnet-lite0", {}, 224, 1000, 4_652_008),
    ],
)
def test_networks_have_the_published_number_of_parameters(network, options, size, classes, count):
    assert count_parameters(Design(network=network, size=(size, size), **options), classes) == count


@pytest.mark.parametrize(("activation", "kind"), [("tanh", nn.Tanh), ("relu", nn.ReLU), ("silu", nn.SiLU)])
def test_a_block_is_convolution_norm_activation_pool_dropout(activation, kind):
    options = {"filters": (4, 8), "batch_norm": True, "dropout": 0.5, "activation": activation}
    network = build_network(Design(network="cnn", size=(16, 16), **options), 2)
    block = network.get_submodule("block1")
    assert {type(each) for each in block} == {nn.Conv2d, nn.BatchNorm2d, kind, nn.MaxPool2d, nn.Dropout}
    by_kind = {type(each): each.eval() for each in block}
    images = torch.randn(2, 3, 16, 16)
    textbook = images
    for each in (nn.Conv2d, nn.BatchNorm2d, kind, nn.MaxPool2d, nn.Dropout):
        textbook = by_kind[each](textbook)
    torch.testing.assert_close(block(images), textbook)
    dense = [nn.Flatten, nn.Linear, nn.BatchNorm1d, kind, nn.Dropout]
    assert [type(each) for each in network.get_submodule("dense")] == dense


def test_dropout_is_applied_once_before_the_classifier():
    for name in ("cnn", "cnn-full", "mlp", "resnet18", "efficientnet-lite0"):
        network = build_network(Design(network=name, size=(32, 32), dropout=0.5), 2)
        *_, last, linear = (each for each in network.modules() if not list(each.children()))
        assert (type(last), type(linear)) == (nn.Dropout, nn.Linear), name


def test_logits_equal_those_of_the_library():
    import timm
    import torchvision

    images = torch.randn(2, 3, 64, 64)
    for name, library in (
        ("efficientnet-lite0", lambda: timm.create_model("tf_efficientnet_lite0", num_classes=7)),
        ("resnet18", lambda: torchvision.models.resnet18(num_classes=7)),
    ):
        torch.manual_seed(1)
        ours = build_network(Design(network=name, size=(64, 64)), 7).eval()
        torch.manual_seed(1)
        with torch.no_grad():
            torch.testing.assert_close(ours(images), library().eval()(images), atol=0, rtol=0)


def test_the_seed_determines_the_weights():
    def drawn(seed):
        torch.manual_seed(seed)
        return build_network(Design(network="cnn", size=(8, 8)), 2).get_parameter("block1.0.weight")

    assert torch.equal(drawn(3), drawn(3)) and not torch.equal(drawn(3), drawn(4))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"channels": 0}, "channels=0"),
        ({"size": (0, 4)}, "size="),
        ({"hidden": (8, 0)}, "empty layer"),
        ({"filters": (-1,)}, "empty layer"),
        ({"dropout": 1.0}, "dropout=1.0"),
        ({"dropout": -0.1}, "dropout=-0.1"),
        ({"dropout": float("nan")}, "dropout=nan"),
        ({"activation": "rleu"}, "did you mean 'relu'"),
    ],
)
def test_an_invalid_design_is_an_error(options, words):
    with pytest.raises(UserError, match=words):
        Design(**options)
