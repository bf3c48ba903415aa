"""``coverslip audit``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coverslip.cli.checks import check_source
from coverslip.cli.options import (
    EVALUATION,
    OUTPUT,
    Accept,
    Drop,
    Fix,
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
)
from coverslip.cli.terminal import quoted

if TYPE_CHECKING:
    from coverslip.auditing.audit import Audit
    from coverslip.core.runs import Run
    from coverslip.pipeline.config import RunConfig

BLOCKED = 1
WORDS = {"blocks": ("error", "errors"), "warns": ("warning", "warnings"), "notes": ("note", "notes")}  # of severities
COLORS = {"blocks": "bold red", "warns": "yellow", "notes": "dim"}


def audit(
    source: Annotated[Path, typer.Argument(help="Folder of class folders, table (CSV, Parquet) or .npz file.")],
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
    fix: Fix = False,
    accept: Accept = None,
    drop: Drop = None,
    verify: Verify = False,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Skip the shortcut tests and the leakage estimate.", rich_help_panel=EVALUATION),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for audit.html, audit.json and corrected tables; must not exist.", rich_help_panel=OUTPUT
        ),
    ] = None,
    settings: Settings = None,
) -> None:
    """Check the images before training: duplicates, leakage, shortcuts.

    Example: coverslip audit leaves/ --out audit
    """
    check_source(source)
    from coverslip import api
    from coverslip.core.progress import TerminalProgress
    from coverslip.core.runs import Run

    progress = TerminalProgress()
    config = api.configure(
        source,
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
    )
    result = api.audit(config, out, verify=verify, probes=not quick, progress=progress)
    _print(result)
    folder = None if out is None else Run(out)
    if folder is not None:
        typer.echo(f"page: {folder.audit_page_file}")
    typer.echo(f"next: {_next_command(result, source, config, folder)}")
    if result.blocking:
        raise typer.Exit(BLOCKED)


def _print(result: Audit) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = result.table
    counts = ", ".join(f"{count} {WORDS[name][count != 1]}" for name, count in result.counts().items())
    of = f"with {', '.join(table.targets)}" if table.targets else f"of {len(table.classes)} classes"
    of = f"with {len(table.classes)} labels" if table.task == "multilabel" else of
    console.print(f"{len(table):,} images {of}: {counts}", soft_wrap=True)
    for note in table.notes:
        console.print(f"[dim]{'note':<7}[/]", end=" ")
        console.print(note, markup=False, soft_wrap=True)
    for finding in result.findings:
        word = WORDS[finding.severity][0]
        word = f"{finding.decision} ({word})" if finding.decision else word
        console.print(f"[{COLORS[finding.severity]}]{word:<7}[/]", end=" ")
        console.print(f"{finding.name}: {finding.title}", markup=False, soft_wrap=True)
        if finding.severity != "notes":
            console.print(f"        {finding.meaning} {finding.remedy}", markup=False, soft_wrap=True)
    if result.probes is not None:
        title = "shortcuts: can the label be predicted without the subject?"
        rows = Table(title=title, title_justify="left", box=None, pad_edge=False)
        for heading in ("predicted from", "balanced accuracy [95% interval]", "chance", "verdict"):
            rows.add_column(heading)
        for probe in result.probes:
            value = "not run" if probe.value is None else f"{probe.value:.3f}"
            if probe.low is not None and probe.high is not None:
                value += f" [{probe.low:.3f}, {probe.high:.3f}]"
            chance = "" if probe.chance is None else f"{probe.chance:.3f}"
            rows.add_row(probe.title, value, chance, probe.verdict_text)
        console.print(rows)
    if result.leakage is not None:
        console.print(f"leakage: {result.leakage.summary}", markup=False, soft_wrap=True)


def _source_text(source: Path, config: RunConfig, fix: bool) -> str:
    """Return the source with its groups, sites and decisions, as the arguments of the next command."""
    from coverslip.core.commands import options_text

    decisions = {"accept": config.audit.accept, "drop": config.audit.drop, "fix": fix}
    given = {} if source.suffix.lower() == ".toml" else config.data.options
    return quoted(source) + options_text(given | decisions)


def _task_text(result: Audit, config: RunConfig) -> str:
    """Return the options that say what a table written by the audit is to be trained for."""
    from coverslip.core.commands import options_text

    given = config.data.options
    task = config.data.task or ("multilabel" if result.table.task == "multilabel" else "")
    return options_text({"task": task, **{name: given[name] for name in ("target", "scale", "order")}})


def _next_command(result: Audit, source: Path, config: RunConfig, folder: Run | None) -> str:
    from coverslip.core.commands import options_text

    arguments = _source_text(source, config, config.audit.fix)
    if folder is None:
        return f"coverslip audit {arguments} --out audit (writes a page with the affected images)"
    # Dropped and fixed images are not in the new tables, which have the columns path, label, group and split.
    accepted = _task_text(result, config) + options_text({"accept": config.audit.accept})
    if folder.corrected_file.is_file():
        return f"coverslip train {quoted(folder.corrected_file)}{accepted}"
    if result.blocking:
        return f"coverslip train {_source_text(source, config, True)} (or --drop FINDING, --accept FINDING)"
    if result.table.grouped_by is None and folder.proposed_file.is_file():
        table = f"{quoted(folder.proposed_file)}{accepted}"
        return f"coverslip train {table} (this table has the proposed groups; check them first)"
    return f"coverslip train {arguments}"
