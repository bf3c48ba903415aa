"""Search for duplicate images, which must stay in the same set of a split: exact copies and near-duplicates.

Exact copies have equal decoded pixels. Near-duplicates were recompressed, resized, mirrored, rotated by multiples of
90 degrees, or cropped slightly. Candidates come from fingerprints of thumbnails; each is confirmed by aligning the two
images.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from coverslip.auditing.chains import link_copies
from coverslip.auditing.fingerprints import closest_pairs, fingerprints
from coverslip.auditing.matching import ImageMatcher
from coverslip.core.progress import SILENT, Progress
from coverslip.data.image import Pixels
from coverslip.data.table import STATUS_OK

MIN_SIMILARITY = 0.5  # of fingerprints; less similar pairs are no candidates
MAX_CANDIDATES = 16  # per image; where all images look alike, only the closest ones are compared
BLANK = 1.5  # standard deviation in grey levels; a thumbnail below it has no content that could be compared


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Rows of a table that show the same image.

    Attributes:
        exact: sets of rows whose decoded pixels are equal.
        near: pairs of rows (the smaller first) with their similarity, 0 to 1: the correlation of fine detail after the
            two images were aligned. Of each exact set, only the first row is compared.
        sets: rows that must share one group because they are linked by exact copies or near-duplicates.
        chains: rows of similar images that were not joined because the ends of the chain are not copies of each other,
            such as video frames or slices of a volume. Sets of near-duplicates within a chain are in ``sets``.
    """

    exact: list[list[int]] = field(default_factory=list)
    near: list[tuple[int, int, float]] = field(default_factory=list)
    sets: list[list[int]] = field(default_factory=list)
    chains: list[list[int]] = field(default_factory=list)


def find_duplicates(
    facts: pl.DataFrame, pixels: Pixels, *, fit: str = "pad", progress: Progress = SILENT
) -> Duplicates:
    """Find images that occur more than once, independent of the order of the rows.

    A blank or nearly blank image is a duplicate only of an image with equal pixels.

    Args:
        facts: one row per image, columns of `coverslip.data.decoding.FACTS`.
        pixels: cached images, shape (N, H, W, C).
        fit: how the images were fitted into H x W: ``pad``, ``squash`` or ``crop``.
        progress: receives the stages of the comparison.
    """
    read = facts.with_row_index("row").filter(pl.col("status") == STATUS_OK)
    if not read.height:
        return Duplicates()
    members = read.group_by("pixel_hash").agg(pl.col("row").sort()).sort("pixel_hash")["row"].to_list()
    exact = sorted(rows for rows in members if len(rows) > 1)
    # From here on in the order of the hashes, so that the result depends neither on names nor on the order of files.
    first = np.array([rows[0] for rows in members])
    thumbnails = np.frombuffer(b"".join(facts["thumbnail"].gather(first).to_list()), np.uint8).reshape(-1, 32, 32)
    with_content = np.flatnonzero(thumbnails.std(axis=(1, 2), dtype=np.float32) >= BLANK)
    matcher = ImageMatcher(facts, pixels, fit, first[with_content], thumbnails[with_content])
    with progress.stage("checking for duplicates", len(with_content)) as stage:
        candidates = closest_pairs(fingerprints(thumbnails[with_content]), MIN_SIMILARITY, MAX_CANDIDATES, stage)
    pairs, similarity = matcher.confirm_copies(candidates, progress)
    sets, chains = link_copies(pairs, similarity, matcher)
    rows_of = [members[number] for number in with_content.tolist()]
    joined = _to_rows(sets, rows_of)
    linked = {row for rows in joined for row in rows}
    near = zip(first[with_content][pairs].tolist(), similarity.tolist(), strict=True)
    return Duplicates(
        exact=exact,
        near=sorted((min(ends), max(ends), round(value, 4)) for ends, value in near),
        sets=sorted([*joined, *(rows for rows in exact if rows[0] not in linked)]),
        chains=_to_rows(chains, rows_of),
    )


def _to_rows(sets: Iterable[Sequence[int]], rows_of: list[list[int]]) -> list[list[int]]:
    """Return sets of image numbers as sorted sets of table rows."""
    return sorted(sorted(row for number in numbers for row in rows_of[number]) for numbers in sets)
