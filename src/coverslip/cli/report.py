"""``coverslip report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    answers: Annotated[
        Path | None,
        typer.Option("--set", help="TOML file with what only a person knows; written to be filled in if not there."),
    ] = None,
) -> None:
    """Write a run's page anew, with the answers of a person to what no program can know."""
    from coverslip import api

    typer.echo(f"report: {api.report(run, answers)}")
