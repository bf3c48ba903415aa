"""Temperatures and decision thresholds of labels, fitted to held-out images."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.evidence.recalibration import best_temperature
from coverslip.training.label_heads import label_log_loss

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
DEFAULT = 0.5
MIN_GROUPS = 10  # with the label; with fewer, the threshold with the largest F1 is mostly chance
LIMITS = (0.05, 0.95)


def fit_temperatures(logits: npt.NDArray[np.floating[Any]], members: BoolArray, groups: IntArray) -> tuple[float, ...]:
    """Return the temperature of each label; see `coverslip.evidence.recalibration.fit_temperature`.

    Args:
        logits: logits of images that were not used for training, shape (N, L).
        members: their true labels, shape (N, L).
        groups: their groups, shape (N,).
    """
    number = len(np.unique(groups))

    def loss_of(label: int, temperature: float) -> float:
        return label_log_loss(logits[:, label] / temperature, members[:, label])

    return tuple(
        best_temperature(lambda temperature, label=label: loss_of(label, temperature), number)  # type: ignore[misc]
        for label in range(members.shape[1])
    )


def fit_thresholds(probabilities: FloatArray, members: BoolArray, groups: IntArray) -> tuple[float, ...]:
    """Return the probability from which each label is predicted: that with the largest F1, within `LIMITS`.

    A label with fewer than `MIN_GROUPS` groups keeps 0.5. Of equally good thresholds, the nearest to 0.5 is chosen.

    Args:
        probabilities: calibrated probabilities of images that were not used for training, shape (N, L).
        members: their true labels, shape (N, L).
        groups: their groups, shape (N,).

    Reference: Lipton, Elkan & Naryanaswamy, ECML PKDD 2014 (thresholds that maximize F1).

    >>> members = np.arange(40)[:, None] >= 20
    >>> fit_thresholds(np.linspace(0, 0.6, 40)[:, None], members, np.arange(40))
    (0.3,)
    """
    return tuple(
        _largest_f1(probabilities[:, label], members[:, label])
        if len(np.unique(groups[members[:, label]])) >= MIN_GROUPS
        else DEFAULT
        for label in range(members.shape[1])
    )


def _largest_f1(probabilities: FloatArray, positive: BoolArray) -> float:
    values = np.unique(probabilities)
    candidates = np.clip(np.concatenate([[DEFAULT], (values[1:] + values[:-1]) / 2]), *LIMITS)
    candidates = candidates[np.argsort(np.abs(candidates - DEFAULT), kind="stable")]
    ordered, hits = np.sort(probabilities), np.sort(probabilities[positive])
    predicted = len(ordered) - np.searchsorted(ordered, candidates, side="left")
    true = len(hits) - np.searchsorted(hits, candidates, side="left")
    f1 = 2 * true / (predicted + len(hits))
    return round(float(candidates[int(np.argmax(f1))]), 6)
