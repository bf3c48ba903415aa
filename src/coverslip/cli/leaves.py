"""``coverslip leaves``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coverslip.cli.options import DATA
from coverslip.cli.terminal import quoted


def leaves(
    out: Annotated[Path, typer.Argument(help="Folder to write; must be empty or not exist.")],
    look: Annotated[str, typer.Option(help="leaf or tissue.", rich_help_panel=DATA)] = "leaf",
    classes: Annotated[
        int | None, typer.Option(help="Number of classes. Default: 15; 2 for tissue.", rich_help_panel=DATA)
    ] = None,
    leaves: Annotated[int, typer.Option(help="Leaves (or tissue slides) per class.", rich_help_panel=DATA)] = 12,
    shots: Annotated[int, typer.Option(help="Images per leaf or slide.", rich_help_panel=DATA)] = 3,
    size: Annotated[int, typer.Option(help="Side in pixels.", rich_help_panel=DATA)] = 256,
    seed: Annotated[int, typer.Option(help="Random seed of the images.", rich_help_panel=DATA)] = 0,
    shortcut: Annotated[
        bool,
        typer.Option(
            "--shortcut", help="Let the background depend on the class, to test the audit.", rich_help_panel=DATA
        ),
    ] = False,
    duplicates: Annotated[
        int, typer.Option(help="Number of duplicates to add, to test the audit.", rich_help_panel=DATA)
    ] = 0,
) -> None:
    """Generate synthetic images of leaves or tissue with a table.

    Example: coverslip leaves leaves --classes 3
    """
    from coverslip.core.progress import TerminalProgress
    from coverslip.data.synthetic import write_leaves

    table = write_leaves(
        out,
        look=look,
        classes=classes,
        leaves=leaves,
        shots=shots,
        size=size,
        seed=seed,
        shortcut=shortcut,
        duplicates=duplicates,
        progress=TerminalProgress(),
    )
    typer.echo(f"table: {table}")
    typer.echo(f"next:  coverslip train {quoted(table)}")
