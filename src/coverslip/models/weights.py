"""The weights that training starts from: pretrained ones by name, kept in the cache, or a file of the user's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from coverslip.core.errors import UserError
from coverslip.core.storage import building, digest, drop_entry, entry_folder, locked
from coverslip.models.catalog import build_network, check_options, network_entry
from coverslip.models.design import DEFAULT_NETWORK, Design
from coverslip.models.entry import NetworkEntry
from coverslip.models.freeze import Frozen, frozen_part
from coverslip.models.pretrained import adapt_first_layer, fit_weights, read_weights
from coverslip.models.stages import CLASSIFIER, FROZEN

WEIGHTS_FILE = "weights.safetensors"


def pretrained_weights(design: Design) -> dict[str, Tensor]:
    """State dict of every stage before the classifier, adapted to the channels.

    They are kept in the cache folder, so that later runs need neither a connection nor the library of networks.

    Raises:
        UserError: there are none for this network, or they are neither on disk nor to be had.
    """
    entry = network_entry(design.network)
    check_options(entry, design)
    if entry.load is None:
        raise UserError(
            f"there are no pretrained weights for the network {design.network!r}",
            f"train all of it (--depth all), or use {DEFAULT_NETWORK!r}",
        )
    key = _weights_key(entry, design)
    with locked("weights", key):
        weights = _kept(key)
        if weights is None:
            network = entry.load(replace(design, channels=3) if entry.first else design)
            if entry.first:
                adapt_first_layer(network, design.channels, entry.first)
            with building("weights") as draft:
                state = network.before(CLASSIFIER).state_dict()
                weights = {name: tensor.contiguous() for name, tensor in state.items()}
                (draft.folder / WEIGHTS_FILE).write_bytes(save(weights))
                draft.key = key
    return weights


def file_weights(design: Design, path: Path) -> dict[str, Tensor]:
    """The same from a file of the user's: a state dict of this network, ours or its library's, with any classifier; or
    the ``weights.safetensors`` of a run.

    Raises:
        UserError: the file is missing or broken, or fits in part only; what does not fit is listed.
    """
    entry = network_entry(design.network)
    given = read_weights(path)
    if any(name.startswith(FROZEN) for name in given):  # a run's own model: its head and what it trusts are not wanted
        given = {name.removeprefix(FROZEN): each for name, each in given.items() if name.startswith(FROZEN)}
    wrong: UserError | None = None
    for channels in dict.fromkeys((design.channels, 3 if entry.first else design.channels)):
        network = build_network(replace(design, channels=channels), 1)
        body = network.before(CLASSIFIER)
        own = body.state_dict()
        mine = {name: each for name, each in given.items() if not name.startswith(f"{CLASSIFIER}.")}
        first = dict(list(given.items())[: len(own)])  # PyTorch's own files keep the order of the layers
        by_order = path.suffix != ".safetensors" and _shapes(first) == _shapes(own) and not own.keys() <= given.keys()
        try:
            fit_weights(body, first if by_order else mine, repr(path.name))
        except UserError as error:
            wrong = wrong or error
            continue
        if channels != design.channels:
            adapt_first_layer(network, design.channels, entry.first)
        return {name: each.contiguous() for name, each in body.state_dict().items()}
    assert wrong is not None
    raise wrong


def _shapes(tensors: Mapping[str, Tensor]) -> list[torch.Size]:
    return [each.shape for each in tensors.values()]


def pretrained(name: str, channels: int) -> Frozen:
    """A network with its pretrained weights, all but the classifier, at its own size."""
    design = Design(network=name, channels=channels, size=network_entry(name).size)
    return frozen_part(design, pretrained_weights(design))


def _weights_key(entry: NetworkEntry, design: Design) -> str:
    versions = [_version(package) for package in entry.packages]
    size = design.size if entry.by_size else ()
    return digest("weights by stage", design.network, design.channels, size, versions)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError as error:
        raise UserError(f"the package {package!r} is not installed", f"pip install {package}") from error


def _kept(key: str) -> dict[str, Tensor] | None:
    """Weights from the cache folder; spoilt ones are removed, to be made anew."""
    folder = entry_folder("weights", key)
    if folder is None:
        return None
    try:
        return load_file(folder / WEIGHTS_FILE)
    except (OSError, SafetensorError):
        drop_entry("weights", key)
        return None
