"""Checkpoints: the complete state of a training in one file, so that it can be resumed without any difference.

`state.safetensors` contains the tensors; its header contains everything else as JSON. The file is replaced atomically,
so that there is always a complete one, and it cannot contain executable code.

A resumed training ends with bit-identical weights on the same machine, with the same versions and number of threads.
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
from coverslip.core.storage import atomic_write
from coverslip.models.stages import without_prefix
from coverslip.training.state import Best, TrainState

FORMAT = 1


def state_file(folder: Path) -> Path:
    """Return the path of the state in a checkpoint folder."""
    return folder / "state.safetensors"


def save_state(file: Path, state: TrainState, identity: Mapping[str, str]) -> None:
    """Save the state atomically; the previous checkpoint remains until the new one is complete.

    Args:
        file: path of the checkpoint.
        state: the state.
        identity: values, by name, that must be equal to resume.

    Raises:
        UserError: the disk is full.
    """
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
    with atomic_write(file) as temporary:
        temporary.write_bytes(save(_unshare(tensors), {"state": json.dumps(content, allow_nan=False)}))


def load_state(file: Path, state: TrainState, identity: Mapping[str, str]) -> list[str]:
    """Restore a saved state into ``state``, which is prepared for a new training.

    Args:
        file: path of the checkpoint.
        state: the state to overwrite.
        identity: values, by name, that must equal the saved ones.

    Returns:
        Notes for the user about differences of machine and versions, which can change the last digits.

    Raises:
        UserError: the file is damaged, or belongs to a training with other settings, data or network.
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
    _check_equal(file, content, state, identity)
    try:
        _restore(tensors, content, state)
    except (KeyError, RuntimeError, ValueError) as error:
        raise UserError(
            f"{str(file)!r} belongs to another network: {error}", "use the same network, or another folder"
        ) from error
    now = machine()
    return [
        f"{name} changed from {content['machine'].get(name)} to {value}: the last digits may differ"
        for name, value in now.items()
        if content["machine"].get(name) != value
    ]


def machine() -> dict[str, str]:
    """Return what the last digits of a training depend on apart from settings and data."""
    return {"torch": torch.__version__, "threads": str(torch.get_num_threads()), "cores": str(cores())}


def _tensors(state: TrainState) -> Iterator[tuple[str, Tensor]]:
    """Yield every tensor that is needed to resume, under a unique name."""
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
        if state.correct:
            yield "right", torch.stack(state.correct)  # the names of tensors are part of the file format


def _restore(tensors: Mapping[str, Tensor], content: Mapping[str, Any], state: TrainState) -> None:
    device = next(state.network.parameters()).device
    _copy(without_prefix(tensors, "network/"), state.network.state_dict())
    if state.ema is not None:
        _copy(without_prefix(tensors, "ema/"), state.ema.average)
    for index, parameter in enumerate(_parameters(state)):
        moments = without_prefix(tensors, f"optimizer/{index}/")
        state.optimizer.state[parameter] = {name: _like(saved, parameter) for name, saved in moments.items()}
    state.best = None
    if content["best"] is not None:
        weights = {name: tensor.to(device) for name, tensor in without_prefix(tensors, "best/").items()}
        state.best = Best(content["best"][0], content["best"][1], weights)
    if content["batch"]:
        state.losses = list(tensors["losses"].to(device).unbind())
        state.correct = list(tensors["right"].to(device).unbind()) if "right" in tensors else []
    for name in ("precision", "epoch", "batch", "step", "lr", "counts", "history", "seconds", "stopped"):
        setattr(state, name, content[name])
    state.checked = state.batch


def _check_equal(file: Path, content: Mapping[str, Any], state: TrainState, identity: Mapping[str, str]) -> None:
    for before, now, fix in (
        (content["recipe"], to_mapping(state.config), "use the same settings"),
        (content["identity"], dict(identity), "use the same data and network"),
    ):
        for name in [*now, *(before.keys() - now.keys())]:
            old, new = before.get(name), now.get(name)
            if old != new:
                difference = f"{name} changed from {old!r} to {new!r}"
                if _is_digest(old) and _is_digest(new):
                    difference = f"{name} changed"
                raise UserError(
                    f"the training in {str(file.parent)!r} cannot be resumed: {difference}", f"{fix}, or another folder"
                )


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{32}", value) is not None


def _parameters(state: TrainState) -> list[Tensor]:
    return [parameter for group in state.optimizer.param_groups for parameter in group["params"]]


def _copy(saved: Mapping[str, Tensor], into: Mapping[str, Tensor]) -> None:
    if saved.keys() != into.keys():
        raise KeyError(", ".join(sorted(saved.keys() ^ into.keys())[:3]))
    with torch.no_grad():
        for name, tensor in into.items():
            if tensor.shape != saved[name].shape:
                raise ValueError(f"{name} changed from shape {tuple(saved[name].shape)} to {tuple(tensor.shape)}")
            tensor.copy_(saved[name])


def _like(saved: Tensor, parameter: Tensor) -> Tensor:
    """Return a saved tensor in the memory format of the parameter, as fused optimizers require; scalars stay as is."""
    if saved.shape != parameter.shape or saved.ndim == 0:
        return saved.to(parameter.device)
    return torch.empty_like(parameter, dtype=saved.dtype).copy_(saved)


def _unshare(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copy tensors that share memory, such as tied weights, since safetensors rejects them."""
    addresses: set[int] = set()
    result = {}
    for name, tensor in tensors.items():
        address = tensor.untyped_storage().data_ptr()
        result[name] = tensor.clone() if address in addresses or tensor._base is not None else tensor
        addresses.add(address)
    return result
