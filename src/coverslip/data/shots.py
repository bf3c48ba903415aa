"""Shots: which images were taken one after the other, as their numbers or times tell.

Whoever photographs leaves takes the same one several times in a row. So images whose numbers (or times) are close
together often show one subject. Only images of one class are joined: a leaf has one diagnosis, and two class folders
are often numbered by two cameras.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import polars as pl

from coverslip.data.sources.folder import PART_FOLDERS
from coverslip.data.table import ImageTable

UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}_*"
_UUID = re.compile(UUID, re.IGNORECASE)
_VERSION = re.compile(r"(?<=\d)\.\d{1,2}$")
_DECORATION = re.compile(
    r"[ _.-]*(?:\(\d+\)|copy|kopie|copie|final|masked|mask|segmented|edited|cropped|crop|resized|jpe?g|png|flip[a-z]{2}"
    r"|(?:new)?\d{2,3}deg(?:flip[a-z]{2})?)$",
    re.IGNORECASE,
)
_SUBJECT = re.compile(
    r"(leaf|plant|patient|subject|slide|case|donor|animal|mouse|specimen|sample|individual)[ _.#-]*$", re.IGNORECASE
)
_NUMBERED = re.compile(r"(.*?)(\d+)(\D*)", re.ASCII | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Shot:
    """A file name taken apart: what stands before its last number, the number as written, and what stands behind."""

    stem: str
    digits: str
    tail: str

    @property
    def names_subject(self) -> bool:
        """Whether the number is a subject's own, as in 'Leaf 313': then the next number is another subject.

        Four digits are taken for a camera's count, whatever the word before them.

        >>> read_shot("GH_HL Leaf 313.1.JPG").names_subject, read_shot("IMG_042.jpg").names_subject
        (True, False)
        """
        return len(self.digits) < 4 and _SUBJECT.search(self.stem) is not None

    @property
    def number(self) -> int:
        """The number."""
        return int(self.digits)


@lru_cache(maxsize=100_000)
def read_shot(name: str) -> Shot | None:
    """Take a file name apart; None where it holds no number.

    What programs write behind the number is taken off first: a second version of image 3101 shows what 3101 shows. A
    random identifier in front says nothing of the subject, and is taken off as well.

    >>> read_shot("0022d6b7-d47c-4ee2-ae9a-392a53f48647___JR_B.Spot 8964.JPG")
    Shot(stem='JR_B.Spot ', digits='8964', tail='')
    >>> read_shot("GH_HL Leaf 313.1.JPG").digits, read_shot("IMG_0042 - Copy (2).jpg").digits
    ('313', '0042')
    >>> read_shot("leaf.png")
    """
    rest = _UUID.sub("", name.rpartition(".")[0] or name, count=1)
    for _ in range(3):
        if not rest[-1:].isdigit():  # no decoration ends like a number; most names do
            shorter = _DECORATION.sub("", rest)
            rest = shorter if _NUMBERED.fullmatch(shorter) else rest  # 'leaf (12)' has no other number
    rest = _VERSION.sub("", rest)
    match = _NUMBERED.fullmatch(rest)
    return Shot(*match.groups()) if match else None


Series = list[list[tuple[int, int]]]


def shot_runs(table: ImageTable, gap: int, known: Series | None = None) -> list[str | None]:
    """The run that each image is part of, by name; None for an image whose name holds no number.

    A run is of one folder, one class and one name stem; each number is at most ``gap`` above the one before. Where
    the word before the number says that it counts subjects (Leaf 313), only equal numbers are one run. Folders
    for train and test count as one where numbers go on from one to the other, which is how a random division of one
    set of images looks; where they share most of their numbers, each began anew and counts for itself.

    Args:
        table: the images.
        gap: between two numbers, 1 or more.
        known: what `series` says of the table, where that is known already.
    """
    names: list[str | None] = [None] * len(table)
    paths, labels = table.paths, table.frame["label"].to_list()
    for members in series(table) if known is None else known:
        start = 0
        for place in range(1, len(members) + 1):
            if place == len(members) or members[place][0] - members[place - 1][0] > gap:
                name = _run_name(paths, labels, members[start:place])
                for _, row in members[start:place]:
                    names[row] = name
                start = place
    return names


def series(table: ImageTable) -> Series:
    """For each folder, class and name stem (with the number, where that is a subject's): (number, row), by number."""
    labels, given = table.frame["label"].to_list(), table.frame["split"].to_list()
    found: defaultdict[tuple[str, ...], list[tuple[int, int]]] = defaultdict(list)
    for row, path in enumerate(table.paths):
        folder, _, name = path.rpartition("/")
        part, _, below = folder.partition("/")
        if given[row] and part.lower() in PART_FOLDERS:
            folder = below
        shot = read_shot(name)
        if shot is not None:
            stem = shot.stem + shot.digits if shot.names_subject else shot.stem
            found[folder, labels[row] or "", stem, shot.tail].append((shot.number, row))
    result: Series = []
    for key in sorted(found):
        parts: defaultdict[str | None, list[tuple[int, int]]] = defaultdict(list)
        for number, row in found[key]:
            parts[given[row]].append((number, row))
        numbers = [{number for number, _ in each} for each in parts.values()]
        shared = sum(map(len, numbers)) - len(set().union(*numbers))
        goes_on = 2 * shared <= min(map(len, numbers))
        result += [sorted(found[key])] if goes_on else [sorted(each) for each in parts.values()]
    return result


def time_runs(labels: Sequence[str], facts: pl.DataFrame, seconds: float) -> list[str | None]:
    """The burst that each image is part of, by name; None for an image without a time.

    Args:
        labels: the class of each image; a burst is of one class and one camera.
        facts: columns ``camera`` and ``taken`` (such as ``2015-05-06T16:01:13``) of the same images.
        seconds: each image is taken at most so long after the one before.
    """
    times = facts["taken"].cast(pl.String).str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", strict=False).dt.epoch("ms")
    cameras = facts["camera"].cast(pl.String).fill_null("").to_list()
    known = sorted(
        (cameras[row], labels[row], time, row) for row, time in enumerate(times.to_list()) if time is not None
    )
    names: list[str | None] = [None] * facts.height
    name, before = "", ("", "", 0.0)
    for camera, label, time, row in known:
        if not name or (camera, label) != before[:2] or time - before[2] > 1000 * seconds:
            name = f"{label} {facts['taken'][row]} {camera}".strip()
        names[row], before = name, (camera, label, time)
    return names


def refine_groups(
    table: ImageTable, rows: Sequence[int], features: npt.ArrayLike, gap: int, *, sure: int = 2, strangers: float = 0.9
) -> list[str | None]:
    """Runs of a wide gap, cut where two shots that follow each other clearly show different things.

    Two shots at most ``sure`` numbers apart stay together. Others stay only if they look more alike than ``strangers``
    of the pairs of their class whose numbers are more than ``gap`` apart. Alike is the cosine between features after
    their mean was taken off and their first directions were made equally wide, class by class: what all leaves of a
    class share says nothing. ``benchmarks/leaf_groups.py`` measures what this gains on real leaves.

    Args:
        table: the images.
        rows: those that ``features`` are of; the others are left out of all groups.
        features: (len(rows), D) of a frozen network; the mean over turned and mirrored views is best.
        gap: of the runs to be cut; see `shot_runs`.
        sure: how close two numbers speak for themselves.
        strangers: share of pairs, 0..1.

    Returns:
        A group for each row of the table, None for an image without a number or features.
    """
    values, place = np.asarray(features, np.float32), {row: index for index, row in enumerate(rows)}
    paths, labels = table.paths, table.frame["label"].to_list()
    classes: defaultdict[str, Series] = defaultdict(list)
    for members in series(table):
        mine = [(number, row) for number, row in members if row in place]
        if mine:
            classes[labels[mine[0][1]]].append(mine)
    names: list[str | None] = [None] * len(table)
    for known in classes.values():
        each = [(name, number, row) for name, members in enumerate(known) for number, row in members]
        which, numbers = np.array([name for name, _, _ in each]), [number for _, number, _ in each]
        limit, alike = _likeness(values[[place[row] for _, _, row in each]], which, numbers, gap, strangers)
        start = 0
        for index in range(1, len(each) + 1):
            if index < len(each) and which[index] == which[index - 1]:
                step = numbers[index] - numbers[index - 1]
                if step <= sure or (step <= gap and alike[index - 1] >= limit):
                    continue
            run = [(number, row) for _, number, row in each[start:index]]
            name, start = _run_name(paths, labels, run), index
            for _, row in run:
                names[row] = name
    return names


MOST_DIRECTIONS, SAMPLE = 64, 2000


def _likeness(
    features: npt.NDArray[np.float32], which: npt.NDArray[np.int64], numbers: Sequence[int], gap: int, share: float
) -> tuple[float, npt.NDArray[np.float32]]:
    """The likeness that ``share`` of the pairs of strangers stay under, and that of each image with the next.

    Args:
        features: (N, D) of the images of one class.
        which: (N,) series that each belongs to.
        numbers: N shot numbers.
        gap: numbers of one series that are further apart are of strangers.
        share: 0..1.
    """
    centered = features - features.mean(0)
    some = np.unique(np.linspace(0, len(features) - 1, min(len(features), SAMPLE)).astype(int))
    _, scale, directions = np.linalg.svd(centered[some], full_matrices=False)
    keep = min(MOST_DIRECTIONS, len(some) // 2, int((scale > 1e-6 * max(scale[0], 1e-9)).sum()))
    if keep < 2:
        return -np.inf, np.zeros(len(features) - 1, np.float32)  # too few to know what strangers look like
    white = (centered @ directions[:keep].T) / scale[:keep]
    white /= np.maximum(np.linalg.norm(white, axis=1, keepdims=True), 1e-9)
    number = np.array([float(each) for each in numbers])[some]
    apart = (which[some][:, None] != which[some]) | (np.abs(number[:, None] - number) > gap)
    limit = float(np.quantile((white[some] @ white[some].T)[apart], share)) if apart.any() else -np.inf
    return limit, (white[1:] * white[:-1]).sum(1)


def _run_name(paths: Sequence[str], labels: Sequence[str | None], members: Sequence[tuple[int, int]]) -> str:
    """Folder, stem, first and last number of (number, row) in order; and the class where the folder does not say it."""
    (folder, _, name), end = paths[members[0][1]].rpartition("/"), paths[members[-1][1]].rpartition("/")[2]
    shot, last, label = read_shot(name), read_shot(end), labels[members[0][1]]
    assert shot is not None
    assert last is not None
    until = f" to {last.digits}" if last.number != shot.number else ""
    name = f"{folder}/{shot.stem}{shot.digits}{until}{shot.tail}"
    return name if label is None or label in folder.split("/") else f"{name} ({label})"
