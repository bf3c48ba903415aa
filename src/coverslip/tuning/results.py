"""What a study found, in one file that its page reads, and as an object for notebooks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from coverslip.core.runs import Study
from coverslip.core.storage import writing
from coverslip.core.tables import read_csv
from coverslip.evidence.intervals import format_interval
from coverslip.pipeline.config import RunConfig, read_config
from coverslip.tuning.batch import Outcome


class Outcomes:
    """What finished trials said of each image of the choose half; kept in one file of the study."""

    def __init__(self, study: Study, groups: npt.NDArray[np.int64]) -> None:
        self.file, self.groups = study.validation_file, groups
        self.numbers: list[int] = []
        self.losses: list[npt.NDArray[np.float32]] = []
        self.right: list[npt.NDArray[np.bool_]] = []
        if self.file.exists():
            with np.load(self.file) as found:
                self.numbers, self.losses, self.right = found["numbers"].tolist(), [*found["losses"]], [*found["right"]]

    def add(self, number: int, outcome: Outcome) -> None:
        """One more finished trial; one that is there already is replaced."""
        if number in self.numbers:
            place = self.numbers.index(number)
            self.losses[place], self.right[place] = outcome.losses, outcome.right
            return
        self.numbers.append(number)
        self.losses.append(outcome.losses)
        self.right.append(outcome.right)

    def write(self) -> None:
        """All of them, whole or not at all."""
        with writing(self.file) as temporary, temporary.open("wb") as file:
            numbers, arrays = np.array(self.numbers, np.int64), self.arrays()
            np.savez(file, numbers=numbers, losses=arrays["losses"], right=arrays["right"], groups=arrays["groups"])

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """losses (T, M), right (T, M), groups (M,)."""
        images = len(self.groups)
        losses = np.array(self.losses, np.float32).reshape(-1, images)
        return {"losses": losses, "right": np.array(self.right, np.bool_).reshape(-1, images), "groups": self.groups}


class Tuned:
    """A study that was run; what its folder holds is in ARCHITECTURE.md."""

    def __init__(self, folder: Path | str) -> None:
        self.study = Study.open(folder)
        self.folder, self.page_file = self.study.folder, self.study.page_file

    @property
    def summary(self) -> dict[str, Any]:
        """What ``study.json`` holds."""
        return self.study.read_summary()

    @property
    def trials(self) -> pl.DataFrame:
        """A row a trial."""
        return read_csv(self.study.trials_file)

    @property
    def curves(self) -> pl.DataFrame:
        """A row an epoch of a trial."""
        return read_csv(self.study.curves_file)

    @property
    def best_experiment(self) -> RunConfig:
        """The settings of the best trial, for `coverslip.train`."""
        return read_config(self.study.best_file)

    @property
    def sentences(self) -> list[str]:
        """What is to be said, the most important first."""
        return sentences(self.summary)

    @property
    def following(self) -> str:
        """The next command."""
        return str(self.summary.get("next") or "")

    def _repr_html_(self) -> str:
        from html import escape

        said = "".join(f"<p>{escape(line)}</p>" for line in self.sentences)
        return f"{said}<p><code>{escape(str(self.page_file))}</code></p>"


def sentences(summary: Mapping[str, Any]) -> list[str]:
    """A study in plain words."""
    counts, best, default = summary["trials"], summary["best"], summary["default"]
    parts = [f"{counts[kind]} {kind}" for kind in ("finished", "pruned", "failed") if counts.get(kind)]
    said = [f"trials: {', '.join(parts) or 'none'}, in {summary['seconds']:.0f} s"]
    keys = summary["keys"]
    if best:
        chosen = ", ".join(f"{keys[key]['name']} {_shown(value)}" for key, value in best["values"].items())
        said.append(f"best: trial {best['number']} ({chosen}), validation log loss {best['validation_loss']:.3f}")
    if default and best:
        accuracy = format_interval(default["accuracy"])
        said.append(f"default: validation log loss {default['validation_loss']:.3f}, accuracy {accuracy}")
    said += [summary["compared"]["sentence"]] if summary["compared"] else []
    said += [summary["luck"]["sentence"]] if summary["luck"] else []
    said += [f"{each['sentence']}" for each in summary["steps"]]
    said += [summary[name]["sentence"] for name in ("nested", "repeats") if summary.get(name)]
    matters = [each for each in summary["importance"] if each["low"] > 0.05]
    if matters:
        said.append(
            "what mattered: " + ", ".join(f"{keys[each['key']]['name']} {each['value']:.0%}" for each in matters)
        )
    return said + list(summary["notes"])


def _shown(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
