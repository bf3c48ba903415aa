"""``coverslip preview``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coverslip.cli.terminal import quoted
from coverslip.core.errors import UserError


def preview(
    source: Annotated[Path, typer.Argument(help="Folder of class folders, table (CSV, Parquet) or .npz.")],
    out: Annotated[Path, typer.Option(help="PNG file to write; must not exist.")] = Path("preview.png"),
    augment: Annotated[str, typer.Option(help="none, flips, light, strong or tissue.")] = "light",
    size: Annotated[int | None, typer.Option(help="Side in pixels. Default: that of the default network.")] = None,
    fit: Annotated[str, typer.Option(help="pad, squash or crop.")] = "pad",
    count: Annotated[int, typer.Option(help="Images a class.")] = 2,
    seed: Annotated[int, typer.Option(help="Another seed shows other images and versions.")] = 0,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="One strength, such as rotate=30 or flip=false.")
    ] = None,
) -> None:
    """What a network that is trained whole (--depth all) sees: images as prepared, and their changed versions."""
    from coverslip.core.config import override
    from coverslip.core.progress import TerminalProgress
    from coverslip.core.runs import next_free
    from coverslip.core.storage import writing
    from coverslip.data.augment import augmentation
    from coverslip.data.augment.sheet import preview_figure
    from coverslip.data.scan import scan
    from coverslip.models.catalog import network_entry
    from coverslip.models.design import DEFAULT_NETWORK

    for each in settings or []:
        if "=" not in each:
            raise UserError(f"--set {each!r} is not key=value", "for example --set rotate=30")
    changes = override({}, [f"augment.{each}" for each in settings or []]).get("augment", {})
    how = augmentation(augment, changes)
    if out.exists():
        raise UserError(f"{str(out)!r} exists already", f"use --out {quoted(next_free(out))}")
    if out.suffix.lower() != ".png":
        raise UserError(f"{str(out)!r} is no name of a PNG file", f"use --out {quoted(out.with_suffix('.png'))}")
    table = scan(source, classes=1)
    sides = network_entry(DEFAULT_NETWORK).size if size is None else (size, size)
    title = f"{augment}, changed" if changes else augment
    progress = TerminalProgress()
    figure = preview_figure(table, sides, how, fit=fit, seed=seed, count=count, title=title, progress=progress)
    with writing(out) as temporary:
        figure.savefig(temporary, format="png", dpi="figure")
    typer.echo(f"written: {out} ({title}: {how.describe()})")
    typer.echo("look:    can you still tell the classes apart? --set KEY=VALUE changes one strength, such as hue=0")
    changed = "".join(f" --set augment.{each}" for each in settings or [])
    typer.echo(f"next:    coverslip train {quoted(source)} --depth all --augment {augment}{changed}")
    typer.echo("         (a head and a tail see each image mirrored and turned instead, which can be computed once)")
