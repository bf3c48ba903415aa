"""What a study wrote, read back while it may still be running. Only ``study.json`` has to be there."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from coverslip.core.errors import UserError
from coverslip.core.runs import Study
from coverslip.evidence.intervals import FEWEST_GROUPS, freedom_of_spread, quantile
from coverslip.figures.tuning import NO_KEY, Curve, Setting, TrialRow, Value, read_curves, read_trials
from coverslip.reporting.run_files import text_of

NUMBERS = frozenset({"number", "epochs", "validation_loss", "validation_accuracy", "best_epoch", "seconds", "stack"})
LEVEL = 0.95


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyFiles:
    """The content of a study's folder."""

    study: Study
    told: dict[str, Any]  # study.json
    settings: tuple[Setting, ...]
    trials: list[TrialRow]
    curves: dict[int, Curve]  # by the number of the trial

    @property
    def chance(self) -> float | None:
        """The log loss of guessing evenly among the classes."""
        classes = self.told.get("classes") or []
        return math.log(len(classes)) if len(classes) > 1 else None

    @property
    def kind(self) -> str:
        """search, sweep or one-at-a-time."""
        return str(self.told.get("kind") or "search")

    @property
    def running(self) -> bool:
        """Whether more is to come."""
        return self.told.get("state") == "running"

    @property
    def varied(self) -> tuple[Setting, ...]:
        """Settings of which more than one value was tried; all of them while that cannot be told."""
        some = [s for s in self.settings if len({str(t.values.get(s.key)) for t in self.trials}) > 1]
        return tuple(some) if len(self.trials) > 2 else self.settings

    def setting(self, key: str) -> Setting:
        """The setting of a key; one that ``study.json`` does not describe has the key's last part as its name."""
        return next((each for each in self.settings if each.key == key), Setting(key))

    def trial(self, number: int) -> TrialRow | None:
        """The trial of this number, None where there is none."""
        return next((each for each in self.trials if each.number == number), None)


def read_study(folder: Path | str) -> StudyFiles:
    """Read a study's folder.

    Raises:
        UserError: there is no study in it, or one of its files cannot be read.
    """
    study = Study(folder)
    if not study.folder.is_dir():
        raise UserError(f"there is no study {str(folder)!r}", "name a folder that 'coverslip tune' wrote")
    told = study.read_summary()
    settings = tuple(_setting(key, each) for key, each in (told.get("keys") or {}).items())
    table = _read_columns(study.trials_file, NUMBERS)
    if table is not None and "number" not in table:
        raise UserError(f"{str(study.trials_file)!r} has no column 'number'", "tune again, or restore the file")
    for name in [each for each in table or {} if each not in NO_KEY]:
        assert table is not None  # else nothing is looped over
        parse = _parser(next((each for each in settings if each.key == name), Setting(name)))
        table[name] = [parse(str(value)) if value not in (None, "") else None for value in table[name]]
    curves = _read_columns(study.curves_file, None)
    trials, best = read_trials(table) if table else [], (told.get("best") or {}).get("number")
    return StudyFiles(
        study=study,
        told=told,
        settings=settings,
        trials=[replace(each, best=True) if each.number == best else each for each in trials],
        curves=read_curves(curves) if curves and "epoch" in curves else {},
    )


def loss_limits(files: StudyFiles) -> dict[int, tuple[float, float]]:
    """The 95 % interval of each finished trial's log loss, by number, over groups; none below five groups.

    Student's t on what each group adds to the mean, with the degrees of freedom that `freedom_of_spread` allows.
    """
    try:
        with np.load(files.study.validation_file, allow_pickle=False) as found:
            numbers, losses, groups = (found[name] for name in ("numbers", "losses", "groups"))
    except (OSError, ValueError, KeyError, EOFError):  # not yet there, or half of it: a study is running
        return {}
    _, places, counts = np.unique(groups, return_inverse=True, return_counts=True)
    if len(counts) < FEWEST_GROUPS or losses.shape != (len(numbers), len(groups)):
        return {}
    limits = {}
    for number, row in zip(numbers.tolist(), losses.astype(np.float64), strict=True):
        mean = float(row.mean())
        moves = np.bincount(places, row, len(counts)) - counts * mean
        if not math.isfinite(mean) or not moves.any():
            continue
        spread = math.sqrt(len(counts) / (len(counts) - 1) * float((moves**2).sum())) / len(groups)
        wide = quantile(LEVEL, freedom_of_spread(moves - moves.mean(), len(counts) - 1)) * spread
        limits[int(number)] = (max(mean - wide, 0.0), mean + wide)
    return limits


def _setting(key: str, told: Mapping[str, Any]) -> Setting:
    low, high = (told.get(end) for end in ("low", "high"))
    choices = tuple(each if isinstance(each, int | float | str) else str(each) for each in told.get("choices") or [])
    return Setting(
        key=key,
        name=str(told.get("name") or ""),
        kind=str(told.get("kind") or "float"),
        log=bool(told.get("log")),
        low=None if low is None else float(low),
        high=None if high is None else float(high),
        choices=choices,
    )


def _parser(setting: Setting) -> Any:
    """Text of a table -> the value as ``study.json`` has it."""
    known: dict[str, Value] = {str(each).lower(): each for each in setting.choices}

    def parse(text: str) -> Value:
        if text.lower() in known:
            return known[text.lower()]
        try:
            number = float(text)
        except ValueError:
            return text
        same = next((each for each in setting.choices if not isinstance(each, str | bool) and each == number), None)
        if same is not None:
            return same
        if setting.kind == "choice" and any(isinstance(each, str | bool) for each in setting.choices):
            return text
        return int(number) if setting.kind == "int" and number.is_integer() else number

    return parse


def _read_columns(path: Path, numbers: frozenset[str] | None) -> dict[str, list[Any]] | None:
    """A CSV file by columns; those named (all, where None) as floats, an empty cell as None."""
    text = text_of(path, "tune again")
    if text is None:
        return None
    header, *rows = list(csv.reader(text.splitlines())) or [[]]
    rows = [row for row in rows if len(row) == len(header)]
    columns: dict[str, list[Any]] = {name: [row[at] for row in rows] for at, name in enumerate(header)}
    try:
        for name in header if numbers is None else [each for each in header if each in numbers]:
            columns[name] = [float(cell) if cell else None for cell in columns[name]]
    except ValueError as error:
        raise UserError(
            f"{str(path)!r} is not a table of a study: {error}", "restore the file, or tune again"
        ) from error
    return columns
