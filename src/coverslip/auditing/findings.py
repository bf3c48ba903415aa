"""Findings of an audit: a name, a severity, the images concerned, what it means and what to do."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Severity = Literal["blocks", "warns", "notes"]
SEVERITIES: tuple[Severity, ...] = ("blocks", "warns", "notes")
"""From most to least severe: errors that block training, warnings of misleading results, notes."""

Decision = Literal["", "accepted", "dropped", "fixed"]
"""The user's decision on a finding; empty as long as there is none."""

NAMES = (
    # files
    "unreadable", "tiny", "blank", "dark", "bright", "blurry",
    "odd-color", "odd-format", "odd-size", "mixed-sizes", "turned", "several-pages",
    # labels
    "similar-labels", "several-labels", "few-images",
    # values and sets of labels
    "outlying-values", "heaped-values", "mixed-units", "value-per-group", "constant-label",
    # duplicates
    "label-conflict", "copy-values", "one-image", "exact-copies", "near-copies", "look-alikes",
    # groups
    "one-group", "ungrouped", "no-groups", "group-labels",
    # the split
    "group-leak", "copy-leak", "no-split", "missing-class", "thin-class", "constant-target", "parts-differ",
    # shortcuts, one per probe, and the estimated effect of leakage
    "shortcut-border", "shortcut-border-color", "shortcut-dimensions", "shortcut-encoder", "shortcut-exif",
    "shortcut-name", "shortcut-file-size", "leak-price",
)  # fmt: skip
"""Names of all findings, as ``--accept`` and ``--drop`` take them."""

FIXED = ("label-conflict", "exact-copies", "group-leak", "copy-leak")
"""Names of the findings that ``--fix`` resolves."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One finding of an audit.

    Attributes:
        name: one of `NAMES`; an audit has at most one finding of each name, or one per target of a regression.
        severity: one of `SEVERITIES`.
        title: short headline in lower case, with the number of images where that is informative.
        meaning: the effect on results, in one plain sentence.
        remedy: what to do, in one sentence.
        rows: sets of row indices of the table: rows that belong together (duplicates, a group), or single rows.
        numbers: values for figures and for programs; must be serializable as JSON.
        decision: the user's decision; an accepted finding stays in the report permanently.
    """

    name: str
    severity: Severity
    title: str
    meaning: str
    remedy: str
    rows: tuple[tuple[int, ...], ...] = ()
    numbers: Mapping[str, Any] = field(default_factory=dict)
    decision: Decision = ""

    @property
    def blocks(self) -> bool:
        """Whether this finding blocks training."""
        return self.severity == "blocks" and not self.decision

    @property
    def images(self) -> int:
        """Number of images concerned."""
        return len({row for members in self.rows for row in members})

    def to_json(self, paths: Sequence[str]) -> dict[str, Any]:
        """Return the entry of ``audit.json``, with the paths of all images concerned.

        Args:
            paths: image path of every row of the table.
        """
        return {
            "name": self.name,
            "severity": self.severity,
            "accepted": self.decision == "accepted",
            "decision": self.decision,
            "title": self.title,
            "meaning": self.meaning,
            "remedy": self.remedy,
            "count": self.images,
            "images": [[paths[row] for row in members] for members in self.rows],
            "numbers": dict(self.numbers),
        }


def sort_findings(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings from most to least severe; the order within a severity is kept."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def apply_decision(findings: Sequence[Finding], names: Collection[str], decision: Decision) -> list[Finding]:
    """Return the findings with a decision set on the named ones; earlier decisions are kept."""
    return [
        replace(finding, decision=finding.decision or decision) if finding.name in names else finding
        for finding in findings
    ]


def single_rows(rows: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Return independent rows as sets of one row each.

    >>> single_rows([3, 5])
    ((3,), (5,))
    """
    return tuple((row,) for row in rows)


def row_sets(sets: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], ...]:
    """Return sets of rows that belong together as tuples.

    >>> row_sets([[1, 4], [2, 3]])
    ((1, 4), (2, 3))
    """
    return tuple(tuple(members) for members in sets)
