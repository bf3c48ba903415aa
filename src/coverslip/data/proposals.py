"""Proposals: what could be taken for groups where none are known. Facts only; whether it matters is judged elsewhere.

A proposal is the value that ``--group`` takes, the groups that it makes, and what speaks for it. One that would leave a
class with fewer groups than there are parts is not made: it says no more than the class, and could not be split.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from coverslip.data.groups import BURST, PARENT, SHOTS, read_names
from coverslip.data.shots import UUID, Series, series, shot_runs, time_runs
from coverslip.data.sources.arrays import Arrays
from coverslip.data.table import PARTS, ImageTable

GAPS = (6, 5, 3, 2, 1)
"""How far apart shot numbers may be. 6 keeps 0.90 of the pairs of one leaf together on PlantVillage's pepper leaves
(``benchmarks/leaf_groups.py``); smaller ones where numbers are so dense that 6 would join much of a class."""
WIDE_GAP = 10
"""For `coverslip.data.shots.refine_groups`, which cuts again what numbers alone join too widely."""
SECONDS = (10, 5, 2, 1)
GROUPS, LARGEST_RUN = 10, 0.5  # runs that leave a class fewer groups, or one of more than half of it, are no evidence
LARGEST = 0.25  # of the images: what more of them share is a camera or a year, not a subject
USUAL, MANY = 50, 8  # more images of one subject (tiles of slides) are believed where there are many such subjects
SHARED, MOST = 0.2, 0.5  # of the images share an identifier: less is chance, most is what somebody meant
SAMPLE = 2000  # names that are enough to see how names are made
EXAMPLES, EXAMPLE_IMAGES = 6, 8


@dataclass(frozen=True, slots=True)
class Proposal:
    """What could be taken for groups.

    Attributes:
        use: what ``--group`` takes.
        speaks: what speaks for it, a sentence.
        groups: of every row of the table; None for an image that it says nothing of.
    """

    use: str
    speaks: str
    groups: list[str | None]

    @property
    def members(self) -> list[list[int]]:
        """Rows of each group of two or more, the largest first."""
        found: defaultdict[str, list[int]] = defaultdict(list)
        for row, group in enumerate(self.groups):
            if group is not None:
                found[group].append(row)
        return sorted((rows for rows in found.values() if len(rows) > 1), key=lambda rows: (-len(rows), rows))

    @property
    def together(self) -> int:
        """How many groups hold two or more images."""
        return len(self.members)

    @property
    def images(self) -> int:
        """How many images are in a group with another."""
        return sum(map(len, self.members))

    @property
    def largest(self) -> int:
        """Images in the largest group."""
        return max(map(len, self.members), default=1)

    @property
    def examples(self) -> list[list[int]]:
        """Rows of a few groups, from the largest to the smallest."""
        members = self.members
        last = max(len(members) - 1, 0)
        some = sorted({round(last * step / (EXAMPLES - 1)) for step in range(EXAMPLES)})
        return [members[place][:EXAMPLE_IMAGES] for place in some] if members else []

    def to_json(self, paths: Sequence[str]) -> dict[str, Any]:
        """What ``audit.json`` holds."""
        members = self.members
        return {
            "use": self.use,
            "speaks": self.speaks,
            "groups": len(members),
            "images": sum(map(len, members)),
            "largest": max(map(len, members), default=1),
            "examples": [[paths[row] for row in rows] for rows in self.examples],
        }


def propose_groups(table: ImageTable, facts: pl.DataFrame | None = None) -> list[Proposal]:
    """What could be taken for groups, by names, folders and times; the best first, nothing twice.

    An identifier in most names comes first, since somebody wrote it there; then folders inside class folders, images
    taken within seconds, shot numbers that follow each other, and an identifier in fewer names.

    Args:
        table: the images; only readable ones count.
        facts: of the same rows, with the columns ``camera`` and ``taken``; without them times say nothing.
    """
    rows = table.rows()
    if not rows or isinstance(table.source, Arrays):  # arrays have no names of their own
        return []
    named = list(_by_identifier(table, rows))
    first = [each for each in named if each.images >= MOST * len(rows)]
    rest = [each for each in named if each not in first]
    found: list[Proposal] = []
    for proposal in (*first, *_by_parent(table), *_by_time(table, facts), *_by_number(table), *rest):
        same = any(_divides_alike(proposal, other, rows) for other in found)
        if not same and _divides(table, rows, proposal.groups):
            found.append(proposal)
    return found


def _divides(table: ImageTable, rows: Sequence[int], groups: Sequence[str | None], runs: bool = False) -> bool:
    """Whether some images are joined, and every class keeps groups for every part; of runs, more than that."""
    members: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row, label in zip(rows, table.frame["label"].gather(list(rows)).to_list(), strict=True):
        members[label][groups[row] or f"\0{row}"] += 1
    if all(max(sizes.values()) == 1 for sizes in members.values()):
        return False
    if runs and any(max(sizes.values()) > max(LARGEST_RUN * sizes.total(), 1) for sizes in members.values()):
        return False
    return all(len(sizes) >= _needed(sizes.total(), runs) for sizes in members.values())


def _needed(images: int, runs: bool) -> int:
    """How many groups a class of so many images must be in."""
    return max(len(PARTS), min(GROUPS, images // 3) if runs else 0)


def _divides_alike(one: Proposal, other: Proposal, rows: Sequence[int]) -> bool:
    first = [one.groups[row] or f"\0{row}" for row in rows]
    second = [other.groups[row] or f"\0{row}" for row in rows]
    return len(set(first)) == len(set(second)) == len(set(zip(first, second, strict=True)))


def _by_identifier(table: ImageTable, rows: Sequence[int]) -> Iterator[Proposal]:
    """The shortest beginning of the file names that many images share, but none with too many others."""
    paths, labels = table.paths, table.frame["label"].to_list()
    step = -(-len(rows) // SAMPLE)
    for pattern in _identifiers([paths[row].rpartition("/")[2] for row in rows[::step]]):
        groups = _held(pattern, paths)
        sizes = Counter(groups[row] for row in rows if groups[row] is not None)
        # Two class folders that both begin at 1 share every number; that is no evidence, so pairs are within a class.
        within = Counter((groups[row], labels[row]) for row in rows if groups[row] is not None)
        paired = sum(size for size in within.values() if size > 1)
        several = sorted(size for size in sizes.values() if size > 1)
        if len(several) < len(PARTS) or paired < SHARED * len(rows) or several[-1] > LARGEST * len(rows):
            continue
        if several[len(several) // 2] > USUAL and len(several) < MANY:
            continue
        if _divides(table, rows, groups):
            example = max(sizes, key=lambda name: (1 < sizes[name] <= USUAL, sizes[name], name))
            says = f"{sum(several):,} images share the beginning of their name with others, such as {example!r}."
            yield Proposal(pattern, says, groups)
            return


def _identifiers(names: Sequence[str]) -> Iterator[str]:
    """Patterns for a name up to the first, second, third word with a digit, and for all before the last number."""
    random = sum(bool(re.match(UUID, name, re.IGNORECASE)) for name in names)
    front = f"(?i:{UUID})?" if 2 * random > len(names) else ""
    word = r"[^/\d]*\d[^\W_]*(?![^\W_])"  # up to a digit, and on to the end of the word that holds it
    for beginning in (word, f"(?:{word}){{2}}", f"(?:{word}){{3}}"):
        pattern = f"(?:^|/){front}({beginning})[^/]*$"
        held = _held(pattern, names)
        ends = {match[1] for each in held if each and (match := re.search(r"([^\W\d_]+[ _-]?)\d+$", each))}
        simple = rf"([^/]*{next(iter(ends))}\d+)[^/]*$" if len(ends) == 1 else ""
        yield simple if simple and not front and _held(simple, names) == held else pattern
    yield rf"(?:^|/){front}([^/]*[^/\d])\d+[^/\d]*$"


def _held(pattern: str, texts: Sequence[str]) -> list[str | None]:
    searched = re.compile(pattern)
    return [match[1] if (match := searched.search(text)) else None for text in texts]


def _by_parent(table: ImageTable) -> Iterator[Proposal]:
    groups = read_names(table, PARENT)
    folders = len(set(groups))
    yield Proposal(PARENT, f"The images lie in {folders:,} folders inside the folders of their classes.", groups)


def _by_time(table: ImageTable, facts: pl.DataFrame | None) -> Iterator[Proposal]:
    if facts is None or "taken" not in facts.columns or facts["taken"].null_count() == facts.height:
        return
    rows = table.rows()
    for seconds in SECONDS:
        groups = time_runs(table.frame["label"].to_list(), facts, seconds)
        if _divides(table, rows, groups, runs=True):
            told = sum(group is not None for group in groups)
            yield Proposal(
                f"{BURST}{seconds}",
                f"{_joined(groups):,} of {told:,} images that say when they were taken follow another within "
                f"{seconds} s by the same camera.",
                groups,
            )
            return


def _by_number(table: ImageTable) -> Iterator[Proposal]:
    """Runs of shot numbers, with the widest gap that does not join whole classes.

    Where most images have numbers without holes, such as 0 to 49, runs are no evidence: everything follows something.
    """
    rows, known = table.rows(), series(table)
    if _counted(known):
        return
    for gap in GAPS:
        groups = shot_runs(table, gap, known)
        if _divides(table, rows, groups, runs=True):
            says = f"The numbers of {_joined(groups):,} images are at most {gap} from that of another of the same name."
            if gap < GAPS[0]:
                says += " Wider gaps would join much of a class."
            yield Proposal(f"{SHOTS}{gap}", says, groups)
            return


def _counted(known: Series) -> bool:
    """Whether most numbered images are simply numbered one after the other."""
    numbered = counted = 0
    for each in known:
        numbers = {number for number, _ in each}
        numbered += len(each)
        if len(numbers) >= 2 * len(PARTS) and len(numbers) > 0.8 * (max(numbers) - min(numbers) + 1):
            counted += len(each)
    return 2 * counted > numbered


def _joined(groups: Sequence[str | None]) -> int:
    return sum(size for group, size in Counter(groups).items() if group is not None and size > 1)
