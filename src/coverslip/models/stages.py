"""A network as named stages in order, so that it can be cut between any two of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from torch import nn

from coverslip.core.errors import UserError
from coverslip.core.registry import nearest

CLASSIFIER = "classifier"
FROZEN = "frozen."  # in a bundle, before the names of the tensors of all before the classifier


class Staged(nn.Sequential):
    """A network as named stages in order; the last is called ``classifier``.

    Wherever possible a (N, D) tensor of features stands before the classifier, which is then one ``nn.Linear(D, K)``:
    features, weight and bias tell the whole network (dropout belongs to the stage before). A network that does not end
    so has ``nn.Identity`` as its classifier, and its features are its scores.

    Names in the state dict begin with the stage's name, in the whole and in every part of it.

    Args:
        stages: name -> module, in order.

    >>> network = Staged({"flatten": nn.Flatten(), "classifier": nn.Linear(12, 2)})
    >>> network.stages
    ('flatten', 'classifier')
    >>> [name for name, _ in network.since("classifier").named_parameters()]
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
        """The stages before this one; they share their modules with the whole. None are left before the first.

        Raises:
            UserError: there is no such stage; the nearest is named.
        """
        place = stage_place(self.stages, stage)
        return nn.Sequential(OrderedDict(list(self.named_children())[:place]))

    def since(self, stage: str) -> nn.Sequential:
        """This stage and all after it, the classifier included; they share their modules with the whole.

        Raises:
            UserError: there is no such stage; the nearest is named.
        """
        place = stage_place(self.stages, stage)
        return nn.Sequential(OrderedDict(list(self.named_children())[place:]))


def stage_place(stages: tuple[str, ...], stage: str) -> int:
    """Which of the stages this is, from 0.

    Raises:
        UserError: there is no such stage; the nearest is named.
    """
    if stage not in stages:
        raise UserError(f"the network has no stage {stage!r}", _nearest_stage(stage, stages))
    return stages.index(stage)


def _nearest_stage(stage: str, stages: tuple[str, ...]) -> str:
    hint = nearest(stage, stages)
    return hint if hint.startswith("choose") else f"{hint} Stages in order: {', '.join(stages)}"
