"""A network as a plain list of layers, and many such networks, stacked, computed in one pass.

Everything that is stacked has the lanes as its first dimension: a weight (out, in) becomes (L, out, in). Images that
all lanes see are (1, B, ...), so that the first product of all lanes is one wide one; others are (L, B, ...).

A narrower layer lies in the corner of the widest lane's, the rest is zero. It stays zero: where weights into a unit and
out of it are zero, so are their gradients, as long as the activation of 0 is 0; `MASKED` activations are multiplied by
0 there.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

Pile = dict[str, Tensor]  # all that is stacked, by name; the first dimension of each is the lanes

ELEMENTWISE = (nn.Identity, nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid)
POOLS = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
WEIGHTED = (nn.Linear, nn.Conv2d, *NORMS)
MASKED = (nn.Sigmoid,)  # activations of which 0 does not stay 0
PARAMETERS = ("weight", "bias")


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of a network.

    Attributes:
        name: its prefix in the network's state dict.
        module: of the network.
        dropout: share that is dropped from what it gives, in training.
        width: outputs of the last linear layer up to here; 0 before the first.
    """

    name: str
    module: nn.Module
    dropout: float = 0.0
    width: int = 0


def read_layers(network: nn.Module) -> list[Layer] | None:
    """The layers of a network in order, dropout joined to the layer before it; None where it cannot be stacked.

    The first is always an identity, which carries the dropout of the inputs.
    """
    layers = [Layer("", nn.Identity())]
    width = 0
    for name, module in _leaves("", network):
        before = layers[-1]
        if type(module) is nn.Dropout:
            if before.dropout or module.p >= 1:
                return None
            layers[-1] = Layer(before.name, before.module, float(module.p), before.width)
            continue
        if not _simple(module):
            return None
        if isinstance(module, nn.Linear):
            width = module.out_features
        layers.append(Layer(name, module, 0.0, width))
    weighted = [layer.module for layer in layers if isinstance(layer.module, WEIGHTED)]
    owned = sum(len(list(module.parameters())) for module in weighted)
    if len(set(map(id, weighted))) != len(weighted) or owned != len(list(network.parameters())):
        return None
    return layers if owned and all(_trained(each) for each in network.parameters()) else None


def _leaves(name: str, module: nn.Module) -> list[tuple[str, nn.Module]]:
    """Modules without parts, by name, in the order in which a chain of `nn.Sequential` calls them."""
    if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward and not _hooked(module):
        found = []
        for own, each in module._modules.items():
            assert each is not None
            found += _leaves(f"{name}.{own}" if name else own, each)
        return found
    return [(name, module)]


def _hooked(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)


def _trained(parameter: nn.Parameter) -> bool:
    return parameter.requires_grad and parameter.dtype == torch.float32


def _simple(module: nn.Module) -> bool:
    """Whether `answer` knows this very type of layer, with these settings."""
    kind = type(module)
    if _hooked(module):
        return False
    if isinstance(module, nn.Flatten):
        return kind is nn.Flatten and (module.start_dim, module.end_dim) == (1, -1)
    if isinstance(module, nn.Conv2d):
        return kind is nn.Conv2d and module.padding_mode == "zeros"
    if isinstance(module, NORMS):
        return kind in NORMS and module.track_running_stats and module.momentum is not None
    if isinstance(module, nn.MaxPool2d):
        return kind is nn.MaxPool2d and not module.return_indices
    return kind in (*ELEMENTWISE, *POOLS, nn.Linear)


def describe(layer: Layer) -> tuple[object, ...]:
    """What must be equal of two layers that are stacked: all but the width of dense layers, and dropout."""
    module = layer.module
    if isinstance(module, nn.Linear):
        return ("linear", module.bias is not None)
    if isinstance(module, nn.BatchNorm1d):
        return ("norm", module.eps, module.momentum, module.affine)
    return type(module).__name__, repr(template(layer).module)


def own_tensors(layer: Layer) -> dict[str, Tensor]:
    """Parameters and buffers of one layer, by their names in it."""
    module = layer.module
    named = {name: each for name, each in module._parameters.items() if each is not None}
    return named | {name: each for name, each in module._buffers.items() if each is not None}


