"""``coverslip explain``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coverslip.cli.checks import check_runs
from coverslip.cli.options import DATA, EVALUATION, MODEL, OUTPUT


def explain(
    run: Annotated[Path, typer.Argument(help="Run folder, or an ONNX file.")],
    paths: Annotated[list[Path] | None, typer.Argument(help="Images and folders of images.")] = None,
    test: Annotated[
        bool,
        typer.Option("--test", help="Review the whole test set; adds a section to the report.", rich_help_panel=DATA),
    ] = False,
    masks: Annotated[
        Path | None,
        typer.Option(
            help="Folder of masks named like the images: 0 background, 1 subject, 2 lesion.", rich_help_panel=DATA
        ),
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class", help="Class to explain, in addition to the true and the predicted class.", rich_help_panel=MODEL
        ),
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            help="grad-cam, grad-cam++, layer-cam, cam, occlusion, integrated-gradients, smooth-grad, gradient or "
            "guided-backprop. Default: depends on the network.",
            rich_help_panel=MODEL,
        ),
    ] = "",
    layer: Annotated[
        str, typer.Option(help="Stage or layer to show. Default: every stage.", rich_help_panel=MODEL)
    ] = "",
    ideal: Annotated[
        bool,
        typer.Option(
            "--ideal", help="Synthesize the image that maximizes the logit of each class.", rich_help_panel=MODEL
        ),
    ] = False,
    filters: Annotated[
        str,
        typer.Option(
            metavar="LAYER", help="Show what activates the filters of a stage or layer.", rich_help_panel=MODEL
        ),
    ] = "",
    trust: Annotated[bool, typer.Option(help="Run sanity checks of the maps.", rich_help_panel=EVALUATION)] = True,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder to write; must not exist. Default: a new one in RUN/explain.", rich_help_panel=OUTPUT
        ),
    ] = None,
) -> None:
    """Explain predictions with heat maps and check their reliability.

    Example: coverslip explain runs/leaves leaf.jpg
    """
    check_runs([run])
    from coverslip import api
    from coverslip.cli.terminal import quoted
    from coverslip.core.progress import TerminalProgress
    from coverslip.core.runs import ExplanationFolder, OnnxRun, Run, next_free
    from coverslip.explaining.saving import safe_name

    model_run, progress = Run.open(run), TerminalProgress()
    if out is None and test:
        out = model_run.explained_test_folder
    elif out is None:
        out = next_free(model_run.explain_folder / safe_name(paths[0].stem if paths else filters or "learned"))
    explanation = api.explain(
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
    for note in explanation.notes:
        progress.note(f"note: {note}")
    for image in explanation.images:
        typer.echo(f"{image.name}: {image.summary}")
    for sentence in explanation.sentences:
        typer.echo(sentence)
    written = ExplanationFolder(out)
    typer.echo(f"page: {written.page_file}")
    if isinstance(model_run, OnnxRun):
        typer.echo("next: open the page; then explain images that the model misclassifies")
    elif explanation.review is None and explanation.images:
        typer.echo(f"next: open the page; then review the test set: coverslip explain {quoted(run)} --test")
    elif explanation.review is not None:
        typer.echo(f"next: open the page, and name the clusters of mistakes in {quoted(written.clusters_file)}")
    else:
        typer.echo(f"next: open the page; then explain an image: coverslip explain {quoted(run)} IMAGE")
