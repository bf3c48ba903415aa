"""Nested search: what searching, as a whole, is worth on images that had no say in it.

The images of train and validation are cut into folds by whole groups. For each fold the same search is run on the
others, its best trial is trained, and so is the default; both then score the fold. So every image is scored by a
model, and by a choice of settings, that never saw it. The test set is not touched.

Reference: Varma & Simon, BMC Bioinformatics 7(91), 2006.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.progress import SILENT, Progress
from coverslip.core.runs import Run, Study
from coverslip.data.split import assign_folds, assign_parts
from coverslip.evidence.intervals import format_interval
from coverslip.evidence.winner import compare_trials, winner
from coverslip.pipeline.config import RunConfig
from coverslip.pipeline.fit import fit
from coverslip.pipeline.resolve import resolve_config
from coverslip.tuning.batch import Batch
from coverslip.tuning.desk import Desk
from coverslip.tuning.search import search
from coverslip.tuning.space import Space

INNER = (0.8, 0.2)  # train and validation within the folds that are not held out


def nested_search(
    desk: Desk, space: Space, config: RunConfig, folds: int, trials: int, together: int, log: Progress
) -> dict[str, Any]:
    """Search once for each fold.

    Args:
        desk: of the study; its train and validation sets are used.
        space: that is searched.
        plan: the default trial.
        folds: 2 or more.
        trials: of each search.
        together: that advance side by side.
        log: told of the folds.

    Returns:
        folds, trials, ``tuned`` and ``default`` (accuracies with intervals), ``compared`` (as `compare_trials`),
        ``chosen`` (the values of each fold's best trial), ``sentence``.

    Raises:
        UserError: fewer groups than folds, or whatever a search refuses.
    """
    table = desk.table
    rows = sorted(table.rows("train") + table.rows("validation"))
    labels, groups = np.asarray(table.labels(rows)), table.groups(rows)
    fold = assign_folds(labels, groups, folds, config.split.seed)
    losses, right = np.zeros((2, len(rows)), np.float32), np.zeros((2, len(rows)), np.bool_)
    chosen = []
    with log.stage("nested searches", folds, "folds") as stage:
        for number in range(folds):
            held = np.flatnonzero(fold == number)
            inner = _fold_desk(desk, config, rows, fold == number)
            values = _search_in(inner, space, config, trials, together)
            chosen.append(values)
            for place, each in enumerate((space.with_values(config, values), config)):
                probabilities = _probabilities(inner, resolve_config(each), [rows[row] for row in held])
                own = np.maximum(probabilities[np.arange(len(held)), labels[held]], 1e-12)
                losses[place, held] = -np.log(own)
                right[place, held] = probabilities.argmax(axis=1) == labels[held]
            stage.advance()
    codes = np.unique(groups, return_inverse=True)[1]
    tuned, default = (winner(losses[[place]], right[[place]], codes, [place]).corrected for place in (0, 1))
    # These images chose neither: named first, the worse one is compared as it is.
    names, worse = ("searching", "the default"), int(losses.mean(axis=1).argmax())
    compared = compare_trials(losses, right, codes, worse, 1 - worse, names=(names[worse], names[1 - worse]))
    said = f"in {folds} nested folds: after searching {format_interval(tuned)}, the default {format_interval(default)}"
    return {
        "folds": folds,
        "trials": trials,
        "tuned": tuned,
        "default": default,
        "compared": compared,
        "chosen": chosen,
        "sentence": f"{said}; {compared['sentence']}",
    }


def _fold_desk(desk: Desk, config: RunConfig, rows: list[int], held: npt.NDArray[np.bool_]) -> Desk:
    """The data of one fold: train and validation are cut anew from the others; what is held out is in no part."""
    table = desk.table
    rest = [row for row, out in zip(rows, held.tolist(), strict=True) if not out]
    inner = assign_parts(np.asarray(table.labels(rest)), table.groups(rest), INNER, config.split.seed)
    parts: list[str | None] = [None] * len(table)
    for row, part in zip(rest, inner.tolist(), strict=True):
        parts[row] = ("train", "validation")[part]
    return Desk(config, SILENT, table.with_columns(split=parts))


def _search_in(desk: Desk, space: Space, config: RunConfig, trials: int, together: int) -> dict[str, Any]:
    """The values of the best trial."""
    with tempfile.TemporaryDirectory(prefix="coverslip-") as folder:
        study = Study(Path(folder) / "study")

        def open_batch(plans: dict[int, RunConfig]) -> Batch:
            return Batch(desk, plans, study.checkpoints_folder)

        frame = search(study, space, config, open_batch, trials=trials, together=together, data=desk.identity)
    best = frame.filter(frame["state"] == "finished").sort("validation_loss").row(0, named=True)
    return {key: best[key] for key in space.keys}


def _probabilities(desk: Desk, config: RunConfig, rows: list[int]) -> npt.NDArray[np.float64]:
    """(n, K) of the rows, by a model trained on the desk's own parts."""
    pixels = desk.pixels(config)
    keys = pixels.facts["row_hash"].to_list()
    with tempfile.TemporaryDirectory(prefix="coverslip-") as folder:
        predictor = fit(config, desk.table, pixels, Run(folder), SILENT).predictor
    return predictor.probabilities(predictor.extractor.extract(pixels.pixels, rows, keys, 1, SILENT))
