"""``coverslip networks``."""

from __future__ import annotations

from typing import Annotated

import typer

CLASSES = 10


def networks(
    all_: Annotated[
        str | None,
        typer.Option("--all", metavar="PATTERN", help="List matching networks of the timm library."),
    ] = None,
) -> None:
    """List the networks with parameters, input size, license and use.

    Example: coverslip networks --all vit
    """
    if all_ is not None:
        _list_timm(all_)
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from coverslip.models.catalog import count_parameters, network_entry, network_names
    from coverslip.models.design import DEFAULT_NETWORK, Design

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("network", "params", "pixels", "weights", "license"):
        right = heading in ("params", "pixels")
        table.add_column(heading, no_wrap=True, justify="right" if right else "left")
    table.add_column("good for", overflow="fold")
    for name in network_names():
        entry = network_entry(name)
        count = _count_text(count_parameters(Design(network=name, size=entry.size), CLASSES))
        weights = "on disk" if entry.has_weights() else "download"
        style = "bold" if name == DEFAULT_NETWORK else ""
        table.add_row(
            name,
            count,
            str(entry.size[0]),
            weights if entry.load else "none",
            entry.licence,
            entry.suited_for,
            style=style,
        )
    Console().print(table)
    typer.echo(f"params: trainable parameters with color images of this size and {CLASSES} classes")
    typer.echo("pixels: default input size; other sizes are possible (--set input.size=128)")
    typer.echo("all networks of the timm library can be used: coverslip networks --all PATTERN")


def _count_text(count: int) -> str:
    """Return a number of parameters in thousands or millions.

    >>> _count_text(122_890), _count_text(4_652_008)
    ('123 k', '4.7 M')
    """
    return f"{count / 1e6:.1f} M" if count >= 999_500 else f"{count / 1e3:.0f} k"


def _list_timm(pattern: str) -> None:
    from coverslip.core.errors import UserError
    from coverslip.models.timm_family import timm_names

    names = timm_names(pattern)
    if not names:
        fix = "use a shorter pattern, such as 'resnet' or 'vit*16'"
        raise UserError(f"no network of timm matches {pattern!r}", fix)
    typer.echo("\n".join(names))
