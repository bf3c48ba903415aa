"""What an audit has to say: a name, how grave it is, the images concerned, what it means, and what to do."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Severity = Literal["blocks", "warns", "notes"]
SEVERITIES: tuple[Severity, ...] = ("blocks", "warns", "notes")
"""From the gravest: training stops; the result would mislead; worth knowing."""

Decision = Literal["", "accepted", "dropped", "fixed"]
"""What somebody decided about a finding; nothing yet, as a rule."""

NAMES = (
    # files
    "unreadable", "tiny", "blank", "dark", "bright", "blurry",
    "odd-color", "odd-format", "odd-size", "mixed-sizes", "turned", "several-pages",
    # labels
    "similar-labels", "few-images",
    # twins
    "label-conflict", "one-image", "exact-copies", "near-copies", "look-alikes",
    # groups
    "one-group", "ungrouped", "no-groups", "group-labels",
    # the split
    "group-leak", "copy-leak", "no-split", "missing-class", "thin-class", "parts-differ",
    # shortcuts, one a probe, and the price of a leak
    "shortcut-border", "shortcut-border-color", "shortcut-dimensions", "shortcut-encoder", "shortcut-exif",
    "shortcut-name", "shortcut-file-size", "leak-price",
)  # fmt: skip
"""Every finding there is: what ``--accept`` and ``--drop`` take."""

FIXED = ("label-conflict", "exact-copies", "group-leak", "copy-leak")
"""What ``--fix`` mends."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that was found.

    Attributes:
        name: one of `NAMES`; an audit has at most one of each.
        severity: see `SEVERITIES`.
        title: a few words for a headline, with the number of images where that says something.
        meaning: what it does to a result, in one plain sentence.
        remedy: what to do, in one sentence.
        rows: sets of table rows that belong together: twins, groups, or one image each.
        numbers: what figures and machines need; plain values that JSON can hold.
        decision: what was decided; an accepted finding stays in the report for ever.
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
        """Whether training has to stop."""
        return self.severity == "blocks" and not self.decision

    @property
    def images(self) -> int:
        """How many images are concerned."""
        return len({row for members in self.rows for row in members})

    def to_json(self, paths: Sequence[str]) -> dict[str, Any]:
        """What ``audit.json`` holds; every image is named."""
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


def ordered(findings: Sequence[Finding]) -> list[Finding]:
    """The gravest first, otherwise in the order given."""
    return sorted(findings, key=lambda each: SEVERITIES.index(each.severity))


def decided(findings: Sequence[Finding], names: Collection[str], decision: Decision) -> list[Finding]:
    """The same findings, with a decision on those that are named and have none."""
    return [replace(each, decision=each.decision or decision) if each.name in names else each for each in findings]


def singly(rows: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Rows that do not belong together, each a set of its own.

    >>> singly([3, 5])
    ((3,), (5,))
    """
    return tuple((row,) for row in rows)


def together(sets: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], ...]:
    """Sets of rows that belong together.

    >>> together([[1, 4], [2, 3]])
    ((1, 4), (2, 3))
    """
    return tuple(tuple(members) for members in sets)
