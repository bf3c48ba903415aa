"""``coverslip predict``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from coverslip.cli.checks import check_paths, check_runs
from coverslip.cli.options import OUTPUT
from coverslip.core.errors import UserError


def predict(
    run: Annotated[Path, typer.Argument(help="Run folder, or an ONNX file.")],
    paths: Annotated[list[Path], typer.Argument(help="Images and folders of images.")],
    out: Annotated[
        Path | None,
        typer.Option(help="CSV file to write; must not exist. Default: standard output.", rich_help_panel=OUTPUT),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Resume an interrupted --out file; its content is the same.", rich_help_panel=OUTPUT
        ),
    ] = False,
) -> None:
    """Predict the classes of images and write probabilities as CSV.

    Example: coverslip predict runs/leaves new_images/ --out predictions.csv
    """
    check_runs([run])
    check_paths(paths)
    from coverslip import api
    from coverslip.core.progress import TerminalProgress

    if resume and out is None:
        raise UserError("--resume needs the file to resume", "give the same --out as before")
    progress = TerminalProgress()
    result = api.predict_to(run, paths, sys.stdout if out is None else out, resume=resume, progress=progress)
    if out is not None:
        progress.note(f"{result.images:,} {'image' if result.images == 1 else 'images'} -> {out}")
    classes = ", ".join(f"{name} {count:,}" for name, count in list(result.classes.items())[:8])
    progress.note(
        f"predicted: {classes or 'nothing'}"
        + (f"; {result.unfamiliar:,} unlike the training images (column familiar)" if result.unfamiliar else "")
        + (f"; {result.unread:,} could not be read (column error)" if result.unread else "")
    )
    if result.rule:
        progress.note(result.rule)
