"""The freeze point: a network is divided into frozen stages, computed once per image, and stages that are trained."""

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
from coverslip.models.shapes import output_shape
from coverslip.models.stages import CLASSIFIER, stage_index

DEPTHS = ("head", "tail", "all", "auto")


class FrozenModule(nn.Module):
    """The frozen stages of a network in evaluation mode: float32 (N, C, H, W) -> (N, D).

    Feature maps are flattened in channels-last order, in which PyTorch computes fastest; `unflatten` restores them.

    Args:
        stages: the stages before the freeze point.
        size: shape of one image, (C, H, W).

    Attributes:
        shape: shape of one output before flattening: (c, h, w), or (D,).
    """

    def __init__(self, stages: nn.Module, size: tuple[int, int, int]) -> None:
        super().__init__()
        self.stages = stages
        self.requires_grad_(False)
        self.eval()
        self.shape = output_shape(stages, size)

    def forward(self, images: Tensor) -> Tensor:
        """Return flattened features, shape (N, D), of prepared images, float32, shape (N, C, H, W)."""
        features: Tensor = self.stages(images)
        return flatten(features)


def flatten(maps: Tensor) -> Tensor:
    """Flatten (N, c, h, w) to (N, h * w * c), channels last; (N, D) is returned unchanged."""
    return maps.permute(0, 2, 3, 1).flatten(1) if maps.ndim == 4 else maps.flatten(1)


def unflatten(flat: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Invert `flatten`: return (N, c, h, w) in channels-last memory format, as a view; (N, D) for shape (D,).

    Args:
        flat: flattened features, shape (N, D).
        shape: shape of one output before flattening, (c, h, w) or (D,).
    """
    if len(shape) == 3:
        channels, height, width = shape
        return flat.reshape(-1, height, width, channels).permute(0, 3, 1, 2)
    return flat.reshape(-1, *shape)


@dataclass(frozen=True)
class FrozenStages:
    """Frozen stages as weights; the network itself is built only when it has to run.

    With cached features or a compiled network only the weights are needed, which saves the seconds for importing a
    library of networks.

    Attributes:
        build: function that builds the network with arbitrary weights.
        weights: state dict of the frozen stages.
        structure: everything else that determines the outputs, such as the freeze point.
    """

    build: Callable[[], FrozenModule] = field(repr=False)
    weights: Mapping[str, Tensor] = field(repr=False)
    structure: str = ""

    @cached_property
    def key(self) -> str:
        """Digest of names, shapes and values of the weights and of the structure; the key of cached features."""
        parts: list[object] = [self.structure]
        for name, tensor in sorted(self.weights.items()):
            parts += [name, tuple(tensor.shape), tensor.detach().cpu().contiguous().numpy().tobytes()]
        return digest(*parts)

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Shape of one output before flattening: (c, h, w), or (D,)."""
        return self.build().shape

    def module(self) -> FrozenModule:
        """Return the network with these weights, in evaluation mode.

        Raises:
            UserError: the weights belong to another network.
        """
        module = self.build()
        try:
            module.stages.load_state_dict(self.weights)
        except RuntimeError as error:
            raise UserError(
                "the weights do not match the network", "train again, or restore the files of the model"
            ) from error
        return module


def frozen_stages(design: Design, weights: Mapping[str, Tensor], cut: str = CLASSIFIER) -> FrozenStages:
    """Return the stages before ``cut`` with the given weights.

    Args:
        design: architecture of the whole network.
        weights: state dict; tensors of later stages are ignored.
        cut: name of the first stage that is not frozen.

    Raises:
        UserError: there is no such stage.
    """
    stages = stage_names(design)
    frozen = stages[: stage_index(stages, cut)]
    frozen_weights = {name: tensor for name, tensor in weights.items() if name.partition(".")[0] in frozen}
    options = to_mapping(design)
    del options["size"]  # weights do not depend on it, and the cache key of features includes the preparation
    channels, (height, width) = design.channels, design.size
    return FrozenStages(
        # the classifier is not part of it, so any number of classes will do
        lambda: FrozenModule(build_network(design, 1).before(cut), (channels, height, width)),
        frozen_weights,
        repr((sorted(options.items()), cut)),
    )


def first_trained_stage(entry: NetworkEntry, stages: tuple[str, ...], depth: str) -> str:
    """Return the name of the first stage that is trained.

    Args:
        entry: catalog entry of the network.
        stages: names of its stages in order.
        depth: ``head`` (the classifier), ``tail`` (as defined by the entry), ``all``, or the name of a stage.

    Raises:
        UserError: there is no such stage (the fix suggests the nearest name), or the network has no tail.
    """
    if depth == "head":
        return CLASSIFIER
    if depth == "all":
        return stages[0]
    if depth == "tail":
        if not entry.tail:
            raise UserError(
                "this network has no tail that can be trained separately",
                f"use --depth all, or one of its stages: {', '.join(stages)}",
            )
        return entry.tail
    if depth not in stages:
        raise UserError(
            f"depth={depth!r} is neither one of {', '.join(DEPTHS)} nor a stage of this network",
            f"{nearest(depth, [*DEPTHS, *stages])} Stages in order: {', '.join(stages)}",
        )
    return depth
