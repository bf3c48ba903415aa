"""Calibrate a trained model on held-out images: prediction sets, familiarity and decision threshold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from coverslip.core.progress import Progress
from coverslip.data.table import ImageTable
from coverslip.evidence.threshold import fit_threshold, unmeasured_threshold
from coverslip.inference.predictor import Predictor
from coverslip.inference.trust import fit_trust
from coverslip.pipeline.config import RunConfig
from coverslip.pipeline.training_data import class_ids


def with_trust(
    config: RunConfig,
    table: ImageTable,
    predictor: Predictor,
    train: list[int],
    features: npt.NDArray[np.floating],
    calibration: list[int],
    held: npt.NDArray[np.floating],
    probabilities: npt.NDArray[np.float64],
) -> Predictor:
    """Return the predictor with prediction sets and familiarity.

    Args:
        config: the config of the run.
        table: the images.
        predictor: the trained model.
        train: rows of the training images that familiarity compares with.
        features: their features, float (n, D).
        calibration: rows of the held-out images.
        held: their features, float (m, D).
        probabilities: their probabilities, shape (m, K).
    """
    trust = fit_trust(
        features,
        class_ids(table, train),
        table.frame["path"].gather(train).to_list(),
        held,
        class_ids(table, calibration),
        table.group_codes(calibration),
        probabilities,
        config.calibration.coverage,
    )
    return replace(predictor, trust=trust)


def with_threshold(
    config: RunConfig,
    table: ImageTable,
    predictor: Predictor,
    rows: list[int],
    *,
    calibrated: npt.NDArray[np.float64] | None,
    log: Progress,
) -> Predictor:
    """Return the predictor with a decision threshold from held-out images; unchanged unless there are two classes.

    Args:
        config: the config of the run.
        table: the images.
        predictor: the trained model.
        rows: rows of the held-out images.
        calibrated: their probabilities, shape (n, 2); None if there are none.
        log: receives the threshold and the reason for the positive class.
    """
    if len(table.classes) != 2:
        return predictor
    threshold_config, (positive, why) = config.threshold, config.threshold.positive_of(table.classes)
    if calibrated is None:
        threshold = unmeasured_threshold(positive, threshold_config.value, why)
    else:
        threshold = fit_threshold(
            class_ids(table, rows),
            calibrated,
            table.group_codes(rows),
            table.classes,
            positive,
            value=threshold_config.value,
            sensitivity=threshold_config.sensitivity,
            specificity=threshold_config.specificity,
            balanced=threshold_config.balanced,
            why=why,
        )
    log.note(f"decision threshold for {positive!r}: {threshold.value:.3g} (positive class: {why})")
    if threshold.note:
        log.note(f"note: {threshold.note}")
    return replace(predictor, task=replace(predictor.task, threshold=threshold))
