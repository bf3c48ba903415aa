"""The split into train, validation and test: seeded, stratified by class or by bins of values, groups kept intact.

The train set fits the model, the validation set selects and calibrates it, and the test set is used once, at the end.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import UserError
from coverslip.core.registry import nearest
from coverslip.core.seeds import generator
from coverslip.data.balance import SplitTarget, assign_balanced
from coverslip.data.groups import PARENT, join_groups, read_group_names
from coverslip.data.table import SPLITS, ImageTable
from coverslip.data.target import SEPARATOR

FRACTIONS = (0.70, 0.15, 0.15)
MIN_GROUPS = 6  # of a task without classes: enough for every split
SITE_WEIGHT = 0.5  # weight of the balance of sites; that of classes has weight 1


def split_table(
    table: ImageTable,
    fractions: tuple[float, float, float] = FRACTIONS,
    seed: int = 0,
    *,
    sites: Sequence[str | None] | None = None,
    keep_sites_intact: bool = True,
) -> ImageTable:
    """Return the table with a split for every readable image.

    Splits that the source defines (folders, a column) are kept, even if a group is in several of them (see
    `groups_across_splits`). Splits that it does not define are drawn from the images without a split; if every image
    has one, from its train set. An image without a split whose group has one gets that split.

    Args:
        table: the images.
        fractions: fractions of train, validation and test.
        seed: seed of the split.
        sites: the hospital, camera or batch of every row, None if unknown; see `site_names`.
        keep_sites_intact: put each site into one split only, so that the test score applies to new sites. Otherwise
            every split gets nearly the same mix of sites.

    Raises:
        UserError: a class has no training image, or there are too few groups or sites.
    """
    rows = table.rows()
    names = [table.frame["split"][row] for row in rows]
    labels, groups = np.array(table.strata(rows)), table.groups(rows)
    _check_counts(table, rows, labels, groups)
    splits = np.array([SPLITS.index(name) if name else -1 for name in names])
    given = [index for index in range(3) if (splits == index).any()]
    missing = [index for index in range(3) if index not in given]
    unassigned = int((splits == -1).sum())
    if 0 not in given and not unassigned:
        counts = ", ".join(f"{SPLITS[index]} {int((splits == index).sum())}" for index in given)
        raise UserError(
            f"no image is in the train set ({counts}), so no model can be trained",
            "mark images of every class as 'train', or leave their split empty; to evaluate a model on these images, "
            "use coverslip evaluate",
        )
    if missing:
        # Given splits stay. If no image is without one, a missing validation or test set is drawn from train.
        is_open = splits == (-1 if unassigned else 0)
        targets = _open_targets(splits, fractions, missing)
        all_groups = groups
        if sites is not None and keep_sites_intact:
            open_rows = np.flatnonzero((splits == -1) | (splits == 0))
            open_sites = [sites[rows[index]] for index in open_rows]
            joined_names = [groups[index] for index in open_rows]
            table, joined = _join_by_site(table, joined_names, open_sites, int((targets > 0).sum()))
            all_groups = [f"group {group}" for group in groups]
            for index, name in zip(open_rows, joined, strict=True):
                all_groups[index] = name
        if unassigned:
            splits = _follow_groups(splits, all_groups)
            is_open = splits == -1
        open_rows = np.flatnonzero(is_open)
        if len(open_rows):
            balanced = None if sites is None or keep_sites_intact else [sites[rows[index]] for index in open_rows]
            open_groups = [all_groups[index] for index in open_rows]
            splits[open_rows] = assign_splits(labels[open_rows], open_groups, targets, seed, balanced)
        empty = [SPLITS[index] for index in missing if not (splits == index).any()]
        if unassigned and given and empty:
            raise UserError(
                f"{unassigned} images without a split are too few for a {empty[0]} set; given splits are not changed",
                f"mark images of every class as {empty[0]!r}, or leave the split of more images empty",
            )
    elif unassigned:
        raise UserError(
            f"{unassigned} image{'s have' if unassigned > 1 else ' has'} no split, but the others have one",
            "fill in the column split, or remove these rows",
        )
    _check_splits(table, labels, splits)
    column: list[str | None] = [None] * len(table)
    for row, split in zip(rows, splits, strict=True):
        column[row] = SPLITS[split]
    return table.with_columns(split=column)


def assign_splits(
    labels: npt.NDArray[np.integer],
    groups: Sequence[str],
    fractions: npt.ArrayLike,
    seed: int,
    sites: Sequence[str | None] | None = None,
) -> npt.NDArray[np.int64]:
    """Assign every group to one split so that each class is divided by ``fractions`` as closely as groups allow.

    Every class is in every split if there are enough groups, otherwise in the first split before the others. The order
    of rows does not matter. `coverslip.data.balance` describes the method.

    Args:
        labels: integer class ids, shape (N,), values in 0..K-1.
        groups: N group names.
        fractions: target fraction of each split, on any positive scale; 0 leaves a split empty.
        seed: seed of the order among groups of equal size.
        sites: N names of sites, None if unknown, that are divided by ``fractions`` too, with half the weight of
            classes.

    Returns:
        Split numbers, shape (N,).
    """
    share = np.asarray(fractions, np.float64)
    open_splits = np.flatnonzero(share > 0)
    names, members = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)
    columns = [np.asarray(labels)]
    if sites is not None:
        columns.append(np.unique([f"={site}" if site else "" for site in sites], return_inverse=True)[1])
    widths = [int(column.max()) + 1 for column in columns]
    counts = np.concatenate([np.zeros((len(names), width)) for width in widths], axis=1)
    for column, start in zip(columns, (0, widths[0]), strict=False):
        np.add.at(counts, (members, start + column), 1)
    # Weights add up per kind of column, so that a thousand sites do not outweigh two classes.
    present = [len(np.unique(column)) for column in columns]
    weights = np.concatenate(
        [np.full(width, SITE_WEIGHT**index * present[0] / present[index]) for index, width in enumerate(widths)]
    )
    target = SplitTarget(share[open_splits] / share.sum(), counts.sum(0), weights, widths[0])
    return open_splits[assign_balanced(counts, target, generator(seed, "split"))][members]


def assign_folds(
    labels: npt.NDArray[np.integer], groups: Sequence[str] | None, folds: int, seed: int
) -> npt.NDArray[np.int64]:
    """Return the cross-validation fold of each image, stratified by class and with groups kept intact.

    Args:
        labels: integer class ids, shape (N,), values in 0..K-1.
        groups: N group names; None if there are no groups.
        folds: number of folds, 2 or more.
        seed: seed of the order among groups of equal size.

    Returns:
        The fold in which each image is held out, shape (N,), values in 0..folds-1; no fold is empty.

    Raises:
        UserError: fewer than two folds, or fewer groups than folds.
    """
    names = [f"{index:09d}" for index in range(len(labels))] if groups is None else groups
    count = len(set(names))
    if folds < 2:
        raise UserError(f"folds={folds} is too small for cross-validation", "give 2 or more folds; 5 is usual")
    if count < folds:
        unit = "images" if groups is None else "groups"
        raise UserError(f"{count} {unit} are too few for {folds} folds", f"use at most {count} folds, or add {unit}")
    return assign_splits(labels, names, np.ones(folds), seed)


def site_names(table: ImageTable, by: str) -> list[str | None]:
    """Return the site (hospital, camera, batch) of every row, None if unknown.

    Args:
        table: the images.
        by: as for ``--group``: a column of the table, a regular expression on the path, or ``parent``.

    Raises:
        UserError: the column does not exist, or the pattern matches no path.
    """
    if by not in table.extra_columns and table.extra_columns and by.isidentifier() and by != PARENT:
        raise UserError(f"{table.name!r} has no column {by!r}", nearest(by, table.extra_columns))
    return read_group_names(table, by)


def ungrouped_rows(table: ImageTable) -> list[int]:
    """Return the row numbers of readable images without a group; none if the table has no groups at all."""
    if table.grouped_by is None:
        return []
    groups = table.frame["group"].to_list()
    return [row for row in table.rows() if groups[row] is None]


def groups_across_splits(table: ImageTable) -> list[list[int]]:
    """Return the row numbers of each group with readable images in several splits, which leak into the test score."""
    split = table.frame["split"].to_list()
    rows = [row for row in table.rows() if split[row] is not None]
    members: dict[str, list[int]] = {}
    for row, group in zip(rows, table.groups(rows), strict=True):
        members.setdefault(group, []).append(row)
    return [group_rows for group_rows in members.values() if len({split[row] for row in group_rows}) > 1]


def move_to_one_split(table: ImageTable, sets: Sequence[Sequence[int]]) -> ImageTable:
    """Move the images of each set to the split with most of them; in a tie the earlier split wins."""
    splits: list[str | None] = table.frame["split"].to_list()
    for rows in sets:
        counts = [sum(splits[row] == split for row in rows) for split in SPLITS]
        for row in rows:
            splits[row] = SPLITS[counts.index(max(counts))]
    return table.with_columns(split=splits)


def _open_targets(
    splits: npt.NDArray[np.integer], fractions: tuple[float, float, float], missing: Sequence[int]
) -> npt.NDArray[np.float64]:
    """Return the fraction of each split among the images that are open, shape (3,).

    Without given splits, or if a missing split is drawn from train, these are the fractions themselves. Otherwise, the
    images that are marked ``train`` count towards the train set.
    """
    wanted = np.array([fractions[index] if index in missing or index == 0 else 0.0 for index in range(3)])
    in_train, unassigned = int((splits == 0).sum()), int((splits == -1).sum())
    if not (in_train and unassigned):
        return wanted
    counts = wanted / wanted.sum() * (in_train + unassigned)
    counts[0] = max(counts[0] - in_train, 0)
    return np.asarray(counts / counts.sum())


def _follow_groups(splits: npt.NDArray[np.int64], groups: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return the splits with every image without one (-1) in the split that its group has, the first of several."""
    of_group: dict[str, int] = {}
    for group, split in zip(groups, splits.tolist(), strict=True):
        if split >= 0:
            of_group[group] = min(split, of_group.get(group, split))
    followed = [
        of_group.get(group, -1) if split < 0 else split for group, split in zip(groups, splits.tolist(), strict=True)
    ]
    return np.array(followed)