def stack_tensors(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors of the same number of dimensions in one (L, ...), each in the corner of the largest, 0 beside it."""
    shape = [max(sizes) for sizes in zip(*(each.shape for each in tensors), strict=True)]
    stacked = torch.zeros(len(tensors), *shape, dtype=tensors[0].dtype, device=tensors[0].device)
    for place, each in zip(stacked, tensors, strict=True):
        place[tuple(slice(0, size) for size in each.shape)].copy_(each.detach())
    return stacked


def template(layer: Layer) -> Layer:
    """The layer without its weights, and without working in place."""
    module = copy.deepcopy(layer.module).to("meta")
    if hasattr(module, "inplace"):
        setattr(module, "inplace", False)  # noqa: B010
    return Layer(layer.name, module, layer.dropout, layer.width)


def answer(
    layers: Sequence[Layer],
    pile: Mapping[str, Tensor],
    x: Tensor,
    start: int = 0,
    training: bool = False,
    noise: Mapping[int, Tensor] | None = None,
) -> Tensor:
    """What the stacked layers from ``start`` on make of x.

    Args:
        layers: of one of the networks.
        pile: "PLACE.NAME" -> (L, ...), parameters and buffers; "mask.PLACE" -> float32 (L, 1, width).
        x: float32 (L, B, ...), or (1, B, ...) where all lanes see the same.
        start: place of the first layer.
        training: batch norm takes the batch's statistics, and notes them.
        noise: place -> (L, B, ...): by what the outputs of that layer are multiplied, which is dropout.

    Returns:
        (L, B, ...).
    """
    for place in range(start, len(layers)):
        x = _applied(layers[place].module, pile, f"{place}.", x, training)
        if f"mask.{place}" in pile:
            x = x * pile[f"mask.{place}"]
        if noise and place in noise:
            x = x * noise[place]
    return x


def _applied(module: nn.Module, pile: Mapping[str, Tensor], prefix: str, x: Tensor, training: bool) -> Tensor:
    if isinstance(module, nn.Linear):
        return linear(x, pile[prefix + "weight"], pile.get(prefix + "bias"))
    if isinstance(module, nn.Conv2d):
        return _convolve(module, x, pile[prefix + "weight"], pile.get(prefix + "bias"))
    if isinstance(module, NORMS):
        return _normalize(module, pile, prefix, x, training)
    if isinstance(module, nn.Flatten):
        return x.flatten(2)
    if isinstance(module, POOLS):
        return _apart(module(_merged(x)), len(x))
    found: Tensor = module(x)
    return found


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """(L or 1, B, D), (L, O, D), (L, O) -> (L, B, O), which lies in memory as (L, O, B)."""
    lanes, units = weight.shape[:2]
    if len(x) == 1:
        wide, images = weight.view(lanes * units, -1), x[0].t()
        found = torch.mm(wide, images) if bias is None else torch.addmm(bias.view(-1, 1), wide, images)
        return found.view(lanes, units, -1).transpose(1, 2)
    # Weights times images: MKL's batched product of images and weights takes three times as long at 15 outputs.
    turned = x.transpose(1, 2)
    found = torch.bmm(weight, turned) if bias is None else torch.baddbmm(bias[:, :, None], weight, turned)
    return found.transpose(1, 2)


def _convolve(module: nn.Conv2d, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    lanes = len(weight)
    if len(x) == 1 and module.groups == 1:
        images, groups = x[0], 1  # one convolution with the filters of all lanes
    else:
        images, groups = _merged(x.expand(lanes, *x.shape[1:])), lanes * module.groups
    found = functional.conv2d(
        images,
        weight.flatten(0, 1),
        None if bias is None else bias.flatten(),
        module.stride,
        module.padding,
        module.dilation,
        groups,
    )
    return _apart(found, lanes)


def _normalize(module: nn.Module, pile: Mapping[str, Tensor], prefix: str, x: Tensor, training: bool) -> Tensor:
    assert isinstance(module, NORMS)
    mean, variance = pile[prefix + "running_mean"], pile[prefix + "running_var"]
    weight, bias = pile.get(prefix + "weight"), pile.get(prefix + "bias")
    if training:
        pile[prefix + "num_batches_tracked"].add_(1)
    assert module.momentum is not None
    wide = x.expand(len(mean), *x.shape[1:])
    # A dense layer's outputs lie in memory as (L, C, B), which is one image of L * C channels and B pixels.
    channels = wide.transpose(1, 2).reshape(1, mean.numel(), -1) if wide.ndim == 3 else _merged(wide)
    found = functional.batch_norm(
        channels,
        mean.flatten(),
        variance.flatten(),
        None if weight is None else weight.flatten(),
        None if bias is None else bias.flatten(),
        training,
        module.momentum,
        module.eps,
    )
    return found.view(*mean.shape, -1).transpose(1, 2) if wide.ndim == 3 else _apart(found, len(mean))


def _merged(x: Tensor) -> Tensor:
    """(L, B, C, ...) -> (B, L * C, ...): the channels of all lanes side by side."""
    return x.transpose(0, 1).flatten(1, 2)


def _apart(x: Tensor, lanes: int) -> Tensor:
    """(B, L * C, ...) -> (L, B, C, ...), the same memory."""
    return x.view(len(x), lanes, -1, *x.shape[2:]).transpose(0, 1)
