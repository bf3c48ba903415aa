"""A stack on disk: one file with every tensor, and the rest as JSON in its header. Nothing in it can run code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from coverslip.config import to_mapping
from coverslip.errors import UserError
from coverslip.storage import digest, writing

if TYPE_CHECKING:
    from coverslip.training.lanes.stack import Stack

FORMAT = 1


def stack_file(folder: Path) -> Path:
    """Where a folder keeps a stack."""
    return folder / "lanes.safetensors"


def save_stack(folder: Path, stack: Stack) -> None:
    """Write the state at an epoch's end; the file before stays until the new one is whole."""
    content = {
        "format": FORMAT,
        "identity": _identity(stack),
        "lanes": stack.lanes,
        "epoch": stack.epoch,
        "steps": [stack.every[number].steps for number in stack.lanes],
    }
    tensors = {name: each.cpu().contiguous() for name, each in stack.pile.items()}
    with writing(stack_file(folder)) as temporary:
        temporary.write_bytes(save(tensors, {"state": json.dumps(content, allow_nan=False)}))


def load_stack(folder: Path, stack: Stack) -> None:
    """Put what `save_stack` wrote into a stack that was made in the same way.

    Raises:
        UserError: the file is not there, broken, or of another stack.
    """
    file = stack_file(folder)
    try:
        with safe_open(file, "pt") as opened:
            content = json.loads((opened.metadata() or {})["state"])
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise UserError(f"{str(file)!r} is no saved stack: {error}", "train these lanes from the start") from error
    if content.get("format") != FORMAT:
        raise UserError(
            f"{str(file)!r} was written by another version of Coverslip", "train these lanes from the start"
        )
    _need_equal(file, content["identity"], _identity(stack))
    stack.lanes = [int(number) for number in content["lanes"]]
    stack.epoch = int(content["epoch"])
    for number, steps in zip(stack.lanes, content["steps"], strict=True):
        stack.every[number].steps = int(steps)
    stack.whole = True
    # Into memory of our own: where a tensor begins decides the last digits of products.
    stack.pile = {name: torch.empty_like(tensors[name], device=each.device) for name, each in stack.pile.items()}
    for name, each in stack.pile.items():
        each.copy_(tensors[name])


def _identity(stack: Stack) -> dict[str, Any]:
    """What must be equal for a stack to go on."""
    return {
        "labels": digest(stack.truth.cpu().numpy().tobytes()),
        "validation labels": "" if stack.validation is None else digest(stack.validation[1].tobytes()),
        "classes": stack.classes,
        "mixing": repr(stack.mix),
        "recipes": [to_mapping(lane.recipe) for lane in stack.every],
        "shapes": digest(*(sorted(lane.names.items()) for lane in stack.every)),
        "rows": digest(*(lane.order.rows.tobytes() for lane in stack.every)),
    }


def _need_equal(file: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    before = json.loads(json.dumps(before))
    now = json.loads(json.dumps(now))
    for name, value in now.items():
        if before.get(name) != value:
            raise UserError(
                f"the stack in {str(file.parent)!r} cannot go on: its {name} are not what they were",
                "give the same data, networks and settings, or another folder",
            )
