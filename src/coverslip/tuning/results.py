"""The results of a study: the predictions of its trials in a file, and an object for notebooks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from coverslip.core.runs import Study
from coverslip.core.storage import atomic_write
from coverslip.core.tables import read_csv
from coverslip.evidence.intervals import format_interval
from coverslip.pipeline.config import RunConfig, read_config
from coverslip.tuning.batch import Outcome


class Outcomes:
    """Losses and correctness of every finished trial on the M images of the selection half, stored in one file.

    Args:
        study: the study's folder; outcomes in it are loaded.
        groups: group codes of the images, shape (M,).

    Attributes:
        numbers: numbers of the trials.
        losses: for each trial the log loss of each image, shape (M,).
        correct: for each trial whether each image was classified correctly, shape (M,).
    """

    def __init__(self, study: Study, groups: npt.NDArray[np.int64]) -> None:
        self.file, self.groups = study.validation_file, groups
        self.numbers: list[int] = []
        self.losses: list[npt.NDArray[np.float32]] = []
        self.correct: list[npt.NDArray[np.bool_]] = []
        if self.file.exists():
            with np.load(self.file) as arrays:
                self.numbers, self.losses = arrays["numbers"].tolist(), [*arrays["losses"]]
                self.correct = [*arrays["right"]]

    def add(self, number: int, outcome: Outcome) -> None:
        """Add the outcome of a finished trial, or replace an earlier one of the same number."""
        if number in self.numbers:
            row = self.numbers.index(number)
            self.losses[row], self.correct[row] = outcome.losses, outcome.correct
            return
        self.numbers.append(number)
        self.losses.append(outcome.losses)
        self.correct.append(outcome.correct)

    def write(self) -> None:
        """Write all outcomes atomically."""
        with atomic_write(self.file) as temporary, temporary.open("wb") as file:
            numbers, arrays = np.array(self.numbers, np.int64), self.arrays()
            np.savez(file, numbers=numbers, losses=arrays["losses"], right=arrays["correct"], groups=arrays["groups"])

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return losses (T, M) and correct (T, M) of the T trials, and groups (M,)."""
        images = len(self.groups)
        losses = np.array(self.losses, np.float32).reshape(-1, images)
        correct = np.array(self.correct, np.bool_).reshape(-1, images)
        return {"losses": losses, "correct": correct, "groups": self.groups}


class Tuned:
    """A finished or interrupted study; the files of its folder are described in ARCHITECTURE.md.

    Raises:
        UserError: the folder contains no study.
    """

    def __init__(self, folder: Path | str) -> None:
        self.study = Study.open(folder)
        self.folder, self.page_file = self.study.folder, self.study.page_file

    @property
    def summary(self) -> dict[str, Any]:
        """Content of ``study.json``."""
        return self.study.read_summary()

    @property
    def trials(self) -> pl.DataFrame:
        """Table with a row per trial."""
        return read_csv(self.study.trials_file)

    @property
    def curves(self) -> pl.DataFrame:
        """Table with a row per epoch of a trial."""
        return read_csv(self.study.curves_file)

    @property
    def best_experiment(self) -> RunConfig:
        """Config of the best trial, for `coverslip.train`."""
        return read_config(self.study.best_file)

    @property
    def sentences(self) -> list[str]:
        """Summary in plain sentences, the most important first."""
        return sentences(self.summary)

    @property
    def next_command(self) -> str:
        """The suggested next command."""
        return str(self.summary.get("next") or "")

    def _repr_html_(self) -> str:
        from html import escape

        text = "".join(f"<p>{escape(line)}</p>" for line in self.sentences)
        return f"{text}<p><code>{escape(str(self.page_file))}</code></p>"


def sentences(summary: Mapping[str, Any]) -> list[str]:
    """Summarize a study in plain sentences, the most important first.

    Args:
        summary: content of ``study.json``.
    """
    counts, best, default = summary["trials"], summary["best"], summary["default"]
    states = [f"{counts[state]} {state}" for state in ("finished", "pruned", "failed") if counts.get(state)]
    lines = [f"trials: {', '.join(states) or 'none'}, in {summary['seconds']:.0f} s"]
    keys = summary["keys"]
    if best:
        chosen = ", ".join(f"{keys[key]['name']} {_value_text(value)}" for key, value in best["values"].items())
        lines.append(f"best: trial {best['number']} ({chosen}), validation log loss {best['validation_loss']:.3f}")
    if default and best:
        accuracy = format_interval(default["accuracy"])
        lines.append(f"default: validation log loss {default['validation_loss']:.3f}, accuracy {accuracy}")
    lines += [summary["compared"]["sentence"]] if summary["compared"] else []
    lines += [summary["luck"]["sentence"]] if summary["luck"] else []
    lines += [str(step["sentence"]) for step in summary["steps"]]
    lines += [summary[name]["sentence"] for name in ("nested", "repeats") if summary.get(name)]
    important = [row for row in summary["importance"] if row["low"] > 0.05]
    if important:
        lines.append(
            "most important settings: "
            + ", ".join(f"{keys[row['key']]['name']} {row['value']:.0%}" for row in important)
        )
    return lines + list(summary["notes"])


def _value_text(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
