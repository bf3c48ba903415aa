"""All numbers of a stack, by name, with the lanes as the first dimension of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from coverslip.training.chance import number_at
from coverslip.training.lanes.lane import Lane
from coverslip.training.lanes.layers import MASKED, Layer, Pile, own_tensors, stack_tensors
from coverslip.training.lanes.optimizers import begin_moments
from coverslip.training.lanes.targets import target_table

PARAMETERS = ("weight", "bias")


def parameter_names(pile: Pile) -> list[str]:
    """Names of what is trained."""
    return [name for name in pile if name[0].isdigit() and name.partition(".")[2] in PARAMETERS]


def build_pile(lanes: Sequence[Lane], layers: Sequence[Sequence[Layer]], device: torch.device) -> Pile:
    """Everything that decides how the lanes go on: weights, statistics, what the optimizer remembers, settings."""
    pile: Pile = {}
    for place, alike in enumerate(zip(*layers, strict=True)):
        tensors = [own_tensors(layer) for layer in alike]
        for name in tensors[0]:
            pile[f"{place}.{name}"] = stack_tensors([each[name] for each in tensors]).to(device)
        widths = [layer.width for layer in alike]
        if isinstance(alike[0].module, MASKED) and len(set(widths)) > 1:
            mask = torch.arange(max(widths)) < torch.tensor(widths)[:, None]
            pile[f"mask.{place}"] = mask.float()[:, None].to(device)
    recipes = [lane.config for lane in lanes]
    begin_moments(pile, parameter_names(pile), recipes[0].optimizer)
    settings = {
        "decay": [config.weight_decay for config in recipes],
        "momentum": [config.momentum for config in recipes],
        "l2": [config.l2 for config in recipes],
        "clip": [config.clip for config in recipes],
        "smoothing": [config.label_smoothing for config in recipes],
        "gamma": [config.gamma for config in recipes],
        "steps": [0.0] * len(recipes),
    }
    pile |= {name: torch.tensor(values, dtype=torch.float32, device=device) for name, values in settings.items()}
    pile["factors"] = torch.stack([lane.factors for lane in lanes]).to(device)
    pile["targets"] = target_table(pile["smoothing"], pile["factors"])
    return pile


def select(pile: Pile, places: Sequence[int]) -> Pile:
    """A copy of these lanes."""
    own = torch.tensor(places, dtype=torch.int64, device=pile["steps"].device)
    return {name: each.index_select(0, own) for name, each in pile.items()}


def put(pile: Pile, places: Sequence[int], part: Pile) -> None:
    """Write lanes that `select` copied back."""
    own = torch.tensor(places, dtype=torch.int64, device=pile["steps"].device)
    for name, each in pile.items():
        each.index_copy_(0, own, part[name])


def lane_weights(pile: Pile, place: int, lane: Lane) -> dict[str, Tensor]:
    """A copy of one lane's weights and statistics, as its own network's state dict, in its own width."""
    return {
        own: pile[name][place][tuple(slice(0, size) for size in shape)].clone()
        for name, (own, shape) in lane.names.items()
    }


def draw_noise(
    lanes: Sequence[Lane], count: int, shapes: Mapping[int, tuple[int, ...]], generator: torch.Generator
) -> dict[int, Tensor]:
    """By what the outputs of layers with dropout are multiplied: the very numbers that each lane alone would draw.

    Args:
        lanes: L of them, at the step that each has come to.
        count: B images.
        shapes: place of a layer -> shape of its outputs for one image, of the widest lane.
        generator: on the device; its state is overwritten.

    Returns:
        place -> float32 (L, B, ...); only layers of which some lane drops anything.
    """
    device = generator.device
    places = sorted({place for lane in lanes for place in lane.drops})
    noise = {place: torch.ones(len(lanes), count, *shapes[place], device=device) for place in places}
    for number, lane in enumerate(lanes):
        if lane.drops:
            generator.manual_seed(number_at(lane.config.seed, lane.steps))
        for place, (share, width) in sorted(lane.drops.items()):
            shape = (width,) if width and len(shapes[place]) == 1 else shapes[place]
            drawn = torch.empty(count, *shape, device=device)
            if drawn.ndim == 4:
                drawn = drawn.contiguous(memory_format=torch.channels_last)  # the order in which it is filled
            drawn.bernoulli_(1 - share, generator=generator).div_(1 - share)
            noise[place][number, :, : shape[0]] = drawn
    return noise
