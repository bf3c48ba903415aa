"""Predictions of several runs for the same test images, aligned by image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from coverslip.core.errors import UserError
from coverslip.core.runs import Run
from coverslip.core.tables import read_csv
from coverslip.data.groups import join_groups
from coverslip.data.target import parse_labels


@dataclass(frozen=True, slots=True)
class AlignedPredictions:
    """Predictions of several runs for the same N images, rows in the same order.

    Attributes:
        paths: paths of the images, sorted, length N.
        labels: class ids, shape (N,), values in 0..K-1.
        classes: class names, length K.
        groups: group codes, shape (N,); None if no run has groups.
        probabilities: run name -> probabilities, shape (N, K).
        predicted: run name -> predicted class ids, shape (N,); empty if the most probable class is predicted.
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


@dataclass(frozen=True, slots=True)
class AlignedLabels:
    """Predicted labels of several runs for the same N images, rows in the same order.

    Attributes:
        paths: paths of the images, sorted, length N.
        members: true labels, bool (N, L).
        groups: group codes, shape (N,); None if no run has groups.
        probabilities: run name -> probabilities, shape (N, L).
        predicted: run name -> predicted labels, bool (N, L).
        dropped: run name -> number of its images that not all other runs tested.
        notes: caveats for the reader.
    """

    paths: list[str]
    members: npt.NDArray[np.bool_]
    groups: npt.NDArray[np.int64] | None
    probabilities: dict[str, npt.NDArray[np.float64]]
    predicted: dict[str, npt.NDArray[np.bool_]]
    dropped: dict[str, int]
    notes: list[str]


def align(runs: dict[str, Run], *, shared: bool, most_probable: bool = True) -> AlignedPredictions:
    """Align the predictions of several classifiers by image.

    Args:
        runs: the runs, by name.
        shared: align the images that all runs tested, if their test sets differ.
        most_probable: whether the most probable of three or more classes is predicted.

    Raises:
        UserError: a run has no predictions, or classes, labels or test images differ.
    """
    rows, order, dropped, notes = _aligned_rows(runs, shared=shared)
    names, first = list(rows), next(iter(rows))
    for name in names:
        if not rows[name]["predicted"].is_in(order).all():
            raise UserError(f"{name!r} predicted a class that has no column of probabilities", "train it again")
    number = {label: index for index, label in enumerate(order)}
    kept = names if len(order) == 2 or not most_probable else []  # six decimals identify the most probable class
    return AlignedPredictions(
        paths=rows[first]["path"].to_list(),
        labels=np.array([number[label] for label in rows[first]["label"]]),
        classes=tuple(order),
        groups=_groups(list(rows.values())),
        probabilities=_probabilities(rows, order),
        predicted={name: np.array([number[label] for label in rows[name]["predicted"]], np.int64) for name in kept},
        dropped=dropped,
        notes=notes,
    )


def align_labels(runs: dict[str, Run], *, shared: bool) -> AlignedLabels:
    """Align the predictions of several models of labels by image; see `align`."""
    rows, order, dropped, notes = _aligned_rows(runs, shared=shared)
    first = next(iter(rows))
    return AlignedLabels(
        paths=rows[first]["path"].to_list(),
        members=parse_labels(rows[first]["label"].to_list(), tuple(order)).members,
        groups=_groups(list(rows.values())),
        probabilities=_probabilities(rows, order),
        predicted={name: parse_labels(rows[name]["predicted"].to_list(), tuple(order)).members for name in rows},
        dropped=dropped,
        notes=notes,
    )


def _aligned_rows(
    runs: dict[str, Run], *, shared: bool
) -> tuple[dict[str, pl.DataFrame], list[str], dict[str, int], list[str]]:
    """Return the predictions of each run for the same images, the classes, numbers of images left out, and caveats."""
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
    for name in names[1:]:
        wrong = [path for path, a, b in zip(rows[name]["path"], rows[name]["label"], labels, strict=True) if a != b]
        if wrong:
            raise UserError(
                f"{len(wrong):,} images have different labels in {name!r} and {first!r}, for example {wrong[0]!r}",
                "compare runs that were trained with the same labels",
            )
    return rows, classes[first], dropped, notes


def _probabilities(rows: dict[str, pl.DataFrame], order: list[str]) -> dict[str, npt.NDArray[np.float64]]:
    return {
        name: frame.select([f"p:{label}" for label in order]).to_numpy().astype(np.float64)
        for name, frame in rows.items()
    }


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
