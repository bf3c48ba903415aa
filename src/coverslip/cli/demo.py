"""``coverslip demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coverslip.cli.terminal import print_result, quoted

CLASSES, LEAVES, SHOTS = 8, 40, 2  # six test leaves per class: enough for an interval for each class


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the images and the runs.")] = Path("coverslip-demo"),
) -> None:
    """Train and evaluate a model on built-in images in about a minute.

    Example: coverslip demo
    """
    from coverslip import api
    from coverslip.core.progress import TerminalProgress
    from coverslip.core.runs import next_free
    from coverslip.data.synthetic import write_leaves

    progress = TerminalProgress()
    table = out / "leaves" / "leaves.csv"
    if table.exists():
        progress.note(f"using the images of an earlier demo: {table}")
    else:
        images = CLASSES * LEAVES * SHOTS
        progress.note(f"rendering {images} images of {CLASSES * LEAVES} synthetic leaves")
        write_leaves(table.parent, classes=CLASSES, leaves=LEAVES, shots=SHOTS, progress=progress)
    run = api.train(table, next_free(out / "run-1"), progress=progress)
    next_step = f"coverslip predict {quoted(run.folder)} {quoted(table.parent / 'images')}, or train on your own images"
    print_result(run.read_json(run.test_file), run.report_file, next_step)
