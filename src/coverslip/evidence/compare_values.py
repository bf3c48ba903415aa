"""Paired differences between regressions, or models of ordered classes, on the same test images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coverslip.evidence.compare_scorers import compare_scorers
from coverslip.evidence.ordinal import LEVEL_SCORES
from coverslip.evidence.regression import ALL_EQUAL
from coverslip.evidence.regression_scores import ValueScorer
from coverslip.evidence.resampling import group_ids

FloatArray = NDArray[np.float64]
COMPARED = ("mae", "rmse", "r2", "concordance", "spearman")


def compare_values(
    truth: FloatArray,
    predicted: Mapping[str, FloatArray],
    groups: NDArray[np.integer[Any]] | None,
    *,
    score: str = "mae",
    smallest: float | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """Return paired differences of one score between models that predicted the same images.

    Args:
        truth: true values, shape (N,).
        predicted: model name -> predicted values, shape (N,), for at least two models.
        groups: integer group ids, shape (N,); None if each image is its own group.
        score: one of `COMPARED`; or of `LEVEL_SCORES`, if the values are numbers of levels.
        smallest: smallest difference of interest; by default a tenth of the score of the first model.
        level: confidence level, between 0 and 1.
        resamples: number of bootstrap resamples and of permutations.
        seed: random seed of both.

    Returns:
        As `coverslip.evidence.compare.compare`.

    Raises:
        ValueError: fewer than two models, or an unknown score.
    """
    if len(predicted) < 2 or score not in (*COMPARED, *LEVEL_SCORES):
        raise ValueError(f"a comparison requires two models and one of {', '.join(COMPARED)}, not {score!r}")
    codes, names = group_ids(groups, len(truth)), list(predicted)
    number = int(codes.max()) + 1

    def both(first: int, second: int) -> ValueScorer:
        values = np.concatenate([predicted[names[first]], predicted[names[second]]])
        return ValueScorer(np.tile(truth, 2), values, np.concatenate([codes, codes + number]))

    return compare_scorers(
        names,
        [ValueScorer(truth, values, codes) for values in predicted.values()],
        both,
        lambda first, second: int((predicted[names[first]] != predicted[names[second]]).sum()),
        codes,
        grouped=groups is not None,
        score=score,
        column=LEVEL_SCORES.get(score, ""),
        undefined=ALL_EQUAL,
        smallest=smallest,
        level=level,
        resamples=resamples,
        seed=seed,
    )
