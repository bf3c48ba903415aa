"""A network as a sequence of named stages that can be divided between any two of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from torch import Tensor, nn

from coverslip.core.errors import UserError
from coverslip.core.registry import nearest

CLASSIFIER = "classifier"
FROZEN_PREFIX = "frozen."  # prefix of the tensors before the classifier in the weights file of a model


class Staged(nn.Sequential):
    """A network as a sequence of named stages, the last of which is called ``classifier``.

    If possible, the input of the classifier is a tensor of features, shape (N, D), and the classifier is a single
    ``nn.Linear(D, K)`` (dropout belongs to the stage before), so that the network can be represented by features,
    weight and bias. In other networks the classifier is ``nn.Identity``, and the features are the logits.

    Names in the state dict start with the name of the stage, in the whole network and in each part of it.

    Args:
        stages: name -> module, in order.

    >>> network = Staged({"flatten": nn.Flatten(), "classifier": nn.Linear(12, 2)})
    >>> network.stages
    ('flatten', 'classifier')
    >>> [name for name, _ in network.starting_at("classifier").named_parameters()]
    ['classifier.weight', 'classifier.bias']
    """

    def __init__(self, stages: Mapping[str, nn.Module]) -> None:
        super().__init__(OrderedDict(stages))
        assert self.stages and self.stages[-1] == CLASSIFIER, self.stages

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of the stages in order."""
        return tuple(self._modules)

    def before(self, stage: str) -> nn.Sequential:
        """Return the stages before ``stage``, sharing their modules with the network; empty for the first stage.

        Raises:
            UserError: there is no such stage; the fix suggests the nearest name.
        """
        index = stage_index(self.stages, stage)
        return nn.Sequential(OrderedDict(list(self.named_children())[:index]))

    def starting_at(self, stage: str) -> nn.Sequential:
        """Return ``stage`` and all later stages including the classifier, sharing their modules with the network.

        Raises:
            UserError: there is no such stage; the fix suggests the nearest name.
        """
        index = stage_index(self.stages, stage)
        return nn.Sequential(OrderedDict(list(self.named_children())[index:]))


def without_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names start with ``prefix``, under the rest of their names."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def stage_index(stages: tuple[str, ...], stage: str) -> int:
    """Return the position of a stage, starting at 0.

    Raises:
        UserError: there is no such stage; the fix suggests the nearest name.
    """
    if stage not in stages:
        raise UserError(f"the network has no stage {stage!r}", _suggestion(stage, stages))
    return stages.index(stage)


def _suggestion(stage: str, stages: tuple[str, ...]) -> str:
    hint = nearest(stage, stages)
    return hint if hint.startswith("choose") else f"{hint} Stages in order: {', '.join(stages)}"
