"""What is known of a study at any moment, for its page: `study.json`."""

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
from coverslip.evidence.winner import compare_trials, winner
from coverslip.pipeline.config import RunConfig, TunedConfig, write_config
from coverslip.tuning.importance import importance
from coverslip.tuning.results import Outcomes

STATES = ("finished", "pruned", "failed", "running")
Values = Mapping[str, Any]


@dataclass(slots=True)
class Account:
    """A study under way: what does not change, and what it has come to.

    Attributes:
        study: its folder.
        kind: ``search``, ``sweep`` or ``one-at-a-time``.
        about: name, network, depth, images, classes.
        keys: how each key of the space is called and drawn.
        plan_of: the experiment of a trial's values.
        outcomes: of its finished trials.
        planned: trials.
        steps: of one-at-a-time.
        chosen: the trial that these came to; without, the one of the lowest loss is the best.
        asked: what was asked for, so that it can be gone on with.
        nested: what nested folds said.
        repeats: what the best trial's settings came to with other seeds.
        notes: what else a reader has to know.
    """

    study: Study
    kind: str
    about: dict[str, Any]
    keys: dict[str, dict[str, Any]]
    plan_of: Callable[[Values], RunConfig]
    outcomes: Outcomes
    planned: int = 0
    asked: dict[str, Any] = field(default_factory=dict)
    steps: list[dict[str, Any]] = field(default_factory=list)
    chosen: int | None = None
    nested: dict[str, Any] | None = None
    repeats: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)

    def write(self, trials: pl.DataFrame, state: str, seconds: float, left: float | None = None) -> dict[str, Any]:
        """Write ``study.json``, and ``best.toml`` where there is a best; what takes long only at the end.

        Args:
            trials: a row a trial, as ``trials.csv`` has them.
            state: ``running``, ``finished`` or ``interrupted``.
            seconds: since the study began.
            left: seconds; None where nobody knows.
        """
        counts = {each: trials.filter(pl.col("state") == each).height for each in STATES}
        found: dict[str, Any] = {
            "kind": self.kind,
            "asked": self.asked,
            "state": state,
            **self.about,
            "keys": self.keys,
            "trials": {"planned": self.planned, **counts},
            "seconds": round(seconds, 1),
            "seconds_left": None if left is None else round(left, 1),
            **self._judged(trials, state != "running"),
            "steps": self.steps,
            "nested": self.nested,
            "repeats": self.repeats,
            "notes": self.notes,
            "next": "",
        }
        if found["best"] is not None:
            self._write_best(found)
            found["next"] = f"coverslip train {shlex.quote(str(self.study.best_file))}"
        if state == "interrupted":
            found["next"] = f"coverslip tune --resume {shlex.quote(str(self.study.folder))}"
        write_text(self.study.summary_file, json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
        return found

    def _judged(self, trials: pl.DataFrame, thoroughly: bool) -> dict[str, Any]:
        """The best trial, the default, how they compare, what choosing was worth, and what mattered."""
        nothing: dict[str, Any] = dict.fromkeys(("best", "default", "compared", "luck")) | {"importance": []}
        rows = list(range(len(self.outcomes.numbers)))
        if not rows:
            return nothing
        arrays = self.outcomes.arrays()
        losses, right, groups = arrays["losses"][rows], arrays["right"][rows], arrays["groups"]
        numbers = [self.outcomes.numbers[row] for row in rows]
        best = int(np.argmin(losses.mean(axis=1)))
        if self.chosen in numbers:
            best = numbers.index(self.chosen)
        found = nothing | {"best": self._told(trials, numbers[best], losses[best], right[best])}
        if self.chosen is None:  # these images chose it, so no interval of its score is honest
            found["best"]["accuracy"] |= {"low": None, "high": None, "reason": "the same images chose it"}
        default = numbers.index(0) if 0 in numbers else None
        if default is not None:
            found["default"] = self._told(trials, 0, losses[default], right[default])
        if not thoroughly:
            return found
        if self.chosen is None:
            found["luck"] = winner(losses, right, groups, numbers).as_json()
        if default is not None and default != best:
            names = (f"trial {numbers[best]}", "the default")
            found["compared"] = compare_trials(losses, right, groups, best, default, names=names)
        elif default is not None and len(rows) > 1:
            said = "no trial was better than the default"
            said = "nothing was shown to be better than the rules of thumb" if self.steps else said
            found["compared"] = {"sentence": said, "difference": 0.0}
            found["compared"] |= {"low": None, "high": None}
        found["importance"] = importance(trials, self.keys)
        return found

    def _told(self, trials: pl.DataFrame, number: int, losses: Any, right: Any) -> dict[str, Any]:
        row = trials.row(by_predicate=pl.col("number") == number, named=True)
        alone = winner(losses[None], right[None], self.outcomes.groups, [number])
        return {
            "number": number,
            "values": {key: row.get(key) for key in self.keys},
            "validation_loss": float(np.mean(losses)),
            "accuracy": alone.corrected,
        }

    def _write_best(self, found: Mapping[str, Any]) -> None:
        """The best trial's experiment, with what the study said of it."""
        config, luck = self.plan_of(found["best"]["values"]), found["luck"]
        if luck is not None and luck["corrected"]["low"] is not None:
            corrected = luck["corrected"]
            config = replace(
                config,
                tuned=TunedConfig(
                    trials=luck["trials"],
                    accuracy=luck["accuracy"]["value"],
                    expected=corrected["value"],
                    low=corrected["low"],
                    high=corrected["high"],
                ),
            )
        write_config(config, self.study.best_file)
