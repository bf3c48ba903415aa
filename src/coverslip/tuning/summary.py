"""The summary of a study, ``study.json``, from which its page is made."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from coverslip.core.runs import Study
from coverslip.core.storage import write_text
from coverslip.evidence.winner import assess_winner, compare_trials
from coverslip.pipeline.config import RunConfig, TunedConfig, write_config
from coverslip.tuning.importance import importance
from coverslip.tuning.results import Outcomes

STATES = ("finished", "pruned", "failed", "running")
Values = Mapping[str, Any]


@dataclass(slots=True)
class StudySummary:
    """A study with its results so far.

    Attributes:
        study: the study's folder.
        kind: ``search``, ``sweep`` or ``one-at-a-time``.
        about: name, network, depth, images, classes.
        keys: setting key -> name and range, see `coverslip.tuning.dimension.Dimension.as_json`.
        config_of: returns the config of a trial's values.
        outcomes: outcomes of the finished trials.
        planned: planned number of trials.
        requested: arguments of the study, with which it is resumed.
        steps: decisions of a one-at-a-time study.
        chosen: number of the trial with all values chosen by these steps; None: the best trial has the lowest loss.
        nested: result of nested cross-validation.
        repeats: scores of the best trial's settings with other seeds.
        notes: caveats for the reader.
    """

    study: Study
    kind: str
    about: dict[str, Any]
    keys: dict[str, dict[str, Any]]
    config_of: Callable[[Values], RunConfig]
    outcomes: Outcomes
    planned: int = 0
    requested: dict[str, Any] = field(default_factory=dict)
    steps: list[dict[str, Any]] = field(default_factory=list)
    chosen: int | None = None
    nested: dict[str, Any] | None = None
    repeats: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)

    def write(self, trials: pl.DataFrame, state: str, seconds: float, left: float | None = None) -> dict[str, Any]:
        """Write ``study.json``, and ``best.toml`` if a trial has finished; return the content of ``study.json``.

        Args:
            trials: a row per trial, as in ``trials.csv``.
            state: ``running``, ``finished`` or ``interrupted``; slow statistics are omitted while running.
            seconds: training time of the study so far.
            left: estimated seconds left; None if unknown.
        """
        counts = {trial_state: trials.filter(pl.col("state") == trial_state).height for trial_state in STATES}
        content: dict[str, Any] = {
            "kind": self.kind,
            "asked": self.requested,
            "state": state,
            **self.about,
            "keys": self.keys,
            "trials": {"planned": self.planned, **counts},
            "seconds": round(seconds, 1),
            "seconds_left": None if left is None else round(left, 1),
            **self._results(trials, state != "running"),
            "steps": self.steps,
            "nested": self.nested,
            "repeats": self.repeats,
            "notes": self.notes,
            "next": "",
        }
        if content["best"] is not None:
            self._write_best(content)
            content["next"] = f"coverslip train {shlex.quote(str(self.study.best_file))}"
        if state == "interrupted":
            content["next"] = f"coverslip tune --resume {shlex.quote(str(self.study.folder))}"
        write_text(self.study.summary_file, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
        return content

    def _results(self, trials: pl.DataFrame, complete: bool) -> dict[str, Any]:
        """Return the best trial and the default; if complete, also comparison, selection bias and importance."""
        empty: dict[str, Any] = dict.fromkeys(("best", "default", "compared", "luck")) | {"importance": []}
        rows = list(range(len(self.outcomes.numbers)))
        if not rows:
            return empty
        arrays = self.outcomes.arrays()
        losses, correct, groups = arrays["losses"][rows], arrays["correct"][rows], arrays["groups"]
        numbers = [self.outcomes.numbers[row] for row in rows]
        best = int(np.argmin(losses.mean(axis=1)))
        if self.chosen in numbers:
            best = numbers.index(self.chosen)
        results = empty | {"best": self._trial(trials, numbers[best], losses[best], correct[best])}
        if self.chosen is None:  # selected on these images, so an interval of its score would not be valid
            reason = "the trial was selected on the same images"
            results["best"]["accuracy"] |= {"low": None, "high": None, "reason": reason}
        default = numbers.index(0) if 0 in numbers else None
        if default is not None:
            results["default"] = self._trial(trials, 0, losses[default], correct[default])
        if not complete:
            return results
        if self.chosen is None:
            results["luck"] = assess_winner(losses, correct, groups, numbers).as_json()
        if default is not None and default != best:
            names = (f"trial {numbers[best]}", "the default")
            results["compared"] = compare_trials(losses, correct, groups, best, default, names=names)
        elif default is not None and len(rows) > 1:
            sentence = "no trial was better than the default"
            sentence = "no change was significantly better than the rules of thumb" if self.steps else sentence
            results["compared"] = {"sentence": sentence, "difference": 0.0, "low": None, "high": None}
        results["importance"] = importance(trials, self.keys)
        return results

    def _trial(self, trials: pl.DataFrame, number: int, losses: Any, correct: Any) -> dict[str, Any]:
        """Return a trial's values and scores; its accuracy has an interval that ignores selection."""
        row = trials.row(by_predicate=pl.col("number") == number, named=True)
        alone = assess_winner(losses[None], correct[None], self.outcomes.groups, [number])
        return {
            "number": number,
            "values": {key: row.get(key) for key in self.keys},
            "validation_loss": float(np.mean(losses)),
            "accuracy": alone.corrected,
        }

    def _write_best(self, content: Mapping[str, Any]) -> None:
        """Write the config of the best trial, with its accuracy corrected for selection."""
        config, selection = self.config_of(content["best"]["values"]), content["luck"]
        if selection is not None and selection["corrected"]["low"] is not None:
            corrected = selection["corrected"]
            config = replace(
                config,
                tuned=TunedConfig(
                    trials=selection["trials"],
                    accuracy=selection["accuracy"]["value"],
                    expected=corrected["value"],
                    low=corrected["low"],
                    high=corrected["high"],
                ),
            )
        write_config(config, self.study.best_file)