def _join_by_site(
    table: ImageTable, groups: Sequence[str], sites: Sequence[str | None], num_splits: int
) -> tuple[ImageTable, list[str]]:
    """Return groups joined by site, and the table with a note if a group connects several sites."""
    group_sites: dict[str, set[str]] = {}
    for group, site in zip(groups, sites, strict=True):
        if site is not None:
            group_sites.setdefault(group, set()).add(site)
    joined = join_groups([f"group {group}" for group in groups], sites)
    connecting = [group for group in group_sites if len(group_sites[group]) > 1]
    names = {site for site in sites if site is not None}
    if len(set(joined)) < num_splits:
        reason = f" (groups such as {connecting[0]!r} connect several sites)" if connecting else ""
        raise UserError(
            f"{len(names)} sites are too few for {num_splits} splits{reason}, since each site must stay in one split",
            "balance the sites instead of keeping them intact, or add images of other sites",
        )
    if connecting:
        listed = " and ".join(repr(site) for site in sorted(group_sites[connecting[0]]))
        table = table.with_notes(
            f"{len(connecting)} groups have images of several sites, for example {connecting[0]!r} of {listed}; "
            "these sites are kept in one split"
        )
    return table, joined


def _check_counts(table: ImageTable, rows: list[int], labels: npt.NDArray[np.integer], groups: list[str]) -> None:
    if not rows:
        first = table.frame["status"].to_list()[0]
        raise UserError(f"none of the {len(table)} images can be read (the first: {first})", "check the files")
    if table.task not in ("classification", "ordinal"):
        unique = len(set(groups))
        if unique < MIN_GROUPS:
            raise UserError(
                f"{len(rows)} images of {unique} group{'s' if unique > 1 else ''} are too few; train, validation and "
                f"test need {MIN_GROUPS} groups or more",
                "add images of other leaves (patients, slides)",
            )
        return
    for class_id, name in enumerate(table.classes):
        in_class = labels == class_id
        images, unique = int(in_class.sum()), len({groups[index] for index in np.flatnonzero(in_class)})
        if images == 0:
            raise UserError(f"class {name!r} has no readable image", "fix its files, or remove its folder")
        if unique < len(SPLITS):
            counts = f"{images} images" if unique == images else f"{images} images of {unique} groups"
            counts = counts.replace("1 images", "1 image").replace("1 groups", "1 group")
            fix = "add images of other leaves (patients, slides) to it, or omit the class"
            if SEPARATOR in name and table.task == "classification":
                fix = f"omit --task classification to predict several labels per image, or use --map '{name}=CLASS'"
            raise UserError(f"class {name!r} has {counts}; train, validation and test need one each", fix)


def _check_splits(table: ImageTable, labels: npt.NDArray[np.integer], splits: npt.NDArray[np.int64]) -> None:
    for class_id, name in enumerate(table.classes if table.task in ("classification", "ordinal") else ()):
        if not ((labels == class_id) & (splits == 0)).any():
            raise UserError(
                f"class {name!r} has no image in the train set", "add images of that class to it, or omit the class"
            )
    _check_train_targets(table, [row for row, split in zip(table.rows(), splits, strict=True) if split == 0])


def _check_train_targets(table: ImageTable, train: list[int]) -> None:
    """Refuse a train set in which no target (regression) or label (multilabel) varies."""
    if table.task not in ("regression", "multilabel"):
        return
    array, fix = table.target(train).array, "mark other images as 'train', or remove the column with the split"
    varies = (array != array[:1]).any(axis=0)
    if table.task == "multilabel" and not varies.any():
        label = table.target(train[:1]).texts()[0]
        raise UserError(f"all {len(train):,} images of the train set have the labels {label!r}", fix)
    for name, value, differs in zip(table.targets, array[0].tolist(), varies.tolist(), strict=False):
        if not differs:
            raise UserError(f"all {len(train):,} values of {name!r} in the train set are {value:g}", fix)
