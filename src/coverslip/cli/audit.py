"""``coverslip audit``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coverslip.cli.options import Accept, Drop, Fix, Group, Settings, Site, Verify
from coverslip.cli.terminal import quoted

if TYPE_CHECKING:
    from coverslip.auditing.audit import Audit
    from coverslip.core.runs import Run
    from coverslip.pipeline.config import RunConfig

BLOCKED = 1


def audit(
    source: Annotated[Path, typer.Argument(help="Folder of class folders, table (CSV, Parquet) or .npz.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for audit.html, audit.json and corrected tables; must not exist.")
    ] = None,
    group: Group = None,
    site: Site = None,
    accept: Accept = None,
    drop: Drop = None,
    fix: Fix = False,
    quick: Annotated[bool, typer.Option("--quick", help="No shortcut probes and no price of a leak.")] = False,
    verify: Verify = False,
    settings: Settings = None,
) -> None:
    """What is wrong with these images, before any training: copies, groups, splits, shortcuts. Changes nothing."""
    from coverslip import api
    from coverslip.core.progress import TerminalProgress
    from coverslip.core.runs import Run

    progress = TerminalProgress()
    config = api.configure(
        source,
        settings=settings or [],
        data_group=group,
        data_site=site,
        audit_accept=accept or None,
        audit_drop=drop or None,
        audit_fix=fix or None,
    )
    found = api.audit(config, out, verify=verify, price=not quick, progress=progress)
    _print(found)
    there = None if out is None else Run(out)
    if there is not None:
        typer.echo(f"page: {there.audit_page_file}")
    typer.echo(f"next: {_following(found, source, config, there)}")
    if found.blocking:
        raise typer.Exit(BLOCKED)


def _print(found: Audit) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = found.table
    counts = found.counts()
    said = ", ".join(f"{counts[name]} {name}" for name in counts)
    console.print(f"{len(table):,} images of {len(table.classes)} classes: {said}", soft_wrap=True)
    colors = {"blocks": "bold red", "warns": "yellow", "notes": "dim"}
    for finding in found.findings:
        word = f"{finding.decision} ({finding.severity})" if finding.decision else finding.severity
        console.print(f"[{colors[finding.severity]}]{word:<6}[/]", end=" ")
        console.print(f"{finding.name}: {finding.title}", markup=False, soft_wrap=True)
        if finding.severity != "notes":
            console.print(f"       {finding.meaning} {finding.remedy}", markup=False, soft_wrap=True)
    if found.probes is not None:
        rows = Table(title="can the label be told without the subject?", title_justify="left", box=None, pad_edge=False)
        for title in ("from", "balanced accuracy [95% interval]", "chance", "verdict"):
            rows.add_column(title)
        for probe in found.probes:
            value = "not run" if probe.value is None else f"{probe.value:.3f}"
            if probe.low is not None and probe.high is not None:
                value += f" [{probe.low:.3f}, {probe.high:.3f}]"
            chance = "" if probe.chance is None else f"{probe.chance:.3f}"
            rows.add_row(probe.title, value, chance, probe.verdict)
        console.print(rows)
    if found.price is not None:
        console.print(f"price of a leak: {found.price.says}", markup=False, soft_wrap=True)


def _named(source: Path, config: RunConfig, fix: bool) -> str:
    """The images with their groups, their sites and what was decided, as the next command has to name them."""
    from coverslip.core.commands import options_text

    decided = {"accept": config.audit.accept, "drop": config.audit.drop, "fix": fix}
    given = {} if source.suffix.lower() == ".toml" else config.data.options
    return quoted(source) + options_text(given | decided)


def _following(found: Audit, source: Path, config: RunConfig, there: Run | None) -> str:
    from coverslip.core.commands import options_text

    named = _named(source, config, config.audit.fix)
    if there is None:
        return f"coverslip audit {named} --out audit, to look at the images concerned"
    accepted = options_text({"accept": config.audit.accept})  # what was dropped or fixed is not in the new tables
    if there.corrected_file.is_file():
        return f"coverslip train {quoted(there.corrected_file)}{accepted}"
    if found.blocking:
        return f"coverslip train {_named(source, config, True)} (or --drop NAME, --accept NAME)"
    if found.table.grouped_by is None and there.proposed_file.is_file():
        table = f"{quoted(there.proposed_file)}{accepted}"
        return f"coverslip train {table} (the table has the proposed groups, if they are right)"
    return f"coverslip train {named}"
