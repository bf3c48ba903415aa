"""``coverslip report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coverslip.cli.checks import check_folders
from coverslip.cli.options import OUTPUT


def report(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    answers: Annotated[
        Path | None,
        typer.Option(
            "--set",
            help="TOML file with your answers to the checklist; a template is written if it does not exist.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
) -> None:
    """Write a run's report again, with your answers to the checklist.

    Example: coverslip report runs/leaves --set answers.toml
    """
    check_folders([run])
    from coverslip import api

    typer.echo(f"report: {api.report(run, answers)}")
