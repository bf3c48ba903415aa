"""What is to be predicted, from the columns of a table: classes, several labels, or numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from coverslip.core.errors import UserError
from coverslip.data.columns import LABEL_NAMES, find_column
from coverslip.data.label_sets import has_several, read_label_columns, read_label_sets
from coverslip.data.labels import ReadOptions
from coverslip.data.missing import is_missing, places
from coverslip.data.sources.table_text import TextTable
from coverslip.data.target import NO_LABEL, SEPARATOR, ValueTarget
from coverslip.data.values import read_values


@dataclass(frozen=True, slots=True)
class TargetCells:
    """The targets of the rows of a table.

    Attributes:
        read: the rows that have targets.
        labels: the column ``label`` of the image table.
        columns: the columns that were read.
        task: the task; ordered classes are read as a classification.
        classes: names of labels; empty if the classes follow from ``labels``, or if there are none.
        values: numbers by column, for regression.
        label_column: the column with the labels; None if there are other columns.
        notes: remarks for the user.
    """

    read: TextTable
    labels: Sequence[str | None]
    columns: tuple[str, ...]
    task: str = "classification"
    classes: tuple[str, ...] = ()
    values: Mapping[str, list[float]] = field(default_factory=dict)
    label_column: str | None = None
    notes: tuple[str, ...] = ()


def read_targets(read: TextTable, options: ReadOptions, path: Path) -> TargetCells:
    """Read what the options say is to be predicted; without options, the column with the labels.

    Raises:
        UserError: a column does not exist, or a cell is invalid; its line is listed.
    """
    task = options.implied_task
    if task == "regression":
        kept, values = _with_values(read, options, path)
        labels = ValueTarget(np.array(list(values.values())).T, tuple(values)).texts()
        notes = _left_out_note(read.frame.height - kept.frame.height)
        return TargetCells(kept, labels, tuple(values), task, values=values, notes=notes)
    if options.labels:
        texts, columns = read_label_columns(read.frame, options.labels, read.lines, repr(path.name))
        return TargetCells(read, texts, columns, "multilabel", columns)
    column = required_column(read.frame.columns, options.label_column, LABEL_NAMES, "label", path)
    cells = read.frame[column].to_list()
    several = has_several(cells)
    if task != "multilabel" and (task or not several):
        notes = _refuse_combinations(cells, column, read.lines, options) if several else ()
        return TargetCells(read, cells, (column,), label_column=column, notes=notes)
    if options.map or options.leave_out:
        raise UserError("--map and --leave-out do not support several labels per image", "edit the table instead")
    sets, names, remarks = read_label_sets(cells)
    _refuse_empty_sets(sets, read.lines, path)
    if not task:
        remarks.append(
            f"cells of the column {column!r} hold several labels: this is a multilabel task (--task classification "
            "reads each cell as one class)"
        )
    elif not several:
        remarks.append(
            f"no cell of the column {column!r} holds more than one label (separated by {SEPARATOR!r}); for one class "
            "per image, omit --task multilabel"
        )
    return TargetCells(read, sets, (column,), "multilabel", names, label_column=column, notes=tuple(remarks))


def required_column(columns: list[str], given: str, names: tuple[str, ...], kind: str, path: Path) -> str:
    """Return the column of a kind.

    Raises:
        UserError: there is none.
    """
    column = find_column(columns, given, names, kind, path.name)
    if column is None:
        found = ", ".join(repr(name) for name in columns)
        raise UserError(
            f"{path.name!r} has no column {kind!r} (found: {found})",
            f"rename the column with the {kind}, or name it with --{kind}-column",
        )
    return column


def _with_values(read: TextTable, options: ReadOptions, path: Path) -> tuple[TextTable, dict[str, list[float]]]:
    """Return the rows that have targets, and their values."""
    leave_out = any(is_missing(name) for name in options.leave_out)
    others = [name for name in options.leave_out if not is_missing(name)]
    if others or options.map:
        option = "--map" if options.map else "--leave-out"
        raise UserError(f"{option} is for classes, and --target has none", f"omit {option}, or edit the table")
    values = read_values(read.frame, options.target, read.lines, repr(path.name), leave_out=leave_out)
    kept = [row for row in range(read.frame.height) if all(column[row] is not None for column in values.values())]
    if not kept:
        raise UserError(f"no row of {path.name!r} has a value of every target", "give targets that occur together")
    read = replace(read, frame=read.frame[kept], lines=[read.lines[row] for row in kept])
    return read, {name: [float(column[row] or 0.0) for row in kept] for name, column in values.items()}


def _left_out_note(count: int) -> tuple[str, ...]:
    return (f"{count:,} image{'s' if count > 1 else ''} without a target left out",) if count else ()


def _refuse_combinations(
    cells: Sequence[str | None], column: str, lines: Sequence[int], options: ReadOptions
) -> tuple[str, ...]:
    """Return a note that cells with several labels are read as classes of their own, or refuse them.

    Raises:
        UserError: the classes are ordered, and combinations have no place in the order; or a cell without any label
            would be read as a missing class.
    """
    named = options.new_names()
    several = [row for row, cell in enumerate(cells) if cell is not None and SEPARATOR in cell]
    unknown = [row for row in several if named.get(cells[row] or "", cells[row]) not in options.order]
    if options.order and unknown:
        raise UserError(
            f"the column {column!r} holds several labels in {places([lines[row] for row in unknown])}, for example "
            f"{cells[unknown[0]]!r}, and ordered classes need one per image",
            "keep one label in each cell, or omit --order to predict several labels per image",
        )
    empty = [row for row, cell in enumerate(cells) if cell is not None and cell.strip().lower() == NO_LABEL]
    empty = [row for row in empty if cells[row] not in named and cells[row] not in options.leave_out]
    if not options.order and empty:
        raise UserError(
            f"the column {column!r} holds several labels in some cells and {NO_LABEL!r} in "
            f"{places([lines[row] for row in empty])}, and as a class {NO_LABEL!r} is a missing value",
            f"omit --task classification to predict several labels per image, or add --map {NO_LABEL}=NAME",
        )
    if options.order:
        return ()
    return (
        f"{len(several):,} cell{'s' if len(several) > 1 else ''} of the column {column!r} "
        f"hold{'' if len(several) > 1 else 's'} several labels, for example {cells[several[0]]!r}; --task "
        "classification reads each combination as a class of its own",
    )


def _refuse_empty_sets(labels: Sequence[str | None], lines: Sequence[int], path: Path) -> None:
    empty = [line for label, line in zip(labels, lines, strict=True) if not label]
    if empty:
        raise UserError(
            f"{path.name!r} has no labels in {places(empty)}", f"write {NO_LABEL!r} for an image without any label"
        )
