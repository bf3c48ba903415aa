"""Maps of all layers and classes at once are those of one layer and one class, and mean what they say."""

import copy

import numpy as np
import pytest
import timm
import torch
from torch import nn

from coverslip.core.errors import UserError
from coverslip.explaining.maps.cam import CAMS, cam_grid, cam_taps
from coverslip.explaining.maps.heatmap import Heatmap
from coverslip.models.catalog import build_network
from coverslip.models.design import Design
from coverslip.models.stages import Staged
from coverslip.models.taps import find_taps

METHODS = ("grad-cam", "grad-cam++", "layer-cam")


def course(name="cnn", size=(16, 16), classes=5, **options):
    torch.manual_seed(0)
    return build_network(Design(network=name, size=size, **options), classes)


def transformer():
    torch.manual_seed(0)
    return timm.models.VisionTransformer(
        img_size=32, patch_size=8, embed_dim=24, depth=3, num_heads=2, num_classes=5, weight_init=""
    )


def swin():
    torch.manual_seed(0)
    return timm.models.SwinTransformer(
        img_size=64, patch_size=4, window_size=4, embed_dim=12, depths=(1, 1), num_heads=(1, 2), num_classes=5
    )


NETWORKS = {
    "cnn": (lambda: course(batch_norm=True), (3, 16, 16)),
    "cnn-full, not square": (lambda: course("cnn-full", (16, 24), activation="silu"), (3, 16, 24)),
    "resnet18": (lambda: course("resnet18", (64, 64)), (3, 64, 64)),
    "efficientnet-lite0": (lambda: course("efficientnet-lite0", (64, 64)), (3, 64, 64)),
    "vision transformer": (transformer, (3, 32, 32)),
    "swin": (swin, (3, 64, 64)),
}


def one_class(network, image, index, taps):
    """Activations and gradients of one image and class: a forward and a backward pass of their own."""
    kept = {}

    def keep(module, given, output):
        output.retain_grad()
        kept[module] = output

    modules = [network.get_submodule(tap.module) for tap in taps]
    hooks = [module.register_forward_hook(keep) for module in modules]
    network.eval()
    network(image[None])[0, index].backward()
    for hook in hooks:
        hook.remove()
    for tap, module in zip(taps, modules, strict=True):
        pair = kept[module], kept[module].grad
        yield [tap.to_grid(each)[0].detach().numpy().astype(np.float64) for each in pair]


def one_map(method, values, slopes):
    """(C, h, w) each -> (h, w), as the papers write it."""
    if method == "grad-cam":
        found = np.einsum("c,chw->hw", slopes.mean((1, 2)), values)
    elif method == "layer-cam":
        found = (np.maximum(slopes, 0) * values).sum(0)
    else:
        total = np.maximum(values.sum((1, 2), keepdims=True), 0)
        top, bottom = slopes**2, 2 * slopes**2 + total * slopes**3
        alpha = np.divide(top, bottom, out=np.zeros_like(top), where=slopes > 0)
        found = np.einsum("c,chw->hw", (alpha * np.maximum(slopes, 0)).sum((1, 2)), values)
    return np.maximum(found, 0)


@pytest.mark.parametrize("name", NETWORKS)
def test_all_at_once_are_those_of_one_layer_and_one_class(name):
    build, shape = NETWORKS[name]
    network = build()
    images = torch.randn(2, *shape, generator=torch.Generator().manual_seed(1))
    classes = np.array([[4, 0, 2], [1, 1, 3]])
    taps = find_taps(network, shape)
    found = {method: cam_grid(network, images, classes, method=method, taps=taps) for method in METHODS}
    for row, place in ((0, 0), (0, 2), (1, 0)):
        for layer, pair in enumerate(one_class(network, images[row], classes[row, place], taps)):
            for method in METHODS:
                maps, alone = found[method][layer], one_map(method, *pair)
                assert maps.shape == (2, 3, *taps[layer].grid) and maps.dtype == np.float32
                np.testing.assert_allclose(maps[row, place], alone, atol=1e-5 * max(alone.max(), 1e-6), rtol=1e-4)
                np.testing.assert_allclose(maps[1, 0], maps[1, 1], rtol=1e-4)  # the same class twice


