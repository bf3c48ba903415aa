"""Evidence of predicted labels on labeled images: scores, calibration, sets and subgroups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.evidence.calibration import calibration_report, reliability
from coverslip.evidence.label_sets import LabelSetThreshold, evaluate_label_sets
from coverslip.evidence.multilabel import multilabel_evidence
from coverslip.evidence.subgroups import MAX_VALUES, subgroup_warning, value_names
from coverslip.tasks.multilabel.prediction import LabelPrediction
from coverslip.tasks.task import Codes, FloatArray

BoolArray = npt.NDArray[np.bool_]


def evaluate_labels(
    prediction: LabelPrediction,
    uncalibrated: FloatArray,
    members: BoolArray,
    groups: Codes | None,
    sets: LabelSetThreshold | None,
) -> dict[str, Any]:
    """Return the content of ``test.json`` that concerns labels.

    The calibration is that of all pairs of image and label, each as a decision between two classes.

    Args:
        prediction: predictions for N images.
        uncalibrated: their probabilities at temperature 1, shape (N, L).
        members: true labels, shape (N, L).
        groups: groups, int (N,); None if each image is its own group.
        sets: the threshold of the sets; None if there are none.
    """
    evidence = multilabel_evidence(members, prediction.probabilities, prediction.predicted, groups, prediction.names)
    count = len(prediction.names)
    images = np.arange(len(members)) if groups is None else groups
    pairs = np.repeat(images, count)
    truth = members.ravel().astype(np.int64)
    after, before = _two_classes(prediction.probabilities.ravel()), _two_classes(uncalibrated.ravel())
    by_label = [
        reliability(members[:, label].astype(np.int64), _two_classes(prediction.probabilities[:, label]), groups)[
            "classes"
        ][1]
        for label in range(count)
    ]
    evidence["calibration"] = {
        "reliability": {"top": reliability(truth, after, pairs)["top"], "classes": by_label},
        "report": calibration_report(truth, before, after, pairs),
    }
    evidence["sets"] = None
    if sets is not None and prediction.members is not None:
        evidence["sets"] = {
            **evaluate_label_sets(members, prediction.members, groups),
            "asked": sets.coverage,
            "least": sets.least,
            "warnings": sets.warnings(),
        }
    return evidence


def label_subgroups(
    prediction: LabelPrediction, members: BoolArray, groups: Codes | None, values: Sequence[str | float | None]
) -> dict[str, Any]:
    """Return exact match and micro F1 for each value of a column of the table, with intervals over groups.

    Returns:
        As `coverslip.evidence.subgroups.subgroup_scores`, with ``exact_match`` and ``micro_f1`` in place of the
        accuracies, and without a test.
    """
    unique, codes, counts = np.unique(value_names(values), return_inverse=True, return_counts=True)
    if len(unique) > MAX_VALUES:
        raise ValueError(f"the column has {len(unique)} different values; at most {MAX_VALUES} are supported")
    entries = []
    for code in np.argsort(-counts, kind="stable"):
        rows = codes == code
        evidence = multilabel_evidence(
            members[rows],
            prediction.probabilities[rows],
            prediction.predicted[rows],
            None if groups is None else groups[rows],
            prediction.names,
            resamples=1000,
        )
        entry = {"value": str(unique[code]), "images": evidence["images"], "groups": evidence["groups"]}
        entry |= {name: evidence["scores"][name] for name in ("exact_match", "micro_f1")}
        unit = "images" if groups is None else "groups"
        entries.append(entry | {"warning": subgroup_warning(evidence["groups"], unit)})
    reason = "differences between subgroups of several labels are not tested"
    return {"values": entries, "p": None, "reason": reason, "says": ""}


def _two_classes(probabilities: FloatArray) -> FloatArray:
    """Return probabilities (N, 2) of a label being absent and present."""
    return np.stack([1 - probabilities, probabilities], axis=1)
