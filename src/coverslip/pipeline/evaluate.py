"""After training: the test set is opened, once, and all that can be said of the result is said with its interval."""

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
from coverslip.evidence.basis import proportion
from coverslip.evidence.calibration import calibration_report, reliability
from coverslip.evidence.classification import classification_evidence
from coverslip.evidence.conformal import set_evidence
from coverslip.evidence.intervals import Score
from coverslip.evidence.label_errors import rank_label_errors
from coverslip.evidence.subgroups import MOST_VALUES, subgroup_scores
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
    """Open the test set, once: predictions of every image in it, and every score with its interval.

    Returns:
        What ``test.json`` holds, and the probabilities (N, K) of the test images in the order of their rows.
    """
    rows = table.rows("test")
    files = pixels.facts["file_hash"].gather(rows).to_list()
    ledger = record_scoring(files, folder.folder.resolve().name, _settings(config))
    keys = pixels.facts["row_hash"].to_list()
    features = predictor.extractor.extract(pixels.pixels, rows, keys, 1, log, "opening the test set")
    probabilities = predictor.probabilities(features)
    part = table.frame[rows]
    labels, groups = part["label"].to_list(), part["group"].to_list()
    predictions = predictor.task.decode(probabilities, part["path"].to_list(), labels, groups, [None] * len(rows))
    predictions = predictor.with_trust(predictions, features, probabilities)
    write_csv(predictions, folder.predictions_file, decimals=6)
    # In a file of its own: the result of a run must not depend on what was run before.
    folder.write_json(folder.ledger_file, {"scorings": ledger, "warning": reuse_warning(ledger)})
    return score_test(predictor, table, rows, predictions), probabilities


def reuse_warning(ledger: list[dict[str, str]]) -> str:
    """A sentence where a test set was scored with several settings; nothing where it was not."""
    if len({each["settings"] for each in ledger}) < 2:
        return ""
    return f"this test set was scored {len(ledger)} times, with other settings too: the best of several flatters"


def score_test(predictor: Predictor, table: ImageTable, rows: list[int], predictions: pl.DataFrame) -> dict[str, Any]:
    """All that ``test.json`` holds of some rows and their predictions, in the same order."""
    probabilities = predictions.select([f"p:{name}" for name in table.classes]).to_numpy().astype(np.float64)
    flags = predictions["familiar"]
    familiar = None if flags.null_count() else flags.to_numpy().astype(bool)
    labels = np.asarray(table.labels(rows))
    named, threshold = predictor.task.named(probabilities), predictor.threshold
    positive = None if threshold is None else threshold.class_name
    groups = table.group_codes(rows)
    scores = classification_evidence(labels, probabilities, groups, table.classes, predicted=named, positive=positive)
    found = {**scores, **trust_evidence(predictor, table, rows, probabilities, familiar)}
    # One number has one interval: that of `coverslip.evidence.calibration.error_limits`, which says why.
    error = found["calibration"]["report"]["ece"]["after"]
    found["scores"]["ece"] = {key: value for key, value in error.items() if key != "likely"}
    if threshold is not None:
        curve = operating_curve(
            labels, probabilities, groups, table.classes, threshold.class_name, value=threshold.value
        )
        found["threshold"] = {**threshold.to_json(), "calibrated_on": _calibrated_on(predictor), "curve": curve}
        found["warnings"] += [threshold.note] if threshold.note else []
    return found


