"""Compare runs on the same test images: read their predictions and align them by image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from coverslip.core.config import read_toml
from coverslip.core.errors import UserError
from coverslip.core.paths import expand
from coverslip.core.registry import nearest
from coverslip.core.runs import Run
from coverslip.core.tables import read_csv
from coverslip.data.groups import join_groups
from coverslip.evidence.bootstrap import SCORES
from coverslip.evidence.compare import compare
from coverslip.evidence.compare_values import COMPARED, compare_values

SMALLEST = 0.02  # smallest difference of interest between classifiers


@dataclass(frozen=True, slots=True)
class AlignedPredictions:
    """Predictions of several runs for the same N images, rows in the same order.

    Attributes:
        paths: paths of the images, sorted, length N.
        labels: class ids, shape (N,), values in 0..K-1.
        classes: class names, length K.
        groups: group codes, shape (N,); None if no run has groups.
        probabilities: run name -> probabilities, shape (N, K).
        predicted: run name -> predicted class ids, shape (N,); only with two classes.
        dropped: run name -> number of its images that not all other runs tested.
        notes: caveats for the reader.
    """

    paths: list[str]
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    groups: npt.NDArray[np.int64] | None
    probabilities: dict[str, npt.NDArray[np.float64]]
    predicted: dict[str, npt.NDArray[np.int64]]
    dropped: dict[str, int]
    notes: list[str]


@dataclass(frozen=True, slots=True)
class AlignedValues:
    """Predicted values of several runs for the same N images, rows in the same order.

    Attributes:
        paths: paths of the images, sorted, length N.
        truth: true values, shape (N,).
        groups: group codes, shape (N,); None if no run has groups.
        predicted: run name -> predicted values, shape (N,).
        dropped: run name -> number of its images that not all other runs tested.
        notes: caveats for the reader.
    """

    paths: list[str]
    truth: npt.NDArray[np.float64]
    groups: npt.NDArray[np.int64] | None
    predicted: dict[str, npt.NDArray[np.float64]]
    dropped: dict[str, int]
    notes: list[str]


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
        score: name of the score to compare: one of `SCORES`, by default accuracy; of regressions one of `COMPARED`, by
            default mae.
        smallest: smallest difference of interest, by default 0.02, of regressions a tenth of the score of the first
            run; without a significant difference, the number of groups that would detect it is reported.
        shared: compare on the images that all runs tested, if their test sets differ.
        seed: random seed of the resampling.

    Raises:
        UserError: fewer than two runs, a run without predictions, or different classes, labels or test images.
    """
    if len(folders) < 2:
        raise UserError("a comparison needs two runs or more", "give them: coverslip compare RUN RUN")
    runs = {name: Run(folder) for name, folder in zip(_names(folders), folders, strict=True)}
    regression = _common_task(runs) == "regression"
    scores, most = (COMPARED, np.inf) if regression else (SCORES, 1.0)
    score = score or ("mae" if regression else "accuracy")
    if score not in scores:
        raise UserError(f"unknown score {score!r}", nearest(score, scores))
    if smallest is not None and not 0 < smallest < most:
        allowed = "above 0" if regression else "between 0 and 1"
        raise UserError(f"--smallest {smallest} is not {allowed}", "give a difference such as 0.02")
    tested: AlignedPredictions | AlignedValues
    if regression:
        tested = align_values(runs, shared=shared)
        result = compare_values(
            tested.truth, tested.predicted, tested.groups, score=score, smallest=smallest, seed=seed
        )
    else:
        tested = align(runs, shared=shared)
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


def align(runs: dict[str, Run], *, shared: bool) -> AlignedPredictions:
    """Align the predictions of several runs by image.

    Raises:
        UserError: see `compare_runs`.
    """
    frames = {name: _predictions(run) for name, run in runs.items()}
    names = list(frames)
    classes = {
        name: [column[2:] for column in frame.columns if column.startswith("p:")] for name, frame in frames.items()
    }
    first = names[0]
    for name in names[1:]:
        if sorted(classes[name]) != sorted(classes[first]):
            other = sorted(set(classes[name]) ^ set(classes[first]))
            raise UserError(
                f"{first!r} and {name!r} have different classes (only one of them has {other[0]!r})",
                "compare runs that were trained on the same classes",
            )
    rows, dropped, notes = _same_images(runs, frames, shared=shared)
    labels = rows[first]["label"].to_list()
    for name in names:
        if not rows[name]["predicted"].is_in(classes[name]).all():
            raise UserError(f"{name!r} predicted a class that has no column of probabilities", "train it again")
    for name in names[1:]:
        wrong = [path for path, a, b in zip(rows[name]["path"], rows[name]["label"], labels, strict=True) if a != b]
        if wrong:
            raise UserError(
                f"{len(wrong):,} images have different labels in {name!r} and {first!r}, for example {wrong[0]!r}",
                "compare runs that were trained with the same labels",
            )
    order = classes[first]
    number = {label: index for index, label in enumerate(order)}
    return AlignedPredictions(
        paths=rows[first]["path"].to_list(),
        labels=np.array([number[label] for label in labels]),
        classes=tuple(order),
        groups=_groups(list(rows.values())),
        probabilities={
            name: rows[name].select([f"p:{label}" for label in order]).to_numpy().astype(np.float64) for name in names
        },
        predicted={
            name: np.array([number[label] for label in rows[name]["predicted"]], np.int64)
            for name in names
            if len(order) == 2  # with more, the most probable class is predicted, and six decimals identify it
        },
        dropped=dropped,
        notes=notes,
    )


