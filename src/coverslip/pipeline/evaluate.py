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
from coverslip.data.cache import PixelCache
from coverslip.data.table import ImageTable
from coverslip.evidence.calibration import calibration_report, reliability
from coverslip.evidence.classification import classification_evidence
from coverslip.evidence.conformal import evaluate_prediction_sets
from coverslip.evidence.intervals import Score
from coverslip.evidence.label_errors import rank_label_errors
from coverslip.evidence.subgroups import MAX_VALUES, subgroup_scores
from coverslip.evidence.support import proportion_score
from coverslip.evidence.threshold import operating_curve
from coverslip.inference.predictor import Predictor
from coverslip.pipeline.config import RunConfig, ThresholdConfig
from coverslip.tasks.classification import Classification

Floats = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.int64]
LEVEL = 0.95


def evaluate_test(
    config: RunConfig, table: ImageTable, pixels: PixelCache, predictor: Predictor, folder: Run, log: Progress
) -> tuple[dict[str, Any], Floats]:
    """Evaluate a model on the test set: write the predictions and return every score with its confidence interval.

    Returns:
        The content of ``test.json``, and the probabilities of the N test images, shape (N, K), in row order.
    """
    rows = table.rows("test")
    files = pixels.facts["file_hash"].gather(rows).to_list()
    ledger = record_scoring(files, folder.folder.resolve().name, _settings(config))
    keys = pixels.facts["row_hash"].to_list()
    features = predictor.extractor.extract(pixels.pixels, rows, keys, 1, log, "evaluating the test set")
    probabilities = predictor.probabilities(features)
    test_set = table.frame[rows]
    labels, groups = test_set["label"].to_list(), test_set["group"].to_list()
    predictions = predictor.task.decode(probabilities, test_set["path"].to_list(), labels, groups, [None] * len(rows))
    predictions = predictor.with_trust_columns(predictions, features, probabilities)
    write_csv(predictions, folder.predictions_file, decimals=6)
    # In a separate file: the result of a run must not depend on earlier runs.
    folder.write_json(folder.ledger_file, {"scorings": ledger, "warning": reuse_warning(ledger)})
    return score_test(predictor, table, rows, predictions), probabilities


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


def score_test(predictor: Predictor, table: ImageTable, rows: list[int], predictions: pl.DataFrame) -> dict[str, Any]:
    """Return the content of ``test.json`` for predictions of the given rows, in the same order."""
    probabilities = predictions.select([f"p:{name}" for name in table.classes]).to_numpy().astype(np.float64)
    flags = predictions["familiar"]
    familiar = None if flags.null_count() else flags.to_numpy().astype(bool)
    labels = np.asarray(table.labels(rows))
    predicted, threshold = predictor.task.predicted_classes(probabilities), predictor.threshold
    positive = None if threshold is None else threshold.class_name
    groups = table.group_codes(rows)
    scores = classification_evidence(
        labels, probabilities, groups, table.classes, predicted=predicted, positive=positive
    )
    evidence = {**scores, **trust_evidence(predictor, table, rows, probabilities, familiar)}
    # The expected calibration error has one interval everywhere, that of
    # `coverslip.evidence.calibration.calibration_error_interval`, which gives the reason.
    error = evidence["calibration"]["report"]["ece"]["after"]
    evidence["scores"]["ece"] = {key: value for key, value in error.items() if key != "likely"}
    if threshold is not None:
        curve = operating_curve(
            labels, probabilities, groups, table.classes, threshold.class_name, value=threshold.value
        )
        evidence["threshold"] = {**threshold.to_json(), "calibrated_on": _calibrated_on(predictor), "curve": curve}
        evidence["warnings"] += [threshold.note] if threshold.note else []
    return evidence


def trust_evidence(
    predictor: Predictor,
    table: ImageTable,
    rows: list[int],
    probabilities: Floats,
    familiar: npt.NDArray[np.bool_] | None,
) -> dict[str, Any]:
    """Return calibration, prediction sets, familiarity and subgroup scores, by their keys in ``test.json``.

    Args:
        predictor: the trained model.
        table: the images.
        rows: the N rows to evaluate.
        probabilities: calibrated, shape (N, K).
        familiar: familiarity flags, shape (N,); None if the model has no familiarity check.
    """
    labels, groups = np.asarray(table.labels(rows)), table.group_codes(rows)
    predicted = predictor.task.predicted_classes(probabilities)
    # Log probabilities times the temperature are the logits up to a constant per image, which softmax ignores.
    logits = np.log(np.maximum(probabilities, 1e-300)) * predictor.task.temperature
    before = Classification(table.classes, 1.0).probabilities(logits)
    trust, calibrated_on = predictor.trust, _calibrated_on(predictor)
    evidence: dict[str, Any] = {
        "calibration": {
            "reliability": reliability(labels, probabilities, groups, predicted=predicted),
            "report": calibration_report(labels, before, probabilities, groups, predicted=predicted),
            "temperature": predictor.task.temperature,
            "assumes": predictor.metadata.get("assumes"),
        },
        "sets": None,
        "familiarity": None,
        "subgroups": _subgroups(labels, probabilities, predicted, groups, table, rows),
    }
    members = trust.set_members(probabilities)
    if trust.thresholds is not None and members is not None:
        evidence["sets"] = {
            **evaluate_prediction_sets(labels, members, groups),
            "asked": trust.thresholds.coverage,
            "calibrated_on": calibrated_on,
            "warnings": trust.thresholds.warnings(table.classes),
        }
    if trust.familiarity is not None and familiar is not None:
        evidence["familiarity"] = {
            "flagged": _fraction(~familiar, groups),
            "promised": trust.familiarity.false_alarm_rate,
            "rough": trust.familiarity.approximate,
            "calibrated_on": calibrated_on,
        }
    return evidence


def _calibrated_on(predictor: Predictor) -> dict[str, int]:
    return dict(zip(("images", "groups"), predictor.trust.calibrated_on, strict=True))


def write_label_errors(table: ImageTable, rows: list[int], probabilities: Floats, folder: Run) -> None:
    """Write ``label_errors.csv``: every image with the class the model suggests, the most suspect label first.

    Args:
        table: the images.
        rows: the N rows with out-of-sample predictions.
        probabilities: shape (N, K), each by a model that was fitted without the image and without its group.
        folder: the run.
    """
    ranked = rank_label_errors(np.asarray(table.labels(rows)), probabilities, table.group_codes(rows))
    images = table.frame[[rows[position] for position in ranked.rows]]
    suspects = images.select("path", "label").with_columns(
        pl.Series("suggested", [table.classes[label] for label in ranked.suggested]),
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


def _subgroups(
    labels: Integers,
    probabilities: Floats,
    predicted: Integers,
    groups: Integers | None,
    table: ImageTable,
    rows: list[int],
) -> dict[str, Any]:
    """Return scores by every further column of the table that has few enough distinct values, or numbers."""
    evidence = {}
    for name in table.extra_columns:
        column = table.frame[name].gather(rows)
        numbers = column.cast(pl.Float64, strict=False)
        is_number = numbers.null_count() == column.null_count()
        different = column.n_unique()
        if different < 2 or (different > MAX_VALUES and not is_number):
            continue
        values = (numbers if is_number else column).to_list()
        evidence[name] = subgroup_scores(labels, probabilities, groups, values, table.classes, predicted=predicted)
    return evidence
