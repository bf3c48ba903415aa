"""Compare runs on the same test images, whatever their task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from coverslip.core.config import read_toml
from coverslip.core.errors import UserError
from coverslip.core.paths import expand
from coverslip.core.registry import Registry, nearest
from coverslip.core.runs import Run
from coverslip.evidence.bootstrap import SCORES
from coverslip.evidence.compare import compare
from coverslip.evidence.compare_labels import compare_labels
from coverslip.evidence.compare_values import COMPARED, compare_values
from coverslip.evidence.multilabel import OVERALL
from coverslip.evidence.ordinal import LEVEL_SCORES
from coverslip.pipeline.alignment import (
    AlignedLabels,
    AlignedPredictions,
    AlignedValues,
    align,
    align_labels,
    align_values,
)

SMALLEST = 0.02  # smallest difference of interest of a score between 0 and 1
Aligned = AlignedPredictions | AlignedValues | AlignedLabels


@dataclass(frozen=True, slots=True)
class Comparison:
    """How runs of a task are compared.

    Attributes:
        scores: names of the scores that can be compared; the first is the default.
        unbounded: scores in a unit of their own, whose smallest difference of interest can exceed 1.
        run: runs, score, smallest difference, whether test sets may differ, seed -> predictions and result.
    """

    scores: tuple[str, ...]
    unbounded: frozenset[str]
    run: Callable[[dict[str, Run], str, float | None, bool, int], tuple[Aligned, dict[str, Any]]]


COMPARISONS: Registry[Comparison] = Registry("task that can be compared")


def compare_runs(
    folders: Sequence[str | Path],
    *,
    score: str = "",
    smallest: float | None = None,
    shared: bool = False,
    seed: int = 0,
) -> dict[str, Any]:
    """Compare runs on the same test images, and return the content of ``comparison.json``.

    Args:
        folders: two or more runs.
        score: name of the score to compare, by default the first of those of the task in `COMPARISONS`.
        smallest: smallest difference of interest, by default 0.02, of scores with a unit a tenth of the score of the
            first run; without a significant difference, the number of groups that would detect it is reported.
        shared: compare on the images that all runs tested, if their test sets differ.
        seed: random seed of the resampling.

    Raises:
        UserError: fewer than two runs, a run without predictions, or different classes, labels or test images.
    """
    if len(folders) < 2:
        raise UserError("a comparison needs two runs or more", "give them: coverslip compare RUN RUN")
    runs = {name: Run(folder) for name, folder in zip(_names(folders), folders, strict=True)}
    comparison = COMPARISONS[_common_task(runs)]
    score = score or comparison.scores[0]
    if score not in comparison.scores:
        raise UserError(f"unknown score {score!r}", nearest(score, comparison.scores))
    unbounded = score in comparison.unbounded
    if smallest is not None and not 0 < smallest < (np.inf if unbounded else 1.0):
        allowed = "above 0" if unbounded else "between 0 and 1"
        raise UserError(f"--smallest {smallest} is not {allowed}", "give a difference such as 0.02")
    smallest = smallest or (None if unbounded else SMALLEST)
    tested, result = comparison.run(runs, score, smallest, shared, seed)
    groups = None if tested.groups is None else len(np.unique(tested.groups))
    return {
        "runs": [{"name": name, "path": str(run.folder), "network": _network(run)} for name, run in runs.items()],
        "result": result,
        "shared": {"images": len(tested.paths), "groups": groups, "dropped": tested.dropped},
        "notes": tested.notes,
    }


def _common_task(runs: dict[str, Run]) -> str:
    """Return the task of the runs.

    Raises:
        UserError: the tasks differ.
    """
    tasks = {name: str(run.json_or_empty(run.test_file).get("task") or "classification") for name, run in runs.items()}
    first = next(iter(tasks))
    for name, task in tasks.items():
        if task != tasks[first]:
            raise UserError(
                f"{first!r} is a run of the task {tasks[first]!r}, and {name!r} of {task!r}", "compare runs of one task"
            )
    return tasks[first]


def _names(folders: Sequence[str | Path]) -> list[str]:
    """Return the names of the folders, with as much of their paths as makes them unique."""
    paths = [expand(folder).resolve() for folder in folders]
    for depth in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(names)) == len(set(paths)):
            break
    uses: dict[str, int] = {}
    for index, name in enumerate(names):  # the same run may be given twice
        uses[name] = uses.get(name, 0) + 1
        names[index] = name if uses[name] == 1 else f"{name} ({uses[name]})"
    return names


def _network(run: Run) -> str:
    try:
        return str(read_toml(run.experiment_file)["model"]["network"])
    except (UserError, KeyError, TypeError):
        return ""


def _compare_classes(
    runs: dict[str, Run], score: str, smallest: float | None, shared: bool, seed: int, *, most_probable: bool = True
) -> tuple[AlignedPredictions, dict[str, Any]]:
    tested = align(runs, shared=shared, most_probable=most_probable)
    result = compare(
        tested.labels,
        tested.probabilities,
        tested.groups,
        tested.classes,
        predicted=tested.predicted,
        score=score,
        smallest=smallest or SMALLEST,
        seed=seed,
    )
    return tested, result


def _compare_levels(
    runs: dict[str, Run], score: str, smallest: float | None, shared: bool, seed: int
) -> tuple[AlignedPredictions, dict[str, Any]]:
    if score not in LEVEL_SCORES:
        return _compare_classes(runs, score, smallest, shared, seed, most_probable=False)
    tested = align(runs, shared=shared, most_probable=False)
    order = {tuple(run.json_or_empty(run.test_file).get("class_names") or []) for run in runs.values()}
    if len(order) > 1:
        texts = " and ".join(" < ".join(names) for names in sorted(order))
        raise UserError(f"the runs order the classes differently: {texts}", "compare runs with the same --order")
    place = {name: level for level, name in enumerate(next(iter(order)))}
    levels = np.array([place[name] for name in tested.classes], np.float64)
    predicted = {name: levels[ids] for name, ids in tested.predicted.items()}
    result = compare_values(levels[tested.labels], predicted, tested.groups, score=score, smallest=smallest, seed=seed)
    return tested, result


def _compare_values(
    runs: dict[str, Run], score: str, smallest: float | None, shared: bool, seed: int
) -> tuple[AlignedValues, dict[str, Any]]:
    tested = align_values(runs, shared=shared)
    result = compare_values(tested.truth, tested.predicted, tested.groups, score=score, smallest=smallest, seed=seed)
    return tested, result


def _compare_labels(
    runs: dict[str, Run], score: str, smallest: float | None, shared: bool, seed: int
) -> tuple[AlignedLabels, dict[str, Any]]:
    tested = align_labels(runs, shared=shared)
    result = compare_labels(
        tested.members,
        tested.probabilities,
        tested.predicted,
        tested.groups,
        score=score,
        smallest=smallest,
        seed=seed,
    )
    return tested, result


COMPARISONS.register("classification")(Comparison(SCORES, frozenset(), _compare_classes))
COMPARISONS.register("ordinal")(Comparison((*LEVEL_SCORES, *SCORES), frozenset({"level_error"}), _compare_levels))
COMPARISONS.register("multilabel")(Comparison(OVERALL, frozenset(), _compare_labels))
COMPARISONS.register("regression")(Comparison(COMPARED, frozenset(COMPARED), _compare_values))
