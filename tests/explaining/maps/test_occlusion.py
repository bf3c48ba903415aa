"""Occlusion maps equal those of Captum and highlight the relevant regions."""

import numpy as np
import pytest
import torch
from torch import nn

from coverslip.core.errors import UserError
from coverslip.explaining.maps.occlusion import logit_drops, occlusion


def corner_network():
    """Build a network for 24 x 32 pixels: class 0 is red in the upper left quarter, class 1 blue in the lower right."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 24 * 32, 2, bias=False))
    weights = torch.zeros(2, 3, 24, 32)
    weights[0, 0, :12, :16], weights[1, 2, 12:, 16:] = 1, 1
    network[1].weight.data = weights.reshape(2, -1)
    return network


def small_network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3),
        nn.BatchNorm2d(6),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 4),
    )


def random_images(number=2, height=32, width=32):
    return torch.rand(number, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("window", [1, 3])
def test_maps_equal_those_of_captum(window):
    captum = pytest.importorskip("captum.attr", reason="the extra [explain] is not installed")
    network, images = small_network().eval(), random_images()
    drops = logit_drops(network, images, cells=8, window=window, fill="mean")
    for row, image in enumerate(images[:, None]):
        baseline = image.mean(dim=(2, 3), keepdim=True).expand_as(image)
        for number in range(4):
            expected = captum.Occlusion(network).attribute(
                image, (3, 4 * window, 4 * window), (3, 4, 4), baseline, target=number
            )
            assert np.allclose(drops[row, number], expected[0, 0, ::4, ::4].detach(), atol=1e-5)


def test_heat_is_where_the_evidence_is():
    bright = torch.zeros(1, 3, 24, 32)
    bright[0, 0, :12, :16], bright[0, 2, 12:, 16:] = 1, 1
    maps = occlusion(corner_network(), bright.repeat(2, 1, 1, 1), [0, 1], cells=8, window=1, fill="mean")
    assert maps.shape == (2, 6, 8)
    assert (maps[0, :3, :4] > 0).all() and maps[0, 3:].max() == maps[0, :, 4:].max() == 0
    assert (maps[1, 3:, 4:] > 0).all() and maps[1, :3].max() == maps[1, :, :4].max() == 0
    drops = logit_drops(corner_network(), 1 - bright, cells=8, window=1, fill="mean")
    assert (drops[0, 0, :3, :4] < 0).all()  # no red where class 0 expects it: the mean color has more
    assert (occlusion(corner_network(), 1 - bright, [0], cells=8, window=1, fill="mean") == 0).all()


def test_a_black_image_and_a_constant_network_give_flat_maps():
    network = small_network()
    black = torch.zeros(1, 3, 32, 32)
    assert (occlusion(network, black, [2]) == 0).all()
    nn.init.zeros_(network[-1].weight)
    assert (occlusion(network, random_images(), [0, 3]) == 0).all()


def test_the_network_is_not_changed_and_a_batch_of_one_is_supported():
    network, images = small_network().train(), random_images()
    both = occlusion(network, images, [1, 2])
    assert np.allclose(occlusion(network, images[1:], [2])[0], both[1], atol=1e-6)
    assert network[1].num_batches_tracked == 0 and all(module.training for module in network.modules())
    assert both.dtype == np.float32 and both.shape == (2, 14, 14)


@pytest.mark.parametrize(("height", "width", "grid"), [(21, 33, (9, 14)), (9, 9, (9, 9)), (5, 40, (2, 14))])
def test_any_image_size_is_supported(height, width, grid):
    window = 2 if grid[0] < 3 else 3
    drops = logit_drops(small_network(), random_images(1, height, width), window=window)
    assert drops.shape == (1, 4, *grid) and np.isfinite(drops).all()


def test_blur_removes_less_than_the_mean_color():
    smooth = torch.linspace(0, 1, 32).expand(1, 3, 32, 32)
    edges = (torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    network = small_network()
    mean, blur = (np.abs(logit_drops(network, smooth, fill=fill)).mean() for fill in ("mean", "blur"))
    assert blur < 0.5 * mean
    assert np.abs(logit_drops(network, edges, fill="blur")).max() > 0


def test_invalid_input_raises_user_errors():
    network, images = small_network(), random_images()
    with pytest.raises(UserError, match="did you mean 'blur'"):
        occlusion(network, images, [0, 0], fill="blurr")
    for cells, window in ((14, 15), (14, 14), (14, 0), (1, 1), (0, 1)):
        with pytest.raises(UserError, match="cells"):
            logit_drops(network, images, cells=cells, window=window)
    with pytest.raises(UserError, match="no class 9"):
        occlusion(network, images, [0, 9])
    assert occlusion(network, images[:0], []).shape == (0, 14, 14)
