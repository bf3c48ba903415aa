"""``coverslip predict``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from coverslip.errors import UserError


def predict(
    run: Annotated[Path, typer.Argument(help="Folder of a run, with its model.")],
    paths: Annotated[list[Path], typer.Argument(help="Pictures, and folders of pictures.")],
    out: Annotated[
        Path | None, typer.Option(help="CSV file to write; must not exist. Default: standard output.")
    ] = None,
) -> None:
    """Name the class of pictures, with a probability for each class, as CSV. Never trains."""
    from coverslip import api
    from coverslip.progress import TerminalProgress
    from coverslip.storage import write_text

    if out is not None and out.exists():
        raise UserError(f"{str(out)!r} exists already", "choose another --out, or remove it first")
    progress = TerminalProgress()
    predictions = api.predict(run, paths, progress=progress)
    text = predictions.write_csv(float_precision=6)
    unread = predictions["error"].drop_nulls().len()
    if out is None:
        sys.stdout.write(text)
        sys.stdout.flush()
    else:
        write_text(out, text)
        progress.note(f"{predictions.height:,} pictures -> {out}")
    counts = predictions["predicted"].drop_nulls().value_counts(sort=True)
    shown = ", ".join(f"{name} {count:,}" for name, count in counts.head(8).iter_rows())
    progress.note(
        f"predicted: {shown or 'nothing'}" + (f"; {unread} could not be read (column error)" if unread else "")
    )
