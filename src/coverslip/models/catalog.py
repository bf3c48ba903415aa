"""Every network by name. A network is added by one function with the decorator ``@NETWORKS.register(name)``."""

from __future__ import annotations

import importlib
from dataclasses import MISSING, fields, replace

import torch

from coverslip.core.errors import UserError
from coverslip.core.registry import nearest
from coverslip.models.design import Design
from coverslip.models.entry import NETWORKS, OPTIONS, NetworkEntry
from coverslip.models.pretrained import adapt_first_layer
from coverslip.models.stages import Staged

FAMILIES = ("course", "torchvision_family", "timm_family")


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
