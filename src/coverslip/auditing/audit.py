"""The audit: everything that is judged of a table of images before anything is learned from it."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from coverslip.auditing.copies import judge_leaks, judge_twins
from coverslip.auditing.files import judge_files
from coverslip.auditing.findings import FIXED, SEVERITIES, Finding, decided, ordered
from coverslip.auditing.grouping import judge_groups, judge_labels
from coverslip.auditing.parts import judge_parts
from coverslip.auditing.price import Price
from coverslip.auditing.repair import drop_found, fix_table
from coverslip.auditing.shortcuts import Probe
from coverslip.auditing.twins import Twins, find_twins
from coverslip.core.commands import options_text
from coverslip.core.errors import BlockedError
from coverslip.core.progress import SILENT, Progress
from coverslip.data.groups import join_sets
from coverslip.data.image import Pixels
from coverslip.data.proposals import Proposal, propose_groups
from coverslip.data.split import straddling
from coverslip.data.table import READ, ImageTable

BINS = 20


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found in a table of images, and the table as it is after what was decided.

    Attributes:
        table: images that were dropped say so in their status; copies share a group.
        facts: columns of `coverslip.data.decoding.FACTS`, in the order of the table.
        twins: copies.
        proposals: what could be taken for groups; empty where groups were given.
        findings: the gravest first.
        probes: of shortcuts; None where they were not run.
        price: of a leak; None where it was not asked for.
        split_given: whether the split came with the images.
    """

    table: ImageTable
    facts: pl.DataFrame
    twins: Twins
    proposals: Sequence[Proposal]
    findings: Sequence[Finding]
    probes: Sequence[Probe] | None = None
    price: Price | None = None
    split_given: bool = False

    @property
    def blocking(self) -> list[Finding]:
        """Findings that stop training."""
        return [each for each in self.findings if each.blocks]

    def supposed_groups(self) -> tuple[list[str], str]:
        """The group of every row, and what they come from: as given, or else the best proposal; "" where none is."""
        table, by = self.table, self.table.grouped_by or ""
        if not by and self.proposals:
            best = self.proposals[0]
            table, by = join_sets(table.with_columns(group=best.groups), self.twins.sets), best.use
        return table.groups(list(range(len(table)))), by

    def counts(self) -> dict[str, int]:
        """How many findings of each severity; those decided on are not counted."""
        return {name: sum(each.severity == name and not each.decision for each in self.findings) for name in SEVERITIES}

    def adding(self, *findings: Finding) -> Audit:
        """With more findings."""
        return replace(self, findings=ordered([*self.findings, *findings]))

    def to_json(self) -> dict[str, Any]:
        """What ``audit.json`` holds beside the facts of the files; every image is named."""
        table = self.table
        groups = None if table.grouped_by is None else _group_sizes(table)
        return {
            "classes": dict(table.frame["label"].value_counts(sort=True).sort("label").iter_rows()),
            "findings": [each.to_json(table.paths) for each in self.findings],
            "distributions": _distributions(self.facts),
            "groups": {
                "by": table.grouped_by,
                "count": None if groups is None else sum(groups.values()),
                "sizes": groups,
                "proposals": [each.to_json(table.paths) for each in self.proposals],
            },
            "shortcuts": None if self.probes is None else [each.to_json() for each in self.probes],
            "price": None if self.price is None else self.price.to_json(),
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
    """Judge files, labels, copies, groups and a given split, and do what was decided about them.

    Args:
        table: with status; its split as it was given, or empty.
        facts: of the same rows.
        pixels: (N, H, W, C), of the same rows.
        fit: how they were fitted into H x W.
        accept: names of findings that somebody decided to go on with.
        drop: names of findings whose images are left out.
        fix: mend what `coverslip.auditing.repair.FIXED` names.
        progress: told of the stage.
    """
    twins = find_twins(facts, pixels, fit=fit, progress=progress)
    given = table.frame["split"].null_count() < len(table)
    proposals = propose_groups(table, facts) if table.grouped_by is None else []
    findings = [
        *judge_files(facts),
        *judge_labels(table),
        *judge_twins(table, twins),
        *judge_groups(table, proposals),
        *(judge_leaks(table, twins, straddling(table)) if given else []),
    ]
    findings = decided(findings, drop, "dropped")
    table = drop_found(table, [each for each in findings if each.decision == "dropped"])
    if fix:
        findings = decided(findings, FIXED, "fixed")
        table = fix_table(table, twins)
    findings = decided(findings, accept, "accepted")
    if not given:  # a given split stays as it is: what leaks has been told, and accepted
        table = join_sets(table, twins.sets)
    return Audit(table, facts, twins, proposals, ordered(findings), split_given=given)


def judge_split(audit: Audit, table: ImageTable, accept: Collection[str] = ()) -> Audit:
    """The audit of a table that has been split, with what is to be said of the parts."""
    parts = decided(judge_parts(table, audit.facts), accept, "accepted")
    return replace(audit, table=table).adding(*parts)


def with_probes(audit: Audit, probes: Sequence[Probe], price: Price | None, accept: Collection[str] = ()) -> Audit:
    """The audit with shortcut probes and the price of a leak, as findings too."""
    found = [
        Finding(
            name=f"shortcut-{probe.name}",
            severity="warns" if probe.verdict == "warns" else "notes",
            title=f"the label can be told without the subject, by {probe.title[:1].lower()}{probe.title[1:]}",
            meaning=probe.says,
            remedy="Put images of each class side by side and look for what else differs between the classes. "
            "If you change the images, audit them again.",
        )
        for probe in probes
        if probe.verdict != "silent"
    ]
    if price is not None and price.difference is not None:
        found.append(
            Finding(
                name="leak-price",
                severity="notes",
                title=f"a split by image would flatter the score by about {price.difference:.3f}"
                if price.told
                else "no leak can be told: a split by image and one by groups score alike",
                meaning=price.says[:1].upper() + price.says[1:] + ".",
                remedy="Name the groups with --group all the same: then nobody has to ask."
                if _only_proposed(audit)
                else "Nothing: groups are kept whole.",
            )
        )
    return replace(audit, probes=probes, price=price).adding(*decided(found, accept, "accepted"))


def _only_proposed(audit: Audit) -> bool:
    """Whether the groups are only proposed, so that the split does not keep them whole."""
    return audit.table.grouped_by is None


def need_unblocked(audit: Audit, source: str, given: Mapping[str, object]) -> None:
    """Go on only where nothing blocks.

    Args:
        audit: of the images.
        source: the images, as the user named them.
        given: options that a command about them has to repeat, such as their group.

    Raises:
        BlockedError: a finding blocks training and nothing was decided about it.
    """
    blocking = audit.blocking
    if not blocking:
        return
    names = [each.name for each in blocking]
    said = "; ".join(each.title for each in blocking)
    ways = ["--fix"] if set(names) <= set(FIXED) else []
    ways += [f"--drop {name}" for name in names[:1] if name not in ("one-image", "one-group")]
    ways += [f"--accept {names[0]}"]
    look = f"look: coverslip audit {shlex.quote(source)}{options_text(given)} --out audit"
    raise BlockedError(f"the data is not fit to learn from: {said}", f"{look}; then go on by {' or '.join(ways)}")


def _group_sizes(table: ImageTable) -> dict[str, int]:
    """Images a group -> groups."""
    sizes = Counter(Counter(table.groups(table.rows())).values())
    return {str(size): sizes[size] for size in sorted(sizes)}


def _distributions(facts: pl.DataFrame) -> Mapping[str, Any]:
    """Histograms of what varies from image to image."""
    read = facts.filter(pl.col("status") == READ)
    found: dict[str, Any] = {}
    for name in ("brightness", "sharpness", "width", "height", "bytes"):
        values = read[name].drop_nulls().cast(pl.Float64).to_numpy()
        if len(values) and values.min() < values.max():
            counts, edges = np.histogram(values, BINS)
            found[name] = {"edges": edges.tolist(), "counts": counts.tolist()}
    return found
