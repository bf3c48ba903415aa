"""Findings about what is to be predicted: values (regression) and sets of labels (multilabel)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from coverslip.auditing.findings import Finding, row_sets, single_rows
from coverslip.auditing.outliers import FAR, far_values
from coverslip.auditing.units import TwoUnits, find_units
from coverslip.data.table import ImageTable

FloatArray = npt.NDArray[np.float64]
HEAPED = 0.3  # share of equal values at an end of the range that is reported
MIN_GROUPS = 5


def value_findings(table: ImageTable) -> Iterator[Finding]:
    """Yield findings about the values of a regression."""
    rows = table.rows()
    for name in table.targets:
        values = table.frame[name].gather(rows).to_numpy().astype(np.float64)
        if len(values):
            units = find_units(values)
            if units is not None:
                yield _mixed_units(name, units, rows)
            # Values in another unit are far from the others too, and are reported once.
            judged = np.ones(len(values), bool) if units is None else ~units.minority
            yield from _outliers(name, values[judged], [rows[row] for row in np.flatnonzero(judged)])
            yield from _heaped(name, values)
            yield from _value_per_group(table, name, values, rows)


def label_set_findings(table: ImageTable) -> Iterator[Finding]:
    """Yield findings about the labels of a multilabel task: those of all images, and rare ones."""
    rows = table.rows()
    members, groups = table.target(rows).array, table.groups(rows)
    common = [name for name, column in zip(table.classes, members.T, strict=True) if column.all()]
    few = {
        name: count
        for name, column in zip(table.classes, members.T, strict=True)
        if (count := len({groups[row] for row in np.flatnonzero(column)})) < MIN_GROUPS
    }
    if common:
        yield Finding(
            name="constant-label",
            severity="warns",
            title="every image has the label" + ("s " if len(common) > 1 else " ") + ", ".join(map(repr, common)),
            meaning="A label that every image has cannot be learned, and its scores are undefined.",
            remedy="Remove the label, or add images without it.",
            numbers={"names": common},
        )
    if few:
        listed = ", ".join(f"{name} {count}" for name, count in list(few.items())[:6])
        word = "groups" if table.grouped_by else "images"
        yield Finding(
            name="few-images",
            severity="notes",
            title=f"{len(few):,} of {len(table.classes):,} labels have fewer than {MIN_GROUPS} {word}: {listed}",
            meaning="The scores of these labels will have no confidence interval, or a very wide one.",
            remedy="Add images of other leaves (patients, slides) with these labels.",
            numbers={"groups": few},
        )


def target_summary(table: ImageTable) -> dict[str, object] | None:
    """Return the part of ``audit.json`` about the targets; None for classes.

    For a regression: smallest value, quartiles and largest value of each target. For several labels: the number of
    images with each label, and with each pair of labels.
    """
    rows = table.rows()
    if table.task == "regression":
        columns = {name: table.frame[name].gather(rows).to_numpy().astype(np.float64) for name in table.targets}
        return {
            name: {"quantiles": np.quantile(values, (0, 0.25, 0.5, 0.75, 1)).tolist(), "mean": float(values.mean())}
            for name, values in columns.items()
            if len(values)
        }
    if table.task == "multilabel":
        members = table.target(rows).array.astype(np.int64)
        together = members.T @ members
        counts = Counter(members.sum(axis=1).tolist())
        return {
            "labels": dict(zip(table.classes, np.diag(together).tolist(), strict=True)),
            "together": together.tolist(),
            "labels_per_image": {str(number): counts[number] for number in sorted(counts)},
        }
    return None


def _outliers(name: str, values: FloatArray, rows: list[int]) -> Iterator[Finding]:
    far = np.flatnonzero(far_values(values))
    if len(far):
        listed = ", ".join(f"{values[row]:g}" for row in far[np.argsort(-np.abs(values[far] - np.median(values)))][:5])
        yield Finding(
            name="outlying-values",
            severity="warns",
            title=f"{len(far):,} value{'s' if len(far) > 1 else ''} of {name!r} far from the others: {listed}",
            meaning=f"They lie more than {FAR:g} robust standard deviations from the median. Wrong values dominate a "
            "squared error.",
            remedy="Correct them if they are wrong; if they are right, consider --scale log.",
            rows=single_rows([rows[row] for row in far]),
            numbers={"target": name},
        )


def _heaped(name: str, values: FloatArray) -> Iterator[Finding]:
    ends = {float(values.min()), float(values.max())}
    heaps = {end: float((values == end).mean()) for end in sorted(ends)}
    large = {end: share for end, share in heaps.items() if share >= HEAPED}
    if large and len(np.unique(values)) > len(heaps) + 1:
        listed = " and ".join(f"{share:.0%} are {end:g}" for end, share in large.items())
        yield Finding(
            name="heaped-values",
            severity="notes",
            title=f"many values of {name!r} are equal: {listed}",
            meaning="A regression predicts values between the ends; errors at an end are one-sided, and intervals "
            "reach beyond it.",
            remedy="Consider two questions: whether the value is at the end (classification), and its size elsewhere.",
            numbers={"target": name, "heaps": {f"{end:g}": share for end, share in large.items()}},
        )


def _mixed_units(name: str, units: TwoUnits, rows: list[int]) -> Finding:
    minority = np.flatnonzero(units.minority)
    title = f"the values of {name!r} form two clusters that differ by a factor of about {units.factor:g}"
    meaning = "Some values are probably in another unit, such as a fraction and percent, or mm and m."
    if units.shares:
        title = (
            f"the values of {name!r} seem to be shares and percent: many lie just below 1, and hardly any just above"
        )
        meaning = "Shares (0 to 1) and percent (0 to 100) are probably mixed."
    return Finding(
        name="mixed-units",
        severity="warns",
        title=title,
        meaning=f"{meaning} The rarer unit has {len(minority):,} of {len(rows):,} values.",
        remedy="Convert all values to one unit.",
        rows=single_rows([rows[row] for row in minority]),
        numbers={"target": name, "factor": units.factor},
    )


def _value_per_group(table: ImageTable, name: str, values: FloatArray, rows: list[int]) -> Iterator[Finding]:
    if table.grouped_by is None:
        return
    members: dict[str, list[int]] = {}
    for position, group in enumerate(table.groups(rows)):
        members.setdefault(group, []).append(position)
    several = [positions for positions in members.values() if len(positions) > 1]
    if len(several) >= MIN_GROUPS and all(len(set(values[positions].tolist())) == 1 for positions in several):
        yield Finding(
            name="value-per-group",
            severity="notes",
            title=f"all images of a group have the same value of {name!r}",
            meaning=f"The value belongs to the group, so there are {len(members):,} independent values, not "
            f"{len(rows):,}.",
            remedy="No action is needed: split and intervals are by group.",
            rows=row_sets([[rows[position] for position in positions] for positions in several[:20]]),
            numbers={"target": name},
        )
