"""Every network by name. A network is added by one function with the decorator ``@NETWORKS.register(name)``."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from coverslip.errors import UserError
from coverslip.models.design import DEFAULT_NETWORK, Design
from coverslip.models.pretrained import adapt_first_layer, fit_weights, read_weights
from coverslip.models.stages import CLASSIFIER, FROZEN, Staged
from coverslip.registry import Registry, nearest
from coverslip.storage import building, digest, drop_entry, entry_folder, locked

if TYPE_CHECKING:
    from coverslip.models.freeze import Frozen

FAMILIES = ("course", "torchvision_family", "timm_family")
OPTIONS = ("hidden", "filters", "batch_norm", "dropout", "activation")
WEIGHTS_FILE = "weights.safetensors"

__all__ = ["DEFAULT_NETWORK", "NETWORKS", "NetworkEntry", "build_network", "network_entry", "pretrained_weights"]


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkEntry:
    """What the rest of the program needs to know of a network before it is built.

    Attributes:
        build: (design, classes) -> the network with random weights; torch's seed is the caller's. With ``first`` it
            is built for 3 channels.
        stages: design -> names of the stages in order, without building it.
        size: (height, width) that suits it; for pretrained weights what they were trained at, pixels.
        mean: of the input, one number for all channels, on the scale 0 to 1.
        std: likewise.
        options: which of hidden, filters, batch_norm, dropout, activation the network knows.
        load: design -> the network with its pretrained weights, for 3 channels; None where it is trained from scratch.
        has_weights: whether those weights are on disk now.
        tail: the stage from which ``--depth tail`` trains; "" where only everything can be trained.
        first: dotted name of the first convolution, which is adapted to the channels; "" where build does that.
        by_size: whether weights depend on the pictures' size.
        origin: where the weights come from, for the report.
        licence: of the weights; "" where there are none.
        packages: whose versions decide what ``build`` and ``load`` give.
        suits: what it is good for, in a few words.
    """

    build: Callable[[Design, int], Staged]
    stages: Callable[[Design], tuple[str, ...]]
    size: tuple[int, int]
    mean: float = 0.5
    std: float = 0.25
    options: tuple[str, ...] = ()
    load: Callable[[Design], Staged] | None = None
    has_weights: Callable[[], bool] = lambda: False
    tail: str = ""
    first: str = ""
    by_size: bool = False
    origin: str = ""
    licence: str = ""
    packages: tuple[str, ...] = ("torch",)
    suits: str = ""


NETWORKS: Registry[Callable[[], NetworkEntry]] = Registry("network")


def network_entry(name: str) -> NetworkEntry:
    """The entry of a network: one of ours, or any name that timm knows.

    Raises:
        UserError: no network has this name; the nearest that does is given.
    """
    ours = network_names()
    if name in ours:
        return NETWORKS[name]()
    from coverslip.models.own import OWN, own_entry
    from coverslip.models.timm_family import timm_entry, timm_names

    if name.startswith(OWN):
        return own_entry(name)
    entry = timm_entry(name)
    if entry is None:
        hint = nearest(name, [*ours, *timm_names()])
        if hint.startswith("choose"):  # from more than a thousand
            hint = nearest(name, ours) + ", or any name of the library timm"
        raise UserError(f"no network is called {name!r}", hint)
    return entry


def network_names() -> tuple[str, ...]:
    """Our own networks, in the order of the families."""
    for family in FAMILIES:
        importlib.import_module(f"coverslip.models.{family}")
    return tuple(NETWORKS)


def stage_names(design: Design) -> tuple[str, ...]:
    """Names of a network's stages in order, without building it."""
    return network_entry(design.network).stages(design)


def build_network(design: Design, classes: int) -> Staged:
    """A network with random weights, drawn from torch's generator, for any number of channels.

    Raises:
        UserError: an option is given that the network does not know; its size is too small.
    """
    entry = network_entry(design.network)
    check_options(entry, design)
    if not entry.first:
        return entry.build(design, classes)
    network = entry.build(replace(design, channels=3), classes)
    adapt_first_layer(network, design.channels, entry.first)
    return network


def parameters(design: Design, classes: int) -> int:
    """How many numbers of a network are trained when everything is."""
    with torch.device("meta"):  # shapes without numbers: none need be drawn
        network = build_network(design, classes)
    return sum(each.numel() for each in network.parameters())


def check_options(entry: NetworkEntry, design: Design) -> None:
    """Refuse an option that the network does not know, rather than pass it over.

    Raises:
        UserError: such an option differs from its default.
    """
    defaults = {each.name: each.default for each in fields(Design) if each.default is not MISSING}
    for option in OPTIONS:
        given = getattr(design, option)
        if option not in entry.options and given != defaults[option]:
            known = ", ".join(entry.options)
            raise UserError(
                f"the network {design.network!r} does not know {option}={given!r}",
                f"its options are {known}" if known else "it has no options; leave it out",
            )


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
    from coverslip.models.freeze import frozen_part

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
