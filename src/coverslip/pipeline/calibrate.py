"""Calibrate a trained model on held-out images: the task's sets, intervals and thresholds, and familiarity."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from coverslip.core.progress import Progress
from coverslip.data.table import ImageTable
from coverslip.inference.predictor import Predictor
from coverslip.inference.trust import fit_trust
from coverslip.pipeline.config import RunConfig
from coverslip.tasks.task import CalibrationData, HeldOutData


def with_trust(
    table: ImageTable,
    predictor: Predictor,
    train: list[int],
    features: npt.NDArray[np.floating],
    calibration: list[int],
    held: npt.NDArray[np.floating],
) -> Predictor:
    """Return the predictor with the familiarity check.

    Args:
        table: the images.
        predictor: the trained model.
        train: rows of the training images that familiarity compares with.
        features: their features, float (n, D).
        calibration: rows of the held-out images.
        held: their features, float (m, D).
    """
    paths = table.frame["path"].gather(train).to_list()
    trust = fit_trust(features, table.target(train).strata(), paths, held, table.group_codes(calibration))
    return replace(predictor, trust=trust)


def with_calibration(
    config: RunConfig,
    table: ImageTable,
    predictor: Predictor,
    calibration: list[int],
    outputs: npt.NDArray[np.floating] | None,
    log: Progress,
    out_of_fold: HeldOutData | None = None,
) -> Predictor:
    """Return the predictor whose task is calibrated on held-out images.

    Args:
        config: the config of the run.
        table: the images.
        predictor: the trained model.
        calibration: rows of the held-out images.
        outputs: their outputs, float (m, num_outputs); None if there are none.
        log: receives what was chosen and why.
        out_of_fold: out-of-fold outputs of the training images; None if there are none.
    """
    data = None
    if outputs is not None:
        data = CalibrationData(held_out_data(table, calibration, outputs), out_of_fold)
    task = predictor.task.calibrate(data, config.calibration.coverage, config.threshold, log)
    return replace(predictor, task=task)


def held_out_data(table: ImageTable, rows: list[int], outputs: npt.NDArray[np.floating]) -> HeldOutData:
    """Return outputs of rows of a table with their targets and groups."""
    return HeldOutData(outputs, table.target(rows), table.group_codes(rows))
