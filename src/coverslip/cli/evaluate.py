"""``coverslip evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coverslip.cli.terminal import print_result, quoted


def evaluate(
    run: Annotated[Path, typer.Argument(help="Folder of a run, or an ONNX file.")],
    source: Annotated[Path, typer.Argument(help="New labelled images: folder of class folders, table, or .npz.")],
    out: Annotated[Path | None, typer.Option(help="Folder to write; must not exist.")] = None,
    group: Annotated[str, typer.Option(help="What keeps images together: a column, a pattern, or 'parent'.")] = "",
) -> None:
    """Score a trained model on new labelled images, with intervals and a page."""
    from coverslip import api
    from coverslip.core.progress import TerminalProgress

    result = api.evaluate(run, source, out, group=group, progress=TerminalProgress())
    following = f"open {quoted(result.report_file)} and look at the most confident mistakes"
    print_result(result.read_json(result.test_file), result.report_file, following)
