"""Runs of images that were taken in succession, found from the numbers in their file names or from their times.

Photographers usually take several images of one leaf in succession, so images with close numbers (or times) often show
the same subject. Only images of one class are joined: a leaf has one diagnosis, and two class folders are often
numbered by two cameras.
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

from coverslip.data.sources.folder_layout import split_of
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
    """The parts of a file name: the text before its last number, the digits of the number, and the text after it."""

    stem: str
    digits: str
    tail: str

    @property
    def names_subject(self) -> bool:
        """Whether the number identifies a subject, as in 'Leaf 313': then the next number is another subject.

        A number of four or more digits is assumed to be a camera's counter, regardless of the word before it.

        >>> parse_shot("GH_HL Leaf 313.1.JPG").names_subject, parse_shot("IMG_042.jpg").names_subject
        (True, False)
        """
        return len(self.digits) < 4 and _SUBJECT.search(self.stem) is not None

    @property
    def number(self) -> int:
        """The number as an integer."""
        return int(self.digits)


@lru_cache(maxsize=100_000)
def parse_shot(name: str) -> Shot | None:
    """Return the parts of a file name; None if it contains no number.

    Suffixes that programs append to the number are removed first, since a second version of image 3101 shows the same
    subject. A random identifier (UUID) at the beginning is removed too.

    >>> parse_shot("0022d6b7-d47c-4ee2-ae9a-392a53f48647___JR_B.Spot 8964.JPG")
    Shot(stem='JR_B.Spot ', digits='8964', tail='')
    >>> parse_shot("GH_HL Leaf 313.1.JPG").digits, parse_shot("IMG_0042 - Copy (2).jpg").digits
    ('313', '0042')
    >>> parse_shot("leaf.png")
    """
    rest = _UUID.sub("", name.rpartition(".")[0] or name, count=1)
    for _ in range(3):
        if not rest[-1:].isdigit():  # most names end with a digit, and no suffix does
            shorter = _DECORATION.sub("", rest)
            rest = shorter if _NUMBERED.fullmatch(shorter) else rest  # keep the only number, as in 'leaf (12)'
    rest = _VERSION.sub("", rest)
    match = _NUMBERED.fullmatch(rest)
    return Shot(*match.groups()) if match else None


NumberedSeries = list[list[tuple[int, int]]]
"""Series of images that were numbered together, each a list of (number, row) sorted by number."""


def numbered_runs(table: ImageTable, gap: int, series: NumberedSeries | None = None) -> list[str | None]:
    """Return the name of the run that each image belongs to; None for an image without a number in its name.

    A run has one folder, one class and one name stem, and successive numbers differ by at most ``gap``. If the word
    before the number shows that it counts subjects (Leaf 313), a run has a single number. Train and test folders count
    as one folder if their numbers interleave, as in a random split of one set of images; if they share most of their
    numbers, each was numbered separately and counts for itself.

    Args:
        table: the images.
        gap: maximum difference between successive numbers, 1 or more.
        series: the result of `numbered_series`, if it was computed already.
    """
    names: list[str | None] = [None] * len(table)
    paths, labels = table.paths, table.frame["label"].to_list()
    for members in numbered_series(table) if series is None else series:
        start = 0
        for end in range(1, len(members) + 1):
            if end == len(members) or members[end][0] - members[end - 1][0] > gap:
                name = _run_name(paths, labels, members[start:end])
                for _, row in members[start:end]:
                    names[row] = name
                start = end
    return names


def numbered_series(table: ImageTable) -> NumberedSeries:
    """Return the series of images with one folder, class and name stem (and number, if that identifies a subject)."""
    labels, splits = table.frame["label"].to_list(), table.frame["split"].to_list()
    members: defaultdict[tuple[str, ...], list[tuple[int, int]]] = defaultdict(list)
    for row, path in enumerate(table.paths):
        folder, _, name = path.rpartition("/")
        top, _, below = folder.partition("/")
        if splits[row] and split_of(top):
            folder = below
        shot = parse_shot(name)
        if shot is not None:
            stem = shot.stem + shot.digits if shot.names_subject else shot.stem
            members[folder, labels[row] or "", stem, shot.tail].append((shot.number, row))
    result: NumberedSeries = []
    for key in sorted(members):
        by_split: defaultdict[str | None, list[tuple[int, int]]] = defaultdict(list)
        for number, row in members[key]:
            by_split[splits[row]].append((number, row))
        numbers = [{number for number, _ in split_members} for split_members in by_split.values()]
        shared = sum(map(len, numbers)) - len(set().union(*numbers))
        numbered_together = 2 * shared <= min(map(len, numbers))
        if numbered_together:
            result.append(sorted(members[key]))
        else:
            result += [sorted(split_members) for split_members in by_split.values()]
    return result


def time_runs(labels: Sequence[str], facts: pl.DataFrame, seconds: float) -> list[str | None]:
    """Return the name of the burst that each image belongs to; None for an image without a time.

    Args:
        labels: class name of each image; a burst has one class and one camera.
        facts: the columns ``camera`` and ``taken`` (such as ``2015-05-06T16:01:13``) of the same images.
        seconds: maximum time between successive images of a burst.
    """
    times = facts["taken"].cast(pl.String).str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", strict=False).dt.epoch("ms")
    cameras = facts["camera"].cast(pl.String).fill_null("").to_list()
    timed = sorted(
        (cameras[row], labels[row], time, row) for row, time in enumerate(times.to_list()) if time is not None
    )
    names: list[str | None] = [None] * facts.height
    name, before = "", ("", "", 0.0)
    for camera, label, time, row in timed:
        if not name or (camera, label) != before[:2] or time - before[2] > 1000 * seconds:
            name = f"{label} {facts['taken'][row]} {camera}".strip()
        names[row], before = name, (camera, label, time)
    return names


def refine_groups(
    table: ImageTable,
    rows: Sequence[int],
    features: npt.ArrayLike,
    gap: int,
    *,
    certain_gap: int = 2,
    quantile: float = 0.9,
) -> list[str | None]:
    """Return runs of a wide gap, cut between successive shots whose images clearly differ.

    Two successive shots stay together if their numbers differ by at most ``certain_gap``, or if they are more similar
    than a fraction ``quantile`` of the unrelated pairs of their class: those whose numbers are more than ``gap`` apart.
    The similarity is the cosine between features that were centered and whitened class by class, so that what all
    leaves of a class have in common does not count. ``benchmarks/leaf_groups.py`` measures the gain on real leaves.

    Args:
        table: the images.
        rows: row numbers of ``features``; all other images get no group.
        features: features of a frozen network, shape (len(rows), D); preferably the mean over rotated and mirrored
            views.
        gap: maximum gap of the runs to be cut; see `numbered_runs`.
        certain_gap: maximum gap at which images are not compared.
        quantile: fraction of unrelated pairs, 0..1.

    Returns:
        A group name for each row of the table, None for an image without a number or features.
    """
    values, position = np.asarray(features, np.float32), {row: index for index, row in enumerate(rows)}
    paths, labels = table.paths, table.frame["label"].to_list()
    classes: defaultdict[str, NumberedSeries] = defaultdict(list)
    for members in numbered_series(table):
        with_features = [(number, row) for number, row in members if row in position]
        if with_features:
            classes[labels[with_features[0][1]]].append(with_features)
    names: list[str | None] = [None] * len(table)
    for series in classes.values():
        images = [(index, number, row) for index, members in enumerate(series) for number, row in members]
        series_ids, numbers = np.array([index for index, _, _ in images]), [number for _, number, _ in images]
        class_features = values[[position[row] for _, _, row in images]]
        threshold, similarity = _similarity(class_features, series_ids, numbers, gap, quantile)
        start = 0
        for end in range(1, len(images) + 1):
            if end < len(images) and series_ids[end] == series_ids[end - 1]:
                step = numbers[end] - numbers[end - 1]
                if step <= certain_gap or (step <= gap and similarity[end - 1] >= threshold):
                    continue
            run = [(number, row) for _, number, row in images[start:end]]
            name, start = _run_name(paths, labels, run), end
            for _, row in run:
                names[row] = name
    return names


MAX_DIRECTIONS, SAMPLE = 64, 2000


def _similarity(
    features: npt.NDArray[np.float32],
    series_ids: npt.NDArray[np.int64],
    numbers: Sequence[int],
    gap: int,
    quantile: float,
) -> tuple[float, npt.NDArray[np.float32]]:
    """Return the similarity below which a fraction ``quantile`` of unrelated pairs lies, and that of successive images.

    Args:
        features: features of the images of one class, shape (N, D).
        series_ids: series of each image, shape (N,).
        numbers: N shot numbers.
        gap: images of one series whose numbers differ by more are unrelated.
        quantile: 0..1.

    Returns:
        The threshold, and the similarity of each image with the next, shape (N - 1,).
    """
    centered = features - features.mean(0)
    sample = np.unique(np.linspace(0, len(features) - 1, min(len(features), SAMPLE)).astype(int))
    _, scale, directions = np.linalg.svd(centered[sample], full_matrices=False)
    keep = min(MAX_DIRECTIONS, len(sample) // 2, int((scale > 1e-6 * max(scale[0], 1e-9)).sum()))
    if keep < 2:
        return -np.inf, np.zeros(len(features) - 1, np.float32)  # too few images for an estimate: nothing is cut
    white = (centered @ directions[:keep].T) / scale[:keep]
    white /= np.maximum(np.linalg.norm(white, axis=1, keepdims=True), 1e-9)
    number = np.array([float(value) for value in numbers])[sample]
    unrelated = (series_ids[sample][:, None] != series_ids[sample]) | (np.abs(number[:, None] - number) > gap)
    pairs = (white[sample] @ white[sample].T)[unrelated]
    threshold = float(np.quantile(pairs, quantile)) if unrelated.any() else -np.inf
    return threshold, (white[1:] * white[:-1]).sum(1)


def _run_name(paths: Sequence[str], labels: Sequence[str | None], members: Sequence[tuple[int, int]]) -> str:
    """Return folder, stem, first and last number of a run of (number, row), and the class if the folder lacks it."""
    (folder, _, name), end = paths[members[0][1]].rpartition("/"), paths[members[-1][1]].rpartition("/")[2]
    shot, last, label = parse_shot(name), parse_shot(end), labels[members[0][1]]
    assert shot is not None
    assert last is not None
    until = f" to {last.digits}" if last.number != shot.number else ""
    name = f"{folder}/{shot.stem}{shot.digits}{until}{shot.tail}"
    return name if label is None or label in folder.split("/") else f"{name} ({label})"
