"""Scores of the data and of thousands of bootstrap resamples of its groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from coverslip.evidence.evaluation_data import EvaluationData
from coverslip.evidence.ranks import RankTable
from coverslip.evidence.resampling import centered, influence, weight_blocks
from coverslip.evidence.scores import SUM_SCORES, calibration_errors, f1_scores, group_sums, mean_of_present, read_sums

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
RANK_SCORES = ("macro_auroc", "macro_auprc")
SCORES = (*SUM_SCORES, *RANK_SCORES)  # over all classes
CLASS_SCORES = ("f1", "auroc", "auprc")  # per class: those that need resampling


class Scorer(Protocol):
    """Scores of one set of predictions as a function of group weights.

    Attributes:
        sums: sums over the images of each group, shape (G, C).
    """

    sums: FloatArray

    @property
    def columns(self) -> list[str]:
        """Names of the S scores."""
        ...

    def at(self, weights: FloatArray) -> FloatArray:
        """Return scores, shape (B, S), at group weights, shape (G, B)."""
        ...

    def influence(self, strata: IntArray) -> FloatArray:
        """Return the influence of each group on each score, shape (G, S), mean 0 within each stratum."""
        ...


class ClassificationScorer:
    """Classification scores as a function of group weights.

    A class without weight (absent from the data or from a resample) is left out of macro averages, and its own scores
    are NaN.

    Args:
        data: images with labels and predictions.
        names: names from `SCORES` and `CLASS_SCORES`. A class score has one column per class, named for example
            "f1 3". The name "ece" adds the column "ece_chance": the calibration error of the difference between
            resample and data, bin by bin, that is, the error that sampling noise alone would produce.

    Attributes:
        sums: sums per group, shape (G, columns of `group_sums`).
        tables: `RankTable` of each class that has images and is not the only one; empty without scores of ranks.
    """

    def __init__(self, data: EvaluationData, names: Sequence[str]) -> None:
        self.classes, self.names = data.classes, tuple(names)
        self.sums = group_sums(data.labels, data.probabilities, data.predicted, data.loss, data.groups)
        totals = read_sums(self.sums.sum(axis=0), data.classes)
        self.gaps = totals.gaps / totals.number  # calibration gap per bin and image of the data
        self.ranked = any(name in (*RANK_SCORES, "auroc", "auprc") for name in names)
        self.tables: dict[int, RankTable] = {}
        for class_id in range(data.classes if self.ranked else 0):
            positive = data.labels == class_id
            if positive.any() and not positive.all():
                self.tables[class_id] = RankTable(
                    data.probabilities[:, class_id], positive, data.groups, len(self.sums)
                )

    @property
    def columns(self) -> list[str]:
        """Names of the S score columns."""
        expanded = {name: [f"{name} {class_id}" for class_id in range(self.classes)] for name in CLASS_SCORES}
        expanded["ece"] = ["ece", "ece_chance"]
        return [column for name in self.names for column in expanded.get(name, [name])]

    def of_sums(self, sums: FloatArray) -> FloatArray:
        """Return scores of sums, shape (..., S), from shape (..., columns of `group_sums`); scores of ranks are NaN."""
        read = read_sums(sums, self.classes)
        empty = np.full((*sums.shape[:-1], self.classes), np.nan)
        columns = []
        for name in self.names:
            if name == "ece":
                noise = read._replace(gaps=read.gaps - read.number[..., None] * self.gaps)
                columns.append(np.stack([calibration_errors(read), calibration_errors(noise)], axis=-1))
            elif name in SUM_SCORES:
                columns.append(SUM_SCORES[name](read)[..., None])
            else:
                columns.append(f1_scores(read) if name == "f1" else empty if name in CLASS_SCORES else empty[..., :1])
        return np.concatenate(columns, axis=-1)

    def at(self, weights: FloatArray) -> FloatArray:
        """Return the scores at group weights of shape (G, B), shape (B, S)."""
        scores = self.of_sums(weights.T @ self.sums)
        areas = np.full((2, weights.shape[1], self.classes), np.nan)  # AUROC and AUPRC
        for class_id, table in self.tables.items():
            areas[:, :, class_id] = table.areas(weights)
        return self._with_ranks(scores, areas, mean_of_present(areas)) if self.ranked else scores

    def influence(self, strata: IntArray) -> FloatArray:
        """Return the influence of each group on each score, shape (G, S), mean 0 within each stratum."""
        values = influence(self.sums, strata, self.of_sums)
        areas = np.full((2, len(values), self.classes), np.nan)
        for class_id, table in self.tables.items():
            areas[:, :, class_id] = table.influence()
        mean = np.nansum(areas, axis=-1) / max(1, len(self.tables))
        return centered(self._with_ranks(values, areas, mean) if self.ranked else values, strata)

    def _with_ranks(self, columns: FloatArray, areas: FloatArray, mean: FloatArray) -> FloatArray:
        """Fill in the columns of AUROC and AUPRC from ``areas``, shape (2, ..., K), and their ``mean``, (2, ...)."""
        names = self.columns
        for kind, name in enumerate(("auroc", "auprc")):
            if name in self.names:
                start = names.index(f"{name} 0")
                columns[..., start : start + self.classes] = areas[kind]
            if f"macro_{name}" in self.names:
                columns[..., names.index(f"macro_{name}")] = mean[kind]
        return columns


@dataclass(frozen=True)
class BootstrapScores:
    """Scores of the data and of each bootstrap resample.

    Attributes:
        columns: names of the S scores.
        values: scores of the data, shape (S,).
        resampled: scores of the resamples, shape (B, S); B is 0 if there are too few groups.
        influence: influence of each group on each score, shape (G, S); no rows if there are too few groups.
    """

    columns: list[str]
    values: FloatArray
    resampled: FloatArray
    influence: FloatArray


def bootstrap_scores(
    scorer: Scorer, strata: IntArray | None, resamples: int, seed: int, min_groups: int, rows: int
) -> BootstrapScores:
    """Score the data and ``resamples`` bootstrap resamples of its groups.

    Two models scored with the same groups, strata and seed use the same resamples, so their differences are paired.

    Args:
        scorer: scores of the data as a function of group weights.
        strata: stratum of each group, shape (G,), from `strata_of_groups`; None for a single stratum.
        resamples: number of resamples B.
        seed: random seed of the resamples.
        min_groups: with fewer groups no resample is drawn.
        rows: number of images; bounds the memory of one block.
    """
    groups = len(scorer.sums)
    columns, values = scorer.columns, scorer.at(np.ones((groups, 1)))[0]
    if groups < min_groups:
        return BootstrapScores(columns, values, np.empty((0, len(columns))), np.empty((0, len(columns))))
    strata = np.zeros(groups, dtype=np.int64) if strata is None else strata
    blocks = weight_blocks(strata, resamples, seed, max(rows, scorer.sums.shape[1]))
    resampled = np.concatenate([scorer.at(weights) for weights in blocks])
    return BootstrapScores(columns, values, resampled, scorer.influence(strata))
