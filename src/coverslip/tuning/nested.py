"""Nested cross-validation of the search: what a search gains on images it did not use.

The train and validation images are divided into folds, with groups kept together. For each fold the search is run on
the other folds, its best trial and the default are trained, and both are evaluated on the fold. So every image is
evaluated by a model, and by a choice of settings, that did not use it. The test set is not used.

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
from coverslip.data.split import assign_folds, assign_splits
from coverslip.evidence.intervals import format_interval
from coverslip.evidence.winner import assess_winner, compare_trials
from coverslip.pipeline.config import RunConfig
from coverslip.pipeline.fit import fit
from coverslip.pipeline.resolve import resolve_config
from coverslip.tasks.classification import require_classification
from coverslip.tuning.batch import Batch
from coverslip.tuning.data import StudyData
from coverslip.tuning.search import search
from coverslip.tuning.space import Space

INNER = (0.8, 0.2)  # fractions of the train and validation set within the folds that are not held out


def nested_search(
    study_data: StudyData, space: Space, config: RunConfig, folds: int, trials: int, together: int, log: Progress
) -> dict[str, Any]:
    """Search once per outer fold.

    Args:
        study_data: the data of the study; its train and validation sets are used.
        space: the search space.
        config: the default trial.
        folds: number of outer folds, 2 or more.
        trials: trials of each search.
        together: trials that advance in step.
        log: receives one event per fold.

    Returns:
        folds, trials, ``tuned`` and ``default`` (accuracies with intervals), ``compared`` (see `compare_trials`),
        ``chosen`` (the values of each fold's best trial), ``sentence``.

    Raises:
        UserError: there are fewer groups than folds, or as `coverslip.tuning.search.search`.
    """
    table = study_data.table
    rows = sorted(table.rows("train") + table.rows("validation"))
    labels, groups = np.asarray(table.labels(rows)), table.groups(rows)
    fold = assign_folds(labels, groups, folds, config.split.seed)
    losses, correct = np.zeros((2, len(rows)), np.float32), np.zeros((2, len(rows)), np.bool_)
    chosen = []
    with log.stage("nested searches", folds, "folds") as stage:
        for number in range(folds):
            held = np.flatnonzero(fold == number)
            inner = _fold_data(study_data, config, rows, fold == number)
            values = _best_values(inner, space, config, trials, together)
            chosen.append(values)
            for candidate, trained in enumerate((space.with_values(config, values), config)):
                probabilities = _probabilities(inner, resolve_config(trained), [rows[row] for row in held])
                of_label = np.maximum(probabilities[np.arange(len(held)), labels[held]], 1e-12)
                losses[candidate, held] = -np.log(of_label)
                correct[candidate, held] = probabilities.argmax(axis=1) == labels[held]
            stage.advance()
    codes = np.unique(groups, return_inverse=True)[1]
    tuned, default = (assess_winner(losses[[row]], correct[[row]], codes, [row]).corrected for row in (0, 1))
    # These images selected neither candidate. With the worse one first, no correction for selection is applied.
    names, worse = ("the search", "the default"), int(losses.mean(axis=1).argmax())
    compared = compare_trials(losses, correct, codes, worse, 1 - worse, names=(names[worse], names[1 - worse]))
    scores = f"tuned accuracy {format_interval(tuned)}, default {format_interval(default)}"
    return {
        "folds": folds,
        "trials": trials,
        "tuned": tuned,
        "default": default,
        "compared": compared,
        "chosen": chosen,
        "sentence": f"nested cross-validation with {folds} folds: {scores}; {compared['sentence']}",
    }


def _fold_data(study_data: StudyData, config: RunConfig, rows: list[int], held: npt.NDArray[np.bool_]) -> StudyData:
    """Return the data of one outer fold: the other images are split again; the held-out images are in no split."""
    table = study_data.table
    rest = [row for row, out in zip(rows, held.tolist(), strict=True) if not out]
    inner = assign_splits(np.asarray(table.labels(rest)), table.groups(rest), INNER, config.split.seed)
    splits: list[str | None] = [None] * len(table)
    for row, index in zip(rest, inner.tolist(), strict=True):
        splits[row] = ("train", "validation")[index]
    return StudyData(config, SILENT, table.with_columns(split=splits))


def _best_values(study_data: StudyData, space: Space, config: RunConfig, trials: int, together: int) -> dict[str, Any]:
    """Search, and return the values of the best trial."""
    with tempfile.TemporaryDirectory(prefix="coverslip-") as folder:
        study = Study(Path(folder) / "study")

        def open_batch(configs: dict[int, RunConfig]) -> Batch:
            return Batch(study_data, configs, study.checkpoints_folder)

        frame = search(study, space, config, open_batch, trials=trials, together=together, data=study_data.digests)
    best = frame.filter(frame["state"] == "finished").sort("validation_loss").row(0, named=True)
    return {key: best[key] for key in space.keys}


def _probabilities(study_data: StudyData, config: RunConfig, rows: list[int]) -> npt.NDArray[np.float64]:
    """Train on the splits of ``study_data``, and return the probabilities of the rows, shape (len(rows), K)."""
    pixels = study_data.pixels(config)
    keys = pixels.facts["row_hash"].to_list()
    with tempfile.TemporaryDirectory(prefix="coverslip-") as folder:
        predictor = fit(config, study_data.table, pixels, Run(folder), SILENT).predictor
    outputs = predictor.outputs(predictor.extractor.extract(pixels.pixels, rows, keys, 1, SILENT))
    return require_classification(predictor.task, "tune").probabilities(outputs)