def test_heat_is_where_the_class_is():
    """A network that we know: its first class asks how red the image is, its second how blue."""
    convolution = nn.Conv2d(3, 2, 1, bias=False)
    convolution.weight.data = torch.tensor([[1.0, 0, 0], [0, 0, 1.0]])[:, :, None, None]
    dense = nn.Linear(2, 2, bias=False)
    dense.weight.data = torch.eye(2)
    network = nn.Sequential(convolution, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), dense)
    image = torch.zeros(1, 3, 8, 8)
    image[0, 0, :4, :4] = 1.0
    image[0, 2, 4:, 4:] = 0.5
    for method in CAMS:
        red, blue = cam_grid(network, image, [0, 1], method=method)[0][0]
        assert np.array_equal(red > 0, image[0, 0].numpy() > 0), method
        assert np.array_equal(blue > 0, image[0, 2].numpy() > 0), method


def test_plain_cam_is_the_classifiers_weights_on_the_last_layer():
    network = course("cnn-full", (16, 16))
    images = torch.rand(2, 3, 16, 16)
    (maps,) = cam_grid(network, images, [0, 3], method="cam")
    with torch.no_grad():
        last = network.before("pool").eval()(images)
    expected = torch.einsum("kc,nchw->nkhw", network.classifier.weight[[0, 3]], last).clamp(min=0)
    np.testing.assert_allclose(maps, expected.detach().numpy(), atol=1e-5)
    np.testing.assert_allclose(maps / 4, cam_grid(network, images, [0, 3])[-1], atol=1e-6)  # 2 x 2 places


def test_plain_cam_is_refused_where_dense_layers_follow():
    for network, shape in ((course(), (3, 16, 16)), (transformer(), (3, 32, 32))):
        with pytest.raises(UserError, match=r"plain CAM needs.*\n.*grad-cam"):
            cam_taps(network, shape, "cam")
    network = course("cnn-full")
    with pytest.raises(UserError, match=r"only the layer before the average.*\n.*grad-cam"):
        cam_grid(network, torch.rand(1, 3, 16, 16), [0], method="cam", taps=find_taps(network, (3, 16, 16))[:1])


@pytest.mark.parametrize("name", ["linear", "mlp"])
def test_a_network_without_places_says_which_views_there_are(name):
    with pytest.raises(UserError, match=r"no convolutions.*\n.*ideal images.*occlusion"):
        cam_grid(course(name), torch.rand(1, 3, 16, 16), [0])


def test_one_stage_is_enough():
    network = course(filters=(4,))
    (maps,) = cam_grid(network, torch.rand(1, 3, 16, 16), [0, 1])
    assert maps.shape == (1, 2, 8, 8)


def test_gradients_of_zero_give_a_flat_map():
    network = course("cnn-full")
    nn.init.zeros_(network.classifier.weight)
    for method in CAMS:
        for maps in cam_grid(network, torch.rand(1, 3, 16, 16), [0], method=method):
            assert not maps.any() and Heatmap(maps[0, 0], method, "", "", 0, "").flat


def test_a_layer_that_the_scores_do_not_use_gives_a_flat_map():
    class Aside(nn.Module):
        def __init__(self):
            super().__init__()
            self.main, self.aside = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)

        def forward(self, images):
            self.aside(images)
            return self.main(images).mean((2, 3))

    network = Aside()
    main, aside = find_taps(network, (3, 8, 8))
    found = cam_grid(network, torch.rand(2, 3, 8, 8), [0, 1, 2], taps=[main, aside])
    assert found[0].any() and not found[1].any() and found[0].shape == found[1].shape


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_an_image_of_one_color_gives_numbers(level):
    for method in METHODS:
        for maps in cam_grid(course(batch_norm=True), torch.full((1, 3, 16, 16), level), [0, 1], method=method):
            assert np.isfinite(maps).all() and maps.min() >= 0


