"""Evaluate a trained model on the test set, once: predictions, and every score with its confidence interval."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from coverslip.core.config import to_toml
from coverslip.core.ledger import record_scoring
from coverslip.core.progress import Progress
from coverslip.core.runs import Run
from coverslip.core.storage import digest
from coverslip.core.tables import write_csv
from coverslip.data.augment import Augmentation
from coverslip.data.table import STATUS_OK, ImageTable
from coverslip.evidence.intervals import Score
from coverslip.evidence.subgroups import MAX_VALUES
from coverslip.evidence.support import proportion_score
from coverslip.inference.predictor import PredictionBatch, Predictor
from coverslip.pipeline.baselines import ColorFeatures, baseline_values
from coverslip.pipeline.config import RunConfig
from coverslip.tasks.config import ThresholdConfig
from coverslip.tasks.task import Baselines, Task

Outputs = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.int64]
LEVEL = 0.95


def evaluate_test(
    config: RunConfig, table: ImageTable, colors: ColorFeatures, predictor: Predictor, folder: Run, log: Progress
) -> tuple[dict[str, Any], Outputs]:
    """Evaluate a model on the test set: write the predictions and return every score with its confidence interval.

    Returns:
        The content of ``test.json``, and the outputs of the N test images, (N, num_outputs), in row order.
    """
    rows, pixels = table.rows("test"), colors.pixels
    files = pixels.facts["file_hash"].gather(rows).to_list()
    ledger = record_scoring(files, folder.folder.resolve().name, _settings(config))
    keys = pixels.facts["row_hash"].to_list()
    features = predictor.extractor.extract(pixels.pixels, rows, keys, 1, log, "evaluating the test set")
    batch = predictor.batch_of(features, predictor.outputs(features), [{"status": STATUS_OK}] * len(rows))
    test_set = table.frame[rows]
    columns = (test_set[name].to_list() for name in ("path", "label", "group"))
    write_csv(predictor.to_frame(batch, *columns), folder.predictions_file, decimals=6)
    # In a separate file: the result of a run must not depend on earlier runs.
    folder.write_json(folder.ledger_file, {"scorings": ledger, "warning": reuse_warning(ledger)})
    baselines = baseline_values(config, table, colors, rows, log)
    return score_test(predictor, table, rows, batch, baselines), batch.outputs


def reuse_warning(ledger: list[dict[str, str]]) -> str:
    """Return a warning if a test set was used with different settings, else an empty text.

    Args:
        ledger: earlier uses of this test set and the current one, see `coverslip.core.ledger.record_scoring`.
    """
    if len({entry["settings"] for entry in ledger}) < 2:
        return ""
    return (
        f"this test set has been used {len(ledger)} times, with different settings; selecting the best of several "
        "scores is optimistic"
    )


def score_test(
    predictor: Predictor, table: ImageTable, rows: list[int], batch: PredictionBatch, baselines: Baselines | None = None
) -> dict[str, Any]:
    """Return the content of ``test.json``.

    Args:
        predictor: the trained model.
        table: the images.
        rows: the N rows to evaluate.
        batch: the predictions for these rows.
        baselines: values that simple rules predict for these rows, by name of the rule.
    """
    target, groups, outputs = table.target(rows), table.group_codes(rows), batch.outputs
    evidence: dict[str, Any] = {"task": predictor.task.name}
    evidence |= predictor.task.evaluate(outputs, target, groups, predictor.metadata, baselines or {})
    calibrated_on = dict(zip(("images", "groups"), predictor.trust.calibrated_on, strict=True))
    for key in ("sets", "intervals", "threshold"):
        if evidence.get(key) is not None:
            evidence[key] = evidence[key] | {"calibrated_on": calibrated_on}
    evidence["familiarity"] = None
    flags, familiarity = batch.trust["familiar"], predictor.trust.familiarity
    if familiarity is not None and not flags.null_count():
        evidence["familiarity"] = {
            "flagged": _fraction(~flags.to_numpy().astype(bool), groups),
            "promised": familiarity.false_alarm_rate,
            "rough": familiarity.approximate,
            "calibrated_on": calibrated_on,
        }
    evidence["subgroups"] = {
        name: predictor.task.subgroups(outputs, target, groups, values)
        for name, values in _subgroup_columns(table, rows).items()
    }
    return evidence


def write_label_errors(task: Task, table: ImageTable, rows: list[int], outputs: Outputs, folder: Run) -> None:
    """Write ``label_errors.csv``: every image with what the model suggests instead, the most suspect label first.

    Args:
        task: the calibrated task.
        table: the images.
        rows: the N rows with out-of-sample outputs.
        outputs: float (N, num_outputs), each by a model that was fitted without the image and without its group.
        folder: the run.
    """
    ranked = task.suspects(outputs, table.target(rows), table.group_codes(rows))
    images = table.frame[[rows[position] for position in ranked.rows]]
    suspects = images.select("path", "label").with_columns(
        pl.Series("suggested", ranked.suggested, dtype=pl.String),
        pl.Series("score", ranked.score),
        pl.Series("suspect", ranked.suspect),
        images["split"].alias("part"),
    )
    write_csv(suspects, folder.label_errors_file, decimals=6)


def _settings(config: RunConfig) -> str:
    """Return a digest of the settings that a model depends on: not the location of the images, nor repetitions."""
    decisions = (config.audit.accept, config.audit.drop, config.audit.fix)
    grouping: tuple[object, ...] = (config.data.group, config.data.site)
    settings: tuple[object, ...] = (config.split, config.input, config.model, config.head, config.training)
    settings = (*settings, config.calibration, config.augment or Augmentation())
    if config.threshold != ThresholdConfig():  # omitted at the default, so that the ledger recognizes older runs
        settings = (*settings, config.threshold)
    if config.data.map or config.data.leave_out:
        grouping = (*grouping, config.data.map, config.data.leave_out)
    return digest("settings", decisions, grouping, *map(to_toml, settings))


def _fraction(hits: npt.NDArray[np.bool_], groups: Integers | None) -> Score:
    """Return the fraction of True values with its confidence interval over groups."""
    codes = np.arange(len(hits)) if groups is None else np.unique(groups, return_inverse=True)[1]
    counts = np.bincount(codes)
    return proportion_score(
        np.bincount(codes, weights=hits).astype(np.float64),
        counts.astype(np.float64),
        level=LEVEL,
        grouped=groups is not None,
    )


def _subgroup_columns(table: ImageTable, rows: list[int]) -> dict[str, list[str | float | None]]:
    """Return every further column of the table that has few enough distinct values, or numbers."""
    columns: dict[str, list[str | float | None]] = {}
    for name in table.extra_columns:
        column = table.frame[name].gather(rows)
        numbers = column.cast(pl.Float64, strict=False)
        is_number = numbers.null_count() == column.null_count()
        different = column.n_unique()
        if different < 2 or (different > MAX_VALUES and not is_number):
            continue
        columns[name] = (numbers if is_number else column).to_list()
    return columns
