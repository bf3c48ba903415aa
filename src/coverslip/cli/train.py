"""``coverslip train``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coverslip.cli.options import Accept, Drop, Fix, Group, Settings, Site, Verify, refuse_beside_resume
from coverslip.cli.terminal import print_result, quoted
from coverslip.errors import StoppedError, UserError

if TYPE_CHECKING:
    from coverslip.settings import Experiment


def train(
    context: typer.Context,
    source: Annotated[
        Path | None, typer.Argument(help="Folder of class folders, table (CSV, Parquet), .npz, or an experiment.toml.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run; must not exist. Default: runs/NAME-DATE-N.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Network by name (coverslip networks). Default: efficientnet-lite0.")
    ] = None,
    depth: Annotated[
        str | None,
        typer.Option(help="How much of it is trained: head, tail, all, auto, or from which stage. Default: head."),
    ] = None,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Start from chance, not from pretrained weights; trains all.")
    ] = False,
    minutes: Annotated[float | None, typer.Option(help="Depth auto: what training may take. Default: 3.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the pictures (not depth head).")] = None,
    rate: Annotated[float | None, typer.Option(help="Largest learning rate (not depth head).")] = None,
    augment: Annotated[
        str | None, typer.Option(help="How pictures vary in training: none, flips, light, strong, tissue.")
    ] = None,
    find_rate: Annotated[
        bool, typer.Option("--find-rate", help="Only test learning rates, and draw the loss at each.")
    ] = False,
    group: Group = None,
    site: Site = None,
    accept: Accept = None,
    drop: Drop = None,
    fix: Fix = False,
    price: Annotated[
        bool, typer.Option("--price", help="Also look for shortcuts and put a price on a leak; up to a minute.")
    ] = False,
    seed: Annotated[int | None, typer.Option(help="Seed of training. Default: 0.")] = None,
    split_seed: Annotated[int | None, typer.Option(help="Seed of the split. Default: 0.")] = None,
    views: Annotated[
        int | None, typer.Option(help="Views of each training picture, 1 to 8. Default: 2; below a head 4.")
    ] = None,
    fit: Annotated[
        str | None, typer.Option(help="How pictures become square: pad, squash, crop. Default: pad.")
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(help="Also a cross-validation of so many folds, by whole groups, without the test part."),
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="Also so many other splits, without the test part.")] = None,
    learning_curve: Annotated[
        bool, typer.Option("--learning-curve", help="Also what more pictures would buy.")
    ] = False,
    refit: Annotated[bool, typer.Option("--refit", help="Train on train and validation together.")] = False,
    with_examples: Annotated[
        bool,
        typer.Option("--with-examples", help="Keep small training pictures in the model, for serve; maybe patients'."),
    ] = False,
    verify: Verify = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be read, how long, how much disk.")
    ] = False,
    resume: Annotated[Path | None, typer.Option(help="Go on with an unfinished run.")] = None,
    settings: Settings = None,
) -> None:
    """Train, test and report: one command from a folder of pictures to a result with intervals."""
    from coverslip import api, forecast
    from coverslip.progress import TerminalProgress

    progress = TerminalProgress()
    if resume is not None:
        refuse_beside_resume(context, "verify")
        with _kept(resume):
            run = api.train(api.unfinished(resume), resume, resume=True, verify=verify, progress=progress)
    elif source is None:
        raise UserError("no pictures were named", "coverslip train FOLDER, or 'coverslip demo' to see it work first")
    else:
        plan = api.plan(
            source,
            augment=augment,
            settings=settings or [],
            data_group=group,
            data_site=site,
            audit_accept=accept or None,
            audit_drop=drop or None,
            audit_fix=fix or None,
            audit_price=price or None,
            model_network=model,
            model_depth=depth or ("auto" if minutes else None),
            model_pretrained=False if from_scratch else None,
            model_minutes=minutes,
            model_views=views,
            input_fit=fit,
            split_seed=split_seed,
            training_seed=seed,
            training_refit=refit or None,
            recipe_epochs=epochs,
            recipe_rate=rate,
            repeats_folds=folds,
            repeats_seeds=seeds,
            repeats_learning_curve=learning_curve or None,
            bundle_examples=with_examples or None,
        )
        _refuse_idle(plan, {"--epochs": epochs, "--rate": rate, "--augment": augment})
        if dry_run:
            _print_dry_run(forecast.dry_run(plan, progress=progress))
            return
        if find_rate:
            _print_rates(*api.find_rate(plan, out, progress=progress))
            return
        with _kept(out):
            run = api.train(plan, out, verify=verify, progress=progress)
    following = f"coverslip predict {quoted(run.folder)} PICTURES --out predictions.csv"
    about = run.read_json(run.model_file)
    if about.get("depth") == "head" and source is not None:
        from coverslip.commands import options_text

        given = {"group": group, "site": site, "split-seed": split_seed, "accept": accept, "drop": drop, "fix": fix}
        again = quoted(source) + options_text(given)  # the same pictures, split the same way
        typer.echo(f"deeper   coverslip train {again} --depth tail: some minutes, often several points")
    warning = str(run.read_json(run.ledger_file)["warning"])
    print_result(run.read_json(run.test_file), run.report_file, following, [warning] if warning else [])


def _refuse_idle(plan: Experiment, given: dict[str, object]) -> None:
    """A head that is fitted to its end has no epochs: whoever asks for some means another depth."""
    from coverslip.settings import fits_exactly, settled

    idle = [name for name, value in given.items() if value is not None]
    if idle and (known := settled(plan)).model.depth != "auto" and fits_exactly(known):
        raise UserError(
            f"{' and '.join(idle)} would change nothing: a head on frozen features is fitted to its end, in one step",
            f"leave {'it' if len(idle) == 1 else 'them'} out, or add --depth tail (or all)",
        )


@contextmanager
def _kept(folder: Path | None) -> Iterator[None]:
    """Ctrl+C says how to go on with this run, where its folder was named."""
    try:
        yield
    except KeyboardInterrupt:
        if folder is None or not folder.is_dir():
            raise
        fix = f"go on with it: coverslip train --resume {quoted(folder)}"
        raise StoppedError("interrupted; what was computed so far is kept", fix) from None


def _print_rates(suggestion: float, figure: Path) -> None:
    typer.echo(f"suggested {suggestion:.2g}: there the loss falls fastest")
    typer.echo(f"figure    {figure}")
    typer.echo(f"next      the same command with --rate {suggestion:.2g} instead of --find-rate")


def _print_dry_run(found: dict[str, Any]) -> None:
    from coverslip.storage import size_text

    parts = ", ".join(f"{part} {count:,}" for part, count in found["parts"].items())
    typer.echo(f"would read   {found['pictures']:,} pictures of {found['classes']} classes")
    typer.echo(f"would split  {parts}")
    typer.echo(f"disk         {size_text(found['disk_bytes'])} in the cache; {size_text(found['free_bytes'])} are free")
    for stage, seconds in found["seconds"].items():
        took = "nothing to do: cached" if not seconds else f"about {seconds:.0f} s on this machine"
        typer.echo(f"time         {stage}: {took}")
    typer.echo("nothing was trained or written to a run folder")
