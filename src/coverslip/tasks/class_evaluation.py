"""Evidence of a classifier on labeled images: scores, calibration, prediction sets and operating curve."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from coverslip.evidence.calibration import calibration_report, reliability
from coverslip.evidence.classification import classification_evidence
from coverslip.evidence.conformal import ConformalThresholds, evaluate_prediction_sets
from coverslip.evidence.threshold import Threshold, operating_curve
from coverslip.tasks.class_prediction import ClassPrediction
from coverslip.tasks.task import Codes, FloatArray


def evaluate_classes(
    prediction: ClassPrediction,
    uncalibrated: FloatArray,
    labels: npt.NDArray[Any],
    groups: Codes | None,
    *,
    threshold: Threshold | None,
    sets: ConformalThresholds | None,
) -> dict[str, Any]:
    """Return the content of ``test.json`` that concerns classes.

    Args:
        prediction: predictions for N images.
        uncalibrated: their probabilities at temperature 1, shape (N, K).
        labels: true class ids, int (N,).
        groups: groups, int (N,); None if each image is its own group.
        threshold: the decision threshold; None if there is none.
        sets: the thresholds of the prediction sets; None if there are none.
    """
    classes, probabilities, predicted = prediction.classes, prediction.probabilities, prediction.predicted
    positive = None if threshold is None else threshold.class_name
    scores = classification_evidence(labels, probabilities, groups, classes, predicted=predicted, positive=positive)
    evidence: dict[str, Any] = {
        **scores,
        "calibration": {
            "reliability": reliability(labels, probabilities, groups, predicted=predicted),
            "report": calibration_report(labels, uncalibrated, probabilities, groups, predicted=predicted),
        },
        "sets": None,
    }
    if sets is not None and prediction.members is not None:
        evidence["sets"] = {
            **evaluate_prediction_sets(labels, prediction.members, groups),
            "asked": sets.coverage,
            "warnings": sets.warnings(classes),
        }
    # The expected calibration error has one interval everywhere, that of
    # `coverslip.evidence.calibration.calibration_error_interval`, which gives the reason.
    error = evidence["calibration"]["report"]["ece"]["after"]
    evidence["scores"]["ece"] = {key: value for key, value in error.items() if key != "likely"}
    if threshold is not None:
        curve = operating_curve(labels, probabilities, groups, classes, threshold.class_name, value=threshold.value)
        evidence["threshold"] = {**threshold.to_json(), "curve": curve}
        evidence["warnings"] += [threshold.note] if threshold.note else []
    return evidence
