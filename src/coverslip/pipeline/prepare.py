"""Read, audit and split the images before training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from coverslip.auditing.audit import Audit, audit_table, raise_if_blocked, with_probe_findings, with_split_findings
from coverslip.auditing.findings import Finding
from coverslip.auditing.leakage import estimate_leakage
from coverslip.auditing.repair import write_corrected
from coverslip.auditing.shortcuts import probe_shortcuts
from coverslip.core.errors import UserError
from coverslip.core.progress import SILENT, Progress
from coverslip.core.runs import Run
from coverslip.core.storage import digest
from coverslip.core.tables import write_csv
from coverslip.data.cache import PixelCache, read_pixels, with_status
from coverslip.data.groups import SHOTS, fill_in_time_groups, join_sets
from coverslip.data.inputs import InputSpec
from coverslip.data.proposals import WIDE_GAP
from coverslip.data.scan import scan
from coverslip.data.shots import refine_groups
from coverslip.data.sources.source import Files
from coverslip.data.split import site_names, split_table
from coverslip.data.summary import fit_notes, relative_root, summarize
from coverslip.data.table import SPLITS, ImageTable
from coverslip.inference.features import FeatureExtractor
from coverslip.models.freeze import frozen_stages
from coverslip.pipeline.config import ModelConfig, RunConfig
from coverslip.pipeline.resolve import (
    check_task,
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
        table: a row per image, with its split.
        pixels: the decoded images, in the order of the table.
        audit: findings, and the decisions about them.
    """

    table: ImageTable
    pixels: PixelCache
    audit: Audit


def scan_images(config: RunConfig) -> ImageTable:
    """List the images of a config, see `coverslip.data.scan.scan`."""
    return scan(config.data.source, config.data.group, options=config.data.reading)


def prepare(
    config: RunConfig, table: ImageTable | None = None, *, verify: bool = False, progress: Progress = SILENT
) -> PreparedData:
    """Read, audit and split the images of a resolved config.

    Training, tuning, the learning-rate range test and the dry run all start from here, so that they see the same
    images in the same splits.

    Args:
        config: the config, see `coverslip.pipeline.resolve.resolve_config`.
        table: its images, if they are already listed.
        verify: read every file again instead of trusting size and modification time.
        progress: receives stages and notes.

    Raises:
        UserError: the data cannot be read or split, or does not suit the threshold.
        BlockedError: a finding that blocks training is not accepted.
    """
    table = scan_images(config) if table is None else table
    check_task(config, table)
    progress.note(found_text(table))
    pixels = read_images(config, table, verify=verify, progress=progress)
    audit = run_audit(config, table, pixels, progress)
    raise_if_blocked(audit, config.data.source, config.data.options)
    audit = split_images(config, audit)
    log_findings(audit, progress)
    return PreparedData(audit.table, pixels, audit)


def read_images(
    config: RunConfig, table: ImageTable, *, verify: bool = False, progress: Progress = SILENT
) -> PixelCache:
    """Decode the images and resize them to the network's input, or open them from the cache."""
    return read_pixels(table, input_size(config), config.input.fit, verify=verify, progress=progress)


def run_audit(config: RunConfig, table: ImageTable, pixels: PixelCache, log: Progress) -> Audit:
    """Audit the decoded images: findings, decisions, and the table in which copies share a group."""
    table = with_status(table, pixels.facts)
    table = fill_in_time_groups(table, pixels.facts, config.data.group)
    table = table.with_notes(*fit_notes(pixels.facts, config.input.fit))
    decisions = config.audit
    return audit_table(
        table,
        pixels.facts,
        pixels.pixels,
        config.input.fit,
        accept=decisions.accept,
        drop=decisions.drop,
        fix=decisions.fix,
        progress=log,
    )


def split_images(config: RunConfig, audit: Audit) -> Audit:
    """Split the audited images and add the findings about the split.

    Raises:
        UserError: there are too few images, groups or sites for the splits.
    """
    return with_split_findings(audit, split_table_of(config, audit.table), config.audit.accept)


def split_table_of(config: RunConfig, table: ImageTable) -> ImageTable:
    """Return the table with every image in one split; groups (and sites, where configured) are kept together.

    Raises:
        UserError: there are too few images, groups or sites for the splits.
    """
    sites = site_names(table, config.data.site) if config.data.site else None
    whole = config.split.sites == "whole"
    return split_table(table, config.split.fractions, config.split.seed, sites=sites, keep_sites_intact=whole)


def fitted_spec(config: RunConfig, table: ImageTable, pixels: PixelCache) -> InputSpec:
    """Return the network's preparation; intensity percentiles are fitted on the training set only."""
    spec = input_spec(config, pixels.format)
    return spec.with_percentiles(pixels.pixels, table.rows("train"), config.training.seed)


def open_extractor(config: RunConfig, table: ImageTable, pixels: PixelCache) -> FeatureExtractor:
    """Return the frozen network without its classifier; without pretrained weights, that of the default network."""
    if not is_pretrained(config):
        size = input_size(config)
        config = replace(config, model=ModelConfig(), input=replace(config.input, size=size[0]))
    spec = fitted_spec(config, table, pixels)
    design = network_design(config, spec.channels)
    return FeatureExtractor(frozen_stages(design, initial_weights(config, spec.channels)), spec)


