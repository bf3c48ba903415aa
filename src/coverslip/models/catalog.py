"""Networks by name. To add one, write a function with the decorator ``@NETWORKS.register(name)``."""

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

FAMILIES = ("basic", "torchvision_family", "timm_family")  # modules of this package that register networks


def network_entry(name: str) -> NetworkEntry:
    """Return the entry of a network: a built-in one, a registered network of the user, or any network of timm.

    Raises:
        UserError: the name is unknown; the fix suggests the nearest name.
    """
    built_in = network_names()
    if name in built_in:
        return NETWORKS[name]()
    from coverslip.models.timm_family import timm_entry, timm_names
    from coverslip.models.user_network import USER_NETWORK, user_network_entry

    if name.startswith(USER_NETWORK):
        return user_network_entry(name)
    entry = timm_entry(name)
    if entry is None:
        hint = nearest(name, [*built_in, *timm_names()])
        if hint.startswith("choose"):  # nothing similar: timm's list of more than a thousand names is not helpful
            hint = nearest(name, built_in) + ", or any name of the timm library"
        raise UserError(f"unknown network {name!r}", hint)
    return entry


def network_names() -> tuple[str, ...]:
    """Return the names of the built-in networks, in the order of their families."""
    for family in FAMILIES:
        importlib.import_module(f"coverslip.models.{family}")
    return tuple(NETWORKS)


def stage_names(design: Design) -> tuple[str, ...]:
    """Return the names of the stages of a network in order, without building it."""
    return network_entry(design.network).stages(design)


def build_network(design: Design, classes: int) -> Staged:
    """Build a network with random weights from PyTorch's global generator.

    Args:
        design: architecture, with any number of input channels.
        classes: number of outputs K.

    Raises:
        UserError: an option is not supported by the network, or the image size is too small.
    """
    entry = network_entry(design.network)
    check_options(entry, design)
    if not entry.first_conv:
        return entry.build(design, classes)
    network = entry.build(replace(design, channels=3), classes)
    adapt_first_layer(network, design.channels, entry.first_conv)
    return network


def count_parameters(design: Design, classes: int) -> int:
    """Return the number of parameters of a network with ``classes`` outputs."""
    with torch.device("meta"):  # shapes without memory or initialization
        network = build_network(design, classes)
    return sum(parameter.numel() for parameter in network.parameters())


def check_options(entry: NetworkEntry, design: Design) -> None:
    """Check that the network supports all options that are set, instead of ignoring some.

    Raises:
        UserError: an unsupported option differs from its default.
    """
    defaults = {field.name: field.default for field in fields(Design) if field.default is not MISSING}
    for option in OPTIONS:
        value = getattr(design, option)
        if option not in entry.options and value != defaults[option]:
            known = ", ".join(entry.options)
            raise UserError(
                f"the network {design.network!r} does not support {option}={value!r}",
                f"its options are {known}" if known else "omit it; the network has no options",
            )
