"""``coverslip predict``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from coverslip.core.errors import UserError


def predict(
    run: Annotated[Path, typer.Argument(help="Folder of a run, or an ONNX file.")],
    paths: Annotated[list[Path], typer.Argument(help="Images, and folders of images.")],
    out: Annotated[
        Path | None, typer.Option(help="CSV file to write; must not exist. Default: standard output.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an --out that was interrupted; same bytes at the end.")
    ] = False,
) -> None:
    """Name the class of images, with a probability for each class, as CSV. Never trains."""
    from coverslip import api
    from coverslip.core.progress import TerminalProgress

    if resume and out is None:
        raise UserError("--resume goes on with a file, and none is named", "give the same --out as before")
    progress = TerminalProgress()
    found = api.predict_to(run, paths, sys.stdout if out is None else out, resume=resume, progress=progress)
    if out is not None:
        progress.note(f"{found.images:,} images -> {out}")
    shown = ", ".join(f"{name} {count:,}" for name, count in list(found.classes.items())[:8])
    progress.note(
        f"predicted: {shown or 'nothing'}"
        + (f"; {found.unfamiliar:,} of them unlike the training images (column familiar)" if found.unfamiliar else "")
        + (f"; {found.unread:,} could not be read (column error)" if found.unread else "")
    )
    if found.rule:
        progress.note(found.rule)
