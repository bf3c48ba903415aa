"""Initial weights: pretrained weights by name, stored in the cache folder, or a file of the user."""

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
from coverslip.core.storage import create_entry, delete_entry, digest, entry_folder, locked
from coverslip.models.catalog import build_network, check_options, network_entry
from coverslip.models.design import DEFAULT_NETWORK, Design
from coverslip.models.entry import NetworkEntry
from coverslip.models.freeze import FrozenStages, frozen_stages
from coverslip.models.pretrained import adapt_first_layer, load_matching_weights, read_weights
from coverslip.models.stages import CLASSIFIER, FROZEN_PREFIX, without_prefix

WEIGHTS_FILE = "weights.safetensors"


def pretrained_weights(design: Design) -> dict[str, Tensor]:
    """Return the pretrained weights of all stages before the classifier, adapted to the number of channels.

    They are stored in the cache folder, so that later runs require neither a connection nor the library of networks.

    Args:
        design: architecture of the network.

    Returns:
        State dict; names start with the name of the stage.

    Raises:
        UserError: there are none for this network, or they are neither on disk nor available for download.
    """
    entry = network_entry(design.network)
    check_options(entry, design)
    if entry.load is None:
        raise UserError(
            f"there are no pretrained weights for the network {design.network!r}",
            f"train all layers (--depth all), or use {DEFAULT_NETWORK!r}",
        )
    key = _weights_key(entry, design)
    with locked("weights", key):
        weights = _cached_weights(key)
        if weights is None:
            network = entry.load(replace(design, channels=3) if entry.first_conv else design)
            if entry.first_conv:
                adapt_first_layer(network, design.channels, entry.first_conv)
            with create_entry("weights") as draft:
                state = network.before(CLASSIFIER).state_dict()
                weights = {name: tensor.contiguous() for name, tensor in state.items()}
                (draft.folder / WEIGHTS_FILE).write_bytes(save(weights))
                draft.key = key
    return weights


def file_weights(design: Design, path: Path) -> dict[str, Tensor]:
    """Return the weights of all stages before the classifier from a file.

    Args:
        design: architecture of the network.
        path: a state dict of this network, as defined here or by its library, with any classifier; or the
            ``weights.safetensors`` of a run.

    Raises:
        UserError: the file does not exist, is corrupt, or does not match the network; the message lists mismatches.
    """
    entry = network_entry(design.network)
    weights = read_weights(path)
    weights = without_prefix(weights, FROZEN_PREFIX) or weights  # of a run: without its head and reference statistics
    mismatch: UserError | None = None
    # weights may be for the given channels or, to be adapted, for three
    for channels in dict.fromkeys((design.channels, 3 if entry.first_conv else design.channels)):
        network = build_network(replace(design, channels=channels), 1)
        body = network.before(CLASSIFIER)
        state = body.state_dict()
        without_classifier = {name: tensor for name, tensor in weights.items() if not name.startswith(f"{CLASSIFIER}.")}
        leading = dict(list(weights.items())[: len(state)])  # PyTorch's own files keep the order of the layers
        by_order = (
            path.suffix != ".safetensors" and _shapes(leading) == _shapes(state) and not state.keys() <= weights.keys()
        )
        try:
            load_matching_weights(body, leading if by_order else without_classifier, repr(path.name))
        except UserError as error:
            mismatch = mismatch or error
            continue
        if channels != design.channels:
            adapt_first_layer(network, design.channels, entry.first_conv)
        return {name: tensor.contiguous() for name, tensor in body.state_dict().items()}
    assert mismatch is not None
    raise mismatch


def _shapes(tensors: Mapping[str, Tensor]) -> list[torch.Size]:
    return [tensor.shape for tensor in tensors.values()]


def pretrained(name: str, channels: int) -> FrozenStages:
    """Return a network with pretrained weights, without classifier, at its default input size.

    Args:
        name: name of the network in the catalog.
        channels: number of input channels.
    """
    design = Design(network=name, channels=channels, size=network_entry(name).size)
    return frozen_stages(design, pretrained_weights(design))


def _weights_key(entry: NetworkEntry, design: Design) -> str:
    versions = [_version(package) for package in entry.packages]
    size = design.size if entry.size_dependent else ()
    return digest("weights by stage", design.network, design.channels, size, versions)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError as error:
        raise UserError(f"the package {package!r} is not installed", f"pip install {package}") from error


def _cached_weights(key: str) -> dict[str, Tensor] | None:
    """Return weights from the cache folder; None if there are none. Corrupt ones are deleted."""
    folder = entry_folder("weights", key)
    if folder is None:
        return None
    try:
        return load_file(folder / WEIGHTS_FILE)
    except (OSError, SafetensorError):
        delete_entry("weights", key)
        return None
