"""Which columns and labels are read: names of columns, and classes to merge, rename or leave out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import polars as pl

from coverslip.core.errors import UserError
from coverslip.core.registry import nearest
from coverslip.data.missing import missing_rows, places
from coverslip.data.table import ImageTable, class_order

TASK_NAMES = ("classification", "ordinal", "multilabel", "regression")
IMPLIED = {"--target": "regression", "--order": "ordinal", "--labels": "multilabel"}


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadOptions:
    """How a source is read, as the settings of the same names in ``[data]``.

    Attributes:
        path_column: the column with the paths; "" finds it by name.
        label_column: the column with the labels; "" finds it by name.
        split_column: the column with the splits; "" finds it by name.
        map: new names of labels, ``old=new``; labels with one new name become one class.
        leave_out: classes whose images are left out, by their new names; ``nan`` leaves out images without a target.
        task: the task; "" follows from the data and the other options.
        target: columns of numbers to predict.
        order: names of ordered classes, the lowest first.
        labels: columns of 0 and 1, one per label.

    Raises:
        UserError: an entry of ``map`` is not of that form, a label has two new names, or options contradict each other.
    """

    path_column: str = ""
    label_column: str = ""
    split_column: str = ""
    map: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()
    task: str = ""
    target: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.new_names()
        if self.task and self.task not in TASK_NAMES:
            raise UserError(f"unknown task {self.task!r}", nearest(self.task, TASK_NAMES))
        given = list(self._implying)
        if len(given) > 1:
            raise UserError(f"{given[0]} and {given[1]} are for different tasks", "give one of the two")
        if given and self.task and self.task != IMPLIED[given[0]]:
            problem = f"{given[0]} is for the task {IMPLIED[given[0]]!r}, not {self.task!r}"
            raise UserError(problem, f"omit --task, or omit {given[0]}")
        by_column = "--target" if self.target else "--labels" if self.labels else ""
        if self.label_column and by_column:
            problem = f"--label-column names the column of the classes, and {by_column} names what is predicted instead"
            raise UserError(problem, f"omit --label-column, or omit {by_column}")
        missing = {"regression": "--target COLUMN", "ordinal": "--order LOWEST,...,HIGHEST"}.get(self.task)
        if missing and not given:
            raise UserError(f"the task {self.task!r} needs {missing.partition(' ')[0]}", f"add {missing}")
        for name, value in self._implying.items():
            if len(set(value)) < len(value):
                raise UserError(f"{name} names {next(v for v in value if value.count(v) > 1)!r} twice", "name it once")

    @property
    def implied_task(self) -> str:
        """The task that the options imply; "" if it follows from the data."""
        return self.task or next((IMPLIED[name] for name in self._implying), "")

    @property
    def _implying(self) -> dict[str, tuple[str, ...]]:
        """The given options that imply a task."""
        options = {"--target": self.target, "--order": self.order, "--labels": self.labels}
        return {name: value for name, value in options.items() if value}

    def new_names(self) -> dict[str, str]:
        """Return old label -> new label."""
        names: dict[str, str] = {}
        for text in self.map:
            old, equals, new = text.rpartition("=")
            if not equals or not new.strip():
                raise UserError(f"--map {text!r} is not of the form OLD=NEW", "use for example --map 'early rust=rust'")
            if names.get(old, new) != new:
                raise UserError(f"--map gives {old!r} two new names, {names[old]!r} and {new!r}", "choose one of them")
            names[old] = new
        return names


def select_labels(frame: pl.DataFrame, options: ReadOptions) -> tuple[pl.DataFrame, list[str]]:
    """Return the rows that are used, with their new labels, and notes about both.

    Args:
        frame: a table with a column ``label``, text.
        options: the new names, and the classes to leave out.

    Raises:
        UserError: no image has one of the labels, or all images are left out.
    """
    notes: list[str] = []
    names, present = options.new_names(), frame["label"].fill_null("").unique().to_list()
    for old in names:
        if old not in present:
            raise UserError(f"--map: no image has the label {old!r}", nearest(old, present))
    if names:
        frame = frame.with_columns(pl.col("label").fill_null("").replace(names))
        notes.append("labels were renamed: " + ", ".join(f"{old!r} to {new!r}" for old, new in names.items()))
    labels = frame["label"].fill_null("")
    for name in options.leave_out:
        count = int((labels == name).sum())
        if not count:
            raise UserError(f"--leave-out: there is no class {name!r}", nearest(name, labels.unique().to_list()))
        notes.append(
            f"{count:,} image{'s' if count > 1 else ''} of class {name!r} {'are' if count > 1 else 'is'} left out"
        )
    if options.leave_out:
        frame = frame.filter(~labels.is_in(list(options.leave_out)))
    if frame.height == 0:
        raise UserError("every class is left out", "omit --leave-out for the classes to use")
    return frame, notes


def select_classes(table: ImageTable, options: ReadOptions) -> ImageTable:
    """Return a table with the classes renamed, merged and left out; see `select_labels`."""
    if not (options.map or options.leave_out):
        return table
    frame, notes = select_labels(table.frame, options)
    classes = class_order(frame["label"].to_list())
    return replace(table, frame=frame, classes=classes).with_notes(*notes)


def with_order(table: ImageTable, options: ReadOptions) -> ImageTable:
    """Return a table whose classes are ordered as ``options.order`` says; unchanged without an order.

    Raises:
        UserError: the order misses a class, or names one that does not occur.
    """
    if not options.order:
        return table
    for name in table.classes:
        if name not in options.order:
            raise UserError(f"--order misses the class {name!r}", "name every class, the lowest first")
    for name in options.order:
        if name not in table.classes:
            raise UserError(f"--order names {name!r}, and no image has this class", nearest(name, table.classes))
    return replace(table, classes=options.order, task="ordinal")


def refuse_missing_labels(labels: Sequence[str | None], lines: Sequence[int], where: str) -> None:
    """Refuse labels that are empty or stand for a missing value.

    Args:
        labels: label of each row.
        lines: line number of each row, for the message.
        where: the name of the file.

    Raises:
        UserError: a label is missing.
    """
    missing = missing_rows(labels)
    if missing:
        raise missing_labels_error([labels[row] for row in missing], [lines[row] for row in missing], where)


def missing_labels_error(
    words: Sequence[str | None], numbers: Sequence[int], where: str, unit: str = "line"
) -> UserError:
    """Return the error for missing labels.

    Args:
        words: what stands for each of them.
        numbers: the line or row of each.
        where: the name of the file (and array).
        unit: what the numbers count.
    """
    different = sorted({(word or "").strip() for word in words})
    found = "" if different == [""] else f" (found: {', '.join(map(repr, different))})"
    fix = "fill in the labels, or remove the rows"
    if found:
        fix += f", or use --leave-out {different[-1]}; if it is a class, rename it with --map {different[-1]}=NAME"
    return UserError(f"{where} has no label in {places(numbers, unit)}{found}", fix)
