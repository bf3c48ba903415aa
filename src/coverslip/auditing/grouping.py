"""Findings about labels and groups: what a split has to keep together, and what it can be made of."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from coverslip.auditing.findings import Finding, singly, together
from coverslip.data.proposals import Proposal
from coverslip.data.split import ungrouped_rows
from coverslip.data.table import ImageTable

FEW = 10  # independent groups of a class: under this its score says hardly anything
SHARE = 0.1  # of the images; a proposal that joins fewer is worth knowing, but changes little


def judge_labels(table: ImageTable) -> list[Finding]:
    """Findings about class names, and classes with little to learn from."""
    return [*_similar(table), *_few(table)]


def judge_groups(table: ImageTable, proposals: Sequence[Proposal]) -> list[Finding]:
    """Findings about the groups that were given, or what could be taken for groups where none were."""
    if table.grouped_by is None:
        return [_none(table, proposals)]
    return [*_given(table)]


def _similar(table: ImageTable) -> Iterator[Finding]:
    names: dict[str, list[str]] = {}
    for name in table.classes:
        names.setdefault(re.sub(r"[\W_]+", "", name.casefold()), []).append(name)
    same = [each for key, each in names.items() if len(each) > 1 and key]
    if same:
        listed = "; ".join(" and ".join(repr(name) for name in each) for each in same)
        labels = table.frame["label"].to_list()
        sets = [[row for row, label in enumerate(labels) if label in each] for each in same]
        yield Finding(
            name="similar-labels",
            severity="warns",
            title=f"classes that differ by case, spaces or signs only: {listed}",
            meaning="They count as different classes; probably one was meant.",
            remedy="Rename the folder or label, if one was meant.",
            rows=together(sets),
            numbers={"names": same},
        )


def _few(table: ImageTable) -> Iterator[Finding]:
    rows = table.rows()
    labels, groups = table.frame["label"].gather(rows).to_list(), table.groups(rows)
    groups_of = Counter(label for label, _ in set(zip(labels, groups, strict=True)))
    few = {name: groups_of[name] for name in table.classes if groups_of[name] < FEW}
    if few:
        word = "groups" if table.grouped_by else "images"
        listed = ", ".join(f"{name} {count}" for name, count in list(few.items())[:6])
        yield Finding(
            name="few-images",
            severity="notes",
            title=f"{len(few):,} of {len(table.classes):,} classes have fewer than {FEW} {word}: {listed}",
            meaning="Their scores will have no interval, or a very wide one.",
            remedy="Add images of other leaves (patients, slides), or join classes.",
            numbers={"groups": few},
        )


def _none(table: ImageTable, proposals: Sequence[Proposal]) -> Finding:
    if not proposals:
        return Finding(
            name="no-groups",
            severity="notes",
            title="no groups are known, and names and times propose none",
            meaning="If several images show one leaf (patient, slide), the scores will be too high.",
            remedy="Name what keeps images together with --group: a column, a pattern on the path, or 'parent'.",
        )
    best = proposals[0]
    return Finding(
        name="no-groups",
        severity="warns" if best.images >= SHARE * len(table) else "notes",
        title=f"no groups are known; {best.images:,} images seem to belong to {best.together:,} groups",
        meaning=f"{best.speaks} If they show one leaf (patient, slide), a split by image flatters the scores.",
        remedy=f"If so: --group {_quoted(best.use)}; otherwise accept no-groups.",
        numbers={"use": best.use, "proposals": len(proposals)},
    )


def _given(table: ImageTable) -> Iterator[Finding]:
    rows = table.rows()
    lonely = ungrouped_rows(table)
    names = set(table.groups(rows))
    if len(names) == 1 and len(rows) > 1:
        yield Finding(
            name="one-group",
            severity="blocks",
            title=f"all {len(rows):,} images are in one group, {min(names)!r}",
            meaning="A group is never divided, so there is nothing to test on.",
            remedy="Name other groups, or leave --group out if every image stands for itself.",
            rows=(tuple(rows),),
        )
        return
    if lonely:
        yield Finding(
            name="ungrouped",
            severity="warns",
            title=f"{len(lonely):,} of {len(table):,} images have no group",
            meaning="Each counts as a group of its own; if it belongs to another image's, it may leak.",
            remedy="Fill in the group of each, or --drop ungrouped.",
            rows=singly(lonely),
        )
    members: dict[str, list[int]] = {}
    for row, group in zip(rows, table.groups(rows), strict=True):
        members.setdefault(group, []).append(row)
    mixed = [each for each in members.values() if table.frame["label"].gather(each).n_unique() > 1]
    if mixed:
        yield Finding(
            name="group-labels",
            severity="notes",
            title=f"{len(mixed):,} of {len(members):,} groups hold images of several classes",
            meaning="Right for a patient with healthy and diseased tissue; wrong for one leaf.",
            remedy="Check the groups if one should have one label.",
            rows=together(mixed),
        )


def _quoted(use: str) -> str:
    import shlex

    return shlex.quote(use)
