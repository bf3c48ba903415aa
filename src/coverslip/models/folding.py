"""Folding of batch normalization into the preceding convolutions: the same network with less computation."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

TOLERANCE = 1e-3  # relative to the largest output; with a larger deviation the network is not folded

Pairs = tuple[tuple[str, str], ...]
"""Names of convolutions, each with the batch norm that follows it."""


def fold_batch_norm(network: nn.Module, shape: tuple[int, ...]) -> tuple[nn.Module, Pairs]:
    """Return a copy in which each batch norm that follows a convolution is merged into its weights and bias.

    The pretrained statistics are then fixed, and only the convolutions are trained. Batch norm takes a third of the
    time of a training step on a CPU. Depthwise convolutions are frozen: their gradients take another third, and they
    contain about one percent of the weights. On leaves neither change reduced accuracy (`benchmarks/results/depth.md`).

    Args:
        network: network with pretrained weights; not modified.
        shape: shape of one input without the batch axis, used to verify that the copy computes the same outputs.

    Returns:
        The copy and the folded pairs. If the outputs differ (for example with a batch norm before a convolution), an
        unfolded copy and no pairs.
    """
    pairs = find_pairs(network)
    folded = copy.deepcopy(network).eval()
    for conv_name, norm_name in pairs:
        conv, norm = folded.get_submodule(conv_name), folded.get_submodule(norm_name)
        assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
        _fold(conv, norm)
        folded.set_submodule(norm_name, _remainder(norm))
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, *shape, generator=generator)
    original = copy.deepcopy(network).eval()
    with torch.inference_mode():
        expected, actual = original(images), folded(images)
    if not pairs or (expected - actual).abs().max() > TOLERANCE * expected.abs().max().clamp_min(1e-6):
        return copy.deepcopy(network), ()
    freeze_depthwise(folded)
    return folded.train(network.training), pairs


def freeze_depthwise(network: nn.Module) -> None:
    """Freeze weights and biases of depthwise convolutions; their gradient is expensive for few weights."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1:
            module.requires_grad_(False)


def unfold_weights(network: nn.Module, folded: nn.Module, pairs: Pairs) -> dict[str, Tensor]:
    """Return the state dict with which ``network`` computes what ``folded`` does.

    Args:
        network: the network that was folded; its batch norms get mean 0, variance 1 and weight 1.
        folded: the folded copy, after training.
        pairs: the folded pairs.
    """
    state, trained = dict(network.state_dict()), folded.state_dict()
    for name in state:
        if name in trained:
            state[name] = trained[name].detach().cpu().clone()
    for conv_name, norm_name in pairs:
        norm = network.get_submodule(norm_name)
        assert isinstance(norm, nn.BatchNorm2d)
        bias = trained[f"{conv_name}.bias"].detach().cpu()
        state |= _identity_state(norm_name, norm)
        state[f"{norm_name}.bias"] = bias.clone()
        if f"{conv_name}.bias" in state:  # otherwise the bias would be added twice
            state[f"{conv_name}.bias"] = torch.zeros_like(bias)
    return state


def find_pairs(network: nn.Module) -> Pairs:
    """Return convolutions and the batch norms of the same width that follow them, in registration order."""
    pairs = []
    last: tuple[str, nn.Conv2d] | None = None
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            last = (name, module)
        elif isinstance(module, nn.BatchNorm2d):
            if last is not None and last[1].out_channels == module.num_features and _has_statistics(module):
                pairs.append((last[0], name))
            last = None
    return tuple(pairs)


def _has_statistics(norm: nn.BatchNorm2d) -> bool:
    return norm.running_mean is not None and norm.affine


def _fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    assert norm.running_mean is not None and norm.running_var is not None
    with torch.no_grad():
        factor = norm.weight / (norm.running_var + norm.eps).sqrt()
        bias = torch.zeros_like(factor) if conv.bias is None else conv.bias
        conv.weight.mul_(factor[:, None, None, None])
        conv.bias = nn.Parameter((bias - norm.running_mean) * factor + norm.bias)


def _remainder(norm: nn.BatchNorm2d) -> nn.Module:
    """Return what replaces a folded batch norm: its activation in timm's ``BatchNormAct2d``, else the identity."""
    children = [child for child in norm.children() if not isinstance(child, nn.Identity)]
    return nn.Sequential(*children) if children else nn.Identity()


def _identity_state(name: str, norm: nn.BatchNorm2d) -> Mapping[str, Tensor]:
    """Return the state with which a batch norm only adds its bias."""
    count = norm.num_features
    return {
        f"{name}.weight": torch.ones(count),
        f"{name}.running_mean": torch.zeros(count),
        f"{name}.running_var": torch.full((count,), 1 - norm.eps),  # so that sqrt(variance + eps) is 1
    }
