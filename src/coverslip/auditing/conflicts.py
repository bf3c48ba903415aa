"""Copies of an image whose targets contradict each other: other classes, other labels, or other values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from coverslip.auditing.duplicates import Duplicates
from coverslip.auditing.findings import Finding, row_sets
from coverslip.data.table import ImageTable

NOISE = 0.05  # of the spread of a target; a smaller difference between copies is measurement noise
SPREAD = (0.1, 0.9)  # quantiles of a target whose distance is its spread
SHOWN = 3  # images whose values or labels a title lists
UNIT = {"regression": "values", "multilabel": "labels"}  # what the copies of an image differ in


def label_conflicts(table: ImageTable, duplicates: Duplicates) -> list[list[int]]:
    """Return the rows of each image whose copies have contradicting targets.

    Values contradict each other if they differ by more than `NOISE` of the spread of the target (`value_tolerances`).
    """
    if table.task == "regression":
        limits = value_tolerances(table)
        return [rows for rows in duplicates.sets if _conflicting_target(table, rows, limits) is not None]
    labels = table.frame["label"]
    return [rows for rows in duplicates.sets if labels.gather(rows).n_unique() > 1]


def conflict_findings(table: ImageTable, duplicates: Duplicates) -> Iterator[Finding]:
    """Yield findings about copies with contradicting targets, and a note about values that differ only by noise."""
    sets = label_conflicts(table, duplicates)
    if sets:
        unit = UNIT.get(table.task, "labels")
        yield Finding(
            name="label-conflict",
            severity="blocks",
            title=_title(table, sets),
            meaning=f"At least one of the {unit} is wrong, and the audit cannot tell which.",
            remedy=f"Correct the {unit} by hand; until then, --fix (or --drop label-conflict) excludes all copies.",
            rows=row_sets(sets),
        )
    if table.task == "regression":
        conflicting = {rows[0] for rows in sets}
        yield from _noise(table, [rows for rows in duplicates.sets if rows[0] not in conflicting])


def conflict_reason(task: str) -> str:
    """Return why a copy with a contradicting target is excluded, for the status of its row.

    >>> conflict_reason("regression"), conflict_reason("classification")
    ('copies with different values', 'filed under several classes')
    """
    return f"copies with different {UNIT[task]}" if task in UNIT else "filed under several classes"


def value_tolerances(table: ImageTable) -> dict[str, float]:
    """Return the largest difference between the values of copies that counts as measurement noise, by target.

    It is `NOISE` of the distance between the first and the last decile of the target, or of its range if the deciles
    are equal, over all rows, so that an excluded image does not change it.
    """
    tolerances = {}
    for name in table.targets:
        values = table.frame[name].to_numpy()
        low, high = np.quantile(values, SPREAD)
        tolerances[name] = NOISE * float(high - low if high > low else np.ptp(values))
    return tolerances


def _conflicting_target(table: ImageTable, rows: list[int], limits: Mapping[str, float]) -> str | None:
    """Return the first target whose values contradict each other in these rows; None if there is none."""
    return next((name for name, limit in limits.items() if _difference(table, name, rows) > limit), None)


def _difference(table: ImageTable, target: str, rows: list[int]) -> float:
    return float(np.ptp(table.frame[target].gather(rows).to_numpy()))


def _title(table: ImageTable, sets: list[list[int]]) -> str:
    count = f"{len(sets):,} {'image' if len(sets) == 1 else 'images'}"
    more = "; ..." if len(sets) > SHOWN else ""
    if table.task == "regression":
        limits = value_tolerances(table)
        listed = "; ".join(_values_text(table, rows, limits) for rows in sets[:SHOWN])
        name = f" of {table.targets[0]!r}" if len(table.targets) == 1 else ""
        return f"the copies of {count} have different values{name}: {listed}{more}"
    if table.task == "multilabel":
        listed = "; ".join(_labels_text(table, rows) for rows in sets[:SHOWN])
        return f"the copies of {count} have different labels: {listed}{more}"
    return f"{count} {'is' if len(sets) == 1 else 'are'} filed under more than one class"


def _values_text(table: ImageTable, rows: list[int], limits: Mapping[str, float]) -> str:
    target = _conflicting_target(table, rows, limits) or table.targets[0]
    values = table.frame[target].gather(rows).to_numpy()
    name = f"{target!r} " if len(table.targets) > 1 else ""
    return f"{name}{values.min():g} and {values.max():g}"


def _labels_text(table: ImageTable, rows: list[int]) -> str:
    return " and ".join(repr(text) for text in table.frame["label"].gather(rows).unique().sort().to_list())


def _noise(table: ImageTable, sets: list[list[int]]) -> Iterator[Finding]:
    largest = {name: max((_difference(table, name, rows) for rows in sets), default=0.0) for name in table.targets}
    noisy = [rows for rows in sets if any(_difference(table, name, rows) > 0 for name in table.targets)]
    if noisy:
        listed = ", ".join(f"{name!r} by at most {value:g}" for name, value in largest.items() if value > 0)
        yield Finding(
            name="copy-values",
            severity="notes",
            title=f"the copies of {len(noisy):,} image{'s' if len(noisy) > 1 else ''} have slightly different values: "
            + listed,
            meaning=f"The difference is at most {NOISE:.0%} of the spread of the target, as repeated measurements "
            "give it.",
            remedy="No action is needed; of exact copies, --fix keeps the first and its value.",
            rows=row_sets(noisy),
            numbers={"largest": largest},
        )
