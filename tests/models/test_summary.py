"""The summary of a network, compared with hand-computed and published numbers."""

import pytest
import torch
from torch import nn

from coverslip.core.errors import UserError
from coverslip.models.catalog import build_network
from coverslip.models.design import Design
from coverslip.models.summary import summary


def test_each_layer_has_output_parameters_multiply_adds_and_receptive_field():
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 4, (1, 3), dilation=(1, 2), groups=2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 2),
    )
    found = summary(network, (3, 32, 40))
    rows = [(each.kind, each.shape, each.parameters, each.multiply_adds, each.receptive_field) for each in found.layers]
    assert rows == [
        ("Conv2d", (8, 16, 20), 224, 8 * 16 * 20 * 27, (3, 3)),
        ("ReLU", (8, 16, 20), 0, 0, (3, 3)),
        ("MaxPool2d", (8, 8, 10), 0, 0, (5, 5)),
        ("Conv2d", (4, 8, 6), 52, 4 * 8 * 6 * 12, (5, 21)),
        ("AdaptiveAvgPool2d", (4, 1, 1), 0, 0, (32, 40)),
        ("Flatten", (4,), 0, 0, None),
        ("Linear", (2,), 10, 8, (32, 40)),
    ]
    assert (found.parameters, found.trained) == (286, 286)
    assert found.multiply_adds == sum(each.multiply_adds for each in found.layers)


def test_resnet18_has_the_published_numbers():
    found = summary(build_network(Design(network="resnet18"), 1000), (3, 224, 224))
    assert found.parameters == sum(each.parameters for each in found.layers) == 11_689_512
    assert round(found.multiply_adds / 1e9, 1) == 1.8  # table 1 of He et al.
    fields = {each.name: each.receptive_field for each in found.layers}
    assert fields["stem.pool"] == (11, 11) and fields["layer4.1.relu"] == (435, 435)
    assert fields["layer2.0.downsample.0"] == (43, 43)  # the shortcut starts at the input of its block


def test_operations_outside_of_layers_are_in_the_total():
    class Product(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 4, bias=False)

        def forward(self, rows):
            rows = self.linear(rows)
            return rows @ torch.ones(4, 2)

    found = summary(Product(), (4,))
    assert found.layers[0].multiply_adds == 16 and found.multiply_adds == 24


def test_frozen_and_shared_layers_are_counted_once():
    shared = nn.Linear(4, 4)
    network = nn.Sequential(shared, shared, nn.Linear(4, 2).requires_grad_(False))
    found = summary(network, (4,))
    assert (found.parameters, found.trained) == (30, 20)
    assert "30 parameters (20 of them trained)" in str(found)


def test_the_network_is_not_modified_and_the_summary_has_an_html_table():
    network = nn.Sequential(nn.BatchNorm2d(2), nn.Dropout(), nn.Flatten(), nn.Linear(8, 3))
    page = summary(network, (2, 2, 2))._repr_html_()
    assert page.startswith("<table>") and "<td>BatchNorm2d</td>" in page
    assert network.training and network[0].num_batches_tracked == 0
    assert not network[3]._forward_hooks and not network[3]._forward_pre_hooks


def test_an_invalid_input_shape_is_an_error():
    with pytest.raises(UserError, match="does not accept an input of shape 1 x 8 x 8"):
        summary(nn.Conv2d(3, 2, 3), (1, 8, 8))
    with pytest.raises(UserError, match="64 is not the shape of one input"):
        summary(nn.Conv2d(3, 2, 3), 64)
