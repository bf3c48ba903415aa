"""``coverslip preview``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coverslip.cli.options import AUGMENT_HELP, DATA, OUTPUT, TRAINING
from coverslip.cli.terminal import quoted
from coverslip.core.errors import UserError
from coverslip.pipeline.schema import description


def preview(
    source: Annotated[Path, typer.Argument(help="Folder of class folders, table (CSV, Parquet) or .npz file.")],
    size: Annotated[
        int | None, typer.Option(help="Side in pixels. Default: that of the default network.", rich_help_panel=DATA)
    ] = None,
    fit: Annotated[str, typer.Option(help=description("input.fit"), rich_help_panel=DATA)] = "pad",
    augment: Annotated[str, typer.Option(help=AUGMENT_HELP, rich_help_panel=TRAINING)] = "light",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Augmentation setting, such as rotate=30 or flip=false.", rich_help_panel=TRAINING),
    ] = None,
    count: Annotated[int, typer.Option(help="Images per class.", rich_help_panel=OUTPUT)] = 2,
    seed: Annotated[
        int, typer.Option(help="Random seed of the images and their augmentation.", rich_help_panel=OUTPUT)
    ] = 0,
    out: Annotated[Path, typer.Option(help="PNG file to write; must not exist.", rich_help_panel=OUTPUT)] = Path(
        "preview.png"
    ),
) -> None:
    """Draw images as the network receives them, with augmentation.

    Example: coverslip preview leaves/ --augment strong
    """
    from coverslip.core.config import override
    from coverslip.core.progress import TerminalProgress
    from coverslip.core.runs import next_free
    from coverslip.core.storage import atomic_write
    from coverslip.data.augment import augmentation
    from coverslip.data.augment.preview import preview_figure
    from coverslip.data.scan import scan
    from coverslip.models.catalog import network_entry
    from coverslip.models.design import DEFAULT_NETWORK

    for assignment in settings or []:
        if "=" not in assignment:
            raise UserError(f"--set {assignment!r} is not key=value", "give an assignment such as --set rotate=30")
    changes = override({}, [f"augment.{assignment}" for assignment in settings or []]).get("augment", {})
    chosen = augmentation(augment, changes)
    if out.exists():
        raise UserError(f"{str(out)!r} exists", f"use --out {quoted(next_free(out))}")
    if out.suffix.lower() != ".png":
        raise UserError(f"{str(out)!r} is not the name of a PNG file", f"use --out {quoted(out.with_suffix('.png'))}")
    table = scan(source, classes=1)
    sides = network_entry(DEFAULT_NETWORK).size if size is None else (size, size)
    title = f"{augment}, changed" if changes else augment
    progress = TerminalProgress()
    figure = preview_figure(table, sides, chosen, fit=fit, seed=seed, count=count, title=title, progress=progress)
    with atomic_write(out) as temporary:
        figure.savefig(temporary, format="png", dpi="figure")
    typer.echo(f"figure: {out} ({title}: {chosen.describe()})")
    typer.echo("check:  are the classes still distinguishable? --set KEY=VALUE changes a setting, such as hue=0")
    assignments = "".join(f" --set augment.{assignment}" for assignment in settings or [])
    typer.echo(f"next:   coverslip train {quoted(source)} --depth all --augment {augment}{assignments}")
    typer.echo("        (depth head and tail use flipped and rotated views instead, which are computed once)")
