"""Maps of all layers and classes in one pass equal those of single layers and classes, and are correct."""

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


def small_network(name="cnn", size=(16, 16), classes=5, **options):
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
    "cnn": (lambda: small_network(batch_norm=True), (3, 16, 16)),
    "cnn-full, not square": (lambda: small_network("cnn-full", (16, 24), activation="silu"), (3, 16, 24)),
    "resnet18": (lambda: small_network("resnet18", (64, 64)), (3, 64, 64)),
    "efficientnet-lite0": (lambda: small_network("efficientnet-lite0", (64, 64)), (3, 64, 64)),
    "vision transformer": (transformer, (3, 32, 32)),
    "swin": (swin, (3, 64, 64)),
}


def one_class(network, image, index, taps):
    """Yield activations and gradients of one image and class, from a separate forward and backward pass."""
    outputs = {}

    def record(module, inputs, output):
        output.retain_grad()
        outputs[module] = output

    modules = [network.get_submodule(tap.module) for tap in taps]
    hooks = [module.register_forward_hook(record) for module in modules]
    network.eval()
    network(image[None])[0, index].backward()
    for hook in hooks:
        hook.remove()
    for tap, module in zip(taps, modules, strict=True):
        pair = outputs[module], outputs[module].grad
        yield [tap.to_grid(each)[0].detach().numpy().astype(np.float64) for each in pair]


def one_map(method, values, slopes):
    """Compute one map (h, w) from activations and gradients (C, h, w) with the formulas of the papers."""
    if method == "grad-cam":
        result = np.einsum("c,chw->hw", slopes.mean((1, 2)), values)
    elif method == "layer-cam":
        result = (np.maximum(slopes, 0) * values).sum(0)
    else:
        total = np.maximum(values.sum((1, 2), keepdims=True), 0)
        numerator, denominator = slopes**2, 2 * slopes**2 + total * slopes**3
        alpha = np.divide(numerator, denominator, out=np.zeros_like(numerator), where=slopes > 0)
        result = np.einsum("c,chw->hw", (alpha * np.maximum(slopes, 0)).sum((1, 2)), values)
    return np.maximum(result, 0)


@pytest.mark.parametrize("name", NETWORKS)
def test_maps_in_one_pass_equal_those_of_single_layers_and_classes(name):
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


def test_heat_is_at_the_position_of_the_class():
    """Use a known network: the first logit is the amount of red, the second the amount of blue."""
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


def test_plain_cam_applies_the_weights_of_the_classifier_to_the_last_layer():
    network = small_network("cnn-full", (16, 16))
    images = torch.rand(2, 3, 16, 16)
    (maps,) = cam_grid(network, images, [0, 3], method="cam")
    with torch.no_grad():
        last = network.before("pool").eval()(images)
    expected = torch.einsum("kc,nchw->nkhw", network.classifier.weight[[0, 3]], last).clamp(min=0)
    np.testing.assert_allclose(maps, expected.detach().numpy(), atol=1e-5)
    np.testing.assert_allclose(maps / 4, cam_grid(network, images, [0, 3])[-1], atol=1e-6)  # 2 x 2 positions


def test_plain_cam_is_refused_for_other_architectures():
    for network, shape in ((small_network(), (3, 16, 16)), (transformer(), (3, 32, 32))):
        with pytest.raises(UserError, match=r"'cam' needs.*\n.*grad-cam"):
            cam_taps(network, shape, "cam")
    network = small_network("cnn-full")
    with pytest.raises(UserError, match=r"only the layer before global average pooling.*\n.*grad-cam"):
        cam_grid(network, torch.rand(1, 3, 16, 16), [0], method="cam", taps=find_taps(network, (3, 16, 16))[:1])


@pytest.mark.parametrize("name", ["linear", "mlp"])
def test_a_network_without_a_spatial_grid_is_refused_with_alternatives(name):
    with pytest.raises(UserError, match=r"no convolutions.*\n.*ideal images.*occlusion"):
        cam_grid(small_network(name), torch.rand(1, 3, 16, 16), [0])


def test_a_network_with_one_stage_is_supported():
    network = small_network(filters=(4,))
    (maps,) = cam_grid(network, torch.rand(1, 3, 16, 16), [0, 1])
    assert maps.shape == (1, 2, 8, 8)


