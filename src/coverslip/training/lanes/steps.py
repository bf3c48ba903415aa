"""Compute one training step of all lanes of a stack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from coverslip.training.lanes.layers import WEIGHTED, LayerSpec, StackedTensors, forward, linear
from coverslip.training.lanes.optimizers import LARGE, GradientFunction, update
from coverslip.training.lanes.orders import LaneBatch
from coverslip.training.lanes.targets import loss_and_gradient, weighted_targets
from coverslip.training.lanes.tensors import parameter_names

TILE = 64  # rows of a gradient that are computed at once; with the moments they fit into the cache of a core


@dataclass(slots=True)
class Stepper:
    """Computes the steps of a stack.

    If the first layer is linear, its output and gradient are computed without autograd: it has most of the weights of a
    head or a dense network, and images need no gradient. PyTorch differentiates the other layers.

    Attributes:
        layers: layers without weights, as `template` returns them.
        classes: number of classes K.
        sgd: whether the optimizer is SGD, else Adam.
        nesterov: whether SGD uses Nesterov momentum.
        focal: whether the loss is the focal loss.
        l2: whether any lane has an L2 penalty.
        clip: whether lanes clip their gradients.
        dropout_layers: indices of layers with dropout in some lane.
        first: index of the linear layer that receives the unchanged images; -1 if there is none.
    """

    layers: list[LayerSpec]
    classes: int
    sgd: bool
    nesterov: bool
    focal: bool
    l2: bool
    clip: bool
    dropout_layers: set[int]
    first: int = field(init=False)

    def __post_init__(self) -> None:
        index = next(index for index, layer in enumerate(self.layers) if isinstance(layer.module, WEIGHTED))
        unchanged = all(isinstance(layer.module, nn.Identity | nn.Flatten) for layer in self.layers[:index])
        manual = (
            unchanged
            and not any(layer < index for layer in self.dropout_layers)
            and isinstance(self.layers[index].module, nn.Linear)
        )
        self.first = index if manual else -1

    def advance(
        self,
        tensors: StackedTensors,
        batch: LaneBatch,
        lrs: Tensor,
        noise: Mapping[int, Tensor],
        even: bool,
        scratch: StackedTensors,
    ) -> tuple[Tensor, Tensor]:
        """Run forward pass, backward pass and update of L lanes.

        Args:
            tensors: tensors of the lanes, which are updated.
            batch: images of these lanes.
            lrs: learning rate of each lane, float64 (L,).
            noise: dropout masks by layer.
            even: whether all lanes have completed the same number of steps.
            scratch: buffers; see `update`.

        Returns:
            The mean loss of each lane over its images, float32 (L,), and the number of correctly classified images,
            int64 (L,).
        """
        images, prefix = batch.images, f"{self.first}."
        names = parameter_names(tensors)
        manual = [name for name in names if self.first >= 0 and name.startswith(prefix)]
        leaves = {name: tensors[name].detach().requires_grad_() for name in names if name not in manual}
        if manual:
            images = images.flatten(2)
            first = linear(images, tensors[manual[0]], tensors.get(prefix + "bias")).requires_grad_(bool(leaves))
        with torch.enable_grad():
            if manual:
                hidden = first * noise[self.first] if self.first in noise else first
                outputs = forward(self.layers, tensors | leaves, hidden, self.first + 1, True, noise)
            else:
                outputs = forward(self.layers, tensors | leaves, images, 0, True, noise)
        logits = outputs.detach().transpose(1, 2)  # (L, K, B)
        gamma = tensors["gamma"] if self.focal else None
        losses, gradient = loss_and_gradient(logits, self._targets(tensors, batch), gamma)
        gradients: dict[str, Tensor | tuple[GradientFunction, int]] = {}
        if leaves:
            sources = [*leaves.values(), *([first] if manual else [])]
            results = torch.autograd.grad(outputs, sources, gradient.transpose(1, 2))
            # Fused kernels expect gradients in the memory format of the weights.
            gradients |= {name: result.contiguous() for name, result in zip(leaves, results, strict=False)}
            gradient = results[-1].transpose(1, 2) if manual else gradient
        if manual:
            gradients |= self._first_layer_gradients(tensors, images, gradient, manual)
        update(
            tensors,
            gradients,
            lrs,
            sgd=self.sgd,
            nesterov=self.nesterov,
            l2=self.l2,
            clip=self.clip,
            even=even,
            scratch=scratch,
        )
        return losses, (logits.max(1).indices == batch.labels).sum(1)

    def _targets(self, tensors: StackedTensors, batch: LaneBatch) -> Tensor:
        """Return the targets (L, K, B) of a batch; see `coverslip.training.lanes.targets`."""
        if batch.fractions is not None:
            return weighted_targets(batch.fractions.transpose(1, 2), tensors["smoothing"], tensors["factors"])
        table, labels = tensors["targets"], batch.labels[:, None]
        return table.gather(2, labels.expand(len(table), table.shape[1], -1))

    def _first_layer_gradients(
        self, tensors: StackedTensors, images: Tensor, gradient: Tensor, names: Sequence[str]
    ) -> dict[str, Tensor | tuple[GradientFunction, int]]:
        """Return the gradients of weight and bias of the first layer.

        Args:
            tensors: tensors of the lanes.
            images: flattened images, float32 (L or 1, B, D).
            gradient: gradient of the outputs of the layer, (L, O, B).
            names: names of its weight and, if it has one, its bias.
        """
        lanes, units, _ = gradient.shape
        gradients: dict[str, Tensor | tuple[GradientFunction, int]] = {name: gradient.sum(2) for name in names[1:]}
        gradient = gradient.contiguous()
        shared = len(images) == 1
        if tensors[names[0]][0].numel() < LARGE or self.clip:
            if shared:
                gradients[names[0]] = torch.mm(gradient.view(lanes * units, -1), images[0]).view(lanes, units, -1)
            else:
                gradients[names[0]] = torch.bmm(gradient, images)
            return gradients
        size = min(max(TILE // units, 1), lanes) if shared else 1
        buffer = gradient.new_empty(size * units, images.shape[2])

        def compute(start: int, end: int) -> Tensor:
            tile = gradient[start:end].view((end - start) * units, -1)
            return torch.mm(tile, images[0 if shared else start], out=buffer[: len(tile)]).view(end - start, units, -1)

        gradients[names[0]] = compute, size
        return gradients
