"""``coverslip leaves``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coverslip.cli.terminal import quoted


def leaves(
    out: Annotated[Path, typer.Argument(help="Folder to write; must not exist or be empty.")],
    classes: Annotated[int | None, typer.Option(help="How many classes. Default: 15; 2 for tissue.")] = None,
    leaves: Annotated[int, typer.Option(help="Leaves (slides, for tissue) a class.")] = 12,
    shots: Annotated[int, typer.Option(help="Photographs a leaf.")] = 3,
    size: Annotated[int, typer.Option(help="Side in pixels.")] = 256,
    look: Annotated[str, typer.Option(help="leaf or tissue.")] = "leaf",
    seed: Annotated[int, typer.Option(help="Another seed gives other leaves.")] = 0,
    shortcut: Annotated[bool, typer.Option("--shortcut", help="Tie the background to the class, as a trap.")] = False,
    duplicates: Annotated[int, typer.Option(help="Plant so many copies under other names, as a trap.")] = 0,
) -> None:
    """Write built-in images of leaves or tissue, with a mask each and a table."""
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
    typer.echo(f"written: {table}")
    typer.echo(f"next:    coverslip train {quoted(table)}")
