"""``coverslip compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Two or more runs that were tested on the same images.")],
    score: Annotated[
        str, typer.Option(help="accuracy, balanced_accuracy, macro_f1, mcc, macro_auroc, log_loss ...")
    ] = ("accuracy"),
    smallest: Annotated[float, typer.Option(help="The smallest difference worth seeing.")] = 0.02,
    shared: Annotated[bool, typer.Option("--shared", help="Use the images that all runs tested.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for comparison.html and .json; must not exist.")] = None,
) -> None:
    """Is one run better than another: paired, over groups, with intervals; or can they not be told apart."""
    from coverslip import api
    from coverslip.core.runs import Run
    from coverslip.evidence.intervals import format_interval

    found = api.compare(runs, out, score=score, smallest=smallest, shared=shared)
    result = found["result"]
    groups = f" of {found['shared']['groups']:,} groups" if found["shared"]["groups"] else ""
    typer.echo(f"{score.replace('_', ' ')} on the same {found['shared']['images']:,} test images{groups}")
    for entry in result["runs"]:
        typer.echo(f"  {entry['name']}: {format_interval(entry)}")
    for comparison in result["comparisons"]:
        typer.echo(comparison["sentence"])
    for note in [*found["notes"], *result["warnings"]]:
        typer.echo(f"note: {note}")
    typer.echo(f"page: {Run(out).comparison_page_file}" if out else "next: add --out DIR for a page with the image")
