"""Save and load a stack: one safetensors file, with everything that is not a tensor as JSON in its header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from coverslip.core.errors import UserError
from coverslip.core.storage import atomic_write

FORMAT = 1


@dataclass(frozen=True, slots=True)
class StackState:
    """Everything that decides how a stack continues.

    Attributes:
        lanes: ids of the lanes that are still in the stack.
        epoch: epochs done.
        steps: steps done, of each lane in ``lanes``.
        tensors: name -> tensor, the lanes along the first dimension.
    """

    lanes: list[int]
    epoch: int
    steps: list[int]
    tensors: Mapping[str, Tensor]


def stack_file(folder: Path) -> Path:
    """Return the file in which a folder stores a stack."""
    return folder / "lanes.safetensors"


def save_state(folder: Path, state: StackState, identity: Mapping[str, Any]) -> None:
    """Write the state at the end of an epoch; the previous file stays until the new one is complete.

    Args:
        folder: the folder to write to.
        state: the state.
        identity: what has to be equal for a stack to continue from it.
    """
    content = {
        "format": FORMAT,
        "identity": identity,
        "lanes": state.lanes,
        "epoch": state.epoch,
        "steps": state.steps,
    }
    tensors = {name: tensor.cpu().contiguous() for name, tensor in state.tensors.items()}
    with atomic_write(stack_file(folder)) as temporary:
        temporary.write_bytes(save(tensors, {"state": json.dumps(content, allow_nan=False)}))


def load_state(folder: Path, identity: Mapping[str, Any]) -> StackState:
    """Read what `save_state` wrote.

    Raises:
        UserError: the file does not exist, is damaged, or belongs to another stack.
    """
    file = stack_file(folder)
    try:
        with safe_open(file, "pt") as opened:
            content = json.loads((opened.metadata() or {})["state"])
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise UserError(f"{str(file)!r} is not a saved stack: {error}", "train these lanes from the start") from error
    if content.get("format") != FORMAT:
        raise UserError(
            f"{str(file)!r} was written by another version of Coverslip", "train these lanes from the start"
        )
    _check_equal(file, content["identity"], identity)
    lanes, steps = [int(number) for number in content["lanes"]], [int(number) for number in content["steps"]]
    return StackState(lanes, int(content["epoch"]), steps, tensors)


def _check_equal(file: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    for name, value in json.loads(json.dumps(now)).items():
        if before.get(name) != value:
            raise UserError(
                f"the stack in {str(file.parent)!r} cannot be resumed: its {name} differ",
                "give the same data, networks and settings, or another folder",
            )
