"""The tensors of a stack, by name, with the lanes as first dimension."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from coverslip.training.lanes.lane import Lane
from coverslip.training.lanes.layers import MASKED, LayerSpec, StackedTensors, layer_tensors, stack_tensors
from coverslip.training.lanes.optimizers import add_moments
from coverslip.training.lanes.targets import target_table
from coverslip.training.rng import step_seed

PARAMETERS = ("weight", "bias")


def parameter_names(tensors: StackedTensors) -> list[str]:
    """Return the names of the trained parameters."""
    return [name for name in tensors if name[0].isdigit() and name.partition(".")[2] in PARAMETERS]


def build_tensors(lanes: Sequence[Lane], layers: Sequence[Sequence[LayerSpec]], device: torch.device) -> StackedTensors:
    """Return everything that determines how the lanes continue: weights, statistics, moments and settings.

    The names are part of the file format of a saved stack.
    """
    tensors: StackedTensors = {}
    for index, specs in enumerate(zip(*layers, strict=True)):
        by_lane = [layer_tensors(layer) for layer in specs]
        for name in by_lane[0]:
            tensors[f"{index}.{name}"] = stack_tensors([lane[name] for lane in by_lane]).to(device)
        widths = [layer.width for layer in specs]
        if isinstance(specs[0].module, MASKED) and len(set(widths)) > 1:
            mask = torch.arange(max(widths)) < torch.tensor(widths)[:, None]
            tensors[f"mask.{index}"] = mask.float()[:, None].to(device)
    configs = [lane.config for lane in lanes]
    add_moments(tensors, parameter_names(tensors), configs[0].optimizer)
    settings = {
        "decay": [config.weight_decay for config in configs],
        "momentum": [config.momentum for config in configs],
        "l2": [config.l2 for config in configs],
        "clip": [config.clip for config in configs],
        "smoothing": [config.label_smoothing for config in configs],
        "gamma": [config.gamma for config in configs],
        "steps": [0.0] * len(configs),
    }
    tensors |= {name: torch.tensor(values, dtype=torch.float32, device=device) for name, values in settings.items()}
    tensors["factors"] = torch.stack([lane.class_weights for lane in lanes]).to(device)
    tensors["targets"] = target_table(tensors["smoothing"], tensors["factors"])
    return tensors


def select_lanes(tensors: StackedTensors, lanes: Sequence[int]) -> StackedTensors:
    """Return a copy of the tensors of some lanes."""
    index = torch.tensor(lanes, dtype=torch.int64, device=tensors["steps"].device)
    return {name: tensor.index_select(0, index) for name, tensor in tensors.items()}


def write_lanes(tensors: StackedTensors, lanes: Sequence[int], selected: StackedTensors) -> None:
    """Write lanes that `select_lanes` copied back to the tensors of the stack."""
    index = torch.tensor(lanes, dtype=torch.int64, device=tensors["steps"].device)
    for name, tensor in tensors.items():
        tensor.index_copy_(0, index, selected[name])


def lane_weights(tensors: StackedTensors, index: int, lane: Lane) -> dict[str, Tensor]:
    """Return a copy of the weights and statistics of one lane, without padding, as state dict of its network."""
    return {
        target: tensors[name][index][tuple(slice(0, size) for size in shape)].clone()
        for name, (target, shape) in lane.names.items()
    }


def draw_dropout(
    lanes: Sequence[Lane], count: int, shapes: Mapping[int, tuple[int, ...]], generator: torch.Generator
) -> dict[int, Tensor]:
    """Draw the dropout masks of all lanes, the same as each lane would draw in a separate training.

    Args:
        lanes: L lanes, before the step.
        count: number of images B.
        shapes: index of a layer -> shape of its outputs for one image in the widest lane.
        generator: generator on the device; its state is overwritten.

    Returns:
        Index of a layer -> factors for its outputs, float32 (L, B, ...); only for layers with dropout in some lane.
    """
    device = generator.device
    indices = sorted({index for lane in lanes for index in lane.dropout})
    noise = {index: torch.ones(len(lanes), count, *shapes[index], device=device) for index in indices}
    for number, lane in enumerate(lanes):
        if lane.dropout:
            generator.manual_seed(step_seed(lane.config.seed, lane.steps))
        for index, (rate, width) in sorted(lane.dropout.items()):
            shape = (width,) if width and len(shapes[index]) == 1 else shapes[index]
            mask = torch.empty(count, *shape, device=device)
            if mask.ndim == 4:
                mask = mask.contiguous(memory_format=torch.channels_last)  # determines the order of random numbers
            mask.bernoulli_(1 - rate, generator=generator).div_(1 - rate)
            noise[index][number, :, : shape[0]] = mask
    return noise
