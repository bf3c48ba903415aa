"""Before training: what is wrong with the pictures, what is done about it, and how they are divided."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from coverslip.auditing.audit import Audit, audit_table, judge_split, with_probes
from coverslip.auditing.findings import Finding
from coverslip.auditing.price import leak_price
from coverslip.auditing.repair import write_corrected
from coverslip.auditing.shortcuts import probe_shortcuts
from coverslip.data.cache import PixelCache, read_pixels, with_status
from coverslip.data.groups import SHOTS, fill_in_times, join_sets
from coverslip.data.inputs import InputSpec
from coverslip.data.proposals import WIDE_GAP
from coverslip.data.scan import scan
from coverslip.data.shots import refine_groups
from coverslip.data.sources.source import Files
from coverslip.data.split import site_names, split_table
from coverslip.data.summary import fit_notes, relative_root, summarize
from coverslip.data.table import PARTS, ImageTable
from coverslip.errors import UserError
from coverslip.inference.features import FeatureExtractor
from coverslip.models.catalog import network_entry
from coverslip.models.freeze import frozen_part
from coverslip.progress import Progress
from coverslip.runs import Run
from coverslip.settings import (
    Experiment,
    ModelConfig,
    design_of,
    input_size,
    input_spec,
    is_pretrained,
    starting_weights,
)
from coverslip.storage import digest
from coverslip.tables import write_csv


def inspect(plan: Experiment, table: ImageTable, pixels: PixelCache, log: Progress) -> Audit:
    """What was read and what was not, what is wrong with it, and what was decided about that; copies share a group."""
    table = with_status(table, pixels.facts)
    table = fill_in_times(table, pixels.facts, plan.data.group)
    table = table.noting(*fit_notes(pixels.facts, plan.input.fit))
    wish = plan.audit
    return audit_table(
        table,
        pixels.facts,
        pixels.pixels,
        plan.input.fit,
        accept=wish.accept,
        drop=wish.drop,
        fix=wish.fix,
        progress=log,
    )


def divide(plan: Experiment, audit: Audit) -> Audit:
    """Every picture in one part, groups (and sites, if asked) whole; and what is to be said of the parts.

    Raises:
        UserError: there are too few pictures, groups or sites for the parts.
    """
    sites = site_names(audit.table, plan.data.site) if plan.data.site else None
    whole = plan.split.sites == "whole"
    table = split_table(audit.table, plan.split.fractions, plan.split.seed, sites=sites, whole_sites=whole)
    return judge_split(audit, table, plan.audit.accept)


def fitted_spec(plan: Experiment, table: ImageTable, pixels: PixelCache) -> InputSpec:
    """The network's preparation; grey values that set it come from train only."""
    spec = input_spec(plan, network_entry(plan.model.network), pixels.format)
    return spec.fitted(pixels.pixels, table.rows("train"), plan.training.seed)


def open_extractor(plan: Experiment, table: ImageTable, pixels: PixelCache) -> FeatureExtractor:
    """The frozen network of a plan, all but its classifier; without pretrained weights, the default network."""
    if not is_pretrained(plan):
        size = input_size(plan, network_entry(plan.model.network))
        plan = replace(plan, model=ModelConfig(), input=replace(plan.input, size=size[0]))
    spec = fitted_spec(plan, table, pixels)
    design = design_of(plan, spec.channels)
    return FeatureExtractor(frozen_part(design, starting_weights(plan, spec.channels)), spec)


def appraise(plan: Experiment, audit: Audit, pixels: PixelCache, extractor: FeatureExtractor, log: Progress) -> Audit:
    """Shortcut probes and the price of a leak, on train and validation only: the test part stays shut."""
    table = audit.table
    rows = sorted(table.rows("train") + table.rows("validation"))
    groups, by = audit.supposed_groups()
    probes = probe_shortcuts(
        table, pixels.facts, pixels.pixels, plan.input.fit, rows, groups=groups, seed=plan.training.seed, progress=log
    )
    price = None
    if by:
        keys = pixels.facts["row_hash"].to_list()
        features = extractor.extract(pixels.pixels, rows, keys, 1, log, "computing features")
        mine = [groups[row] for row in rows]
        price = leak_price(
            features, table.labels(rows), mine, len(table.classes), seed=plan.split.seed, by=by, progress=log
        )
    return with_probes(audit, probes, price, plan.audit.accept)


