"""Proposals of groups for images without known groups, from their names, folders and times.

A proposal is a value of the option ``--group``, the resulting groups, and the evidence for it. A proposal that would
leave a class with fewer groups than splits is not made, since it could not be split.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from coverslip.data.columns import subject_columns
from coverslip.data.groups import BURST, PARENT, SHOTS, read_group_names
from coverslip.data.shots import UUID, NumberedSeries, numbered_runs, numbered_series, time_runs
from coverslip.data.sources.arrays import Arrays
from coverslip.data.table import SPLITS, ImageTable

GAPS = (6, 5, 3, 2, 1)
"""Candidate gaps between shot numbers. A gap of 6 keeps 0.90 of the pairs of one leaf together on PlantVillage's pepper
leaves (``benchmarks/leaf_groups.py``); smaller gaps are for numbers so dense that 6 would join much of a class."""
WIDE_GAP = 10
"""Gap for `coverslip.data.shots.refine_groups`, which cuts runs that are too wide."""
SECONDS = (10, 5, 2, 1)
MIN_RUNS, LARGEST_RUN = 10, 0.5  # runs are no evidence if a class has fewer of them, or one with more than half of it
LARGEST = 0.25  # an identifier shared by a larger fraction of the images is a camera or a year, not a subject
USUAL, MANY = 50, 8  # more than USUAL images per subject (tiles of slides) are plausible only for MANY such subjects
SHARED, MOST = 0.2, 0.5  # fraction of images that share an identifier: below it is chance, above it is intended
SAMPLE = 2000  # number of names from which their pattern is inferred
EXAMPLES, EXAMPLE_IMAGES = 6, 8


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposed grouping.

    Attributes:
        option: value of the option ``--group``.
        reason: the evidence for it, a sentence.
        groups: group name of every row of the table; None for an image without one.
    """

    option: str
    reason: str
    groups: list[str | None]

    @property
    def members(self) -> list[list[int]]:
        """Row numbers of each group of two or more images, the largest group first."""
        members: defaultdict[str, list[int]] = defaultdict(list)
        for row, group in enumerate(self.groups):
            if group is not None:
                members[group].append(row)
        return sorted((rows for rows in members.values() if len(rows) > 1), key=lambda rows: (-len(rows), rows))

    @property
    def num_groups(self) -> int:
        """Number of groups of two or more images."""
        return len(self.members)

    @property
    def num_images(self) -> int:
        """Number of images in these groups."""
        return sum(map(len, self.members))

    @property
    def largest(self) -> int:
        """Number of images in the largest group."""
        return max(map(len, self.members), default=1)

    @property
    def examples(self) -> list[list[int]]:
        """Row numbers of a few groups, from the largest to the smallest."""
        members = self.members
        last = max(len(members) - 1, 0)
        chosen = sorted({round(last * step / (EXAMPLES - 1)) for step in range(EXAMPLES)})
        return [members[index][:EXAMPLE_IMAGES] for index in chosen] if members else []

    def to_json(self, paths: Sequence[str]) -> dict[str, Any]:
        """Return the entry for ``audit.json``."""
        members = self.members
        return {
            "use": self.option,
            "speaks": self.reason,
            "groups": len(members),
            "images": sum(map(len, members)),
            "largest": max(map(len, members), default=1),
            "examples": [[paths[row] for row in rows] for rows in self.examples],
        }


def propose_groups(table: ImageTable, facts: pl.DataFrame | None = None) -> list[Proposal]:
    """Return proposals of groups, the best first and no grouping twice.

    The order is: a column of the table that looks like subjects (``patient_id``), an identifier in most names (which
    was probably written there on purpose), folders inside class folders, images taken within seconds, consecutive shot
    numbers, and an identifier in fewer names.

    Args:
        table: the images; only readable ones count.
        facts: the columns ``camera`` and ``taken`` of the same rows; None proposes nothing from times.
    """
    rows = table.rows()
    if not rows or isinstance(table.source, Arrays):  # images in arrays have no meaningful names
        return []
    by_name = list(_by_identifier(table, rows))
    common = [proposal for proposal in by_name if proposal.num_images >= MOST * len(rows)]
    rare = [proposal for proposal in by_name if proposal not in common]
    proposals: list[Proposal] = []
    for proposal in (
        *_by_column(table),
        *common,
        *_by_parent(table),
        *_by_time(table, facts),
        *_by_number(table),
        *rare,
    ):
        known = any(_same_grouping(proposal, other, rows) for other in proposals)
        if not known and _is_useful(table, rows, proposal.groups):
            proposals.append(proposal)
    return proposals


def unused_subjects(table: ImageTable) -> list[str]:
    """Return the columns that look like subjects, but leave a class with fewer groups than splits, so that
    `propose_groups` does not propose them.
    """
    rows = table.rows()
    return [proposal.option for proposal in _by_column(table) if not _is_useful(table, rows, proposal.groups)]


def _by_column(table: ImageTable) -> Iterator[Proposal]:
    """Propose the columns of the table that look like subjects, by their names."""
    for name in subject_columns(table.frame, table.extra_columns):
        groups = read_group_names(table, name)
        subjects = len({group for group in groups if group is not None})
        yield Proposal(
            name, f"The column {name!r} has {subjects:,} different values for {len(table):,} images.", groups
        )


def _is_useful(table: ImageTable, rows: Sequence[int], groups: Sequence[str | None], runs: bool = False) -> bool:
    """Return whether images are joined and every class keeps enough groups for all splits; for runs, more than that."""
    members: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row, label in zip(rows, table.label_names(rows), strict=True):
        members[label][groups[row] or f"\0{row}"] += 1
    if all(max(sizes.values()) == 1 for sizes in members.values()):
        return False
    if runs and any(max(sizes.values()) > max(LARGEST_RUN * sizes.total(), 1) for sizes in members.values()):
        return False
    return all(len(sizes) >= _min_groups(sizes.total(), runs) for sizes in members.values())