def test_gradients_of_zero_give_a_flat_map():
    network = small_network("cnn-full")
    nn.init.zeros_(network.classifier.weight)
    for method in CAMS:
        for maps in cam_grid(network, torch.rand(1, 3, 16, 16), [0], method=method):
            assert not maps.any() and Heatmap(maps[0, 0], method, "", "", 0, "").flat


def test_a_layer_that_the_logits_do_not_use_gives_a_flat_map():
    class Unused(nn.Module):
        def __init__(self):
            super().__init__()
            self.main, self.unused = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)

        def forward(self, images):
            self.unused(images)
            return self.main(images).mean((2, 3))

    network = Unused()
    main, unused = find_taps(network, (3, 8, 8))
    found = cam_grid(network, torch.rand(2, 3, 8, 8), [0, 1, 2], taps=[main, unused])
    assert found[0].any() and not found[1].any() and found[0].shape == found[1].shape


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_a_uniform_image_gives_finite_maps(level):
    for method in METHODS:
        for maps in cam_grid(small_network(batch_norm=True), torch.full((1, 3, 16, 16), level), [0, 1], method=method):
            assert np.isfinite(maps).all() and maps.min() >= 0


def test_grad_cam_plus_is_finite_for_negative_activations():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 2))
    nn.init.constant_(network[0].bias, -2.0)
    nn.init.constant_(network[2].weight, 1 / 72)  # 2 + gradient * sum of the channel is about 0
    (maps,) = cam_grid(network, torch.rand(1, 3, 8, 8) / 10, [0], method="grad-cam++")
    assert np.isfinite(maps).all() and maps.max() < 10


def test_batches_of_one_and_batch_norm_in_training_mode_are_supported():
    network = small_network(batch_norm=True, dropout=0.5).train()
    before = copy.deepcopy(network.state_dict())
    images = torch.rand(3, 3, 16, 16)
    alone = [cam_grid(network, image[None], [2])[-1] for image in images]
    together = cam_grid(network, images, [2])[-1]
    np.testing.assert_allclose(np.concatenate(alone), together, atol=1e-6)
    assert all(each.training for each in network.modules())
    assert all(torch.equal(each, before[name]) for name, each in network.state_dict().items())


def test_a_frozen_network_has_maps_and_gets_no_gradients():
    network = small_network()
    free = cam_grid(network, torch.ones(1, 3, 16, 16), [1])
    network.requires_grad_(False)
    with torch.no_grad():
        frozen = cam_grid(network, torch.ones(1, 3, 16, 16), [1])
    assert all(np.array_equal(a, b) and a.any() for a, b in zip(free, frozen, strict=True))
    assert all(each.grad is None for each in network.parameters())


def test_many_images_and_classes_are_processed_in_batches(monkeypatch):
    network, images = small_network(classes=7), np.random.default_rng(0).random((9, 3, 16, 16), np.float32)
    whole = cam_grid(network, images, range(7))
    monkeypatch.setattr("coverslip.explaining.maps.cam.BATCH_SIZE", 4)
    batched = cam_grid(network, images, range(7))
    assert [maps.shape for maps in whole] == [maps.shape for maps in batched]
    for a, b in zip(whole, batched, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert [each.shape for each in cam_grid(network, images[:0], range(7))] == [(0, *each.shape[1:]) for each in whole]


def test_a_custom_layer_without_support_for_batched_gradients():
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


def test_invalid_input_raises_user_errors():
    network, images = small_network(), torch.rand(2, 3, 16, 16)
    with pytest.raises(UserError, match=r"'grad-cma'.*\n.*'grad-cam'"):
        cam_grid(network, images, [0], method="grad-cma")
    for classes in ([5], [-1]):
        with pytest.raises(UserError, match=r"no class -?\d\n.*0 to 4"):
            cam_grid(network, images, classes)
    for classes in ([[0, 1]], [], 3, [[[0]]]):
        with pytest.raises(UserError, match="do not match 2 images"):
            cam_grid(network, images, classes)
    with pytest.raises(UserError, match="not a batch"):
        cam_grid(network, images[0], [0])
    for wrong in (torch.rand(1, 1, 16, 16), torch.rand(1, 3, 20, 40)):
        with pytest.raises(UserError, match="does not accept an input"):
            cam_grid(network, wrong, [0])
    with pytest.raises(UserError, match="not finite"):
        cam_grid(network, images * torch.nan, [0])
