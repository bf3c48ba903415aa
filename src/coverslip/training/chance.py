"""Chance in training as a function of the seed and the step, so that none of it has to be stored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

MASK = 2**64 - 1


@contextmanager
def own_chance(device: torch.device) -> Iterator[list[torch.Generator]]:
    """PyTorch's generators that dropout draws from, for the length of the block; the user's numbers then go on."""
    generators = [torch.default_generator]
    if device.type == "cuda":
        generators.append(torch.cuda.default_generators[device.index or torch.cuda.current_device()])
    elif device.type == "mps":
        generators.append(torch.mps._get_default_mps_generator())
    states = [each.get_state() for each in generators]
    try:
        yield generators
    finally:
        for each, state in zip(generators, states, strict=True):
            each.set_state(state)


def seed_all(generators: list[torch.Generator], number: int) -> None:
    """Let what comes next follow from ``number`` alone (`torch.manual_seed` does it a hundred times more slowly)."""
    for each in generators:
        each.manual_seed(number)


def number_at(seed: int, step: int) -> int:
    """A number of 63 bits for a step: neighboring seeds and steps share nothing (splitmix64).

    Reference: Steele, Lea and Flood, Fast splittable pseudorandom number generators, OOPSLA 2014.

    >>> number_at(0, 1) == number_at(0, 1), number_at(0, 1) == number_at(1, 0)
    (True, False)
    """
    return _mix(_mix(seed & MASK) + step) >> 1


def _mix(number: int) -> int:
    number = (number + 0x9E3779B97F4A7C15) & MASK
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & MASK
    return number ^ (number >> 31)