def _min_groups(images: int, runs: bool) -> int:
    """Return the minimum number of groups of a class with this many images."""
    return max(len(SPLITS), min(MIN_RUNS, images // 3) if runs else 0)


def _same_grouping(first: Proposal, second: Proposal, rows: Sequence[int]) -> bool:
    first_groups = [first.groups[row] or f"\0{row}" for row in rows]
    second_groups = [second.groups[row] or f"\0{row}" for row in rows]
    pairs = set(zip(first_groups, second_groups, strict=True))
    return len(set(first_groups)) == len(set(second_groups)) == len(pairs)


def _by_identifier(table: ImageTable, rows: Sequence[int]) -> Iterator[Proposal]:
    """Propose the shortest beginning of the file names that many images share, but no single one too many of them."""
    paths, labels = table.paths, table.label_names(range(len(table)))
    step = -(-len(rows) // SAMPLE)
    for pattern in _identifiers([paths[row].rpartition("/")[2] for row in rows[::step]]):
        groups = _matches(pattern, paths)
        sizes = Counter(groups[row] for row in rows if groups[row] is not None)
        # Count pairs within a class: two class folders that both start at 1 share every number, which is no evidence.
        within = Counter((groups[row], labels[row]) for row in rows if groups[row] is not None)
        paired = sum(size for size in within.values() if size > 1)
        several = sorted(size for size in sizes.values() if size > 1)
        if len(several) < len(SPLITS) or paired < SHARED * len(rows) or several[-1] > LARGEST * len(rows):
            continue
        if several[len(several) // 2] > USUAL and len(several) < MANY:
            continue
        if _is_useful(table, rows, groups):
            example = max(sizes, key=lambda name: (1 < sizes[name] <= USUAL, sizes[name], name))
            reason = f"{sum(several):,} images share the beginning of their name with others, for example {example!r}."
            yield Proposal(pattern, reason, groups)
            return


def _identifiers(names: Sequence[str]) -> Iterator[str]:
    """Yield patterns for a name up to the first, second and third word with a digit, and up to the last number."""
    with_uuid = sum(bool(re.match(UUID, name, re.IGNORECASE)) for name in names)
    prefix = f"(?i:{UUID})?" if 2 * with_uuid > len(names) else ""
    word = r"[^/\d]*\d[^\W_]*(?![^\W_])"  # up to a digit, and to the end of the word that contains it
    for beginning in (word, f"(?:{word}){{2}}", f"(?:{word}){{3}}"):
        pattern = f"(?:^|/){prefix}({beginning})[^/]*$"
        matches = _matches(pattern, names)
        words = {found[1] for name in matches if name and (found := re.search(r"([^\W\d_]+[ _-]?)\d+$", name))}
        simple = rf"([^/]*{next(iter(words))}\d+)[^/]*$" if len(words) == 1 else ""
        yield simple if simple and not prefix and _matches(simple, names) == matches else pattern
    yield rf"(?:^|/){prefix}([^/]*[^/\d])\d+[^/\d]*$"


def _matches(pattern: str, texts: Sequence[str]) -> list[str | None]:
    compiled = re.compile(pattern)
    return [match[1] if (match := compiled.search(text)) else None for text in texts]


def _by_parent(table: ImageTable) -> Iterator[Proposal]:
    groups = read_group_names(table, PARENT)
    folders = len(set(groups))
    yield Proposal(PARENT, f"The images are in {folders:,} folders inside the folders of their classes.", groups)


def _by_time(table: ImageTable, facts: pl.DataFrame | None) -> Iterator[Proposal]:
    if facts is None or "taken" not in facts.columns or facts["taken"].null_count() == facts.height:
        return
    rows = table.rows()
    for seconds in SECONDS:
        groups = time_runs(table.label_names(range(len(table))), facts, seconds)
        if _is_useful(table, rows, groups, runs=True):
            timed = sum(group is not None for group in groups)
            yield Proposal(
                f"{BURST}{seconds}",
                f"{_num_joined(groups):,} of {timed:,} images with an EXIF time were taken within {seconds} s of "
                "another image by the same camera.",
                groups,
            )
            return


def _by_number(table: ImageTable) -> Iterator[Proposal]:
    """Propose runs of shot numbers, with the widest gap that does not join whole classes.

    If most images are numbered without gaps, such as 0 to 49, runs are no evidence, since every number follows another.
    """
    rows, series = table.rows(), numbered_series(table)
    if _without_gaps(series):
        return
    for gap in GAPS:
        groups = numbered_runs(table, gap, series)
        if _is_useful(table, rows, groups, runs=True):
            reason = (
                f"{_num_joined(groups):,} images have a number that differs by at most {gap} from that of another "
                "image with the same name."
            )
            if gap < GAPS[0]:
                reason += " Wider gaps would join much of a class."
            yield Proposal(f"{SHOTS}{gap}", reason, groups)
            return


def _without_gaps(series: NumberedSeries) -> bool:
    """Return whether most numbered images are in series with consecutive numbers."""
    numbered = consecutive = 0
    for members in series:
        numbers = {number for number, _ in members}
        numbered += len(members)
        if len(numbers) >= 2 * len(SPLITS) and len(numbers) > 0.8 * (max(numbers) - min(numbers) + 1):
            consecutive += len(members)
    return 2 * consecutive > numbered


def _num_joined(groups: Sequence[str | None]) -> int:
    return sum(size for group, size in Counter(groups).items() if group is not None and size > 1)
