"""A network as a list of layers, and the forward pass of many such networks with stacked weights.

Stacked tensors have the lanes as first dimension: a weight (out, in) becomes (L, out, in). Images shared by all lanes
are (1, B, ...), so that the first layer of all lanes is one wide product; other images are (L, B, ...).

A narrower layer is padded with zeros to the width of the widest lane. The padding stays zero: if all weights into and
out of a unit are zero, so are their gradients, provided that the activation maps 0 to 0. `MASKED` activations do not;
their outputs are multiplied by 0 there.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

StackedTensors = dict[str, Tensor]  # name -> tensor with the lanes as first dimension

ELEMENTWISE = (nn.Identity, nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid)
POOLS = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
WEIGHTED = (nn.Linear, nn.Conv2d, *NORMS)
MASKED = (nn.Sigmoid,)  # activations that do not map 0 to 0
PARAMETERS = ("weight", "bias")


@dataclass(frozen=True, slots=True)
class LayerSpec:
    """One layer of a network.

    Attributes:
        name: prefix of its tensors in the state dict of the network.
        module: the module.
        dropout: dropout rate of its outputs in training.
        width: number of outputs of the last linear layer up to here; 0 before the first one.
    """

    name: str
    module: nn.Module
    dropout: float = 0.0
    width: int = 0


def read_layers(network: nn.Module) -> list[LayerSpec] | None:
    """Return the layers of a network in order; None if it cannot be stacked.

    Dropout is merged into the layer before it. The first layer is always an identity, for dropout of the inputs.
    """
    layers = [LayerSpec("", nn.Identity())]
    width = 0
    for name, module in _leaves("", network):
        previous = layers[-1]
        if type(module) is nn.Dropout:
            if previous.dropout or module.p >= 1:
                return None
            layers[-1] = LayerSpec(previous.name, previous.module, float(module.p), previous.width)
            continue
        if not _is_supported(module):
            return None
        if isinstance(module, nn.Linear):
            width = module.out_features
        layers.append(LayerSpec(name, module, 0.0, width))
    weighted = [layer.module for layer in layers if isinstance(layer.module, WEIGHTED)]
    count = sum(len(list(module.parameters())) for module in weighted)
    if len(set(map(id, weighted))) != len(weighted) or count != len(list(network.parameters())):  # shared modules
        return None
    return layers if count and all(_is_trained(parameter) for parameter in network.parameters()) else None


def _leaves(name: str, module: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the innermost modules of nested `nn.Sequential`, with their names, in the order of the forward pass."""
    if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward and not _has_hooks(module):
        leaves = []
        for child_name, child in module._modules.items():
            assert child is not None
            leaves += _leaves(f"{name}.{child_name}" if name else child_name, child)
        return leaves
    return [(name, module)]


def _has_hooks(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)


def _is_trained(parameter: nn.Parameter) -> bool:
    return parameter.requires_grad and parameter.dtype == torch.float32


def _is_supported(module: nn.Module) -> bool:
    """Return whether `forward` supports a layer of exactly this type, with these settings."""
    kind = type(module)
    if _has_hooks(module):
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


def layer_signature(layer: LayerSpec) -> tuple[object, ...]:
    """Return what layers must have in common to be stacked: everything but the width of dense layers, and dropout."""
    module = layer.module
    if isinstance(module, nn.Linear):
        return ("linear", module.bias is not None)
    if isinstance(module, nn.BatchNorm1d):
        return ("norm", module.eps, module.momentum, module.affine)
    return type(module).__name__, repr(template(layer).module)


def layer_tensors(layer: LayerSpec) -> dict[str, Tensor]:
    """Return the parameters and buffers of a layer by name."""
    module = layer.module
    parameters = {name: tensor for name, tensor in module._parameters.items() if tensor is not None}
    return parameters | {name: tensor for name, tensor in module._buffers.items() if tensor is not None}


def stack_tensors(tensors: Sequence[Tensor]) -> Tensor:
    """Stack tensors with equal numbers of dimensions to one (L, ...), padded with zeros to the largest shape."""
    shape = [max(sizes) for sizes in zip(*(tensor.shape for tensor in tensors), strict=True)]
    stacked = torch.zeros(len(tensors), *shape, dtype=tensors[0].dtype, device=tensors[0].device)
    for target, tensor in zip(stacked, tensors, strict=True):
        target[tuple(slice(0, size) for size in tensor.shape)].copy_(tensor.detach())
    return stacked


def template(layer: LayerSpec) -> LayerSpec:
    """Return a layer without weights that does not work in place."""
    module = copy.deepcopy(layer.module).to("meta")
    if hasattr(module, "inplace"):
        setattr(module, "inplace", False)  # noqa: B010
    return LayerSpec(layer.name, module, layer.dropout, layer.width)


