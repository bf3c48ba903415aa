"""A Keras 3 model on the PyTorch backend as a PyTorch module. Keras is imported only if it is used."""

from __future__ import annotations

import copy
import sys
from typing import Any

import torch
from torch import Tensor, nn

from coverslip.core.errors import UserError, optional

EPSILON = 1e-7  # smallest probability whose logarithm is taken, as in Keras


class KerasModule(nn.Module):
    """A Keras model as a module that maps float32 (N, C, H, W) to logits (N, K).

    Images are permuted to (N, H, W, C) if the model has its channels last, the default in Keras. If the model ends in
    softmax, the logarithms of its probabilities are returned: logits with the same softmax. A single sigmoid output is
    converted to logits of two classes, of which the second is the positive one. The module and the Keras model share
    their weights, so training one trains the other.

    Args:
        model: a built ``keras.Model`` on the PyTorch backend.

    Raises:
        UserError: Keras uses another backend, or the model is not built for images.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model: Any
        keras: Any = optional("keras", "keras")
        if keras.config.backend() != "torch":
            raise UserError(
                f"this Keras model uses the backend {keras.config.backend()}, not PyTorch",
                "set the environment variable KERAS_BACKEND=torch before importing Keras, and build the model again",
            )
        shape = getattr(model, "input_shape", None) if getattr(model, "built", False) else None
        if not isinstance(shape, tuple) or len(shape) != 4:
            raise UserError(
                f"the input shape of the Keras model is {shape}, not that of images",
                "give the model an Input of shape (height, width, channels)",
            )
        # Keras numbers variable names by all models built before, and registers them twice. The names here are
        # reproducible. The model itself must not become a submodule, or its own names would be registered as well.
        object.__setattr__(self, "model", model)
        for number, variable in enumerate(model.variables):
            self.register_parameter(f"{number:03d}_{variable.name}", variable.value)
        self.channels_last = keras.config.image_data_format() == "channels_last"
        self.final_activation = _final_activation(model)

    def __deepcopy__(self, memo: dict[int, Any]) -> KerasModule:
        """Return a module on a copy of the Keras model; separate copies of both would no longer share their weights."""
        other = KerasModule(copy.deepcopy(self.model, memo))
        other.load_state_dict(self.state_dict())
        other.train(self.training)
        return other

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, shape (N, K), of images, float32, shape (N, C, H, W)."""
        inputs = images.permute(0, 2, 3, 1) if self.channels_last else images
        expected = self.model.input_shape[1:]
        if any(side not in (None, actual) for side, actual in zip(expected, inputs.shape[1:], strict=True)):
            # A model that starts with Flatten would silently accept a wrong axis order.
            raise ValueError(f"the Keras model expects inputs of shape {expected}, not {tuple(inputs.shape[1:])}")
        outputs: Tensor = self.model(inputs, training=self.training)
        if self.final_activation == "softmax":
            return outputs.clamp_min(EPSILON).log()
        if self.final_activation == "sigmoid" and outputs.ndim == 2 and outputs.shape[1] == 1:
            outputs = outputs.clamp(EPSILON, 1 - EPSILON)
            return torch.cat([(1 - outputs).log(), outputs.log()], 1)
        return outputs


def as_module(network: object) -> nn.Module:
    """Return a network as a PyTorch module: a module as it is, a Keras model in a `KerasModule`.

    Raises:
        UserError: the network is neither.
    """
    keras = sys.modules.get("keras")
    if keras is not None and isinstance(network, keras.Model):
        return KerasModule(network)
    if isinstance(network, nn.Module):
        return network
    if isinstance(network, str):
        fix = f"use coverslip.train(FOLDER, model_network={network!r}), or give a torch.nn.Module or a Keras model"
        raise UserError(f"{network!r} is the name of a network, not a network", fix)
    raise UserError(f"a {type(network).__name__} is not a network", "give a torch.nn.Module or a Keras model")


def _final_activation(model: Any) -> str:
    """Return the name of the activation of the last layer; "" if it has none."""
    layers = [layer for layer in model.layers if hasattr(layer, "activation") or type(layer).__name__ == "Softmax"]
    if not layers or layers[-1] is not model.layers[-1]:
        return ""
    if type(layers[-1]).__name__ == "Softmax":
        return "softmax"
    return str(getattr(layers[-1].activation, "__name__", ""))
