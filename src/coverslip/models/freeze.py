"""The freeze point: a network is cut in a frozen part, which runs once an image, and a part that is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from torch import Tensor, nn

from coverslip.core.config import to_mapping
from coverslip.core.errors import UserError
from coverslip.core.registry import nearest
from coverslip.core.storage import digest
from coverslip.models.catalog import build_network, stage_names
from coverslip.models.design import Design
from coverslip.models.entry import NetworkEntry
from coverslip.models.stages import CLASSIFIER, stage_place
from coverslip.models.trial import output_shape

DEPTHS = ("head", "tail", "all", "auto")


class Prefix(nn.Module):
    """The frozen part of a network, in evaluation mode: float32 (N, C, H, W) -> (N, D).

    What has height and width is flattened with the channels last, as PyTorch is fastest in that order; `unflatten`
    takes it back.

    Args:
        stages: of the network before the cut.
        size: of one image, (C, H, W).

    Attributes:
        shape: of one output before it is flattened: (c, h, w), or (D,).
    """

    def __init__(self, stages: nn.Module, size: tuple[int, int, int]) -> None:
        super().__init__()
        self.stages = stages
        self.requires_grad_(False)
        self.eval()
        self.shape = output_shape(stages, size)

    def forward(self, images: Tensor) -> Tensor:
        """Images, prepared -> what the stages before the cut give."""
        given: Tensor = self.stages(images)
        return flatten(given)


def flatten(maps: Tensor) -> Tensor:
    """(N, c, h, w) -> (N, h * w * c), channels last; (N, D) stays as it is."""
    return maps.permute(0, 2, 3, 1).flatten(1) if maps.ndim == 4 else maps.flatten(1)


def unflatten(flat: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Take `flatten` back: (N, D) -> (N, c, h, w) in channels-last memory without a copy; (D,) stays as it is."""
    if len(shape) == 3:
        channels, height, width = shape
        return flat.reshape(-1, height, width, channels).permute(0, 3, 1, 2)
    return flat.reshape(-1, *shape)


@dataclass(frozen=True)
class Frozen:
    """A frozen part by its weights; the network itself is built only when it has to run.

    Where features are cached, or a compiled network is, the weights are all that is needed, and the seconds that
    importing a library of networks takes are saved.

    Attributes:
        build: makes the network with any weights.
        weights: state dict of the stages before the cut.
        structure: what else decides its numbers, such as where it is cut.
    """

    build: Callable[[], Prefix] = field(repr=False)
    weights: Mapping[str, Tensor] = field(repr=False)
    structure: str = ""

    @cached_property
    def key(self) -> str:
        """A name for the weights: the same numbers under the same names in the same structure give the same key."""
        parts: list[object] = [self.structure]
        for name, tensor in sorted(self.weights.items()):
            parts += [name, tuple(tensor.shape), tensor.detach().cpu().contiguous().numpy().tobytes()]
        return digest(*parts)

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Of one output before it is flattened: (c, h, w), or (D,)."""
        return self.build().shape

    def module(self) -> Prefix:
        """The network with these weights, in evaluation mode.

        Raises:
            UserError: the weights are of another network.
        """
        prefix = self.build()
        try:
            prefix.stages.load_state_dict(self.weights)
        except RuntimeError as error:
            raise UserError(
                "the weights are not of this network", "train again, or restore the model's files"
            ) from error
        return prefix


def frozen_part(design: Design, weights: Mapping[str, Tensor], cut: str = CLASSIFIER) -> Frozen:
    """The stages before ``cut``, with these weights.

    Args:
        design: of the whole network.
        weights: state dict; names of stages from the cut on are left out.
        cut: name of the first stage that is not frozen.

    Raises:
        UserError: there is no such stage.
    """
    stages = stage_names(design)
    kept = stages[: stage_place(stages, cut)]
    mine = {name: tensor for name, tensor in weights.items() if name.partition(".")[0] in kept}
    options = to_mapping(design)
    del options["size"]  # the same weights serve any size; what was computed is known by its preparation as well
    channels, (height, width) = design.channels, design.size
    return Frozen(
        # The classifier is not run: one class will do.
        lambda: Prefix(build_network(design, 1).before(cut), (channels, height, width)),
        mine,
        repr((sorted(options.items()), cut)),
    )


def stage_at(entry: NetworkEntry, stages: tuple[str, ...], depth: str) -> str:
    """The first stage that is trained.

    Args:
        entry: of the network.
        stages: its stages in order.
        depth: ``head`` (the classifier), ``tail`` (what the entry says), ``all``, or the name of a stage.

    Raises:
        UserError: there is no such stage (the nearest is named), or the network has no tail.
    """
    if depth == "head":
        return CLASSIFIER
    if depth == "all":
        return stages[0]
    if depth == "tail":
        if not entry.tail:
            raise UserError(
                "this network has no tail to train apart from the rest",
                f"use --depth all, or one of its stages: {', '.join(stages)}",
            )
        return entry.tail
    if depth not in stages:
        raise UserError(
            f"depth={depth!r} is neither {', '.join(DEPTHS)} nor a stage of this network",
            f"{nearest(depth, [*DEPTHS, *stages])} Stages in order: {', '.join(stages)}",
        )
    return depth
