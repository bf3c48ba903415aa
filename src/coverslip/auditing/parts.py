"""Findings about the split as it was made or given: classes missing or thin, parts that look different."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import polars as pl

from coverslip.auditing.findings import Finding
from coverslip.data.table import PARTS, ImageTable

THIN = 5  # groups of a class in a part; fewer give no interval
APART = 0.2  # the least Kolmogorov-Smirnov distance that is told, however many images there are
CHANCE = 0.001  # how often a difference of that size may come about by itself
GREY = ("brightness", "sharpness")


def judge_parts(table: ImageTable, facts: pl.DataFrame) -> list[Finding]:
    """Findings about the parts.

    Args:
        table: with every readable image in a part.
        facts: columns of `coverslip.data.decoding.FACTS`, in the order of the table.
    """
    return [*_classes(table), *_differences(table, facts)]


def _classes(table: ImageTable) -> Iterator[Finding]:
    missing: list[str] = []
    thin: list[str] = []
    for part in PARTS:
        rows = table.rows(part)
        groups: dict[str, set[str]] = {name: set() for name in table.classes}
        for label, group in zip(table.frame["label"].gather(rows).to_list(), table.groups(rows), strict=True):
            groups[label].add(group)
        missing += [f"{name!r} in {part}" for name, there in groups.items() if not there]
        thin += [f"{name!r} in {part}" for name, there in groups.items() if 0 < len(there) < THIN]
    if missing:
        yield Finding(
            name="missing-class",
            severity="warns",
            title=f"{'a class has' if len(missing) == 1 else 'classes have'} no image in a part: {_some(missing)}",
            meaning="A class that is not in the test set is not tested.",
            remedy="Add images of it, or let Coverslip make the split.",
            numbers={"missing": missing},
        )
    if thin:
        yield Finding(
            name="thin-class",
            severity="notes",
            title=f"fewer than {THIN} groups of a class in a part: {_some(thin)}",
            meaning="The score of such a class has no honest interval.",
            remedy="Add images of other leaves (patients, slides).",
            numbers={"thin": thin},
        )


def _differences(table: ImageTable, facts: pl.DataFrame) -> Iterator[Finding]:
    measured = _measures(facts)
    train = table.rows("train")
    found = []
    for part in PARTS[1:]:
        rows = table.rows(part)
        if not rows or not train:
            continue
        units = len(set(table.groups(train))), len(set(table.groups(rows)))
        least = max(APART, np.sqrt(-np.log(CHANCE / len(measured) / 2) / 2 * sum(units) / np.prod(units)))
        for name, values in measured.items():
            distance = _distance(values[train], values[rows])
            if distance > least:
                found.append((name, part, distance))
    if found:
        listed = ", ".join(f"{name} (train against {part})" for name, part, _ in found[:4])
        yield Finding(
            name="parts-differ",
            severity="warns",
            title=f"the parts look different: {listed}",
            meaning="They seem to come from different cameras, places or days; the scores speak of the test set.",
            remedy="Right if you want to know how the model does elsewhere; otherwise let Coverslip make the split.",
            numbers={"distances": [{"what": name, "part": part, "distance": far} for name, part, far in found]},
        )


def _measures(facts: pl.DataFrame) -> dict[str, npt.NDArray[np.float64]]:
    """What is compared, each (N,), NaN where a file is broken."""
    measured = {name: _floats(facts[name]) for name in GREY}
    measured["size"] = np.sqrt(_floats(facts["width"]) * _floats(facts["height"]))
    means = [row or [] for row in facts["means"].to_list()]
    channels = max(map(len, means), default=0)
    colors = ["red", "green", "blue"] if channels == 3 else [f"channel {n + 1}" for n in range(channels)]
    if channels > 1:  # of grey images it is the brightness
        table = np.array([row if len(row) == channels else [np.nan] * channels for row in means])
        measured |= {name: table[:, n] for n, name in enumerate(colors)}
    return measured


def _floats(column: pl.Series) -> npt.NDArray[np.float64]:
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _distance(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    """The two-sample Kolmogorov-Smirnov distance, 0 to 1."""
    a, b = np.sort(a), np.sort(b)
    both = np.concatenate([a, b])
    below = [np.searchsorted(each, both, "right") / len(each) for each in (a, b)]
    return float(np.abs(below[0] - below[1]).max())


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
