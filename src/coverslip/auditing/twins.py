"""Twins: images that are in the data more than once, to the pixel or nearly, and so must stay on one side of a split.

Exact twins have equal decoded pixels. Near twins were saved again, resized, mirrored, turned by a quarter or cropped a
little. Candidates come from fingerprints of thumbnails; each is confirmed by laying one image over the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from coverslip.auditing.chains import link_alike
from coverslip.auditing.confirming import Album
from coverslip.auditing.fingerprints import closest_pairs, fingerprints
from coverslip.core.progress import SILENT, Progress
from coverslip.data.image import Pixels
from coverslip.data.table import READ

LEAST = 0.5  # similarity of fingerprints from which a pair is looked at
CLOSEST = 16  # candidates of one image: where all look alike, only the closest are looked at
BLANK = 1.5  # grey levels of spread below which a thumbnail shows nothing that could be compared


@dataclass(frozen=True, slots=True)
class Twins:
    """Which rows of a table show the same image.

    Attributes:
        exact: sets of rows whose decoded pixels are equal.
        near: pairs of rows, the smaller first, with their similarity, 0 to 1: the correlation of fine detail once one
            image lies on the other. Of each exact set only the first row is compared.
        sets: rows that are to share one group, through exact and near twins.
        chains: rows of look-alikes that were not joined, since their ends are no copies of each other: frames of a
            film, slices of a block. Near twins among them that do form sets of copies are in ``sets``.
    """

    exact: list[list[int]] = field(default_factory=list)
    near: list[tuple[int, int, float]] = field(default_factory=list)
    sets: list[list[int]] = field(default_factory=list)
    chains: list[list[int]] = field(default_factory=list)


def find_twins(facts: pl.DataFrame, pixels: Pixels, *, fit: str = "pad", progress: Progress = SILENT) -> Twins:
    """Find the same image under several names; the order of the rows changes nothing.

    An image of one color, or nearly, is a twin only of one with equal pixels.

    Args:
        facts: a row an image, columns of `coverslip.data.decoding.FACTS`.
        pixels: (N, H, W, C), the cached images.
        fit: how they were fitted into H x W.
        progress: told of the comparisons.
    """
    read = facts.with_row_index("row").filter(pl.col("status") == READ)
    if not read.height:
        return Twins()
    members = read.group_by("pixel_hash").agg(pl.col("row").sort()).sort("pixel_hash")["row"].to_list()
    exact = sorted(rows for rows in members if len(rows) > 1)
    # From here on in the order of the hashes, so that neither names nor the order of files decide anything.
    first = np.array([rows[0] for rows in members])
    thumbnails = np.frombuffer(b"".join(facts["thumbnail"].gather(first).to_list()), np.uint8).reshape(-1, 32, 32)
    shows = np.flatnonzero(thumbnails.std(axis=(1, 2), dtype=np.float32) >= BLANK)
    album = Album(facts, pixels, fit, first[shows], thumbnails[shows])
    with progress.stage("searching for twins", len(shows)) as stage:
        candidates = closest_pairs(fingerprints(thumbnails[shows]), LEAST, CLOSEST, stage)
    pairs, similarity = album.copies_among(candidates, progress)
    sets, chains = link_alike(pairs, similarity, album)
    names = [members[number] for number in shows.tolist()]
    joined = _rows(sets, names)
    linked = {row for rows in joined for row in rows}
    found = zip(first[shows][pairs].tolist(), similarity.tolist(), strict=True)
    return Twins(
        exact=exact,
        near=sorted((min(ends), max(ends), round(value, 4)) for ends, value in found),
        sets=sorted([*joined, *(rows for rows in exact if rows[0] not in linked)]),
        chains=_rows(chains, names),
    )


def _rows(sets: Iterable[Sequence[int]], names: list[list[int]]) -> list[list[int]]:
    return sorted(sorted(row for number in some for row in names[number]) for some in sets)
