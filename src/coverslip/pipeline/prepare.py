"""Before training: what is wrong with the images, what is done about it, and how they are divided."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from coverslip.auditing.audit import Audit, audit_table, judge_split, need_unblocked, with_probes
from coverslip.auditing.findings import Finding
from coverslip.auditing.price import leak_price
from coverslip.auditing.repair import write_corrected
from coverslip.auditing.shortcuts import probe_shortcuts
from coverslip.core.errors import UserError
from coverslip.core.progress import SILENT, Progress
from coverslip.core.runs import Run
from coverslip.core.storage import digest
from coverslip.core.tables import write_csv
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
from coverslip.inference.features import FeatureExtractor
from coverslip.models.catalog import network_entry
from coverslip.models.freeze import frozen_part
from coverslip.pipeline.config import ModelConfig, RunConfig
from coverslip.pipeline.resolve import (
    check_threshold,
    initial_weights,
    input_size,
    input_spec,
    is_pretrained,
    network_design,
)


@dataclass(frozen=True, slots=True)
class PreparedData:
    """Data that is read, audited and split.

    Attributes:
        table: a row an image, with its split.
        pixels: the decoded images, in the order of the table.
        audit: findings, and what was decided about them.
    """

    table: ImageTable
    pixels: PixelCache
    audit: Audit


def prepare(config: RunConfig, *, verify: bool = False, progress: Progress = SILENT) -> PreparedData:
    """Read, audit and split the images of a resolved config.

    Training, tuning, the learning-rate range test and the dry run all start from here, so that they see the same
    images in the same splits.

    Args:
        config: the config, see `coverslip.pipeline.resolve.resolve_config`.
        verify: read every file again instead of trusting size and modification time.
        progress: receives stages and notes.

    Raises:
        UserError: the data cannot be read or split, or does not suit the threshold.
        BlockedError: a finding that blocks training is not accepted.
    """
    table = scan(config.data.source, config.data.group)
    check_threshold(config, table.classes)
    progress.note(found_text(table))
    pixels = read_images(config, table, verify=verify, progress=progress)
    audit = run_audit(config, table, pixels, progress)
    need_unblocked(audit, config.data.source, config.data.options)
    audit = split_images(config, audit)
    log_findings(audit, progress)
    return PreparedData(audit.table, pixels, audit)


def read_images(
    config: RunConfig, table: ImageTable, *, verify: bool = False, progress: Progress = SILENT
) -> PixelCache:
    """Decode the images and resize them to the network's input, or open them from the cache."""
    size = input_size(config, network_entry(config.model.network))
    return read_pixels(table, size, config.input.fit, verify=verify, progress=progress)


def run_audit(config: RunConfig, table: ImageTable, pixels: PixelCache, log: Progress) -> Audit:
    """What was read and what was not, what is wrong with it, and what was decided about that; copies share a group."""
    table = with_status(table, pixels.facts)
    table = fill_in_times(table, pixels.facts, config.data.group)
    table = table.noting(*fit_notes(pixels.facts, config.input.fit))
    wish = config.audit
    return audit_table(
        table,
        pixels.facts,
        pixels.pixels,
        config.input.fit,
        accept=wish.accept,
        drop=wish.drop,
        fix=wish.fix,
        progress=log,
    )


def split_images(config: RunConfig, audit: Audit) -> Audit:
    """Split the audited images and add the findings about the split.

    Raises:
        UserError: there are too few images, groups or sites for the splits.
    """
    return judge_split(audit, split_table_of(config, audit.table), config.audit.accept)


def split_table_of(config: RunConfig, table: ImageTable) -> ImageTable:
    """Return the table with every image in one split; groups (and sites, where configured) are kept together.

    Raises:
        UserError: there are too few images, groups or sites for the splits.
    """
    sites = site_names(table, config.data.site) if config.data.site else None
    whole = config.split.sites == "whole"
    return split_table(table, config.split.fractions, config.split.seed, sites=sites, whole_sites=whole)


def fitted_spec(config: RunConfig, table: ImageTable, pixels: PixelCache) -> InputSpec:
    """The network's preparation; grey values that set it come from train only."""
    spec = input_spec(config, network_entry(config.model.network), pixels.format)
    return spec.fitted(pixels.pixels, table.rows("train"), config.training.seed)


