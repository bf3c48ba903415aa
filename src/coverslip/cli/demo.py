"""``coverslip demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coverslip.cli.terminal import print_result, quoted

CLASSES, LEAVES, SHOTS = 8, 40, 2  # six test leaves a class: enough for an interval of each class


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the leaves and the runs.")] = Path("coverslip-demo"),
) -> None:
    """The whole path on built-in leaves, in about a minute, without a network connection."""
    from coverslip import api
    from coverslip.core.progress import TerminalProgress
    from coverslip.core.runs import next_free
    from coverslip.data.synthetic import write_leaves

    progress = TerminalProgress()
    table = out / "leaves" / "leaves.csv"
    if table.exists():
        progress.note(f"the leaves of an earlier demo are used: {table}")
    else:
        images = CLASSES * LEAVES * SHOTS
        progress.note(f"rendering {images} photographs of {CLASSES * LEAVES} leaves that no camera ever saw")
        write_leaves(table.parent, classes=CLASSES, leaves=LEAVES, shots=SHOTS, progress=progress)
    run = api.train(table, next_free(out / "run-1"), progress=progress)
    following = f"coverslip predict {quoted(run.folder)} {quoted(table.parent / 'images')}, or train on your own folder"
    print_result(run.read_json(run.test_file), run.report_file, following)
