"""``coverslip tune``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coverslip.cli.options import Accept, Drop, Fix, Group, Settings, refuse_beside_resume
from coverslip.cli.terminal import quoted
from coverslip.core.errors import StoppedError, UserError

if TYPE_CHECKING:
    from coverslip.tuning.results import Tuned


def tune(
    context: typer.Context,
    source: Annotated[
        Path | None, typer.Argument(help="Folder of class folders, table (CSV, Parquet), .npz, or an experiment.toml.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the study; must not exist. Default: runs/tune-NAME-DATE-N.")
    ] = None,
    sweep: Annotated[
        list[str] | None,
        typer.Option(help="Try all of these, as lr=1e-5..1:log:16 or batch_size=8,32,128; several make a grid."),
    ] = None,
    one_at_a_time: Annotated[
        bool, typer.Option("--one-at-a-time", help="From the rules of thumb, change one setting after another.")
    ] = False,
    space: Annotated[Path | None, typer.Option(help="TOML file of the settings to search, with their ranges.")] = None,
    trials: Annotated[int | None, typer.Option(help="Trainings of a search. Default: 50.")] = None,
    minutes: Annotated[float | None, typer.Option(help="No new trials after so many minutes.")] = None,
    nested: Annotated[
        int | None, typer.Option(help="Also search within so many folds: what choosing is worth on other images.")
    ] = None,
    repeats: Annotated[
        int | None, typer.Option(help="Train the best so often again with other seeds: how much of it was its seed.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Network by name. Default: efficientnet-lite0.")] = None,
    depth: Annotated[str | None, typer.Option(help="How much of it is trained: head, tail, all, a stage.")] = None,
    from_scratch: Annotated[bool, typer.Option("--from-scratch", help="Start from chance; trains all.")] = False,
    epochs: Annotated[int | None, typer.Option(help="Passes over the images, of each trial at most.")] = None,
    augment: Annotated[str | None, typer.Option(help="How images vary: none, flips, light, strong, tissue.")] = None,
    group: Group = None,
    accept: Accept = None,
    drop: Drop = None,
    fix: Fix = False,
    seed: Annotated[int | None, typer.Option(help="Seed of training and of the search. Default: 0.")] = None,
    split_seed: Annotated[int | None, typer.Option(help="Seed of the split. Default: 0.")] = None,
    shared: Annotated[
        bool, typer.Option("--shared", help="Several processes or machines work on one study (its file is a journal).")
    ] = False,
    resume: Annotated[Path | None, typer.Option(help="Go on with a study that was interrupted.")] = None,
    settings: Settings = None,
) -> None:
    """Train many times with other settings, see what matters, and how much of the best score is luck."""
    from coverslip import api
    from coverslip.core.progress import TerminalProgress

    progress = TerminalProgress()
    if resume is not None:
        refuse_beside_resume(context, "trials", "minutes", "shared")
        with _kept(resume):
            _print(api.resume_study(resume, trials=trials, minutes=minutes, shared=shared, progress=progress))
        return
    if source is None:
        raise UserError("no images were named", "coverslip tune FOLDER")
    config = api.configure(
        source,
        augment=augment,
        settings=settings or [],
        data_group=group,
        audit_accept=accept or None,
        audit_drop=drop or None,
        audit_fix=fix or None,
        model_network=model,
        model_depth=depth,
        model_pretrained=False if from_scratch else None,
        split_seed=split_seed,
        training_seed=seed,
        training_epochs=epochs,
    )
    folder = out or api.study_folder(config)
    with _kept(folder):
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


@contextmanager
def _kept(folder: Path) -> Iterator[None]:
    """Ctrl+C says how to go on with this study."""
    try:
        yield
    except KeyboardInterrupt:
        fix = f"go on with it: coverslip tune --resume {quoted(folder)}"
        raise StoppedError("interrupted; what was trained so far is kept", fix) from None


def _print(study: Tuned) -> None:
    for line in study.sentences:
        typer.echo(line)
    typer.echo(f"page: {quoted(study.page_file)}")
    if study.following:
        typer.echo(f"next: {study.following}")