def test_grad_cam_plus_stays_finite_where_activations_are_negative():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 2))
    nn.init.constant_(network[0].bias, -2.0)
    nn.init.constant_(network[2].weight, 1 / 72)  # 2 + gradient * sum of the channel is about 0
    (maps,) = cam_grid(network, torch.rand(1, 3, 8, 8) / 10, [0], method="grad-cam++")
    assert np.isfinite(maps).all() and maps.max() < 10


def test_a_batch_of_one_and_batch_norm_in_training_mode():
    network = course(batch_norm=True, dropout=0.5).train()
    before = copy.deepcopy(network.state_dict())
    images = torch.rand(3, 3, 16, 16)
    alone = [cam_grid(network, image[None], [2])[-1] for image in images]
    together = cam_grid(network, images, [2])[-1]
    np.testing.assert_allclose(np.concatenate(alone), together, atol=1e-6)
    assert all(each.training for each in network.modules())
    assert all(torch.equal(each, before[name]) for name, each in network.state_dict().items())


def test_a_frozen_network_has_maps_and_is_left_without_gradients():
    network = course()
    free = cam_grid(network, torch.ones(1, 3, 16, 16), [1])
    network.requires_grad_(False)
    with torch.no_grad():
        frozen = cam_grid(network, torch.ones(1, 3, 16, 16), [1])
    assert all(np.array_equal(a, b) and a.any() for a, b in zip(free, frozen, strict=True))
    assert all(each.grad is None for each in network.parameters())


def test_many_images_and_classes_go_in_parts(monkeypatch):
    network, images = course(classes=7), np.random.default_rng(0).random((9, 3, 16, 16), np.float32)
    whole = cam_grid(network, images, range(7))
    monkeypatch.setattr("coverslip.explaining.maps.cam.TOGETHER", 4)
    parts = cam_grid(network, images, range(7))
    assert [each.shape for each in whole] == [each.shape for each in parts]
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert [each.shape for each in cam_grid(network, images[:0], range(7))] == [(0, *each.shape[1:]) for each in whole]


def test_a_users_own_layer_that_knows_no_batches_of_gradients():
    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(context, given):
            context.save_for_backward(given)
            return given * 2

        @staticmethod
        def backward(context, gradient):
            return gradient * 2 if gradient.isfinite().all() else gradient

    class Layer(nn.Module):
        def forward(self, given):
            return Twice.apply(given)

    def whole(layer):
        torch.manual_seed(0)
        return Staged(
            {"block": nn.Conv2d(3, 4, 3), "classifier": nn.Sequential(nn.Flatten(), layer, nn.Linear(144, 3))}
        )

    class Plain(nn.Module):
        def forward(self, given):
            return given * 2

    images = torch.rand(2, 3, 8, 8)
    np.testing.assert_allclose(
        cam_grid(whole(Layer()), images, [0, 1, 2])[0], cam_grid(whole(Plain()), images, [0, 1, 2])[0], atol=1e-6
    )


def test_bad_input_is_answered():
    network, images = course(), torch.rand(2, 3, 16, 16)
    with pytest.raises(UserError, match=r"'grad-cma'.*\n.*'grad-cam'"):
        cam_grid(network, images, [0], method="grad-cma")
    for classes in ([5], [-1]):
        with pytest.raises(UserError, match=r"no class -?\d\n.*0 to 4"):
            cam_grid(network, images, classes)
    for classes in ([[0, 1]], [], 3, [[[0]]]):
        with pytest.raises(UserError, match="do not fit 2 images"):
            cam_grid(network, images, classes)
    with pytest.raises(UserError, match="no batch"):
        cam_grid(network, images[0], [0])
    for wrong in (torch.rand(1, 1, 16, 16), torch.rand(1, 3, 20, 40)):
        with pytest.raises(UserError, match="cannot take an input"):
            cam_grid(network, wrong, [0])
    with pytest.raises(UserError, match="no numbers"):
        cam_grid(network, images * torch.nan, [0])
