"""Randomization test: does a heat map depend on what the network has learned?

A method that draws the same map for a network with randomized weights shows edges of the image, not reasons of the
network.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from coverslip.core.errors import UserError
from coverslip.core.seeds import generator
from coverslip.explaining.maps.similarity import FloatArray, as_drawn, flat, rank_correlation, structural_similarity
from coverslip.models.shapes import eval_mode

MapFunction = Callable[[nn.Module, Tensor, list[int]], npt.NDArray[np.float32]]
"""Maps (network, prepared images (N, C, H, W), one class id per image) to heat maps (N, h, w), >= 0, on any grid."""

BATCH_SIZE = 64  # images from which batch norm statistics are estimated
MAX_SIMILARITY = 0.5  # maps that are more similar than this to those of a randomized network fail the test
REST, OTHERS = "the rest", "all others"


@dataclass(frozen=True)
class Randomization:
    """Comparison of heat maps with those of the same network with more and more of its weights randomized.

    Attributes:
        parts: randomized parts, from the last part of the network to the first; step s randomizes ``parts[: s + 1]``.
        similarity: structural similarity to the map of the trained network, mean over draws, shape (S, N); NaN if that
            map is flat.
        ranks: rank correlation with the map of the trained network, mean over draws, shape (S, N); NaN if a map is flat
            in all draws.
        flat: fraction of the draws in which the map is flat, shape (S, N).
        maps: maps of the first draw, for display, float32 (S, N, h, w).
        draws: number of random permutations.
    """

    parts: tuple[str, ...]
    similarity: FloatArray
    ranks: FloatArray
    flat: FloatArray
    maps: npt.NDArray[np.float32]
    draws: int

    @property
    def worst(self) -> int:
        """The step after which the maps are, on average, most similar to those of the trained network."""
        sums = np.nansum(self.similarity, axis=1)  # NaN in the same images at every step
        return int(sums.argmax())


def randomize(
    network: nn.Module,
    images: Tensor,
    classes: Sequence[int],
    explain: MapFunction,
    *,
    draws: int = 3,
    layer_by_layer: bool = True,
    seed: int = 0,
) -> Randomization:
    """Compare heat maps while the network is randomized part by part, from its output to its input.

    The values of each weight tensor are permuted rather than drawn anew, so that signals keep their magnitude through
    many layers and maps do not become flat merely because signals vanish. Batch norms in randomized parts take their
    mean and variance from these images. The given network is not changed.

    Args:
        network: maps prepared images to logits (N, K).
        images: prepared images, float32 (N, C, H, W).
        classes: class id that each map is about, length N.
        explain: function that computes the maps.
        draws: number of random permutations; similarities are means over them.
        layer_by_layer: True randomizes one more part per step; False takes only the two most informative steps: the
            last part, then all other parts.
        seed: seed of the permutations.

    Returns:
        Similarities for as many steps as the network has parts with weights (`parts_of`), or for two.

    Raises:
        UserError: the network has no weights, or the method does not support the network (raised by ``explain``).

    Reference: Adebayo et al., Sanity checks for saliency maps, NeurIPS 2018; why signals should keep their magnitude:
    Binder et al., Shortcomings of top-down randomization-based sanity checks, CVPR 2023.
    """
    steps = parts_of(network)
    if not steps:
        raise UserError(
            "this network has no weights, so the randomization test cannot be run", "omit the sanity checks"
        )
    trained = explain(network, images, list(classes))
    if not layer_by_layer and len(steps) > 1:
        last, *others = steps
        steps = {last: steps[last], OTHERS: [name for part in others for name in steps[part]]}
    similarity, flats = np.zeros((2, len(steps), len(images)))
    ranks = np.full((draws, len(steps), len(images)), np.nan)
    first_draw: list[npt.NDArray[np.float32]] = []
    for draw in range(draws):
        for step, maps in enumerate(_maps_of_steps(network, images, list(classes), explain, steps, seed + draw)):
            similarity[step] += structural_similarity(as_drawn(trained), as_drawn(maps)) / draws
            ranks[draw, step] = rank_correlation(trained, maps)
            flats[step] += flat(maps) / draws
            if draw == 0:
                first_draw.append(maps)
    similarity[:, flat(trained)] = np.nan  # a flat map shows nothing that could change
    known = np.isfinite(ranks)
    means = np.full(similarity.shape, np.nan)
    np.divide(np.nansum(ranks, axis=0), known.sum(axis=0), out=means, where=known.any(axis=0))
    return Randomization(tuple(steps), similarity, means, flats, np.stack(first_draw), draws)


def parts_of(network: nn.Module) -> dict[str, list[str]]:
    """Return the parts of a network that have weights, the last first: name of the part -> names of its weights.

    Parts are the direct children of the network in order of registration. If only one child has weights, its children
    are used instead. Weights that belong to no part come last.

    >>> parts_of(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Linear(4, 2, bias=False)))
    {'2': ['2.weight'], '0': ['0.weight', '0.bias']}
    """
    inner, prefix = network, ""
    while True:
        children = [(name, child) for name, child in inner.named_children() if any(True for _ in child.parameters())]
        if len(children) != 1 or not list(children[0][1].children()):
            break
        prefix, inner = f"{prefix}{children[0][0]}.", children[0][1]
    all_names = [name for name, _ in network.named_parameters()]
    parts = {}
    for child, _ in reversed(children):
        start = f"{prefix}{child}."
        parts[start[:-1]] = [name for name in all_names if name.startswith(start)]
    rest = [name for name in all_names if not any(name in names for names in parts.values())]
    return {**parts, REST: rest} if rest else parts


def _maps_of_steps(
    network: nn.Module, images: Tensor, classes: list[int], explain: MapFunction, steps: dict[str, list[str]], seed: int
) -> Iterator[npt.NDArray[np.float32]]:
    """Yield the maps after each step; every step continues from the previous one."""
    randomized = copy.deepcopy(network)
    weights, done = dict(randomized.named_parameters()), set[str]()
    for names in steps.values():
        with torch.no_grad():
            for name in names:
                order = generator(seed, f"randomize {name}").permutation(weights[name].numel())
                values = weights[name].detach().cpu().reshape(-1)[torch.from_numpy(order)]
                weights[name].copy_(values.reshape(weights[name].shape))
        done.update(names)
        with torch.no_grad(), eval_mode(randomized), _batch_norms_adapting(randomized, done):
            randomized(images[:BATCH_SIZE])
        yield explain(randomized, images, classes)


@contextmanager
def _batch_norms_adapting(network: nn.Module, names: set[str]) -> Iterator[None]:
    """Make batch norms whose weights are among ``names`` take their running statistics from the next forward pass."""

    def adapt(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(norm, _BatchNorm) and norm.running_mean is not None and norm.running_var is not None
        if inputs[0].numel() <= inputs[0].shape[1]:
            return  # the variance of a single value per channel is undefined
        axes = [axis for axis in range(inputs[0].ndim) if axis != 1]
        norm.running_mean.copy_(inputs[0].mean(axes))
        norm.running_var.copy_(inputs[0].var(axes, correction=0))

    hooks = [
        module.register_forward_pre_hook(adapt)
        for path, module in network.named_modules()
        if isinstance(module, _BatchNorm) and module.running_mean is not None and f"{path}.weight" in names
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
