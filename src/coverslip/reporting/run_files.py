"""What a run wrote, read back. Only ``test.json`` has to be there."""

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
from coverslip.core.runs import Run

Row = dict[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFiles:
    """The content of a run's folder, or of an audit's; None for a file that is not there."""

    run: Run
    test: dict[str, Any]  # empty for an audit
    experiment: dict[str, Any] | None = None
    table: list[Row] | None = None  # path, label, group, split, status; all as text
    audit: dict[str, Any] | None = None
    history: dict[str, list[float | None]] | None = None
    predictions: list[Row] | None = None
    environment: dict[str, Any] | None = None
    label_errors: list[Row] | None = None  # path, label, suggested, score, suspect, part; the most suspect first
    repeats: dict[str, Any] | None = None
    learning_curve: dict[str, Any] | None = None
    roots: list[Path] = field(default_factory=list)  # folders that the paths of images may be relative to
    arrays_file: Path | None = None  # the .npz file that holds the images, where they are no files

    @property
    def class_names(self) -> list[str]:
        """The classes in the order of the confusion matrix."""
        return [str(name) for name in self.test.get("class_names") or self.test.get("classes") or []]

    @property
    def grouped(self) -> bool:
        """Whether groups were named. Twins alone make groups too, but say nothing of plants, patients or slides."""
        if self.audit is not None and "grouped_by" in self.audit:
            return bool(self.audit["grouped_by"])
        return bool(self.test.get("grouped"))

    @property
    def trained_here(self) -> bool:
        """False for an evaluation: an earlier model's test on images of which none was learned from here."""
        return self.table is None or any(row.get("split") == "train" for row in self.table)

    def image_file(self, path: str) -> Path:
        """Where an image is now.

        Raises:
            FileNotFoundError: it is no longer there.
        """
        for root in self.roots:
            if (root / path).is_file():
                return root / path
        raise FileNotFoundError(path)


def read_run(folder: Path | str) -> RunFiles:
    """Read a run's folder.

    Raises:
        UserError: there is no test result in it, or one of its files cannot be read.
    """
    run = Run(folder)
    if not run.folder.is_dir():
        raise UserError(f"there is no run {str(folder)!r}", "name a folder that 'coverslip train' wrote")
    if not run.test_file.is_file():
        fix = "a page needs a finished run: train again, or go on with it by 'coverslip train --resume'"
        raise UserError(f"{str(folder)!r} has no {run.test_file.name}", fix)
    experiment = _read_toml(run.experiment_file)
    audit = _read_json(run.audit_file)
    data = (experiment or {}).get("data")
    source = _place(run, data.get("source") if isinstance(data, dict) else None)
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
        roots=[root for root in (_place(run, (audit or {}).get("root")), source) if root is not None],
        arrays_file=source if source is not None and source.suffix.lower() == ".npz" else None,
    )


def read_audit(folder: Path | str) -> RunFiles:
    """Read what ``coverslip audit --out`` wrote: audit.json, and table.csv where there is one.

    Raises:
        UserError: there is no audit.json in the folder, or a file cannot be read.
    """
    run = Run(folder)
    again = "look at the images first: coverslip audit FOLDER --out DIR"
    if not run.folder.is_dir():
        raise UserError(f"there is no folder {str(folder)!r}", again)
    audit = _read_json(run.audit_file)
    if audit is None:
        raise UserError(f"{str(folder)!r} has no {run.audit_file.name}", again)
    root, name = _place(run, audit.get("root") or "."), str(audit.get("source") or "")
    return RunFiles(
        run=run,
        test={},
        table=_read_csv(run.table_file),
        audit=audit,
        roots=[root] if root is not None else [],
        arrays_file=root / Path(name).name if root is not None and name.lower().endswith(".npz") else None,
    )


def model_facts(files: RunFiles) -> dict[str, Any]:
    """What ``model/model.json`` holds; nothing where there is no model in the folder, as in an evaluation."""
    return files.run.known(files.run.model_file)


def settings_of(files: RunFiles, section: str) -> dict[str, Any]:
    """One section of experiment.toml; empty where it is not there."""
    content = (files.experiment or {}).get(section)
    return content if isinstance(content, dict) else {}


def _with_ledger(run: Run, test: dict[str, Any]) -> dict[str, Any]:
    """What was tested, and how often it was."""
    ledger = _read_json(run.ledger_file)
    if ledger is None:
        return test
    warning = str(ledger.get("warning") or "")
    warnings = [*(test.get("warnings") or []), *([warning] if warning else [])]
    return {**test, "ledger": ledger.get("scorings"), "warnings": warnings}


def _place(run: Run, name: object) -> Path | None:
    """A path that a file of the run names: relative ones are seen from the run's folder."""
    return run.folder / str(name) if name else None


def text_of(path: Path, again: str = "train again") -> str | None:
    """The text of a file that may be missing: None.

    Raises:
        UserError: it is there and cannot be read; ``again`` says what writes it anew.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{str(path)!r} cannot be read: {error}", f"restore the file, or {again}") from error


def _read_json(path: Path) -> dict[str, Any] | None:
    text = text_of(path)
    try:
        content = None if text is None else json.loads(text)
    except ValueError as error:
        raise UserError(f"{str(path)!r} is not JSON: {error}", "restore the file, or train again") from error
    if content is not None and not isinstance(content, dict):
        raise UserError(f"{str(path)!r} holds no JSON object", "restore the file, or train again")
    return content


def _read_toml(path: Path) -> dict[str, Any] | None:
    text = text_of(path)
    try:
        return None if text is None else tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{str(path)!r} is not TOML: {error}", "restore the file, or train again") from error


def _read_csv(path: Path) -> list[Row] | None:
    """Rows of text: a class called '001' stays '001', and one called 'null' stays 'null'."""
    if not path.is_file():
        return None
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [{key: value or "" for key, value in row.items() if key is not None} for row in csv.DictReader(file)]


def _read_history(path: Path) -> dict[str, list[float | None]] | None:
    rows = _read_csv(path)
    if rows is None:
        return None
    columns = list(rows[0]) if rows else []
    return {name: [as_number(row.get(name, "")) for row in rows] for name in columns}


def as_number(text: str) -> float | None:
    """The number, or None for an empty cell, a word, or a value that is not finite.

    >>> as_number("0.25"), as_number(""), as_number("nan")
    (0.25, None, None)
    """
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def split_names(text: str, known: Collection[str]) -> list[str]:
    """Names that were joined by `` | ``, of which some may hold that themselves; unknown ones are parted at each.

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
