"""Findings about the train, validation and test sets: missing or small classes, and sets that look different."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import polars as pl

from coverslip.auditing.findings import Finding
from coverslip.data.table import SPLITS, ImageTable

MIN_GROUPS = 5  # groups of a class in a set; with fewer there is no confidence interval
MIN_DISTANCE = 0.2  # smallest Kolmogorov-Smirnov distance that is reported, however many images there are
ALPHA = 0.001  # probability of reporting a difference between sets that were drawn at random
GREY_MEASURES = ("brightness", "sharpness")


def split_findings(table: ImageTable, facts: pl.DataFrame) -> list[Finding]:
    """Return findings about the train, validation and test sets.

    Args:
        table: the images; every readable one is in one of the sets.
        facts: columns of `coverslip.data.decoding.FACTS`, in the order of the table.
    """
    targets = {"regression": _constant_targets, "multilabel": _constant_labels}.get(table.task, _classes)
    return [*targets(table), *_differences(table, facts)]


def _classes(table: ImageTable) -> Iterator[Finding]:
    missing: list[str] = []
    thin: list[str] = []
    for split in SPLITS:
        rows = table.rows(split)
        groups: dict[str, set[str]] = {name: set() for name in table.classes}
        for label, group in zip(table.frame["label"].gather(rows).to_list(), table.groups(rows), strict=True):
            groups[label].add(group)
        missing += [f"{name!r} in {split}" for name, members in groups.items() if not members]
        thin += [f"{name!r} in {split}" for name, members in groups.items() if 0 < len(members) < MIN_GROUPS]
    if missing:
        yield Finding(
            name="missing-class",
            severity="warns",
            title=f"{'class' if len(missing) == 1 else 'classes'} missing from a set: {_first_names(missing)}",
            meaning="A class that is missing from the test set is not tested.",
            remedy="Add images of this class, or let Coverslip make the split.",
            numbers={"missing": missing},
        )
    if thin:
        yield Finding(
            name="thin-class",
            severity="notes",
            title=f"fewer than {MIN_GROUPS} groups of a class in a set: {_first_names(thin)}",
            meaning="The score of such a class has no valid confidence interval.",
            remedy="Add images of other leaves (patients, slides).",
            numbers={"thin": thin},
        )


def _constant_targets(table: ImageTable) -> Iterator[Finding]:
    constant: list[str] = []
    for split in SPLITS[1:]:
        rows = table.rows(split)
        values = table.target(rows).array
        constant += [
            f"{name!r} in {split}"
            for name, column in zip(table.targets, values.T, strict=True)
            if len(rows) and np.ptp(column) == 0
        ]
    if constant:
        yield Finding(
            name="constant-target",
            severity="warns",
            title=f"all values of a set are equal: {_first_names(constant)}",
            meaning="R², the correlation and the concordance of such a test set are undefined, and intervals from such "
            "a validation set hold for one value only.",
            remedy="Add images with other values to the set, or let Coverslip make the split.",
            numbers={"constant": constant},
        )


def _constant_labels(table: ImageTable) -> Iterator[Finding]:
    constant: list[str] = []
    for split in (SPLITS[0], SPLITS[2]):
        members = table.target(table.rows(split)).array
        constant += [
            f"{name!r} in {split} ({'no' if not column.any() else 'every'} image)"
            for name, column in zip(table.classes, members.T, strict=True)
            if len(column) and (column.all() or not column.any())
        ]
    if constant:
        yield Finding(
            name="constant-target",
            severity="warns",
            title=f"a label of all images or of none in a set: {_first_names(constant)}",
            meaning="A label that does not vary in the train set is not learned, and one that does not vary in the "
            "test set is not tested.",
            remedy="Add images with and without the label to the set, or let Coverslip make the split.",
            numbers={"constant": constant},
        )


def _differences(table: ImageTable, facts: pl.DataFrame) -> Iterator[Finding]:
    measures = _measures(facts)
    train = table.rows("train")
    differences = []
    for split in SPLITS[1:]:
        rows = table.rows(split)
        if not rows or not train:
            continue
        # Images of a group are not independent, so groups are counted. The bound is that of the two-sample
        # Kolmogorov-Smirnov test, with Bonferroni's correction for the number of measures.
        units = len(set(table.groups(train))), len(set(table.groups(rows)))
        least = max(MIN_DISTANCE, np.sqrt(-np.log(ALPHA / len(measures) / 2) / 2 * sum(units) / np.prod(units)))
        for name, values in measures.items():
            distance = _distance(values[train], values[rows])
            if distance > least:
                differences.append((name, split, distance))
    if differences:
        listed = ", ".join(f"{name} (train vs. {split})" for name, split, _ in differences[:4])
        yield Finding(
            name="parts-differ",
            severity="warns",
            title=f"the train, validation and test sets look different: {listed}",
            meaning="They seem to come from different cameras, places or days; the scores apply to data like "
            "the test set.",
            remedy="This is correct if you want to measure performance under other conditions; otherwise, "
            "let Coverslip make the split.",
            numbers={
                "distances": [
                    {"what": name, "part": split, "distance": distance} for name, split, distance in differences
                ]
            },
        )


def _measures(facts: pl.DataFrame) -> dict[str, npt.NDArray[np.float64]]:
    """Return the compared measures, each of shape (N,); NaN for files that cannot be read."""
    measures = {name: _floats(facts[name]) for name in GREY_MEASURES}
    measures["size"] = np.sqrt(_floats(facts["width"]) * _floats(facts["height"]))
    means = [row or [] for row in facts["means"].to_list()]
    channels = max(map(len, means), default=0)
    colors = ["red", "green", "blue"] if channels == 3 else [f"channel {n + 1}" for n in range(channels)]
    if channels > 1:  # for grey images it would repeat the brightness
        table = np.array([row if len(row) == channels else [np.nan] * channels for row in means])
        measures |= {name: table[:, n] for n, name in enumerate(colors)}
    return measures


def _floats(column: pl.Series) -> npt.NDArray[np.float64]:
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _distance(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    """Return the two-sample Kolmogorov-Smirnov distance, 0 to 1."""
    a, b = np.sort(a), np.sort(b)
    both = np.concatenate([a, b])
    below = [np.searchsorted(sample, both, "right") / len(sample) for sample in (a, b)]
    return float(np.abs(below[0] - below[1]).max())


def _first_names(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
