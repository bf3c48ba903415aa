"""The files of a run's folder, read back for its report. Only ``test.json`` is required."""

from __future__ import annotations

import csv
import json
import math
import tomllib
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coverslip.core.errors import UserError
from coverslip.core.renamed import upgrade_json, upgrade_settings
from coverslip.core.runs import Run

Row = dict[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFiles:
    """The content of a run's folder, or of an audit's folder.

    Attributes:
        run: the folder.
        test: content of ``test.json`` with the entries of ``ledger.json``; empty for an audit.
        experiment: content of ``experiment.toml``; None for this and all following files if the file does not exist.
        table: rows of ``table.csv`` with path, label, group, split and status, all as text.
        audit: content of ``audit.json``.
        history: columns of ``history.csv``.
        predictions: rows of ``predictions.csv``.
        environment: content of ``environment.json``.
        label_errors: rows of ``label_errors.csv`` with path, label, suggested, score, suspect and part, most suspect
            first.
        repeats: content of ``repeats.json``.
        learning_curve: content of ``learning_curve.json``.
        roots: folders that image paths may be relative to.
        arrays_file: the ``.npz`` file that contains the images, if they are not separate files.
    """

    run: Run
    test: dict[str, Any]
    experiment: dict[str, Any] | None = None
    table: list[Row] | None = None
    audit: dict[str, Any] | None = None
    history: dict[str, list[float | None]] | None = None
    predictions: list[Row] | None = None
    environment: dict[str, Any] | None = None
    label_errors: list[Row] | None = None
    repeats: dict[str, Any] | None = None
    learning_curve: dict[str, Any] | None = None
    roots: list[Path] = field(default_factory=list)
    arrays_file: Path | None = None

    @property
    def class_names(self) -> list[str]:
        """Return the classes in the order of the confusion matrix."""
        return [str(name) for name in self.test.get("class_names") or self.test.get("classes") or []]

    @property
    def task(self) -> str:
        """The task of the model; runs before tasks are classifications."""
        return str(self.test.get("task") or "classification")

    @property
    def target_names(self) -> list[str]:
        """Names of the targets of a regression."""
        return [str(name) for name in self.test.get("target_names") or []]

    @property
    def grouped(self) -> bool:
        """Whether groups were specified. Duplicates also form groups, but these are not plants, patients or slides."""
        if self.audit is not None and "grouped_by" in self.audit:
            return bool(self.audit["grouped_by"])
        return bool(self.test.get("grouped"))

    @property
    def trained_here(self) -> bool:
        """False for an evaluation: the model was trained in another run, and every image here is a test image."""
        return self.table is None or any(row.get("split") == "train" for row in self.table)

    def image_file(self, path: str) -> Path:
        """Return the current location of an image.

        Raises:
            FileNotFoundError: the file does not exist under any of the roots.
        """
        for root in self.roots:
            if (root / path).is_file():
                return root / path
        raise FileNotFoundError(path)


def read_run(folder: Path | str) -> RunFiles:
    """Read a run's folder.

    Raises:
        UserError: the folder has no test result, or one of its files cannot be read.
    """
    run = Run.existing(folder)
    if not run.test_file.is_file():
        fix = "finish the run with 'coverslip train --resume', or train again: a report needs a finished run"
        raise UserError(f"{str(folder)!r} has no {run.test_file.name}", fix)
    experiment = _read_settings(run.experiment_file)
    audit = _read_json(run.audit_file)
    data = (experiment or {}).get("data")
    source = _resolve(run, data.get("source") if isinstance(data, dict) else None)
    return RunFiles(
        run=run,
        test=_with_ledger(run, _read_json(run.test_file) or {}),
        experiment=experiment,
        table=_read_csv(run.table_file),
        audit=audit,
        history=_read_history(run.history_file),
        predictions=_read_csv(run.predictions_file),
        environment=_read_json(run.environment_file),
        label_errors=_read_csv(run.label_errors_file),
        repeats=_read_json(run.repeats_file),
        learning_curve=_read_json(run.learning_curve_file),
        roots=[root for root in (_resolve(run, (audit or {}).get("root")), source) if root is not None],
        arrays_file=source if source is not None and source.suffix.lower() == ".npz" else None,
    )


def read_audit(folder: Path | str) -> RunFiles:
    """Read the files that ``coverslip audit --out`` wrote: audit.json, and table.csv if it exists.

    Raises:
        UserError: the folder has no audit.json, or a file cannot be read.
    """
    run = Run(folder)
    fix = "audit the images first: coverslip audit FOLDER --out DIR"
    if not run.folder.is_dir():
        raise UserError(f"there is no folder {str(folder)!r}", fix)
    audit = _read_json(run.audit_file)
    if audit is None:
        raise UserError(f"{str(folder)!r} has no {run.audit_file.name}", fix)
    root, name = _resolve(run, audit.get("root") or "."), str(audit.get("source") or "")
    return RunFiles(
        run=run,
        test={},
        table=_read_csv(run.table_file),
        audit=audit,
        roots=[root] if root is not None else [],
        arrays_file=root / Path(name).name if root is not None and name.lower().endswith(".npz") else None,
    )


def model_facts(files: RunFiles) -> dict[str, Any]:
    """Return the content of ``model/model.json``; empty if the folder has no model, as for an evaluation."""
    return files.run.json_or_empty(files.run.model_file)


def settings_of(files: RunFiles, section: str) -> dict[str, Any]:
    """Return one section of experiment.toml; empty if it does not exist."""
    content = (files.experiment or {}).get(section)
    return content if isinstance(content, dict) else {}


def text_of(path: Path, again: str = "train again") -> str | None:
    """Return the text of a file, or None if it does not exist.

    Args:
        path: the file.
        again: an imperative that says how the file is written again.

    Raises:
        UserError: the file exists and cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{str(path)!r} cannot be read: {error}", f"restore the file, or {again}") from error


def as_number(text: str) -> float | None:
    """Parse a number; return None for an empty cell, a word, or a value that is not finite.

    >>> as_number("0.25"), as_number(""), as_number("nan")
    (0.25, None, None)
    """
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def split_names(text: str, known: Collection[str]) -> list[str]:
    """Split names that were joined by `` | ``. A known name may contain the separator; unknown names are split at it.

    >>> split_names("rust | leaf | spot", ["rust", "leaf | spot"])
    ['rust', 'leaf | spot']
    """
    pieces, names = text.split(" | ") if text else [], []
    while pieces:
        ends = [end for end in range(len(pieces), 0, -1) if " | ".join(pieces[:end]) in known]
        end = ends[0] if ends else 1
        names.append(" | ".join(pieces[:end]))
        pieces = pieces[end:]
    return names


def _with_ledger(run: Run, test: dict[str, Any]) -> dict[str, Any]:
    """Add the scorings of this test set, and the warning if there were several with different settings."""
    ledger = _read_json(run.ledger_file)
    if ledger is None:
        return test
    return {**test, "ledger": ledger.get("scorings"), "ledger_warning": str(ledger.get("warning") or "")}


def _resolve(run: Run, name: object) -> Path | None:
    """Resolve a path named in one of the run's files; relative paths start at the run's folder."""
    return run.folder / str(name) if name else None


def _read_json(path: Path) -> dict[str, Any] | None:
    text = text_of(path)
    try:
        content = None if text is None else json.loads(text)
    except ValueError as error:
        raise UserError(f"{str(path)!r} is not JSON: {error}", "restore the file, or train again") from error
    if content is not None and not isinstance(content, dict):
        raise UserError(f"{str(path)!r} does not contain a JSON object", "restore the file, or train again")
    return None if content is None else upgrade_json(path.name, content)


def _read_settings(path: Path) -> dict[str, Any] | None:
    """Read experiment.toml; a file without ``format`` is of version 0.1 and gets the current names of its settings."""
    text = text_of(path)
    try:
        content = None if text is None else tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{str(path)!r} is not TOML: {error}", "restore the file, or train again") from error
    return content if content is None or "format" in content else upgrade_settings(content)


def _read_csv(path: Path) -> list[Row] | None:
    """Read rows as text, so that a class named '001' or 'null' keeps its name."""
    if not path.is_file():
        return None
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [{key: value or "" for key, value in row.items() if key is not None} for row in csv.DictReader(file)]


def _read_history(path: Path) -> dict[str, list[float | None]] | None:
    """Read history.csv by column; the learning rate was named ``rate`` in version 0.1."""
    rows = _read_csv(path)
    if rows is None:
        return None
    columns = list(rows[0]) if rows else []
    return {"lr" if name == "rate" else name: [as_number(row.get(name, "")) for row in rows] for name in columns}
