"""A Keras 3 model on the PyTorch back end as a module; Keras is imported only here, and only when it is in use."""

from __future__ import annotations

import copy
import sys
from typing import Any

import torch
from torch import Tensor, nn

from coverslip.core.errors import UserError, optional

SMALLEST = 1e-7  # of a probability; Keras's own epsilon


class KerasModule(nn.Module):
    """A Keras model that takes float32 (N, C, H, W) and gives scores (N, K), as every other network here.

    Images are turned to (N, H, W, C) where the model has its channels last, as is Keras's custom. A model that ends
    in softmax gives probabilities; their logarithms are scores that stand for the same probabilities. One sigmoid
    output becomes the scores of two classes, the second being the one that the output speaks of. Training it trains the
    Keras model: they share their weights.

    Args:
        model: a built ``keras.Model`` whose back end is PyTorch.

    Raises:
        UserError: Keras runs on another back end, or the model has no input shape yet.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model: Any
        keras: Any = optional("keras", "keras")
        if keras.config.backend() != "torch":
            raise UserError(
                f"this Keras model runs on {keras.config.backend()}, not on PyTorch",
                "set the environment variable KERAS_BACKEND=torch before Keras is imported, and build it again",
            )
        shape = getattr(model, "input_shape", None) if getattr(model, "built", False) else None
        if not isinstance(shape, tuple) or len(shape) != 4:
            raise UserError(
                f"the Keras model takes inputs of {shape}, not images",
                "give it an Input of (height, width, channels)",
            )
        # Keras names its variables by how many models were built before, and twice: ours are the same every time. The
        # model itself is no submodule, or its own names would come too.
        object.__setattr__(self, "model", model)
        for number, variable in enumerate(model.variables):
            self.register_parameter(f"{number:03d}_{variable.name}", variable.value)
        self.turned = keras.config.image_data_format() == "channels_last"
        self.ending = _ending(model)

    def __deepcopy__(self, memo: dict[int, Any]) -> KerasModule:
        """A module on a copy of the Keras model; copied apart, the two would no longer share their weights."""
        other = KerasModule(copy.deepcopy(self.model, memo))
        other.load_state_dict(self.state_dict())
        other.train(self.training)
        return other

    def forward(self, images: Tensor) -> Tensor:
        """float32 (N, C, H, W) -> scores (N, K)."""
        turned = images.permute(0, 2, 3, 1) if self.turned else images
        wanted = self.model.input_shape[1:]
        if any(side not in (None, own) for side, own in zip(wanted, turned.shape[1:], strict=True)):
            # A model that begins by flattening would take the wrong order without a word.
            raise ValueError(f"the Keras model takes {wanted}, not {tuple(turned.shape[1:])}")
        given: Tensor = self.model(turned, training=self.training)
        if self.ending == "softmax":
            return given.clamp_min(SMALLEST).log()
        if self.ending == "sigmoid" and given.ndim == 2 and given.shape[1] == 1:
            given = given.clamp(SMALLEST, 1 - SMALLEST)
            return torch.cat([(1 - given).log(), given.log()], 1)
        return given


def as_module(network: object) -> nn.Module:
    """Any network that may be trained: a PyTorch module as it is, a Keras model in a `KerasModule`.

    Raises:
        UserError: it is neither.
    """
    keras = sys.modules.get("keras")
    if keras is not None and isinstance(network, keras.Model):
        return KerasModule(network)
    if isinstance(network, nn.Module):
        return network
    if isinstance(network, str):
        fix = f"coverslip.train(FOLDER, model_network={network!r}), or give a torch.nn.Module or a Keras model here"
        raise UserError(f"{network!r} is a network's name, not a network", fix)
    raise UserError(f"a {type(network).__name__} is not a network", "give a torch.nn.Module or a Keras model")


def _ending(model: Any) -> str:
    """Name of the last layer's activation; "" where it has none."""
    layers = [each for each in model.layers if hasattr(each, "activation") or type(each).__name__ == "Softmax"]
    if not layers or layers[-1] is not model.layers[-1]:
        return ""
    if type(layers[-1]).__name__ == "Softmax":
        return "softmax"
    return str(getattr(layers[-1].activation, "__name__", ""))