def tell(audit: Audit, log: Progress) -> None:
    """The findings that matter, a line each, and how the pictures were divided."""
    table = audit.table
    for note in table.notes:
        log.note(f"note: {note}")
    for finding in audit.findings:
        if finding.severity != "notes" or finding.decision:
            word = finding.decision or "warning"
            log.note(f"{word}: {finding.title} ({finding.name}). {finding.meaning} {finding.remedy}")
    others = [each.name for each in audit.findings if each.severity == "notes" and not each.decision]
    if others:
        log.note(f"also noted, in the report: {', '.join(others)}")
    log.note(_divided(table))


def write_audit(plan: Experiment, audit: Audit, folder: Run) -> None:
    """Write ``audit.json``, the table as it was settled, and where pictures were left out a corrected table."""
    table, size = audit.table, input_size(plan, network_entry(plan.model.network))
    root = relative_root(table.root, folder.folder.absolute())
    facts = summarize(table, audit.facts, audit.twins.exact, size, plan.input.fit, root)
    facts["twins"]["near"] = len(audit.twins.near)
    facts["data_hash"] = digest(
        "data", *zip(table.paths, audit.facts["file_hash"].to_list(), table.frame["label"].to_list(), strict=True)
    )
    facts["split_given"] = audit.split_given
    source = relative_root(Path(plan.data.source).absolute(), folder.folder.absolute())
    facts["given"] = {"source": source, "group": plan.data.group, "site": plan.data.site}
    folder.write_json(folder.audit_file, facts | audit.to_json())
    write_csv(table.frame, folder.table_file)
    if any(each.decision in ("fixed", "dropped") for each in audit.findings) and isinstance(table.source, Files):
        write_corrected(table, folder.corrected_file, root)


def found_text(table: ImageTable) -> str:
    """How many pictures, classes and groups there are, in a line."""
    counts = table.frame["label"].value_counts()["count"].to_list()
    low, high = min(counts), max(counts)
    each = f"{low:,} each" if low == high else f"{low:,} to {high:,} each"
    groups = table.frame["group"].drop_nulls().n_unique()
    by = f"{groups:,} groups ({table.grouped_by})" if table.grouped_by else "no groups"
    return f"found {len(table):,} pictures of {len(table.classes)} classes ({each}), {by}"


def _divided(table: ImageTable) -> str:
    parts = []
    for part in PARTS:
        rows = table.rows(part)
        groups = f" of {len(set(table.groups(rows))):,} groups" if table.grouped_by else ""
        parts.append(f"{part} {len(rows):,}{groups}")
    return "split: " + ", ".join(parts)


def audit_pictures(
    settings: Experiment, verify: bool, price: bool, progress: Progress
) -> tuple[Audit, ImageTable | None]:
    """The audit, and where no groups were given the table with those that are proposed."""
    table = scan(settings.data.source, settings.data.group)
    size = input_size(settings, network_entry(settings.model.network))
    pixels = read_pixels(table, size, settings.input.fit, verify=verify, progress=progress)
    found = inspect(settings, table, pixels, progress)
    try:
        found = divide(settings, found)
    except UserError as error:
        if not found.table.rows():
            raise
        return found.adding(_no_split(error)), None
    proposed = found.table.with_columns(group=found.supposed_groups()[0]) if found.proposals else None
    if not price:
        return found, proposed
    extractor = open_extractor(settings, found.table, pixels)
    found = appraise(settings, found, pixels, extractor, progress)
    if proposed is not None and found.proposals[0].use.startswith(SHOTS):
        # Runs of shot numbers are cut where the network sees different things; labels play no part in it.
        table, rows = found.table, found.table.rows()
        keys = pixels.facts["row_hash"].to_list()
        features = extractor.extract(pixels.pixels, rows, keys, 1, progress, "comparing shots")
        refined = refine_groups(table, rows, features, WIDE_GAP)
        proposed = join_sets(table.with_columns(group=refined), found.twins.sets)
    return found, proposed


def _no_split(error: UserError) -> Finding:
    return Finding(
        name="no-split",
        severity="blocks",
        title=error.problem,
        meaning="The pictures cannot be divided into train, validation and test.",
        remedy=error.fix[:1].upper() + error.fix[1:] + ".",
    )
