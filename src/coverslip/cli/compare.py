"""``coverslip compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coverslip.cli.checks import check_folders
from coverslip.cli.options import DATA, EVALUATION, OUTPUT


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Two or more runs with the same test images.")],
    shared: Annotated[
        bool,
        typer.Option(
            "--shared", help="Compare on the images that all runs tested, if they differ.", rich_help_panel=DATA
        ),
    ] = False,
    score: Annotated[
        str,
        typer.Option(
            help="accuracy (default), balanced_accuracy, macro_f1, mcc, macro_auroc, log_loss ...; of regressions mae "
            "(default), rmse, r2, concordance or spearman.",
            rich_help_panel=EVALUATION,
        ),
    ] = "",
    smallest: Annotated[
        float | None,
        typer.Option(
            help="Smallest difference of interest. Default: 0.02; of regressions a tenth of the first run's score.",
            rich_help_panel=EVALUATION,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for comparison.html and .json; must not exist.", rich_help_panel=OUTPUT),
    ] = None,
) -> None:
    """Compare runs on the same test images, with confidence intervals.

    Example: coverslip compare runs/head runs/tail --out comparison
    """
    check_folders(runs)
    from coverslip import api
    from coverslip.core.runs import Run
    from coverslip.evidence.intervals import format_interval

    content = api.compare(runs, out, score=score, smallest=smallest, shared=shared)
    result = content["result"]
    groups = f" of {content['shared']['groups']:,} groups" if content["shared"]["groups"] else ""
    typer.echo(f"{result['score'].replace('_', ' ')} on the same {content['shared']['images']:,} test images{groups}")
    for entry in result["runs"]:
        typer.echo(f"  {entry['name']}: {format_interval(entry)}")
    for comparison in result["comparisons"]:
        typer.echo(comparison["sentence"])
    for note in [*content["notes"], *result["warnings"]]:
        typer.echo(f"note: {note}")
    typer.echo(
        f"page: {Run(out).comparison_page_file}" if out else "next: add --out FOLDER to write a page with figures"
    )
