"""``coverslip networks``."""

from __future__ import annotations

from typing import Annotated

import typer

CLASSES = 10


def networks(
    all_: Annotated[
        str | None,
        typer.Option("--all", metavar="PATTERN", help="Names of the timm library that match, such as 'vit'."),
    ] = None,
) -> None:
    """List the networks: parameters, input size, licence, whether weights are on disk, what each is good for."""
    if all_ is not None:
        _list_timm(all_)
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from coverslip.models.catalog import network_entry, network_names, parameters
    from coverslip.models.design import DEFAULT_NETWORK, Design

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("network", "params", "pixels", "weights", "licence"):
        right = heading in ("params", "pixels")
        table.add_column(heading, no_wrap=True, justify="right" if right else "left")
    table.add_column("good for", overflow="fold")
    for name in network_names():
        entry = network_entry(name)
        count = _count_text(parameters(Design(network=name, size=entry.size), CLASSES))
        here = "on disk" if entry.has_weights() else "to fetch"
        style = "bold" if name == DEFAULT_NETWORK else ""
        table.add_row(
            name, count, str(entry.size[0]), here if entry.load else "none", entry.licence, entry.suits, style=style
        )
    Console().print(table)
    typer.echo(f"params: parameters that are learned, for color images of this size and {CLASSES} classes")
    typer.echo("pixels: side of the images it was made for; others work too (--set input.size=128)")
    typer.echo("any network of the timm library works too: coverslip networks --all PATTERN")


def _count_text(count: int) -> str:
    """A number of parameters as people say it.

    >>> _count_text(122_890), _count_text(4_652_008)
    ('123 k', '4.7 M')
    """
    return f"{count / 1e6:.1f} M" if count >= 999_500 else f"{count / 1e3:.0f} k"


def _list_timm(pattern: str) -> None:
    from coverslip.core.errors import UserError
    from coverslip.models.timm_family import timm_names

    names = timm_names(pattern)
    if not names:
        raise UserError(f"timm has no network like {pattern!r}", "try a shorter pattern, such as 'resnet' or 'vit*16'")
    typer.echo("\n".join(names))