def trust_evidence(
    predictor: Predictor,
    table: ImageTable,
    rows: list[int],
    probabilities: Floats,
    familiar: npt.NDArray[np.bool_] | None,
) -> dict[str, Any]:
    """Calibration, sets, familiarity and subgroups of some rows, by the names that ``test.json`` has for them.

    Args:
        predictor: the trained model.
        table: the images.
        rows: those that are judged.
        probabilities: (len(rows), K), calibrated.
        familiar: (len(rows),); None where the model cannot tell.
    """
    labels, groups = np.asarray(table.labels(rows)), table.group_codes(rows)
    named = predictor.task.named(probabilities)
    # The scores are known up to a constant: their probabilities without a temperature are these to its power.
    scores = np.log(np.maximum(probabilities, 1e-300)) * predictor.task.temperature
    before = Classification(table.classes, 1.0).probabilities(scores)
    trust, calibrated_on = predictor.trust, _calibrated_on(predictor)
    found: dict[str, Any] = {
        "calibration": {
            "reliability": reliability(labels, probabilities, groups, predicted=named),
            "report": calibration_report(labels, before, probabilities, groups, predicted=named),
            "temperature": predictor.task.temperature,
            "assumes": predictor.about.get("assumes"),
        },
        "sets": None,
        "familiarity": None,
        "subgroups": _subgroups(labels, probabilities, named, groups, table, rows),
    }
    members = trust.members(probabilities)
    if trust.thresholds is not None and members is not None:
        found["sets"] = {
            **set_evidence(labels, members, groups),
            "asked": trust.thresholds.coverage,
            "calibrated_on": calibrated_on,
            "warnings": trust.thresholds.warnings(table.classes),
        }
    if trust.familiarity is not None and familiar is not None:
        found["familiarity"] = {
            "flagged": _share(~familiar, groups),
            "promised": trust.familiarity.rate,
            "rough": trust.familiarity.rough,
            "calibrated_on": calibrated_on,
        }
    return found


def _calibrated_on(predictor: Predictor) -> dict[str, int]:
    return dict(zip(("images", "groups"), predictor.trust.calibrated_on, strict=True))


def write_label_errors(table: ImageTable, rows: list[int], probabilities: Floats, folder: Run) -> None:
    """Write every image with the class it would rather have, the most suspect first; nothing is dropped by itself.

    Args:
        table: the images.
        rows: all that can be judged.
        probabilities: (len(rows), K), each by a model that was not fitted on the image nor on its group.
        folder: the run.
    """
    ranked = rank_label_errors(np.asarray(table.labels(rows)), probabilities, table.group_codes(rows))
    part = table.frame[[rows[each] for each in ranked.rows]]
    suspects = part.select("path", "label").with_columns(
        pl.Series("suggested", [table.classes[each] for each in ranked.suggested]),
        pl.Series("score", ranked.score),
        pl.Series("suspect", ranked.suspect),
        part["split"].alias("part"),
    )
    write_csv(suspects, folder.label_errors_file, decimals=6)


def _settings(config: RunConfig) -> str:
    """What names the settings that a model depends on: not where the images lie, nor what else is measured."""
    wish = (config.audit.accept, config.audit.drop, config.audit.fix)
    grouping = (config.data.group, config.data.site)
    settings: tuple[object, ...] = (config.split, config.input, config.model, config.head, config.training)
    settings = (*settings, config.calibration, config.augment or Augmentation())
    if config.threshold != ThresholdConfig():  # else as before there were thresholds: the ledger remembers those runs
        settings = (*settings, config.threshold)
    return digest("settings", wish, grouping, *map(to_toml, settings))


def _share(hits: npt.NDArray[np.bool_], groups: Integers | None) -> Score:
    """The share of images for which something holds, with its interval over groups."""
    codes = np.arange(len(hits)) if groups is None else np.unique(groups, return_inverse=True)[1]
    counts = np.bincount(codes)
    return proportion(
        np.bincount(codes, weights=hits).astype(np.float64),
        counts.astype(np.float64),
        level=LEVEL,
        grouped=groups is not None,
    )


def _subgroups(
    labels: Integers,
    probabilities: Floats,
    named: Integers,
    groups: Integers | None,
    table: ImageTable,
    rows: list[int],
) -> dict[str, Any]:
    """Scores by every further column of the user's table that divides the images into few enough kinds."""
    found = {}
    for name in table.further:
        column = table.frame[name].gather(rows)
        numbers = column.cast(pl.Float64, strict=False)
        is_number = numbers.null_count() == column.null_count()
        different = column.n_unique()
        if different < 2 or (different > MOST_VALUES and not is_number):
            continue
        values = (numbers if is_number else column).to_list()
        found[name] = subgroup_scores(labels, probabilities, groups, values, table.classes, predicted=named)
    return found
