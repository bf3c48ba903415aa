"""Runs side by side on the same test images: what their files say, brought into one order."""

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
from coverslip.evidence.compare import compare
from coverslip.evidence.draws import SCORES


@dataclass(frozen=True, slots=True)
class Tested:
    """What several runs said of the same N images, rows in one order.

    Attributes:
        paths: N paths, sorted.
        labels: (N,) class numbers.
        classes: K names.
        groups: (N,) numbers, or None where no run knows of groups.
        probabilities: run name -> (N, K).
        predicted: run name -> (N,) the class number that it named each image as.
        dropped: run name -> images that the others did not test.
        notes: what a reader has to know.
    """

    paths: list[str]
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    groups: npt.NDArray[np.int64] | None
    probabilities: dict[str, npt.NDArray[np.float64]]
    predicted: dict[str, npt.NDArray[np.int64]]
    dropped: dict[str, int]
    notes: list[str]


def compare_runs(
    folders: Sequence[str | Path],
    *,
    score: str = "accuracy",
    smallest: float = 0.02,
    shared: bool = False,
    seed: int = 0,
) -> dict[str, Any]:
    """What `comparison.json` holds.

    Args:
        folders: two or more runs.
        score: by which they are compared.
        smallest: difference worth seeing; how many groups would show it is said where nothing can be told.
        shared: compare on the images that all tested, where they did not test the same.
        seed: of the resamples.

    Raises:
        UserError: fewer than two runs, a run without predictions, other classes, other labels, or other test images.
    """
    if len(folders) < 2:
        raise UserError("one run cannot be compared", "name two or more: coverslip compare RUN RUN")
    if score not in SCORES:
        raise UserError(f"no score is called {score!r}", nearest(score, SCORES))
    if not 0 < smallest < 1:
        raise UserError(f"--smallest {smallest} is not between 0 and 1", "0.02 is a good number")
    runs = {name: Run(folder) for name, folder in zip(_names(folders), folders, strict=True)}
    tested = align(runs, shared=shared)
    result = compare(
        tested.labels,
        tested.probabilities,
        tested.groups,
        tested.classes,
        predicted=tested.predicted,
        score=score,
        smallest=smallest,
        seed=seed,
    )
    groups = None if tested.groups is None else len(np.unique(tested.groups))
    about = [{"name": name, "path": str(run.folder), "network": _network(run)} for name, run in runs.items()]
    return {
        "runs": about,
        "result": result,
        "shared": {"images": len(tested.paths), "groups": groups, "dropped": tested.dropped},
        "notes": tested.notes,
    }


def align(runs: dict[str, Run], *, shared: bool) -> Tested:
    """Bring the predictions of several runs into one order.

    Raises:
        UserError: see `compare_runs`.
    """
    frames = {name: _predictions(run) for name, run in runs.items()}
    names = list(frames)
    classes = {name: [each[2:] for each in frame.columns if each.startswith("p:")] for name, frame in frames.items()}
    first = names[0]
    for name in names[1:]:
        if sorted(classes[name]) != sorted(classes[first]):
            other = sorted(set(classes[name]) ^ set(classes[first]))
            raise UserError(
                f"{first!r} and {name!r} do not tell the same classes apart (only one of them knows {other[0]!r})",
                "compare runs that were trained on the same classes",
            )
    kept = set(frames[first]["path"]).intersection(*(set(frame["path"]) for frame in frames.values()))
    dropped = {name: frame.height - len(kept) for name, frame in frames.items()}
    if any(dropped.values()) and not shared:
        counts = ", ".join(f"{name} {frame.height:,}" for name, frame in frames.items())
        raise UserError(
            f"the runs did not test the same images ({counts}; {len(kept):,} in common)",
            "train them with the same --split-seed and groups, or compare on the common ones: --shared",
        )
    if not kept:
        raise UserError("the runs have no test image in common", "train them on the same split")
    rows = {name: frame.filter(pl.col("path").is_in(kept)).sort("path") for name, frame in frames.items()}
    labels = rows[first]["label"].to_list()
    for name in names:
        if not rows[name]["predicted"].is_in(classes[name]).all():
            raise UserError(f"{name!r} names a class that it has no probabilities of", "train it again")
    for name in names[1:]:
        wrong = [path for path, a, b in zip(rows[name]["path"], rows[name]["label"], labels, strict=True) if a != b]
        if wrong:
            raise UserError(
                f"{len(wrong):,} images have another label in {name!r} than in {first!r}, for example {wrong[0]!r}",
                "compare runs with the same labels",
            )
    notes = _trained_on_test(runs, kept) if shared else []
    if any(dropped.values()):
        notes.append(
            "Compared on the images that all runs tested: "
            + ", ".join(f"{n} leaves out {d:,}" for n, d in dropped.items())
        )
    order = classes[first]
    number = {label: index for index, label in enumerate(order)}
    return Tested(
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
            if len(order) == 2  # else the most probable is named, and six decimals say which
        },
        dropped=dropped,
        notes=notes,
    )


def _predictions(run: Run) -> pl.DataFrame:
    if not run.folder.is_dir():
        raise UserError(f"there is no run {str(run.folder)!r}", "name a folder that 'coverslip train' wrote")
    if not run.predictions_file.is_file() or not run.test_file.is_file():
        raise UserError(f"{str(run.folder)!r} has no test result", "compare runs that are finished")
    try:
        frame = read_csv(run.predictions_file, text=True)
        shown = [name for name in frame.columns if name.startswith("p:")]
        known = ("path", "label", "group", "predicted", "error")
        frame = frame.with_columns(pl.col(shown).cast(pl.Float64)).select(*known, *shown)
    except (pl.exceptions.PolarsError, OSError) as error:
        first = str(error).splitlines()[0]
        raise UserError(f"{str(run.predictions_file)!r} cannot be read: {first}", "train again") from error
    read = frame.filter(pl.col("error").fill_null("") == "")  # an evaluation lists files that could not be read
    if not shown or not read.height or read.select(shown).null_count().sum_horizontal().item():
        raise UserError(f"{str(run.predictions_file)!r} holds no predictions", "train again")
    return read


def _names(folders: Sequence[str | Path]) -> list[str]:
    """The folders' own names, or as much of their paths as tells them apart."""
    paths = [expand(folder).resolve() for folder in folders]
    for depth in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(names)) == len(set(paths)):
            break
    seen: dict[str, int] = {}
    for index, name in enumerate(names):  # a run beside itself
        seen[name] = seen.get(name, 0) + 1
        names[index] = name if seen[name] == 1 else f"{name} ({seen[name]})"
    return names


def _groups(rows: Sequence[pl.DataFrame]) -> npt.NDArray[np.int64] | None:
    """Images that any run holds for one group are one group."""
    if all(frame["group"].null_count() == frame.height for frame in rows):
        return None
    joined = rows[0]["path"].to_list()
    for frame in rows:
        joined = join_groups(joined, frame["group"].to_list())
    return np.unique(np.asarray(joined), return_inverse=True)[1]


def _trained_on_test(runs: dict[str, Run], kept: set[str]) -> list[str]:
    """A warning for each run that was trained on another's test images."""
    notes = []
    for name, run in runs.items():
        if run.table_file.is_file():
            table = read_csv(run.table_file, text=True)
            seen = table.filter(pl.col("path").is_in(kept) & (pl.col("split") == "train")).height
            if seen:
                notes.append(f"{name} was trained on {seen:,} of these images: its score flatters it.")
    return notes


def _network(run: Run) -> str:
    try:
        return str(read_toml(run.experiment_file)["model"]["network"])
    except (UserError, KeyError, TypeError):
        return ""
