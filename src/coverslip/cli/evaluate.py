"""``coverslip evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coverslip.cli.checks import check_runs, check_source
from coverslip.cli.options import OUTPUT, Group, LabelColumn, LeaveOut, Map, PathColumn, Target
from coverslip.cli.terminal import print_result, quoted


def evaluate(
    run: Annotated[Path, typer.Argument(help="Run folder, or an ONNX file.")],
    source: Annotated[Path, typer.Argument(help="New labeled images: folder of class folders, table or .npz file.")],
    group: Group = None,
    path_column: PathColumn = None,
    label_column: LabelColumn = None,
    map: Map = None,
    leave_out: LeaveOut = None,
    target: Target = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to write; must not exist. Default: a new one in runs/.", rich_help_panel=OUTPUT),
    ] = None,
) -> None:
    """Evaluate a trained model on new labeled images and write a report.

    Example: coverslip evaluate runs/leaves new_leaves/
    """
    check_runs([run])
    check_source(source)
    from coverslip import api
    from coverslip.core.progress import TerminalProgress

    result = api.evaluate(
        run,
        source,
        out,
        group=group or "",
        path_column=path_column or "",
        label_column=label_column or "",
        map=map or (),
        leave_out=leave_out or (),
        target=target or (),
        progress=TerminalProgress(),
    )
    next_step = f"open {quoted(result.report_file)} and check the largest mistakes"
    print_result(result.read_json(result.test_file), result.report_file, next_step)
