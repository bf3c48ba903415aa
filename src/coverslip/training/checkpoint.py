"""The whole state of a training in one file, so that it goes on as if it had never been interrupted.

`state.safetensors` holds the tensors; its header holds the rest as JSON. One file is written beside the old one and
takes its place, so that there always is a whole one. Nothing in it can run code.

The same weights to the bit come back on the same machine, with the same versions and number of threads.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from coverslip.core.config import to_mapping
from coverslip.core.devices import cores
from coverslip.core.errors import UserError
from coverslip.core.storage import writing
from coverslip.training.state import Best, TrainState

FORMAT = 1


def state_file(folder: Path) -> Path:
    """Where a folder of checkpoints keeps its state."""
    return folder / "state.safetensors"


def save_state(file: Path, state: TrainState, identity: Mapping[str, str]) -> None:
    """Write the state whole or not at all; the state before it stays until then, also when the disk is full."""
    content = {
        "format": FORMAT,
        "recipe": to_mapping(state.config),
        "identity": dict(identity),
        "machine": machine(),
        "precision": state.precision,
        "epoch": state.epoch,
        "batch": state.batch,
        "step": state.step,
        "lr": state.lr,
        "counts": state.counts[: state.batch],
        "history": state.history,
        "best": None if state.best is None else [state.best.epoch, state.best.value],
        "seconds": state.seconds,
        "stopped": state.stopped,
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in _tensors(state)}
    with writing(file) as temporary:
        temporary.write_bytes(save(_apart(tensors), {"state": json.dumps(content, allow_nan=False)}))


def load_state(file: Path, state: TrainState, identity: Mapping[str, str]) -> list[str]:
    """Put a saved state into ``state``, which was prepared as for a new training.

    Returns:
        Sentences for the user: what is another than when the training began, and may change the last digits.

    Raises:
        UserError: the file is broken, or of a training with other settings, data or network; it names the difference.
    """
    try:
        with safe_open(file, "pt") as opened:
            content = json.loads((opened.metadata() or {})["state"])
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise UserError(f"{str(file)!r} is not a checkpoint: {error}", "delete it to train from the start") from error
    if content.get("format") != FORMAT:
        raise UserError(
            f"{str(file)!r} was written by another version of Coverslip", "delete it to train from the start"
        )
    _need_equal(file, content, state, identity)
    try:
        _put(tensors, content, state)
    except (KeyError, RuntimeError, ValueError) as error:
        raise UserError(
            f"{str(file)!r} is of another network: {error}", "give the same network, or another folder"
        ) from error
    now = machine()
    return [
        f"{name} was {content['machine'].get(name)} and is {value} now: the last digits may differ"
        for name, value in now.items()
        if content["machine"].get(name) != value
    ]


def machine() -> dict[str, str]:
    """What the last digits of a training depend on beside its settings and data."""
    return {"torch": torch.__version__, "threads": str(torch.get_num_threads()), "cores": str(cores())}


def _tensors(state: TrainState) -> Iterator[tuple[str, Tensor]]:
    """Every tensor that decides how training goes on, by a name of its own."""
    for name, tensor in state.network.state_dict().items():
        yield f"network/{name}", tensor
    for index, parameter in enumerate(_parameters(state)):
        for name, value in state.optimizer.state[parameter].items():
            if isinstance(value, Tensor):
                yield f"optimizer/{index}/{name}", value
    if state.ema is not None:
        for name, tensor in state.ema.average.items():
            yield f"ema/{name}", tensor
    if state.best is not None:
        for name, tensor in state.best.weights.items():
            yield f"best/{name}", tensor
    if state.batch:
        yield "losses", torch.stack(state.losses)
        if state.right:
            yield "right", torch.stack(state.right)


def _put(tensors: Mapping[str, Tensor], content: Mapping[str, Any], state: TrainState) -> None:
    device = next(state.network.parameters()).device
    _copy(_under(tensors, "network/"), state.network.state_dict())
    if state.ema is not None:
        _copy(_under(tensors, "ema/"), state.ema.average)
    for index, parameter in enumerate(_parameters(state)):
        own = _under(tensors, f"optimizer/{index}/")
        state.optimizer.state[parameter] = {name: _like(saved, parameter) for name, saved in own.items()}
    state.best = None
    if content["best"] is not None:
        weights = {name: each.to(device) for name, each in _under(tensors, "best/").items()}
        state.best = Best(content["best"][0], content["best"][1], weights)
    if content["batch"]:
        state.losses = list(tensors["losses"].to(device).unbind())
        state.right = list(tensors["right"].to(device).unbind()) if "right" in tensors else []
    for name in ("precision", "epoch", "batch", "step", "lr", "counts", "history", "seconds", "stopped"):
        setattr(state, name, content[name])
    state.checked = state.batch


def _need_equal(file: Path, content: Mapping[str, Any], state: TrainState, identity: Mapping[str, str]) -> None:
    for before, now, fix in (
        (content["recipe"], to_mapping(state.config), "give the same settings"),
        (content["identity"], dict(identity), "give the same data and network"),
    ):
        for name in [*now, *(before.keys() - now.keys())]:
            old, new = before.get(name), now.get(name)
            if old != new:
                how = f"{name} was {old!r} and is {new!r} now"
                if _is_digest(old) and _is_digest(new):
                    how = f"{name} are not what they were"
                raise UserError(
                    f"the training in {str(file.parent)!r} cannot go on: {how}", f"{fix}, or another folder"
                )


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{32}", value) is not None


def _parameters(state: TrainState) -> list[Tensor]:
    return [parameter for group in state.optimizer.param_groups for parameter in group["params"]]


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): each for name, each in tensors.items() if name.startswith(prefix)}


def _copy(saved: Mapping[str, Tensor], into: Mapping[str, Tensor]) -> None:
    if saved.keys() != into.keys():
        raise KeyError(", ".join(sorted(saved.keys() ^ into.keys())[:3]))
    with torch.no_grad():
        for name, tensor in into.items():
            if tensor.shape != saved[name].shape:
                raise ValueError(f"{name} was {tuple(saved[name].shape)} and is {tuple(tensor.shape)} now")
            tensor.copy_(saved[name])


def _like(saved: Tensor, parameter: Tensor) -> Tensor:
    """A saved tensor in the parameter's own order in memory, which fused optimizers rely on; a counter as it is."""
    if saved.shape != parameter.shape or saved.ndim == 0:
        return saved.to(parameter.device)
    return torch.empty_like(parameter, dtype=saved.dtype).copy_(saved)


def _apart(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors that share memory, such as tied weights, each with its own."""
    seen: set[int] = set()
    result = {}
    for name, tensor in tensors.items():
        place = tensor.untyped_storage().data_ptr()
        result[name] = tensor.clone() if place in seen or tensor._base is not None else tensor
        seen.add(place)
    return result