def align_values(runs: dict[str, Run], *, shared: bool) -> AlignedValues:
    """Align the predictions of several regressions by image.

    Raises:
        UserError: see `compare_runs`; or the runs have several or different targets.
    """
    targets = {name: list(run.json_or_empty(run.test_file).get("target_names") or []) for name, run in runs.items()}
    first = next(iter(targets))
    for name, names in targets.items():
        if len(names) != 1:
            raise UserError(f"{name!r} has {len(names)} targets", "compare runs of a single target")
        if names != targets[first]:
            problem = f"{first!r} predicts {targets[first][0]!r}, and {name!r} predicts {names[0]!r}"
            raise UserError(problem, "compare runs of the same target")
    frames = {name: _value_predictions(run) for name, run in runs.items()}
    rows, dropped, notes = _same_images(runs, frames, shared=shared)
    truth = rows[first]["target"].to_numpy()
    for name, frame in rows.items():
        different = np.abs(frame["target"].to_numpy() - truth) > 1e-5 * np.maximum(np.abs(truth), 1)
        if different.any():
            raise UserError(
                f"{int(different.sum()):,} images have different values of {targets[first][0]!r} in {name!r} and "
                f"{first!r}",
                "compare runs that were trained with the same values",
            )
    predicted = {name: frame["predicted"].to_numpy() for name, frame in rows.items()}
    return AlignedValues(rows[first]["path"].to_list(), truth, _groups(list(rows.values())), predicted, dropped, notes)


def _same_images(
    runs: dict[str, Run], frames: dict[str, pl.DataFrame], *, shared: bool
) -> tuple[dict[str, pl.DataFrame], dict[str, int], list[str]]:
    """Return the rows of the images that all runs tested, in one order; the numbers of others; and caveats."""
    first = next(iter(frames))
    kept = set(frames[first]["path"]).intersection(*(set(frame["path"]) for frame in frames.values()))
    dropped = {name: frame.height - len(kept) for name, frame in frames.items()}
    if any(dropped.values()) and not shared:
        counts = ", ".join(f"{name} {frame.height:,}" for name, frame in frames.items())
        raise UserError(
            f"the runs did not test the same images ({counts}; {len(kept):,} in common)",
            "train them with the same --split-seed and groups, or compare on the common images: --shared",
        )
    if not kept:
        raise UserError("the runs have no test image in common", "train them on the same split")
    rows = {name: frame.filter(pl.col("path").is_in(kept)).sort("path") for name, frame in frames.items()}
    notes = _trained_on_test(runs, kept) if shared else []
    if any(dropped.values()):
        notes.append(
            "The comparison is restricted to the images that all runs tested; images left out: "
            + ", ".join(f"{name} {count:,}" for name, count in dropped.items())
        )
    return rows, dropped, notes


def _value_predictions(run: Run) -> pl.DataFrame:
    _check_finished(run)
    try:
        frame = read_csv(run.predictions_file, text=True).select("path", "group", "target", "predicted", "error")
        frame = frame.with_columns(pl.col("target", "predicted").cast(pl.Float64))
    except (pl.exceptions.PolarsError, OSError) as error:
        first = str(error).splitlines()[0]
        raise UserError(f"cannot read {str(run.predictions_file)!r}: {first}", "train again") from error
    readable = frame.filter(pl.col("error").fill_null("") == "")
    if not readable.height or readable["predicted"].null_count() or readable["target"].null_count():
        raise UserError(f"{str(run.predictions_file)!r} contains no predictions", "train again")
    return readable


def _check_finished(run: Run) -> None:
    Run.existing(run.folder)
    if not run.predictions_file.is_file() or not run.test_file.is_file():
        raise UserError(f"{str(run.folder)!r} has no test result", "compare finished runs")


def _predictions(run: Run) -> pl.DataFrame:
    _check_finished(run)
    try:
        frame = read_csv(run.predictions_file, text=True)
        columns = [name for name in frame.columns if name.startswith("p:")]
        known = ("path", "label", "group", "predicted", "error")
        frame = frame.with_columns(pl.col(columns).cast(pl.Float64)).select(*known, *columns)
    except (pl.exceptions.PolarsError, OSError) as error:
        first = str(error).splitlines()[0]
        raise UserError(f"cannot read {str(run.predictions_file)!r}: {first}", "train again") from error
    readable = frame.filter(pl.col("error").fill_null("") == "")  # an evaluation lists files that could not be read
    if not columns or not readable.height or readable.select(columns).null_count().sum_horizontal().item():
        raise UserError(f"{str(run.predictions_file)!r} contains no predictions", "train again")
    return readable


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


def _groups(rows: Sequence[pl.DataFrame]) -> npt.NDArray[np.int64] | None:
    """Return group codes, shape (N,): images that share a group in any run share one."""
    if all(frame["group"].null_count() == frame.height for frame in rows):
        return None
    joined = rows[0]["path"].to_list()
    for frame in rows:
        joined = join_groups(joined, frame["group"].to_list())
    return np.unique(np.asarray(joined), return_inverse=True)[1]


def _trained_on_test(runs: dict[str, Run], kept: set[str]) -> list[str]:
    """Return a warning for each run that was trained on test images of another run."""
    notes = []
    for name, run in runs.items():
        if run.table_file.is_file():
            table = read_csv(run.table_file, text=True)
            trained = table.filter(pl.col("path").is_in(kept) & (pl.col("split") == "train")).height
            if trained:
                notes.append(f"{name} was trained on {trained:,} of these images: its score is optimistic.")
    return notes


def _network(run: Run) -> str:
    try:
        return str(read_toml(run.experiment_file)["model"]["network"])
    except (UserError, KeyError, TypeError):
        return ""
