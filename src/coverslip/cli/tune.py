"""``coverslip tune``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coverslip.cli.checks import check_source
from coverslip.cli.options import (
    DATA,
    EVALUATION,
    MODEL,
    OUTPUT,
    TRAINING,
    Accept,
    Augment,
    Drop,
    Fix,
    FromScratch,
    Group,
    Settings,
    Size,
    refuse_with_resume,
    setting,
)
from coverslip.cli.terminal import quoted, resumable
from coverslip.core.errors import UserError

if TYPE_CHECKING:
    from coverslip.tuning.results import Tuned

SEARCH = "Search"  # panel of --help


def tune(
    context: typer.Context,
    source: Annotated[
        Path | None,
        typer.Argument(help="Folder of class folders, table (CSV, Parquet), .npz file, or experiment.toml."),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(help="Number of trials of a search. Default: 50.", rich_help_panel=SEARCH)
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Start no new trials after this time, in minutes.", rich_help_panel=SEARCH)
    ] = None,
    space: Annotated[
        Path | None,
        typer.Option(help="TOML file with the search space. Default: depends on depth.", rich_help_panel=SEARCH),
    ] = None,
    sweep: Annotated[
        list[str] | None,
        typer.Option(
            help="Try all values: lr=1e-5..1:log:16 or batch_size=8,32,128; repeat for a grid.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    one_at_a_time: Annotated[
        bool,
        typer.Option(
            "--one-at-a-time",
            help="Tune one setting after another, starting from rules of thumb.",
            rich_help_panel=SEARCH,
        ),
    ] = False,
    group: Group = None,
    size: Size = None,
    accept: Accept = None,
    drop: Drop = None,
    fix: Fix = False,
    split_seed: Annotated[int | None, setting("split.seed", DATA)] = None,
    model: Annotated[str | None, setting("model.network", MODEL)] = None,
    depth: Annotated[str | None, setting("model.depth", MODEL)] = None,
    from_scratch: FromScratch = False,
    epochs: Annotated[int | None, setting("training.epochs", TRAINING)] = None,
    augment: Augment = None,
    seed: Annotated[int | None, setting("training.seed", TRAINING)] = None,
    nested: Annotated[
        int | None,
        typer.Option(help="Nested cross-validation of the search with N outer folds.", rich_help_panel=EVALUATION),
    ] = None,
    repeats: Annotated[
        int | None, typer.Option(help="Repeat the best trial with N other seeds.", rich_help_panel=EVALUATION)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Study folder; must not exist. Default: runs/tune-NAME-DATE-N.", rich_help_panel=OUTPUT),
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Resume an interrupted study.", rich_help_panel=OUTPUT)] = None,
    shared: Annotated[
        bool,
        typer.Option(
            "--shared", help="Allow several processes or machines to work on the study.", rich_help_panel=OUTPUT
        ),
    ] = False,
    settings: Settings = None,
) -> None:
    """Search for better hyperparameters and correct for selection bias.

    Example: coverslip tune leaves/ --trials 30 --out runs/study
    """
    check_source(source)
    from coverslip import api
    from coverslip.core.progress import TerminalProgress

    progress = TerminalProgress()
    if resume is not None:
        refuse_with_resume(context, "trials", "minutes", "shared")
        with resumable("tune", resume):
            _print(api.resume_study(resume, trials=trials, minutes=minutes, shared=shared, progress=progress))
        return
    if source is None:
        raise UserError("no images were given", "coverslip tune FOLDER")
    config = api.configure(
        source,
        augment=augment,
        settings=settings or [],
        group=group,
        size=size,
        accept=accept or None,
        drop=drop or None,
        fix=fix or None,
        model=model,
        depth=depth,
        from_scratch=from_scratch or None,
        split_seed=split_seed,
        seed=seed,
        epochs=epochs,
    )
    folder = out or api.study_folder(config)
    with resumable("tune", folder):
        study = api.tune(
            config,
            folder,
            sweep=sweep or (),
            one_at_a_time=one_at_a_time,
            space=space,
            trials=trials or 50,
            minutes=minutes,
            nested=nested or 0,
            repeats=repeats or 0,
            shared=shared,
            progress=progress,
        )
        _print(study)


def _print(study: Tuned) -> None:
    for line in study.sentences:
        typer.echo(line)
    typer.echo(f"page: {quoted(study.page_file)}")
    if study.next_command:
        typer.echo(f"next: {study.next_command}")
