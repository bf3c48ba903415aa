"""The audit: checks of a table of images before training."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from coverslip.auditing.duplicate_findings import duplicate_findings, leakage_findings
from coverslip.auditing.duplicates import Duplicates, find_duplicates
from coverslip.auditing.file_findings import file_findings
from coverslip.auditing.findings import FIXED, SEVERITIES, Finding, apply_decision, sort_findings
from coverslip.auditing.group_findings import group_findings, label_findings
from coverslip.auditing.leakage import LeakageEstimate
from coverslip.auditing.repair import drop_images, fix_table
from coverslip.auditing.shortcuts import Probe
from coverslip.auditing.split_findings import split_findings
from coverslip.auditing.target_findings import target_summary
from coverslip.core.commands import options_text
from coverslip.core.errors import BlockedError
from coverslip.core.progress import SILENT, Progress
from coverslip.data.groups import join_sets
from coverslip.data.image import Pixels
from coverslip.data.proposals import Proposal, propose_groups
from coverslip.data.split import groups_across_splits
from coverslip.data.table import STATUS_OK, ImageTable

BINS = 20  # of histograms


@dataclass(frozen=True, slots=True)
class Audit:
    """Findings about a table of images, and the table after the user's decisions.

    Attributes:
        table: the images; the status of an excluded image states the reason; copies share a group.
        facts: columns of `coverslip.data.decoding.FACTS`, in the order of the table.
        duplicates: exact copies and near-duplicates.
        proposals: possible groups, the best first; empty if the user specified groups.
        findings: the findings, from most to least severe.
        probes: results of the shortcut probes; None if they were not run.
        leakage: estimated inflation of the score by leakage; None if it was not requested.
        split_given: whether the user provided the split.
    """

    table: ImageTable
    facts: pl.DataFrame
    duplicates: Duplicates
    proposals: Sequence[Proposal]
    findings: Sequence[Finding]
    probes: Sequence[Probe] | None = None
    leakage: LeakageEstimate | None = None
    split_given: bool = False

    @property
    def blocking(self) -> list[Finding]:
        """Findings that block training."""
        return [finding for finding in self.findings if finding.blocks]

    def likely_groups(self) -> tuple[list[str], str]:
        """Return the given groups, or otherwise the best proposed ones.

        Returns:
            Group of every row, and the origin of the groups; "" if there are neither given nor proposed groups.
        """
        table, by = self.table, self.table.grouped_by or ""
        if not by and self.proposals:
            best = self.proposals[0]
            table, by = join_sets(table.with_columns(group=best.groups), self.duplicates.sets), best.option
        return table.groups(list(range(len(table)))), by

    def counts(self) -> dict[str, int]:
        """Return the number of findings of each severity, without those the user decided on."""
        return {
            name: sum(finding.severity == name and not finding.decision for finding in self.findings)
            for name in SEVERITIES
        }

    def with_findings(self, *findings: Finding) -> Audit:
        """Return a copy with additional findings."""
        return replace(self, findings=sort_findings([*self.findings, *findings]))

    def to_json(self) -> dict[str, Any]:
        """Return the part of ``audit.json`` that depends on findings, with the paths of all images concerned."""
        table = self.table
        groups = None if table.grouped_by is None else _group_sizes(table)
        return {
            "classes": dict(table.frame["label"].value_counts(sort=True).sort("label").iter_rows())
            if table.task != "regression"
            else {},
            **({} if (targets := target_summary(table)) is None else {"task": table.task, "targets": targets}),
            "findings": [finding.to_json(table.paths) for finding in self.findings],
            "distributions": _distributions(self.facts),
            "groups": {
                "by": table.grouped_by,
                "count": None if groups is None else sum(groups.values()),
                "sizes": groups,
                "proposals": [proposal.to_json(table.paths) for proposal in self.proposals],
            },
            "shortcuts": None if self.probes is None else [probe.to_json() for probe in self.probes],
            "price": None if self.leakage is None else self.leakage.to_json(),
        }


def audit_table(
    table: ImageTable,
    facts: pl.DataFrame,
    pixels: Pixels,
    fit: str,
    *,
    accept: Collection[str] = (),
    drop: Collection[str] = (),
    fix: bool = False,
    progress: Progress = SILENT,
) -> Audit:
    """Check files, labels, duplicates, groups and a given split, and apply the user's decisions.

    Args:
        table: the images with their status; the split is the given one, or empty.
        facts: columns of `coverslip.data.decoding.FACTS`, in the order of the table.
        pixels: cached images, shape (N, H, W, C), in the order of the table.
        fit: how the images were fitted into H x W: ``pad``, ``squash`` or ``crop``.
        accept: names of findings to accept.
        drop: names of findings whose images are excluded.
        fix: fix the findings named in `coverslip.auditing.findings.FIXED`.
        progress: receives the stages.
    """
    duplicates = find_duplicates(facts, pixels, fit=fit, progress=progress)
    split_given = table.frame["split"].null_count() < len(table)
    proposals = propose_groups(table, facts) if table.grouped_by is None else []
    findings = [
        *file_findings(facts),
        *label_findings(table),
        *duplicate_findings(table, duplicates),
        *group_findings(table, proposals),
        *(leakage_findings(table, duplicates, groups_across_splits(table)) if split_given else []),
    ]
    findings = apply_decision(findings, drop, "dropped")
    table = drop_images(table, [finding for finding in findings if finding.decision == "dropped"])
    if fix:
        findings = apply_decision(findings, FIXED, "fixed")
        table = fix_table(table, duplicates)
    findings = apply_decision(findings, accept, "accepted")
    if table.frame["split"].null_count():  # a given split is not changed: its leaks are reported, and were accepted
        table = join_sets(table, duplicates.sets)
    return Audit(table, facts, duplicates, proposals, sort_findings(findings), split_given=split_given)


def with_split_findings(audit: Audit, table: ImageTable, accept: Collection[str] = ()) -> Audit:
    """Return the audit of the split table, with findings about the train, validation and test sets."""
    findings = apply_decision(split_findings(table, audit.facts), accept, "accepted")
    return replace(audit, table=table).with_findings(*findings)


def with_probe_findings(
    audit: Audit, probes: Sequence[Probe], leakage: LeakageEstimate | None, accept: Collection[str] = ()
) -> Audit:
    """Return the audit with the results of the shortcut probes and of the leakage estimate, and findings about them."""
    findings = [
        Finding(
            name=f"shortcut-{probe.name}",
            severity="warns" if probe.verdict == "warns" else "notes",
            title=f"the label can be predicted without the subject, from {probe.title[:1].lower()}{probe.title[1:]}",
            meaning=probe.summary,
            remedy="Compare images of each class side by side and look for other differences between the classes. "
            "If you change the images, repeat the audit.",
        )
        for probe in probes
        if probe.verdict != "silent"
    ]
    if leakage is not None and leakage.difference is not None:
        findings.append(
            Finding(
                name="leak-price",
                severity="notes",
                title=f"a split by image would inflate the score by an estimated {leakage.difference:.3f}"
                if leakage.detected
                else "the leakage estimate is inconclusive"
                f" (difference {leakage.difference:.3f}, range {leakage.low:.3f} to {leakage.high:.3f})",
                meaning=leakage.summary[:1].upper() + leakage.summary[1:] + ".",
                remedy="Specify the groups with --group, so that the split keeps them intact."
                if _only_proposed(audit)
                else "No action is needed: the split keeps groups intact.",
            )
        )
    return replace(audit, probes=probes, leakage=leakage).with_findings(*apply_decision(findings, accept, "accepted"))


def _only_proposed(audit: Audit) -> bool:
    """Return whether the groups are only proposed, so that the split does not keep them intact."""
    return audit.table.grouped_by is None


def raise_if_blocked(audit: Audit, source: str, options: Mapping[str, object]) -> None:
    """Raise an error if a finding blocks training.

    Args:
        audit: audit of the images.
        source: folder or table of the images, as the user wrote it.
        options: options that the next command must repeat, such as ``group``.

    Raises:
        BlockedError: a finding blocks training, and the user has not decided on it.
    """
    blocking = audit.blocking
    if not blocking:
        return
    names = [finding.name for finding in blocking]
    titles = "; ".join(finding.title for finding in blocking)
    ways = ["--fix"] if set(names) <= set(FIXED) else []
    ways += [f"--drop {name}" for name in names[:1] if name not in ("one-image", "one-group")]
    ways += [f"--accept {names[0]}"]
    inspect = f"inspect them with: coverslip audit {shlex.quote(source)}{options_text(options)} --out audit"
    raise BlockedError(
        f"the audit found problems that block training: {titles}", f"{inspect}; continue with {' or '.join(ways)}"
    )


def _group_sizes(table: ImageTable) -> dict[str, int]:
    """Return the number of groups of each size (images per group)."""
    sizes = Counter(Counter(table.groups(table.rows())).values())
    return {str(size): sizes[size] for size in sorted(sizes)}


def _distributions(facts: pl.DataFrame) -> Mapping[str, Any]:
    """Return histograms of the properties that vary between images."""
    read = facts.filter(pl.col("status") == STATUS_OK)
    histograms: dict[str, Any] = {}
    for name in ("brightness", "sharpness", "width", "height", "bytes"):
        values = read[name].drop_nulls().cast(pl.Float64).to_numpy()
        if len(values) and values.min() < values.max():
            counts, edges = np.histogram(values, BINS)
            histograms[name] = {"edges": edges.tolist(), "counts": counts.tolist()}
    return histograms