def run_probes(
    config: RunConfig, audit: Audit, pixels: PixelCache, extractor: FeatureExtractor, log: Progress
) -> Audit:
    """Test for shortcuts and estimate the leakage inflation, on the train and validation set only.

    Both compare classes, so they are skipped, with a note, for other tasks.
    """
    table = audit.table
    if table.task not in ("classification", "ordinal"):
        log.note(f"note: shortcut probes and the leakage estimate compare classes; skipped for {table.task}")
        return audit
    rows = sorted(table.rows("train") + table.rows("validation"))
    groups, by = audit.likely_groups()
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
    leakage = None
    if by:
        keys = pixels.facts["row_hash"].to_list()
        features = extractor.extract(pixels.pixels, rows, keys, 1, log, "computing features")
        row_groups = [groups[row] for row in rows]
        leakage = estimate_leakage(
            features, table.labels(rows), row_groups, len(table.classes), seed=config.split.seed, by=by, progress=log
        )
    return with_probe_findings(audit, probes, leakage, config.audit.accept)


def log_findings(audit: Audit, log: Progress) -> None:
    """Log errors and warnings, a line each, the names of the notes, and the split."""
    table = audit.table
    for note in table.notes:
        log.note(f"note: {note}")
    for finding in audit.findings:
        if finding.severity != "notes" or finding.decision:
            word = finding.decision or "warning"
            log.note(f"{word}: {finding.title} ({finding.name}). {finding.meaning} {finding.remedy}")
    notes = [finding.name for finding in audit.findings if finding.severity == "notes" and not finding.decision]
    if notes:
        log.note(f"notes (details in the report): {', '.join(notes)}")
    log.note(split_text(table))


def write_audit(config: RunConfig, audit: Audit, folder: Run) -> None:
    """Write ``audit.json``, the table with its splits, and, if images were dropped, a corrected table."""
    table, size = audit.table, input_size(config)
    root = relative_root(table.root, folder.folder.absolute())
    facts = summarize(table, audit.facts, audit.duplicates.exact, size, config.input.fit, root)
    facts["duplicates"]["near"] = len(audit.duplicates.near)
    facts["data_hash"] = digest(
        "data", *zip(table.paths, audit.facts["file_hash"].to_list(), table.frame["label"].to_list(), strict=True)
    )
    facts["split_given"] = audit.split_given
    source = relative_root(Path(config.data.source).absolute(), folder.folder.absolute())
    facts["given"] = {"source": source, "group": config.data.group, "site": config.data.site}
    folder.write_json(folder.audit_file, facts | audit.to_json())
    write_csv(table.frame, folder.table_file)
    changed = any(finding.decision in ("fixed", "dropped") for finding in audit.findings)
    if changed and isinstance(table.source, Files):
        write_corrected(table, folder.corrected_file, root)


def found_text(table: ImageTable) -> str:
    """Return one line with the numbers of images, classes and groups, and the task if it is not classification."""
    groups = table.frame["group"].drop_nulls().n_unique()
    by = f"{groups:,} groups ({table.grouped_by})" if table.grouped_by else "no groups"
    if table.task == "regression":
        ranges = {name: table.frame[name].to_list() for name in table.targets}
        of = ", ".join(f"{name} {min(values):.4g} to {max(values):.4g}" for name, values in ranges.items())
        return f"found {len(table):,} images with {of} (task: regression), {by}"
    if table.task == "multilabel":
        return f"found {len(table):,} images with {len(table.classes)} labels (task: multilabel), {by}"
    counts = table.frame["label"].value_counts()["count"].to_list()
    low, high = min(counts), max(counts)
    per_class = f"{low:,} each" if low == high else f"{low:,} to {high:,} each"
    kind = " (task: ordinal)" if table.task == "ordinal" else ""
    return f"found {len(table):,} images of {len(table.classes)} classes ({per_class}){kind}, {by}"


def split_text(table: ImageTable) -> str:
    """Return one line with the number of images and groups of each split."""
    texts = []
    for split in SPLITS:
        rows = table.rows(split)
        groups = f" of {len(set(table.groups(rows))):,} groups" if table.grouped_by else ""
        texts.append(f"{split} {len(rows):,}{groups}")
    return "split: " + ", ".join(texts)


def audit_source(config: RunConfig, verify: bool, probes: bool, progress: Progress) -> tuple[Audit, ImageTable | None]:
    """Audit the images of a config without training.

    Args:
        config: the config of a run.
        verify: read every file again instead of trusting size and modification time.
        probes: test for shortcuts and estimate how much leakage inflates the score.
        progress: receives stages and notes.

    Returns:
        The audit; and, where no groups were given and some can be proposed, the table with the proposed groups.
    """
    table = scan_images(config)
    pixels = read_images(config, table, verify=verify, progress=progress)
    audit = run_audit(config, table, pixels, progress)
    try:
        audit = split_images(config, audit)
    except UserError as error:
        if not audit.table.rows():
            raise
        return audit.with_findings(_no_split(error)), None
    proposed = audit.table.with_columns(group=audit.likely_groups()[0]) if audit.proposals else None
    if not probes:
        return audit, proposed
    extractor = open_extractor(config, audit.table, pixels)
    audit = run_probes(config, audit, pixels, extractor, progress)
    if proposed is not None and audit.proposals[0].option.startswith(SHOTS):
        # Runs of consecutive file numbers are split where the network's features change; labels are not used.
        table, rows = audit.table, audit.table.rows()
        keys = pixels.facts["row_hash"].to_list()
        features = extractor.extract(pixels.pixels, rows, keys, 1, progress, "comparing consecutive images")
        refined = refine_groups(table, rows, features, WIDE_GAP)
        proposed = join_sets(table.with_columns(group=refined), audit.duplicates.sets)
    return audit, proposed


def _no_split(error: UserError) -> Finding:
    return Finding(
        name="no-split",
        severity="blocks",
        title=error.problem,
        meaning="The images cannot be split into a train, validation and test set.",
        remedy=error.fix[:1].upper() + error.fix[1:] + ".",
    )
