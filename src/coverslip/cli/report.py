"""``coverslip report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(run: Annotated[Path, typer.Argument(help="Folder of a finished run.")]) -> None:
    """Write a run's page anew from what the run wrote."""
    from coverslip import api

    typer.echo(f"report: {api.report(run)}")
