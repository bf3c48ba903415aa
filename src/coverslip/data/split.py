"""The split: seeded, stratified, groups whole.

Each part has one job: train fits, validation chooses and calibrates, test is opened once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import UserError
from coverslip.core.registry import nearest
from coverslip.core.seeds import generator
from coverslip.data.balance import Wish, deal
from coverslip.data.groups import PARENT, join_groups, read_names
from coverslip.data.table import PARTS, ImageTable

FRACTIONS = (0.70, 0.15, 0.15)
SITE_WEIGHT = 0.5  # of the balance of sites, beside that of classes


def split_table(
    table: ImageTable,
    fractions: tuple[float, float, float] = FRACTIONS,
    seed: int = 0,
    *,
    sites: Sequence[str | None] | None = None,
    whole_sites: bool = True,
) -> ImageTable:
    """Fill in the part of every readable image that has none yet.

    Parts that the source gives (folders, a column) stay as they are, even where they cut a group (`straddling` says
    which); what it does not give is cut from its train part.

    Args:
        table: the images.
        fractions: of train, validation and test.
        seed: of the split.
        sites: the hospital, camera or batch of every row, None where nobody knows; see `site_names`.
        whole_sites: each site is in one part only, so that the test says what a new site will bring. Otherwise every
            part gets nearly the same mix of sites.

    Raises:
        UserError: a class has no image to train on, or there are too few groups or sites.
    """
    rows = table.rows()
    given = [table.frame["split"][row] for row in rows]
    labels, groups = np.array(table.labels(rows)), table.groups(rows)
    _check_counts(table, rows, labels, groups)
    parts = np.array([PARTS.index(part) if part else -1 for part in given])
    missing = [index for index in range(3) if not (parts == index).any()] if (parts >= 0).any() else [0, 1, 2]
    if missing:
        # A source that names only train and test lacks a validation set: it is cut from train.
        numbers = np.flatnonzero((parts == -1) | (parts == 0))
        wanted = np.array([fractions[index] if index in missing or index == 0 else 0.0 for index in range(3)])
        mine, places = [groups[number] for number in numbers], None
        if sites is not None:
            places = [sites[rows[number]] for number in numbers]
            if whole_sites:
                table, mine = _with_sites(table, mine, places, int((wanted > 0).sum()))
                places = None
        parts[numbers] = assign_parts(labels[numbers], mine, wanted, seed, places)
    elif (parts == -1).any():
        raise UserError(f"{int((parts == -1).sum())} images have no split, the others have", "fill it in, or drop it")
    _check_parts(table, labels, parts)
    named: list[str | None] = [None] * len(table)
    for row, part in zip(rows, parts, strict=True):
        named[row] = PARTS[part]
    return table.with_columns(split=named)


def assign_parts(
    labels: npt.NDArray[np.integer],
    groups: Sequence[str],
    fractions: npt.ArrayLike,
    seed: int,
    sites: Sequence[str | None] | None = None,
) -> npt.NDArray[np.int64]:
    """Give every group one part so that each class is divided as nearly by ``fractions`` as whole groups allow.

    Every class is in every part wherever whole groups allow it, in the first part before the others. The order of rows
    does not matter. See `coverslip.data.balance` for how.

    Args:
        labels: (N,) class numbers.
        groups: N group names.
        fractions: wanted share of each part; any positive scale, 0 for a part that gets nothing.
        seed: of the order among equal groups.
        sites: N names of sites that are to be divided by ``fractions`` too, half as important as classes.

    Returns:
        (N,) part numbers.
    """
    share = np.asarray(fractions, np.float64)
    open_parts = np.flatnonzero(share > 0)
    names, members = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)
    columns = [np.asarray(labels)]
    if sites is not None:
        columns.append(np.unique([f"={each}" if each else "" for each in sites], return_inverse=True)[1])
    widths = [int(column.max()) + 1 for column in columns]
    counts = np.concatenate([np.zeros((len(names), width)) for width in widths], axis=1)
    for column, start in zip(columns, (0, widths[0]), strict=False):
        np.add.at(counts, (members, start + column), 1)
    # Each kind of column counts as a whole: a thousand sites do not outweigh two classes.
    present = [len(np.unique(column)) for column in columns]
    weights = np.concatenate(
        [np.full(width, SITE_WEIGHT**place * present[0] / present[place]) for place, width in enumerate(widths)]
    )
    wish = Wish(share[open_parts] / share.sum(), counts.sum(0), weights, widths[0])
    return open_parts[deal(counts, wish, generator(seed, "split"))][members]


def assign_folds(
    labels: npt.NDArray[np.integer], groups: Sequence[str] | None, folds: int, seed: int
) -> npt.NDArray[np.int64]:
    """The fold in which each image is held out: stratified, and groups whole where there are any.

    Args:
        labels: (N,) class numbers.
        groups: N group names; None if every image stands for itself.
        folds: how many, 2 or more.
        seed: of the order among equal groups.

    Returns:
        (N,) fold numbers, 0 to folds - 1; no fold is empty.

    Raises:
        UserError: fewer than two folds, or fewer groups than folds.
    """
    names = [f"{index:09d}" for index in range(len(labels))] if groups is None else groups
    found = len(set(names))
    if folds < 2:
        raise UserError(f"{folds} folds cannot hold anything out", "give 2 or more; 5 is usual")
    if found < folds:
        what = "images" if groups is None else "groups"
        raise UserError(f"{found} {what}, {folds} folds", f"ask for at most {found} folds, or add {what}")
    return assign_parts(labels, names, np.ones(folds), seed)


def site_names(table: ImageTable, by: str) -> list[str | None]:
    """The site (hospital, camera, batch) of every row, None where nothing says it.

    Args:
        table: the images.
        by: as for ``--group``: a column of the table, a regular expression on the path, or ``parent``.

    Raises:
        UserError: no such column, or a pattern that matches no path.
    """
    if by not in table.further and table.further and by.isidentifier() and by != PARENT:
        raise UserError(f"{table.name!r} has no column {by!r}", nearest(by, table.further))
    return read_names(table, by)


def ungrouped_rows(table: ImageTable) -> list[int]:
    """The readable images without a group, in a table that has groups."""
    if table.grouped_by is None:
        return []
    groups = table.frame["group"].to_list()
    return [row for row in table.rows() if groups[row] is None]


def straddling(table: ImageTable) -> list[list[int]]:
    """Rows of each group whose readable images are in more than one part: what a test on them says is too good."""
    split = table.frame["split"].to_list()
    rows = [row for row in table.rows() if split[row] is not None]
    members: dict[str, list[int]] = {}
    for row, group in zip(rows, table.groups(rows), strict=True):
        members.setdefault(group, []).append(row)
    return [each for each in members.values() if len({split[row] for row in each}) > 1]


def move_to_one_part(table: ImageTable, sets: Sequence[Sequence[int]]) -> ImageTable:
    """Move the images of each set to the part that holds most of them; a tie goes to the earlier part."""
    split: list[str | None] = table.frame["split"].to_list()
    for rows in sets:
        counts = [sum(split[row] == part for row in rows) for part in PARTS]
        for row in rows:
            split[row] = PARTS[counts.index(max(counts))]
    return table.with_columns(split=split)


def _with_sites(
    table: ImageTable, groups: Sequence[str], sites: Sequence[str | None], parts: int
) -> tuple[ImageTable, list[str]]:
    """What must not be divided where sites are kept whole: groups, joined by site; said where one joins two sites."""
    places: dict[str, set[str]] = {}
    for group, site in zip(groups, sites, strict=True):
        if site is not None:
            places.setdefault(group, set()).add(site)
    joined = join_groups([f"group {group}" for group in groups], sites)
    several = [group for group in places if len(places[group]) > 1]
    names = {site for site in sites if site is not None}
    units = len(set(joined))
    if units < parts:
        because = f", of which groups such as {several[0]!r} join some" if several else ""
        raise UserError(
            f"{len(names)} sites for {parts} parts{because}: each site is to be in one part only",
            "balance the sites instead of keeping them whole, or add images of other sites",
        )
    if several:
        listed = " and ".join(repr(site) for site in sorted(places[several[0]]))
        table = table.noting(
            f"{len(several)} groups lie in several sites, for example {several[0]!r} in {listed}: these sites are "
            "kept together in one part"
        )
    return table, joined


def _check_counts(table: ImageTable, rows: list[int], labels: npt.NDArray[np.integer], groups: list[str]) -> None:
    if not rows:
        first = table.frame["status"].to_list()[0]
        raise UserError(f"none of the {len(table)} images can be read (the first: {first})", "check the files")
    for number, name in enumerate(table.classes):
        mine = labels == number
        images, unique = int(mine.sum()), len({groups[index] for index in np.flatnonzero(mine)})
        if images == 0:
            raise UserError(f"class {name!r} has no readable image", "mend its files, or remove its folder")
        if unique < len(PARTS):
            what = f"{images} images" if unique == images else f"{images} images of {unique} groups"
            what = what.replace("1 images", "1 image").replace("1 groups", "1 group")
            raise UserError(
                f"class {name!r} has {what}; train, validation and test need one each",
                "add images of other leaves (patients, slides) to it, or leave the class out",
            )


def _check_parts(table: ImageTable, labels: npt.NDArray[np.integer], parts: npt.NDArray[np.int64]) -> None:
    for number, name in enumerate(table.classes):
        if not ((labels == number) & (parts == 0)).any():
            raise UserError(
                f"class {name!r} has no image in the train part",
                "add some there; a class that is never seen is unknown",
            )