def open_extractor(config: RunConfig, table: ImageTable, pixels: PixelCache) -> FeatureExtractor:
    """The frozen network of a plan, all but its classifier; without pretrained weights, the default network."""
    if not is_pretrained(config):
        size = input_size(config, network_entry(config.model.network))
        config = replace(config, model=ModelConfig(), input=replace(config.input, size=size[0]))
    spec = fitted_spec(config, table, pixels)
    design = network_design(config, spec.channels)
    return FeatureExtractor(frozen_part(design, initial_weights(config, spec.channels)), spec)


def run_probes(
    config: RunConfig, audit: Audit, pixels: PixelCache, extractor: FeatureExtractor, log: Progress
) -> Audit:
    """Shortcut probes and the price of a leak, on train and validation only: the test set stays shut."""
    table = audit.table
    rows = sorted(table.rows("train") + table.rows("validation"))
    groups, by = audit.supposed_groups()
    probes = probe_shortcuts(
        table,
        pixels.facts,
        pixels.pixels,
        config.input.fit,
        rows,
        groups=groups,
        seed=config.training.seed,
        progress=log,
    )
    price = None
    if by:
        keys = pixels.facts["row_hash"].to_list()
        features = extractor.extract(pixels.pixels, rows, keys, 1, log, "computing features")
        mine = [groups[row] for row in rows]
        price = leak_price(
            features, table.labels(rows), mine, len(table.classes), seed=config.split.seed, by=by, progress=log
        )
    return with_probes(audit, probes, price, config.audit.accept)


def log_findings(audit: Audit, log: Progress) -> None:
    """The findings that matter, a line each, and how the images were divided."""
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


def write_audit(config: RunConfig, audit: Audit, folder: Run) -> None:
    """Write ``audit.json``, the table as it was settled, and where images were left out a corrected table."""
    table, size = audit.table, input_size(config, network_entry(config.model.network))
    root = relative_root(table.root, folder.folder.absolute())
    facts = summarize(table, audit.facts, audit.twins.exact, size, config.input.fit, root)
    facts["twins"]["near"] = len(audit.twins.near)
    facts["data_hash"] = digest(
        "data", *zip(table.paths, audit.facts["file_hash"].to_list(), table.frame["label"].to_list(), strict=True)
    )
    facts["split_given"] = audit.split_given
    source = relative_root(Path(config.data.source).absolute(), folder.folder.absolute())
    facts["given"] = {"source": source, "group": config.data.group, "site": config.data.site}
    folder.write_json(folder.audit_file, facts | audit.to_json())
    write_csv(table.frame, folder.table_file)
    if any(each.decision in ("fixed", "dropped") for each in audit.findings) and isinstance(table.source, Files):
        write_corrected(table, folder.corrected_file, root)


def found_text(table: ImageTable) -> str:
    """How many images, classes and groups there are, in a line."""
    counts = table.frame["label"].value_counts()["count"].to_list()
    low, high = min(counts), max(counts)
    each = f"{low:,} each" if low == high else f"{low:,} to {high:,} each"
    groups = table.frame["group"].drop_nulls().n_unique()
    by = f"{groups:,} groups ({table.grouped_by})" if table.grouped_by else "no groups"
    return f"found {len(table):,} images of {len(table.classes)} classes ({each}), {by}"


def _divided(table: ImageTable) -> str:
    parts = []
    for part in PARTS:
        rows = table.rows(part)
        groups = f" of {len(set(table.groups(rows))):,} groups" if table.grouped_by else ""
        parts.append(f"{part} {len(rows):,}{groups}")
    return "split: " + ", ".join(parts)


def audit_source(config: RunConfig, verify: bool, price: bool, progress: Progress) -> tuple[Audit, ImageTable | None]:
    """The audit, and where no groups were given the table with those that are proposed."""
    table = scan(config.data.source, config.data.group)
    pixels = read_images(config, table, verify=verify, progress=progress)
    found = run_audit(config, table, pixels, progress)
    try:
        found = split_images(config, found)
    except UserError as error:
        if not found.table.rows():
            raise
        return found.adding(_no_split(error)), None
    proposed = found.table.with_columns(group=found.supposed_groups()[0]) if found.proposals else None
    if not price:
        return found, proposed
    extractor = open_extractor(config, found.table, pixels)
    found = run_probes(config, found, pixels, extractor, progress)
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
        meaning="The images cannot be divided into train, validation and test.",
        remedy=error.fix[:1].upper() + error.fix[1:] + ".",
    )
