"""``coverslip export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coverslip.cli.checks import check_runs
from coverslip.cli.options import DATA, MODEL, OUTPUT


def export(
    run: Annotated[Path, typer.Argument(help="Run folder with a model.")],
    images: Annotated[
        list[Path] | None,
        typer.Option(help="Images and folders for the check, instead of those of the run.", rich_help_panel=DATA),
    ] = None,
    format: Annotated[
        str,
        typer.Option(
            help="onnx (most portable), torch (TorchScript) or openvino (fastest on CPUs).", rich_help_panel=MODEL
        ),
    ] = "onnx",
    quantize: Annotated[
        str,
        typer.Option(
            metavar="int8", help="Quantize the network to 8 bits; reports the loss of accuracy.", rich_help_panel=MODEL
        ),
    ] = "",
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to write; must not exist. Default: a new one in RUN/export.", rich_help_panel=OUTPUT),
    ] = None,
) -> None:
    """Export the model to one file and verify its predictions.

    Example: coverslip export runs/leaves --format onnx
    """
    check_runs([run])
    from coverslip.api.exporting import export as export_run
    from coverslip.cli.terminal import quoted
    from coverslip.core.progress import TerminalProgress
    from coverslip.exporting.script import FILE

    progress = TerminalProgress()
    folder = export_run(run, out, format=format, quantize=quantize, images=images or (), progress=progress)
    for file in sorted(folder.iterdir()):
        typer.echo(f"{file} ({file.stat().st_size:,} bytes)")
    typer.echo(f"next: python {quoted(folder / FILE)} IMAGE (README.md describes inputs and outputs)")
