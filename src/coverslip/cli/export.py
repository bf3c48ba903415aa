"""``coverslip export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a run, with its model.")],
    format: Annotated[
        str, typer.Option(help="onnx (runs anywhere), torch (TorchScript) or openvino (fastest on a CPU).")
    ] = "onnx",
    quantize: Annotated[
        str, typer.Option(metavar="int8", help="8-bit integers in the network; says what accuracy that costs.")
    ] = "",
    out: Annotated[
        Path | None, typer.Option(help="Folder to write; must not exist. Default: a new one in RUN/export.")
    ] = None,
    images: Annotated[
        list[Path] | None, typer.Option(help="Check with these images and folders instead of the run's own.")
    ] = None,
) -> None:
    """Write the model as one file that takes decoded pixels, checked to give the same answers."""
    from coverslip.api.exporting import export as export_run
    from coverslip.cli.terminal import quoted
    from coverslip.core.progress import TerminalProgress
    from coverslip.exporting.script import FILE

    progress = TerminalProgress()
    folder = export_run(run, out, format=format, quantize=quantize, images=images or (), progress=progress)
    for file in sorted(folder.iterdir()):
        typer.echo(f"{file} ({file.stat().st_size:,} bytes)")
    typer.echo(f"next: python {quoted(folder / FILE)} IMAGE (README.md says what goes in and comes out)")
