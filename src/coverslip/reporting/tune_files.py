"""Read the files of a study, which may still be running. Only ``study.json`` is required."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from coverslip.core.errors import UserError
from coverslip.core.renamed import current_study_key
from coverslip.core.runs import Study
from coverslip.evidence.intervals import MIN_GROUPS, critical_value, effective_df
from coverslip.figures.tuning import NOT_SETTINGS, Curve, Setting, TrialRow, Value, read_curves, read_trials
from coverslip.reporting.run_files import text_of

NUMBERS = frozenset({"number", "epochs", "validation_loss", "validation_accuracy", "best_epoch", "seconds", "stack"})
LEVEL = 0.95


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyFiles:
    """The content of a study's folder.

    Attributes:
        study: the folder.
        summary: content of ``study.json``.
        settings: the settings that the study varies.
        trials: the trials, in order of their number.
        curves: trial number -> learning curve.
    """

    study: Study
    summary: dict[str, Any]
    settings: tuple[Setting, ...]
    trials: list[TrialRow]
    curves: dict[int, Curve]

    @property
    def chance(self) -> float | None:
        """Log loss of uniform guessing, ln K; None with fewer than two classes."""
        classes = self.summary.get("classes") or []
        return math.log(len(classes)) if len(classes) > 1 else None

    @property
    def kind(self) -> str:
        """``search``, ``sweep`` or ``one-at-a-time``."""
        return str(self.summary.get("kind") or "search")

    @property
    def running(self) -> bool:
        """Whether the study is still running."""
        return self.summary.get("state") == "running"

    @property
    def varied(self) -> tuple[Setting, ...]:
        """Settings with more than one tried value; all settings while there are fewer than three trials."""
        varied = [
            setting
            for setting in self.settings
            if len({str(trial.values.get(setting.key)) for trial in self.trials}) > 1
        ]
        return tuple(varied) if len(self.trials) > 2 else self.settings

    def setting(self, key: str) -> Setting:
        """Return the setting of a key; if ``study.json`` does not describe it, it is named by the key."""
        return next((setting for setting in self.settings if setting.key == key), Setting(key))

    def trial(self, number: int) -> TrialRow | None:
        """Return the trial with a number; None if there is none."""
        return next((trial for trial in self.trials if trial.number == number), None)


def read_study(folder: Path | str) -> StudyFiles:
    """Read a study's folder.

    Raises:
        UserError: the folder contains no study, or one of its files cannot be read.
    """
    study = Study(folder)
    if not study.folder.is_dir():
        raise UserError(f"there is no study {str(folder)!r}", "give a folder written by 'coverslip tune'")
    summary = study.read_summary()
    settings = tuple(_setting(key, dimension) for key, dimension in (summary.get("keys") or {}).items())
    table = _read_columns(study.trials_file, NUMBERS)
    if table is not None and "number" not in table:
        raise UserError(f"{str(study.trials_file)!r} has no column 'number'", "tune again, or restore the file")
    for name in [column for column in table or {} if column not in NOT_SETTINGS]:
        assert table is not None  # for mypy: without a table the loop is empty
        parse = _parser(next((setting for setting in settings if setting.key == name), Setting(name)))
        table[name] = [parse(str(value)) if value not in (None, "") else None for value in table[name]]
    curves = _read_columns(study.curves_file, None)
    trials, best = read_trials(table) if table else [], (summary.get("best") or {}).get("number")
    return StudyFiles(
        study=study,
        summary=summary,
        settings=settings,
        trials=[replace(trial, best=True) if trial.number == best else trial for trial in trials],
        curves=read_curves(curves) if curves and "epoch" in curves else {},
    )


def loss_intervals(files: StudyFiles) -> dict[int, tuple[float, float]]:
    """Return the 95 % confidence interval of each finished trial's log loss, by number; empty with too few groups.

    Student's t on the contribution of each group to the mean, with the degrees of freedom that `effective_df` allows.
    """
    try:
        with np.load(files.study.validation_file, allow_pickle=False) as arrays:
            numbers, losses, groups = (arrays[name] for name in ("numbers", "losses", "groups"))
    except (OSError, ValueError, KeyError, EOFError):  # missing or incomplete while the study is running
        return {}
    _, codes, counts = np.unique(groups, return_inverse=True, return_counts=True)
    if len(counts) < MIN_GROUPS or losses.shape != (len(numbers), len(groups)):
        return {}
    intervals = {}
    for number, row in zip(numbers.tolist(), losses.astype(np.float64), strict=True):
        mean = float(row.mean())
        contributions = np.bincount(codes, row, len(counts)) - counts * mean
        if not math.isfinite(mean) or not contributions.any():
            continue
        # Standard error of a ratio estimate: groups are the sampling units, and their sizes vary.
        error = math.sqrt(len(counts) / (len(counts) - 1) * float((contributions**2).sum())) / len(groups)
        df = effective_df(contributions - contributions.mean(), len(counts) - 1)
        half_width = critical_value(LEVEL, df) * error
        intervals[int(number)] = (max(mean - half_width, 0.0), mean + half_width)
    return intervals


def _setting(key: str, dimension: Mapping[str, Any]) -> Setting:
    low, high = (dimension.get(end) for end in ("low", "high"))
    choices = dimension.get("choices") or []
    choices = tuple(choice if isinstance(choice, int | float | str) else str(choice) for choice in choices)
    return Setting(
        key=key,
        name=str(dimension.get("name") or ""),
        kind=str(dimension.get("kind") or "float"),
        log=bool(dimension.get("log")),
        low=None if low is None else float(low),
        high=None if high is None else float(high),
        choices=choices,
    )


def _parser(setting: Setting) -> Any:
    """Return a function that parses the text of a table to the value of ``study.json``."""
    known: dict[str, Value] = {str(choice).lower(): choice for choice in setting.choices}

    def parse(text: str) -> Value:
        if text.lower() in known:
            return known[text.lower()]
        try:
            number = float(text)
        except ValueError:
            return text
        numbers = [choice for choice in setting.choices if not isinstance(choice, str | bool)]
        same = next((choice for choice in numbers if choice == number), None)
        if same is not None:
            return same
        if setting.kind == "choice" and len(numbers) < len(setting.choices):
            return text
        return int(number) if setting.kind == "int" and number.is_integer() else number

    return parse


def _read_columns(path: Path, numbers: frozenset[str] | None) -> dict[str, list[Any]] | None:
    """Read a CSV file by columns.

    Args:
        path: path of the file.
        numbers: columns to read as floats, with None for empty cells; None: all.

    Returns:
        Column name -> values; None if the file does not exist.
    """
    text = text_of(path, "tune again")
    if text is None:
        return None
    header, *rows = list(csv.reader(text.splitlines())) or [[]]
    header = [current_study_key(name) for name in header]
    rows = [row for row in rows if len(row) == len(header)]
    columns: dict[str, list[Any]] = {name: [row[at] for row in rows] for at, name in enumerate(header)}
    try:
        for name in header if numbers is None else [column for column in header if column in numbers]:
            columns[name] = [float(cell) if cell else None for cell in columns[name]]
    except ValueError as error:
        raise UserError(
            f"{str(path)!r} is not the table of a study: {error}", "restore the file, or tune again"
        ) from error
    return columns
