"""One step of all lanes at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from coverslip.training.lanes.layers import WEIGHTED, Layer, Pile, answer, linear
from coverslip.training.lanes.optimizers import LARGE, Made, update
from coverslip.training.lanes.orders import Batch
from coverslip.training.lanes.pile import parameter_names
from coverslip.training.lanes.targets import loss_and_gradient, soften

TILE = 64  # rows of a gradient that are made at once: with the moments they fit into a core's cache


@dataclass(slots=True)
class Stepper:
    """What all steps of a stack have in common.

    Where the network begins with a linear layer, its product and its gradient are made by hand: most numbers of a head
    and of a dense network lie there, and images need no gradient. PyTorch differentiates the rest.

    Attributes:
        layers: templates.
        classes: K.
        sgd: the optimizer, else Adam.
        nesterov: of SGD.
        focal: the loss.
        l2: some lane has an L2 term.
        clip: lanes clip their gradients.
        dropped: places of layers with dropout in some lane.
        first: place of the linear layer that sees the images as they are; -1 without.
    """

    layers: list[Layer]
    classes: int
    sgd: bool
    nesterov: bool
    focal: bool
    l2: bool
    clip: bool
    dropped: set[int]
    first: int = field(init=False)

    def __post_init__(self) -> None:
        place = next(place for place, layer in enumerate(self.layers) if isinstance(layer.module, WEIGHTED))
        before = all(isinstance(layer.module, nn.Identity | nn.Flatten) for layer in self.layers[:place])
        by_hand = (
            before
            and not any(each < place for each in self.dropped)
            and isinstance(self.layers[place].module, nn.Linear)
        )
        self.first = place if by_hand else -1

    def advance(
        self, pile: Pile, batch: Batch, rates: Tensor, noise: Mapping[int, Tensor], even: bool, scratch: Pile
    ) -> tuple[Tensor, Tensor]:
        """Forward, backward and update of all lanes in the pile.

        Args:
            pile: is changed.
            batch: of these lanes.
            rates: float64 (L,).
            noise: of dropout.
            even: all lanes have taken the same number of steps.
            scratch: see `update`.

        Returns:
            float32 (L,), the mean loss of each lane over its images, and how many were told rightly, int64 (L,).
        """
        images, first = batch.images, f"{self.first}."
        names = parameter_names(pile)
        by_hand = [name for name in names if self.first >= 0 and name.startswith(first)]
        leaves = {name: pile[name].detach().requires_grad_() for name in names if name not in by_hand}
        if by_hand:
            images = images.flatten(2)
            begun = linear(images, pile[by_hand[0]], pile.get(first + "bias")).requires_grad_(bool(leaves))
        with torch.enable_grad():
            if by_hand:
                noised = begun * noise[self.first] if self.first in noise else begun
                scores = answer(self.layers, pile | leaves, noised, self.first + 1, True, noise)
            else:
                scores = answer(self.layers, pile | leaves, images, 0, True, noise)
        found = scores.detach().transpose(1, 2)
        losses, gradient = loss_and_gradient(found, self._targets(pile, batch), pile["gamma"] if self.focal else None)
        gradients: dict[str, Tensor | tuple[Made, int]] = {}
        if leaves:
            sources = [*leaves.values(), *([begun] if by_hand else [])]
            made = torch.autograd.grad(scores, sources, gradient.transpose(1, 2))
            # Fused kernels go through memory in the order in which the weights lie.
            gradients |= {name: each.contiguous() for name, each in zip(leaves, made, strict=False)}
            gradient = made[-1].transpose(1, 2) if by_hand else gradient
        if by_hand:
            gradients |= self._by_hand(pile, images, gradient, by_hand)
        update(
            pile,
            gradients,
            rates,
            sgd=self.sgd,
            nesterov=self.nesterov,
            l2=self.l2,
            clip=self.clip,
            even=even,
            scratch=scratch,
        )
        return losses, (found.max(1).indices == batch.labels).sum(1)

    def _targets(self, pile: Pile, batch: Batch) -> Tensor:
        """(L, K, B); see `coverslip.training.lanes.targets`."""
        if batch.shares is not None:
            return soften(batch.shares.transpose(1, 2), pile["smoothing"], pile["factors"])
        table, labels = pile["targets"], batch.labels[:, None]
        return table.gather(2, labels.expand(len(table), table.shape[1], -1))

    def _by_hand(
        self, pile: Pile, images: Tensor, gradient: Tensor, names: Sequence[str]
    ) -> dict[str, Tensor | tuple[Made, int]]:
        """Gradients of the first layer's weight and bias, given that of its outputs, (L, O, B)."""
        lanes, units, _ = gradient.shape
        found: dict[str, Tensor | tuple[Made, int]] = {name: gradient.sum(2) for name in names[1:]}
        gradient = gradient.contiguous()
        shared = len(images) == 1
        if pile[names[0]][0].numel() < LARGE or self.clip:
            if shared:
                found[names[0]] = torch.mm(gradient.view(lanes * units, -1), images[0]).view(lanes, units, -1)
            else:
                found[names[0]] = torch.bmm(gradient, images)
            return found
        size = min(max(TILE // units, 1), lanes) if shared else 1
        space = gradient.new_empty(size * units, images.shape[2])

        def make(start: int, end: int) -> Tensor:
            part = gradient[start:end].view((end - start) * units, -1)
            return torch.mm(part, images[0 if shared else start], out=space[: len(part)]).view(end - start, units, -1)

        found[names[0]] = make, size
        return found
