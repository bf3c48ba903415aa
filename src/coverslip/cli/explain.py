"""``coverslip explain``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def explain(
    run: Annotated[Path, typer.Argument(help="Folder of a run, or an ONNX file.")],
    paths: Annotated[list[Path] | None, typer.Argument(help="Images, and folders of images.")] = None,
    classes: Annotated[
        list[str] | None, typer.Option("--class", help="A class to show, besides the true and the predicted one.")
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            help="grad-cam, grad-cam++, layer-cam, cam, occlusion, integrated-gradients, smooth-grad, gradient or "
            "guided-backprop. Default: what suits the network."
        ),
    ] = "",
    layer: Annotated[str, typer.Option(help="The only stage to show. Default: every stage.")] = "",
    ideal: Annotated[bool, typer.Option("--ideal", help="Draw what each class looks like to the network.")] = False,
    filters: Annotated[str, typer.Option(metavar="LAYER", help="Draw what the filters of a stage look for.")] = "",
    test: Annotated[bool, typer.Option("--test", help="Look through the test set; the report shows it too.")] = False,
    trust: Annotated[bool, typer.Option(help="Test whether the maps can be trusted.")] = True,
    masks: Annotated[
        Path | None, typer.Option(help="Folder of masks of the images' names: 0 background, 1 subject, 2 lesion.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write; must not exist. Default: a new one in RUN/explain.")
    ] = None,
) -> None:
    """See where a model looks, for each stage and class, what it has learned, and whether that can be trusted."""
    from coverslip import api
    from coverslip.cli.terminal import quoted
    from coverslip.core.progress import TerminalProgress
    from coverslip.core.runs import Explained, ForeignRun, Run, next_free
    from coverslip.explaining.saving import safe_name

    there, progress = Run.open(run), TerminalProgress()
    if out is None and test:
        out = there.explained_test_folder
    elif out is None:
        out = next_free(there.explain_folder / safe_name(paths[0].stem if paths else filters or "learned"))
    found = api.explain(
        run,
        paths or (),
        out,
        classes=classes or (),
        method=method,
        layer=layer,
        ideal=ideal,
        filters=filters,
        test=test,
        trust=trust,
        masks=masks,
        progress=progress,
    )
    for note in found.notes:
        progress.note(f"note: {note}")
    for each in found.images:
        typer.echo(f"{each.name}: {each.verdict}")
    for sentence in found.sentences:
        typer.echo(sentence)
    written = Explained(out)
    typer.echo(f"page: {written.page_file}")
    if isinstance(there, ForeignRun):
        typer.echo("next: open the page; then images that it gets wrong")
    elif found.review is None and found.images:
        typer.echo(f"next: open the page; then the whole test set: coverslip explain {quoted(run)} --test")
    elif found.review is not None:
        typer.echo(f"next: open the page, and give the clusters of mistakes names in {quoted(written.clusters_file)}")
    else:
        typer.echo(f"next: open the page; then an image: coverslip explain {quoted(run)} IMAGE")
