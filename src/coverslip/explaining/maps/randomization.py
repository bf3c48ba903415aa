"""Does a heat map depend on what the network has learned? The same network with its weights in random order tells.

A method that draws the same map for a network that knows nothing shows edges of the image, not reasons.
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
from coverslip.models.trial import still

Explain = Callable[[nn.Module, Tensor, list[int]], npt.NDArray[np.float32]]
"""(network, images (N, C, H, W) prepared, one class an image) -> maps (N, h, w), 0 or more, on any grid."""

TOGETHER = 64  # images that batch norms are fitted to: bounds the memory
ALIKE = 0.5  # a map that is more similar than this to that of a network that knows nothing is not to be trusted
REST, OTHERS = "the rest", "all others"


@dataclass(frozen=True)
class Randomization:
    """Maps of a network beside those of the same network with more and more of its weights in random order.

    Attributes:
        parts: what was randomized, from the last part of the network to the first; step s has ``parts[: s + 1]``.
        similarity: (S, N) structural similarity to the trained network's map, mean over draws; NaN where that is flat.
        ranks: (S, N) rank correlation likewise; NaN where a map was flat in all draws.
        flat: (S, N) share of the draws in which the map was flat.
        maps: float32 (S, N, h, w), of the first draw, to be drawn beside the trained network's.
        draws: how often weights were drawn.
    """

    parts: tuple[str, ...]
    similarity: FloatArray
    ranks: FloatArray
    flat: FloatArray
    maps: npt.NDArray[np.float32]
    draws: int

    @property
    def worst(self) -> int:
        """The step after which maps are, in the mean, the most like those of the trained network."""
        sums = np.nansum(self.similarity, axis=1)  # NaN in the same images at every step
        return int(sums.argmax())


def randomize(
    network: nn.Module,
    images: Tensor,
    classes: Sequence[int],
    explain: Explain,
    *,
    draws: int = 3,
    layer_by_layer: bool = True,
    seed: int = 0,
) -> Randomization:
    """Explain images by a network part by part out of order, from its end to its beginning.

    The numbers of each weight tensor are put in random order rather than drawn anew, so that signals keep their size
    through many layers and a map does not go out merely because they fade; batch norms in a part that was randomized
    take the mean and spread that they now see on these images. The network given is left as it is.

    Args:
        network: prepared images -> scores (N, K).
        images: float32 (N, C, H, W), prepared.
        classes: the class whose map is drawn, one an image.
        explain: the method.
        draws: how often; similarities are means over them.
        layer_by_layer: False takes two steps only, the last part and then all others: the two that tell most.
        seed: of the order.

    Returns:
        Similarities of as many steps as the network has parts with weights (`parts_of`), or of two.

    Raises:
        UserError: the network has no weights; what ``explain`` raises where the method does not suit the network.

    Reference: Adebayo et al., Sanity checks for saliency maps, NeurIPS 2018; why signals should keep their size:
    Binder et al., Shortcomings of top-down randomization-based sanity checks, CVPR 2023.
    """
    steps = parts_of(network)
    if not steps:
        raise UserError("this network has no weights, so it has learned nothing", "leave this check out")
    trained = explain(network, images, list(classes))
    if not layer_by_layer and len(steps) > 1:
        last, *others = steps
        steps = {last: steps[last], OTHERS: [name for part in others for name in steps[part]]}
    similarity, flats = np.zeros((2, len(steps), len(images)))
    ranks = np.full((draws, len(steps), len(images)), np.nan)
    shown: list[npt.NDArray[np.float32]] = []
    for draw in range(draws):
        for step, maps in enumerate(_maps_of_steps(network, images, list(classes), explain, steps, seed + draw)):
            similarity[step] += structural_similarity(as_drawn(trained), as_drawn(maps)) / draws
            ranks[draw, step] = rank_correlation(trained, maps)
            flats[step] += flat(maps) / draws
            if draw == 0:
                shown.append(maps)
    similarity[:, flat(trained)] = np.nan  # nothing was shown, so nothing can be kept
    known = np.isfinite(ranks)
    means = np.full(similarity.shape, np.nan)
    np.divide(np.nansum(ranks, axis=0), known.sum(axis=0), out=means, where=known.any(axis=0))
    return Randomization(tuple(steps), similarity, means, flats, np.stack(shown), draws)


def parts_of(network: nn.Module) -> dict[str, list[str]]:
    """Parts of a network that have weights, the last first, each with the names of its weights.

    Parts are the modules directly below the network, in the order in which they were registered; where only one of
    them has weights, those below it. Weights that belong to none of them come last.

    >>> parts_of(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Linear(4, 2, bias=False)))
    {'2': ['2.weight'], '0': ['0.weight', '0.bias']}
    """
    inner, prefix = network, ""
    while True:
        children = [(name, child) for name, child in inner.named_children() if any(True for _ in child.parameters())]
        if len(children) != 1 or not list(children[0][1].children()):
            break
        prefix, inner = f"{prefix}{children[0][0]}.", children[0][1]
    every = [name for name, _ in network.named_parameters()]
    parts = {}
    for child, _ in reversed(children):
        start = f"{prefix}{child}."
        parts[start[:-1]] = [name for name in every if name.startswith(start)]
    rest = [name for name in every if not any(name in names for names in parts.values())]
    return {**parts, REST: rest} if rest else parts


def _maps_of_steps(
    network: nn.Module, images: Tensor, classes: list[int], explain: Explain, steps: dict[str, list[str]], seed: int
) -> Iterator[npt.NDArray[np.float32]]:
    """Maps after each step; each step goes on from the one before it."""
    other = copy.deepcopy(network)
    weights, done = dict(other.named_parameters()), set[str]()
    for names in steps.values():
        with torch.no_grad():
            for name in names:
                order = generator(seed, f"randomize {name}").permutation(weights[name].numel())
                values = weights[name].detach().cpu().reshape(-1)[torch.from_numpy(order)]
                weights[name].copy_(values.reshape(weights[name].shape))
        done.update(names)
        with torch.no_grad(), still(other), _norms_as_they_see(other, done):
            other(images[:TOGETHER])
        yield explain(other, images, classes)


@contextmanager
def _norms_as_they_see(network: nn.Module, names: set[str]) -> Iterator[None]:
    """While it runs, batch norms whose weights are among these take mean and variance from what reaches them."""

    def look(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(norm, _BatchNorm) and norm.running_mean is not None and norm.running_var is not None
        if inputs[0].numel() <= inputs[0].shape[1]:
            return  # one value a channel has no spread
        axes = [axis for axis in range(inputs[0].ndim) if axis != 1]
        norm.running_mean.copy_(inputs[0].mean(axes))
        norm.running_var.copy_(inputs[0].var(axes, correction=0))

    hooks = [
        module.register_forward_pre_hook(look)
        for path, module in network.named_modules()
        if isinstance(module, _BatchNorm) and module.running_mean is not None and f"{path}.weight" in names
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
