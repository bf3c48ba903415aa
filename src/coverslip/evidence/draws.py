"""The scores of a part for the data and for thousands of resamples of its groups, all from the same draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coverslip.evidence.part import ScoredPart
from coverslip.evidence.ranks import RankTable
from coverslip.evidence.resampling import centered, influence, weight_blocks
from coverslip.evidence.scores import SUM_SCORES, calibration_errors, f1_scores, group_sums, mean_of_present, read_sums

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
RANK_SCORES = ("macro_auroc", "macro_auprc")
SCORES = (*SUM_SCORES, *RANK_SCORES)  # of the whole part
CLASS_SCORES = ("f1", "auroc", "auprc")  # of each class, those that need resampling


class PartScores:
    """Chosen scores of a part as a function of the weights of its groups.

    A class without weight (it is absent, or has vanished from a resample) is left out of macro averages, and its own
    scores are NaN there.

    Args:
        part: what was scored.
        names: of `SCORES` and `CLASS_SCORES`; one of the latter gives a column a class, named as in "f1 3". With "ece"
            comes "ece_chance": the calibration error of a resample beyond that of the data, bin by bin, which is what
            chance would make of a model without any.
    """

    def __init__(self, part: ScoredPart, names: Sequence[str]) -> None:
        self.classes, self.names = part.classes, tuple(names)
        self.sums = group_sums(part.labels, part.probabilities, part.predicted, part.loss, part.groups)
        whole = read_sums(self.sums.sum(axis=0), part.classes)
        self.gaps = whole.gaps / whole.number  # of the data, an image
        self.ranked = any(name in (*RANK_SCORES, "auroc", "auprc") for name in names)
        self.tables: dict[int, RankTable] = {}
        for number in range(part.classes if self.ranked else 0):
            own = part.labels == number
            if own.any() and not own.all():
                self.tables[number] = RankTable(part.probabilities[:, number], own, part.groups, len(self.sums))

    @property
    def columns(self) -> list[str]:
        """The names of the S columns."""
        several = {name: [f"{name} {number}" for number in range(self.classes)] for name in CLASS_SCORES}
        several["ece"] = ["ece", "ece_chance"]
        spread = (several.get(name, [name]) for name in self.names)
        return [column for some in spread for column in some]

    def of_sums(self, sums: FloatArray) -> FloatArray:
        """(..., columns of `group_sums`) -> (..., S), the columns that need an order NaN."""
        read = read_sums(sums, self.classes)
        empty = np.full((*sums.shape[:-1], self.classes), np.nan)
        parts = []
        for name in self.names:
            if name == "ece":
                beyond = read._replace(gaps=read.gaps - read.number[..., None] * self.gaps)
                parts.append(np.stack([calibration_errors(read), calibration_errors(beyond)], axis=-1))
            elif name in SUM_SCORES:
                parts.append(SUM_SCORES[name](read)[..., None])
            else:
                parts.append(f1_scores(read) if name == "f1" else empty if name in CLASS_SCORES else empty[..., :1])
        return np.concatenate(parts, axis=-1)

    def at(self, weights: FloatArray) -> FloatArray:
        """(G, B) weights of the groups -> (B, S) scores."""
        scores = self.of_sums(weights.T @ self.sums)
        each = np.full((2, weights.shape[1], self.classes), np.nan)
        for number, table in self.tables.items():
            each[:, :, number] = table.areas(weights)
        return self._with_ranks(scores, each, mean_of_present(each)) if self.ranked else scores

    def influence(self, strata: IntArray) -> FloatArray:
        """(G, S): how each score moves with the weight of each group, mean 0 within every stratum."""
        moves = influence(self.sums, strata, self.of_sums)
        each = np.full((2, len(moves), self.classes), np.nan)
        for number, table in self.tables.items():
            each[:, :, number] = table.influence()
        mean = np.nansum(each, axis=-1) / max(1, len(self.tables))
        return centered(self._with_ranks(moves, each, mean) if self.ranked else moves, strata)

    def _with_ranks(self, columns: FloatArray, each: FloatArray, mean: FloatArray) -> FloatArray:
        """Fill the columns that need an order: ``each`` (2, ..., K) and ``mean`` (2, ...), AUROC and AUPRC."""
        names = self.columns
        for kind, name in enumerate(("auroc", "auprc")):
            if name in self.names:
                start = names.index(f"{name} 0")
                columns[..., start : start + self.classes] = each[kind]
            if f"macro_{name}" in self.names:
                columns[..., names.index(f"macro_{name}")] = mean[kind]
        return columns


@dataclass(frozen=True)
class Draws:
    """Scores of the data and of every resample: a column a score."""

    columns: list[str]
    values: FloatArray  # (S,)
    resampled: FloatArray  # (B, S); no row where there are too few groups
    influence: FloatArray  # (G, S); no row likewise


def draw_scores(
    scores: PartScores, strata: IntArray | None, resamples: int, seed: int, fewest: int, rows: int
) -> Draws:
    """Score the data and ``resamples`` resamples of its groups.

    Two models scored with the same groups, strata and seed see the same resamples.

    Args:
        scores: of the part.
        strata: (G,) as from `strata_of_groups`.
        resamples: B.
        seed: of the draws.
        fewest: with fewer groups nothing is drawn.
        rows: images of the part; bounds the memory.
    """
    groups = len(scores.sums)
    columns, values = scores.columns, scores.at(np.ones((groups, 1)))[0]
    if groups < fewest:
        return Draws(columns, values, np.empty((0, len(columns))), np.empty((0, len(columns))))
    within = np.zeros(groups, dtype=np.int64) if strata is None else strata
    blocks = weight_blocks(within, resamples, seed, max(rows, scores.sums.shape[1]))
    drawn = np.concatenate([scores.at(weights) for weights in blocks])
    return Draws(columns, values, drawn, scores.influence(within))