def forward(
    layers: Sequence[LayerSpec],
    tensors: Mapping[str, Tensor],
    x: Tensor,
    start: int = 0,
    training: bool = False,
    noise: Mapping[int, Tensor] | None = None,
) -> Tensor:
    """Apply the stacked layers from ``start`` on.

    Args:
        layers: layers of one of the networks.
        tensors: "INDEX.NAME" -> parameter or buffer (L, ...); "mask.INDEX" -> float32 (L, 1, width).
        x: inputs, float32 (L, B, ...), or (1, B, ...) if they are shared by all lanes.
        start: index of the first layer.
        training: whether batch norm uses the statistics of the batch, and updates the running statistics.
        noise: index of a layer -> dropout mask (L, B, ...) that its outputs are multiplied by.

    Returns:
        Outputs of the last layer, float32 (L, B, ...).
    """
    for index in range(start, len(layers)):
        x = _apply(layers[index].module, tensors, f"{index}.", x, training)
        if f"mask.{index}" in tensors:
            x = x * tensors[f"mask.{index}"]
        if noise and index in noise:
            x = x * noise[index]
    return x


def _apply(module: nn.Module, tensors: Mapping[str, Tensor], prefix: str, x: Tensor, training: bool) -> Tensor:
    if isinstance(module, nn.Linear):
        return linear(x, tensors[prefix + "weight"], tensors.get(prefix + "bias"))
    if isinstance(module, nn.Conv2d):
        return _convolve(module, x, tensors[prefix + "weight"], tensors.get(prefix + "bias"))
    if isinstance(module, NORMS):
        return _normalize(module, tensors, prefix, x, training)
    if isinstance(module, nn.Flatten):
        return x.flatten(2)
    if isinstance(module, POOLS):
        return _split_lanes(module(_merge_lanes(x)), len(x))
    result: Tensor = module(x)
    return result


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Apply a linear layer per lane.

    Args:
        x: (L, B, D), or (1, B, D) if shared by all lanes.
        weight: (L, O, D).
        bias: (L, O).

    Returns:
        (L, B, O), a view of contiguous (L, O, B).
    """
    lanes, units = weight.shape[:2]
    if len(x) == 1:
        wide, images = weight.view(lanes * units, -1), x[0].t()
        result = torch.mm(wide, images) if bias is None else torch.addmm(bias.view(-1, 1), wide, images)
        return result.view(lanes, units, -1).transpose(1, 2)
    # Weights times images: with 15 outputs, MKL takes three times as long for images times weights.
    transposed = x.transpose(1, 2)
    result = torch.bmm(weight, transposed) if bias is None else torch.baddbmm(bias[:, :, None], weight, transposed)
    return result.transpose(1, 2)


def _convolve(module: nn.Conv2d, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    lanes = len(weight)
    if len(x) == 1 and module.groups == 1:
        images, groups = x[0], 1  # one convolution with the filters of all lanes
    else:
        images, groups = _merge_lanes(x.expand(lanes, *x.shape[1:])), lanes * module.groups
    result = functional.conv2d(
        images,
        weight.flatten(0, 1),
        None if bias is None else bias.flatten(),
        module.stride,
        module.padding,
        module.dilation,
        groups,
    )
    return _split_lanes(result, lanes)


def _normalize(module: nn.Module, tensors: Mapping[str, Tensor], prefix: str, x: Tensor, training: bool) -> Tensor:
    assert isinstance(module, NORMS)
    mean, variance = tensors[prefix + "running_mean"], tensors[prefix + "running_var"]
    weight, bias = tensors.get(prefix + "weight"), tensors.get(prefix + "bias")
    if training:
        tensors[prefix + "num_batches_tracked"].add_(1)
    assert module.momentum is not None
    wide = x.expand(len(mean), *x.shape[1:])
    # Outputs of a dense layer are contiguous as (L, C, B), which equals one image with L * C channels and B pixels.
    channels = wide.transpose(1, 2).reshape(1, mean.numel(), -1) if wide.ndim == 3 else _merge_lanes(wide)
    result = functional.batch_norm(
        channels,
        mean.flatten(),
        variance.flatten(),
        None if weight is None else weight.flatten(),
        None if bias is None else bias.flatten(),
        training,
        module.momentum,
        module.eps,
    )
    return result.view(*mean.shape, -1).transpose(1, 2) if wide.ndim == 3 else _split_lanes(result, len(mean))


def _merge_lanes(x: Tensor) -> Tensor:
    """Return (L, B, C, ...) as (B, L * C, ...), the channels of all lanes next to each other."""
    return x.transpose(0, 1).flatten(1, 2)


def _split_lanes(x: Tensor, lanes: int) -> Tensor:
    """Return (B, L * C, ...) as (L, B, C, ...), a view."""
    return x.view(len(x), lanes, -1, *x.shape[2:]).transpose(0, 1)
