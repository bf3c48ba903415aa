"""Tables of images that need no files, with numeric values or several labels."""

from pathlib import Path

import polars as pl

from coverslip.data.sources.source import Files
from coverslip.data.table import SCHEMA, ImageTable
from coverslip.data.target import NO_LABEL


def value_table(groups=None, splits=None, **targets):
    """Return a table of a regression, one image per value of each target."""
    columns = {name: pl.Series(list(values), dtype=pl.Float64) for name, values in targets.items()}
    count = len(next(iter(columns.values())))
    frame = _frame([""] * count, groups, splits).with_columns(**columns)
    return _table(frame, groups, task="regression", classes=(), targets=tuple(columns))


def label_table(labels, groups=None, splits=None):
    """Return a table of a multilabel task from cells such as ``rust;spot``."""
    names = sorted({name for cell in labels for name in cell.split(";")} - {NO_LABEL})
    return _table(_frame(labels, groups, splits), groups, task="multilabel", classes=tuple(names))


def findings_by_name(findings):
    """Return the findings by their names, of which there is one each."""
    found = list(findings)
    names = {finding.name: finding for finding in found}
    assert len(names) == len(found)
    return names


def _frame(labels, groups, splits):
    count = len(labels)
    columns = {
        "path": [f"{row:04d}.png" for row in range(count)],
        "label": labels,
        "group": groups or [None] * count,
        "split": splits or [None] * count,
        "status": ["ok"] * count,
    }
    return pl.DataFrame(columns, schema=SCHEMA)


def _table(frame, groups, **facts):
    return ImageTable(frame, Files(Path()), "plants", grouped_by="column 'plant'" if groups else None, **facts)
