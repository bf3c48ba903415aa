"""``coverslip train``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    LabelColumn,
    Labels,
    LeaveOut,
    Map,
    Order,
    PathColumn,
    Scale,
    Settings,
    Site,
    Size,
    SplitColumn,
    Target,
    Task,
    Verify,
    refuse_with_resume,
    setting,
)
from coverslip.cli.terminal import print_result, quoted, resumable
from coverslip.core.errors import UserError

if TYPE_CHECKING:
    from coverslip.pipeline.config import RunConfig


def train(
    context: typer.Context,
    source: Annotated[
        Path | None, typer.Argument(help="Folder of class folders, table (CSV, Parquet), .npz, or experiment.toml.")
    ] = None,
    group: Group = None,
    size: Size = None,
    site: Site = None,
    path_column: PathColumn = None,
    label_column: LabelColumn = None,
    split_column: SplitColumn = None,
    map: Map = None,
    leave_out: LeaveOut = None,
    task: Task = None,
    target: Target = None,
    scale: Scale = None,
    order: Order = None,
    labels: Labels = None,
    accept: Accept = None,
    drop: Drop = None,
    fix: Fix = False,
    fit: Annotated[str | None, setting("input.fit", DATA)] = None,
    split_seed: Annotated[int | None, setting("split.seed", DATA)] = None,
    verify: Verify = False,
    model: Annotated[str | None, setting("model.network", MODEL)] = None,
    depth: Annotated[str | None, setting("model.depth", MODEL)] = None,
    from_scratch: FromScratch = False,
    with_examples: Annotated[bool, setting("model.examples", MODEL, "--with-examples")] = False,
    minutes: Annotated[float | None, setting("model.minutes", TRAINING)] = None,
    epochs: Annotated[int | None, setting("training.epochs", TRAINING, note="Not for depth head.")] = None,
    lr: Annotated[float | None, setting("training.lr", TRAINING, note="Not for depth head.")] = None,
    augment: Augment = None,
    views: Annotated[int | None, setting("model.views", TRAINING)] = None,
    refit: Annotated[bool, setting("split.refit", TRAINING, "--refit")] = False,
    seed: Annotated[int | None, setting("training.seed", TRAINING)] = None,
    find_lr: Annotated[
        bool,
        typer.Option("--find-lr", help="Run only the learning-rate range test and plot it.", rich_help_panel=TRAINING),
    ] = False,
    folds: Annotated[int | None, setting("repeats.folds", EVALUATION)] = None,
    seeds: Annotated[int | None, setting("repeats.seeds", EVALUATION)] = None,
    learning_curve: Annotated[bool, setting("repeats.learning_curve", EVALUATION, "--learning-curve")] = False,
    probes: Annotated[bool, setting("audit.probes", EVALUATION, "--probes")] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Run folder; must not exist. Default: runs/NAME-DATE-N.", rich_help_panel=OUTPUT),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Print what would be read and the expected time and disk space.", rich_help_panel=OUTPUT
        ),
    ] = False,
    resume: Annotated[Path | None, typer.Option(help="Resume an interrupted run.", rich_help_panel=OUTPUT)] = None,
    settings: Settings = None,
) -> None:
    """Train a model, evaluate it on the test set and write a report.

    Example: coverslip train leaves/ --depth tail --out runs/leaves
    """
    check_source(source)
    from coverslip import api
    from coverslip.core.progress import TerminalProgress
    from coverslip.pipeline.dry_run import dry_run as estimate

    progress = TerminalProgress()
    if resume is not None:
        refuse_with_resume(context, "verify")
        with resumable("train", resume):
            run = api.train(api.unfinished(resume), resume, resume=True, verify=verify, progress=progress)
    elif source is None:
        raise UserError("no images were given", "coverslip train FOLDER, or try 'coverslip demo' first")
    else:
        config = api.configure(
            source,
            augment=augment,
            settings=settings or [],
            group=group,
            size=size,
            site=site,
            path_column=path_column,
            label_column=label_column,
            split_column=split_column,
            map=map or None,
            leave_out=leave_out or None,
            task=task,
            target=target or None,
            scale=scale,
            order=order,
            labels=labels,
            accept=accept or None,
            drop=drop or None,
            fix=fix or None,
            probes=probes or None,
            model=model,
            depth=depth or None,
            from_scratch=from_scratch or None,
            minutes=minutes,
            views=views,
            fit=fit,
            split_seed=split_seed,
            seed=seed,
            refit=refit or None,
            epochs=epochs,
            lr=lr,
            folds=folds,
            seeds=seeds,
            learning_curve=learning_curve or None,
            with_examples=with_examples or None,
        )
        _refuse_unused(config, {"--epochs": epochs, "--lr": lr, "--augment": augment})
        if dry_run:
            _print_dry_run(estimate(config, progress=progress))
            return
        if find_lr:
            _print_lr(*api.find_lr(config, out, progress=progress))
            return
        with resumable("train", out):
            run = api.train(config, out, verify=verify, progress=progress)
    next_step = f"coverslip predict {quoted(run.folder)} IMAGES --out predictions.csv"
    warning = str(run.read_json(run.ledger_file)["warning"])
    repeats = run.json_or_empty(run.repeats_file)
    sentences = [str(content["says"]) for content in repeats.values() if content and content.get("says")]
    warnings = [warning] if warning else []
    print_result(run.read_json(run.test_file), run.report_file, next_step, warnings, sentences)
    facts = run.read_json(run.model_file)
    if facts.get("depth") == "head" and facts.get("task") == "classification" and source is not None:
        from coverslip.core.commands import options_text

        given = {"group": group, "site": site, "split-seed": split_seed, "accept": accept, "drop": drop, "fix": fix}
        given |= {"path-column": path_column, "label-column": label_column, "split-column": split_column}
        given |= {"map": map, "leave-out": leave_out, "size": size}
        same_data = quoted(source) + options_text(given)  # the same images, split the same way
        typer.echo(f"fine-tune for higher accuracy: coverslip train {same_data} --depth tail")


def _refuse_unused(config: RunConfig, given: dict[str, object]) -> None:
    """Refuse options that have no effect on a head fitted by the exact solver.

    Raises:
        UserError: such an option was given.
    """
    from coverslip.pipeline.resolve import resolve_config, uses_exact_head

    unused = [name for name, value in given.items() if value is not None]
    if unused and (resolved := resolve_config(config)).model.depth != "auto" and uses_exact_head(resolved):
        raise UserError(
            f"{' and '.join(unused)} {'has' if len(unused) == 1 else 'have'} no effect: a head on frozen features is "
            "fitted to convergence",
            f"omit {'it' if len(unused) == 1 else 'them'}, or add --depth tail (or all)",
        )


def _print_lr(suggestion: float, figure: Path) -> None:
    typer.echo(f"learning rate: {suggestion:.2g} (steepest decrease of the loss)")
    typer.echo(f"figure: {figure}")
    typer.echo(f"next: the same command with --lr {suggestion:.2g} instead of --find-lr")


def _print_dry_run(estimate: dict[str, Any]) -> None:
    from coverslip.core.storage import size_text

    splits = ", ".join(f"{split} {count:,}" for split, count in estimate["splits"].items())
    free = size_text(estimate["free_bytes"])
    typer.echo(
        f"images: {estimate['images']:,}" + (f" of {estimate['classes']} classes" if estimate["classes"] else "")
    )
    typer.echo(f"split: {splits}{'' if estimate['audited'] else ' (before the audit)'}")
    typer.echo(f"disk: {size_text(estimate['disk_bytes'])} in the cache; {free} are free")
    for stage, seconds in estimate["seconds"].items():
        text = "cached" if not seconds else f"about {seconds:.0f} s on this machine"
        typer.echo(f"{stage}: {text}")
    typer.echo("dry run: nothing was trained, and no run folder was written")
