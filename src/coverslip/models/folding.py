"""Batch norm of a pretrained network, folded into the convolutions before it: the same network with less to compute."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

NEAR = 1e-3  # of the largest output: further away, and a network is not folded

Pairs = tuple[tuple[str, str], ...]
"""Names of convolutions, each with the batch norm that follows it."""


def fold_batch_norm(network: nn.Module, shape: tuple[int, ...]) -> tuple[nn.Module, Pairs]:
    """A copy in which each batch norm that follows a convolution is a factor and a bias of that convolution.

    Pretrained statistics stay as they are then, and what is left to train are the convolutions themselves. Of the
    time of a training step on a CPU batch norm takes a third. Depthwise convolutions (one channel each) are left as
    they are: their gradients take another third, and they are a hundredth of what is learned. On leaves the network
    learned no worse for either (`benchmarks/results/depth.md`).

    Args:
        network: with pretrained weights; not changed.
        shape: of one input, to see that the copy gives what the network gives.

    Returns:
        The copy, and what was folded. Where the outputs differ (a batch norm before a convolution, say), an unfolded
        copy and no pairs.
    """
    found = find_pairs(network)
    folded = copy.deepcopy(network).eval()
    for conv_name, norm_name in found:
        conv, norm = folded.get_submodule(conv_name), folded.get_submodule(norm_name)
        assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
        _fold(conv, norm)
        folded.set_submodule(norm_name, _what_remains(norm))
    chance = torch.Generator().manual_seed(0)
    images = torch.rand(2, *shape, generator=chance)
    original = copy.deepcopy(network).eval()
    with torch.inference_mode():
        wanted, given = original(images), folded(images)
    if not found or (wanted - given).abs().max() > NEAR * wanted.abs().max().clamp_min(1e-6):
        return copy.deepcopy(network), ()
    freeze_depthwise(folded)
    return folded.train(network.training), found


def freeze_depthwise(network: nn.Module) -> None:
    """Convolutions that look at one channel at a time keep weights and bias (whose gradient costs as much as both)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1:
            module.requires_grad_(False)


def unfold_weights(network: nn.Module, folded: nn.Module, pairs: Pairs) -> dict[str, Tensor]:
    """The state dict that makes ``network`` compute what ``folded`` does.

    Args:
        network: that was folded; its batch norms get mean 0, variance 1 and factor 1.
        folded: the copy, trained meanwhile.
        pairs: what was folded.
    """
    state, given = dict(network.state_dict()), folded.state_dict()
    for name in state:
        if name in given:
            state[name] = given[name].detach().cpu().clone()
    for conv_name, norm_name in pairs:
        norm = network.get_submodule(norm_name)
        assert isinstance(norm, nn.BatchNorm2d)
        bias = given[f"{conv_name}.bias"].detach().cpu()
        state |= _neutral(norm_name, norm)
        state[f"{norm_name}.bias"] = bias.clone()
        if f"{conv_name}.bias" in state:  # else it would be added twice
            state[f"{conv_name}.bias"] = torch.zeros_like(bias)
    return state


def find_pairs(network: nn.Module) -> Pairs:
    """Convolutions and the batch norms of as many channels that stand next to them, in the order of their making."""
    found = []
    last: tuple[str, nn.Conv2d] | None = None
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            last = (name, module)
        elif isinstance(module, nn.BatchNorm2d):
            if last is not None and last[1].out_channels == module.num_features and _keeps_statistics(module):
                found.append((last[0], name))
            last = None
    return tuple(found)


def _keeps_statistics(norm: nn.BatchNorm2d) -> bool:
    return norm.running_mean is not None and norm.affine


def _fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    assert norm.running_mean is not None and norm.running_var is not None
    with torch.no_grad():
        factor = norm.weight / (norm.running_var + norm.eps).sqrt()
        bias = torch.zeros_like(factor) if conv.bias is None else conv.bias
        conv.weight.mul_(factor[:, None, None, None])
        conv.bias = nn.Parameter((bias - norm.running_mean) * factor + norm.bias)


def _what_remains(norm: nn.BatchNorm2d) -> nn.Module:
    """timm's batch norms carry the activation."""
    parts = [each for each in norm.children() if not isinstance(each, nn.Identity)]
    return nn.Sequential(*parts) if parts else nn.Identity()


def _neutral(name: str, norm: nn.BatchNorm2d) -> Mapping[str, Tensor]:
    count = norm.num_features
    return {
        f"{name}.weight": torch.ones(count),
        f"{name}.running_mean": torch.zeros(count),
        f"{name}.running_var": torch.full((count,), 1 - norm.eps),  # so that the root of variance + eps is 1
    }
