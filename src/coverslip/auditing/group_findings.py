"""Findings about labels and groups: which images a split must keep together, and what groups could be made of."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from coverslip.auditing.findings import Finding, row_sets, single_rows
from coverslip.auditing.target_findings import label_set_findings, value_findings
from coverslip.data.missing import NUMBER
from coverslip.data.proposals import Proposal
from coverslip.data.split import ungrouped_rows
from coverslip.data.table import ImageTable

MIN_GROUPS = 10  # independent groups of a class; the score of a class with fewer is hardly informative
LABEL_SEPARATORS = {";": False, "|": False, ",": True, "+": True, "/": True}
"""Separators of several labels in a cell, and whether all words must be labels elsewhere (for ambiguous ones)."""
MIN_FRACTION = 0.1  # of the images; a proposal that joins fewer changes little and is only a note


def label_findings(table: ImageTable) -> list[Finding]:
    """Return findings about what is to be predicted: class names and classes with few groups, or values."""
    if table.task == "regression":
        return [*value_findings(table)]
    if table.task == "multilabel":
        return [*_similar_labels(table), *label_set_findings(table)]
    return [*_similar_labels(table), *_several_labels(table), *_few_groups(table)]


def group_findings(table: ImageTable, proposals: Sequence[Proposal]) -> list[Finding]:
    """Return findings about the groups of a table.

    Args:
        table: the images, with groups if the user specified them.
        proposals: possible groups, the best first; used only for a table without groups.
    """
    if table.grouped_by is None:
        return [_no_groups(table, proposals)]
    return [*_given_groups(table)]


def _similar_labels(table: ImageTable) -> Iterator[Finding]:
    spellings: dict[str, list[str]] = {}
    for name in table.classes:
        spellings.setdefault(_spelling(name), []).append(name)
    similar = [names for key, names in spellings.items() if len(names) > 1 and key]
    if similar:
        listed = "; ".join(" and ".join(repr(name) for name in names) for names in similar)
        labels = table.frame["label"].to_list()
        sets = [[row for row, label in enumerate(labels) if label in names] for names in similar]
        yield Finding(
            name="similar-labels",
            severity="warns",
            title=f"class names that differ only in case, spaces, punctuation or number format: {listed}",
            meaning="They count as different classes; probably a single class was intended.",
            remedy=f"If so, rename the label, or use --map {_quoted(f'{similar[0][1]}={similar[0][0]}')}.",
            rows=row_sets(sets),
            numbers={"names": similar},
        )


def _spelling(name: str) -> str:
    """Return a key that is equal for names that differ only in spelling, such as 'Rust' and 'rust_', '0' and '0.0'."""
    if NUMBER.fullmatch(name.strip()):
        return f"{float(name):g}"
    return re.sub(r"[\W_]+", "", name.casefold())


def _several_labels(table: ImageTable) -> Iterator[Finding]:
    """Find class names such as 'blight;rust' that consist of other class names."""
    parts: dict[str, list[str]] = {}
    for name in table.classes:
        for separator, all_known in LABEL_SEPARATORS.items():
            words = [word.strip() for word in name.split(separator) if word.strip()]
            others = {word for other in table.classes if other != name for word in _words(other, separator)}
            known = [word in others for word in words]
            if len(words) > 1 and (all(known) if all_known else any(known)):
                parts[name] = words
                break
    if parts:
        names = list(parts)
        labels = table.frame["label"].to_list()
        yield Finding(
            name="several-labels",
            severity="warns",
            title=f"{len(names):,} class name{'s look' if len(names) > 1 else ' looks'} like several labels per image: "
            + ", ".join(repr(name) for name in names[:6]),
            meaning="Each combination counts as a class of its own.",
            remedy=f"Use --task multilabel for several labels per image, or keep one, for example "
            f"--map {_quoted(f'{names[0]}={parts[names[0]][0]}')}, or "
            f"use --leave-out {_quoted(names[0])}.",
            rows=single_rows([row for row, label in enumerate(labels) if label in parts]),
            numbers={"names": names},
        )


def _words(name: str, separator: str) -> list[str]:
    return [word.strip() for word in name.split(separator)]


def _few_groups(table: ImageTable) -> Iterator[Finding]:
    rows = table.rows()
    labels, groups = table.frame["label"].gather(rows).to_list(), table.groups(rows)
    groups_of = Counter(label for label, _ in set(zip(labels, groups, strict=True)))
    few = {name: groups_of[name] for name in table.classes if groups_of[name] < MIN_GROUPS}
    if few:
        word = "groups" if table.grouped_by else "images"
        listed = ", ".join(f"{name} {count}" for name, count in list(few.items())[:6])
        yield Finding(
            name="few-images",
            severity="notes",
            title=f"{len(few):,} of {len(table.classes):,} classes have fewer than {MIN_GROUPS} {word}: {listed}",
            meaning="The scores of these classes will have no confidence interval, or a very wide one.",
            remedy="Add images of other leaves (patients, slides), or merge classes.",
            numbers={"groups": few},
        )


def _no_groups(table: ImageTable, proposals: Sequence[Proposal]) -> Finding:
    if not proposals:
        return Finding(
            name="no-groups",
            severity="notes",
            title="no groups are known, and none can be inferred from file names or times",
            meaning="If several images show the same leaf (patient, slide), the scores will be too high.",
            remedy="Specify what keeps images together with --group: a column, a pattern for the path, or 'parent'.",
        )
    best = proposals[0]
    return Finding(
        name="no-groups",
        severity="warns" if best.num_images >= MIN_FRACTION * len(table) else "notes",
        title=f"no groups are known; {best.num_images:,} images seem to belong to {best.num_groups:,} groups",
        meaning=f"{best.reason} If the images of a group show the same leaf (patient, slide), a split by image "
        "inflates the scores.",
        remedy=f"If so, use --group {_quoted(best.option)}; otherwise, use --accept no-groups.",
        numbers={"use": best.option, "proposals": len(proposals)},
    )


def _given_groups(table: ImageTable) -> Iterator[Finding]:
    rows = table.rows()
    ungrouped = ungrouped_rows(table)
    names = set(table.groups(rows))
    if len(names) == 1 and len(rows) > 1:
        yield Finding(
            name="one-group",
            severity="blocks",
            title=f"all {len(rows):,} images are in one group, {min(names)!r}",
            meaning="A group is never divided, so there are no images left for a test set.",
            remedy="Specify other groups, or omit --group if all images are independent.",
            rows=(tuple(rows),),
        )
        return
    if ungrouped:
        yield Finding(
            name="ungrouped",
            severity="warns",
            title=f"{len(ungrouped):,} of {len(table):,} images {'has' if len(ungrouped) == 1 else 'have'} no group",
            meaning="Each of them counts as its own group; if it shows the same subject as another image, "
            "information may leak into the test set.",
            remedy="Fill in the missing groups, or exclude these images with --drop ungrouped.",
            rows=single_rows(ungrouped),
        )
    members: dict[str, list[int]] = {}
    for row, group in zip(rows, table.groups(rows), strict=True):
        members.setdefault(group, []).append(row)
    mixed = [group for group in members.values() if table.frame["label"].gather(group).n_unique() > 1]
    if mixed and table.task in ("classification", "ordinal"):
        yield Finding(
            name="group-labels",
            severity="notes",
            title=f"{len(mixed):,} of {len(members):,} groups contain images of several classes",
            meaning="This is correct for a patient with healthy and diseased tissue, but not for a single leaf.",
            remedy="Check these groups if each group should have a single label.",
            rows=row_sets(mixed),
        )


def _quoted(option: str) -> str:
    import shlex

    return shlex.quote(option)
