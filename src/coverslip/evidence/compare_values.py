"""Paired differences between regressions on the same test images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coverslip.evidence.bootstrap import bootstrap_scores
from coverslip.evidence.classification import sample_size_warnings
from coverslip.evidence.compare import compare_scored
from coverslip.evidence.intervals import MIN_GROUPS
from coverslip.evidence.paired import swap_p
from coverslip.evidence.regression import ALL_EQUAL, value_score
from coverslip.evidence.regression_scores import ValueScorer
from coverslip.evidence.resampling import group_ids
from coverslip.evidence.scores import LOWER_IS_BETTER
from coverslip.evidence.support import Support, bootstrap_method

FloatArray = NDArray[np.float64]
COMPARED = ("mae", "rmse", "r2", "concordance", "spearman")
SHARE = 0.1  # smallest difference of interest, relative to the score of the first model


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
        score: one of `COMPARED`.
        smallest: smallest difference of interest; by default a tenth of the score of the first model.
        level: confidence level, between 0 and 1.
        resamples: number of bootstrap resamples and of permutations.
        seed: random seed of both.

    Returns:
        As `coverslip.evidence.compare.compare`.

    Raises:
        ValueError: fewer than two models, or an unknown score.
    """
    if len(predicted) < 2 or score not in COMPARED:
        raise ValueError(f"a comparison requires two models and one of {', '.join(COMPARED)}, not {score!r}")
    codes, grouped = group_ids(groups, len(truth)), groups is not None
    names, number, unit = list(predicted), int(codes.max()) + 1, "groups" if grouped else "images"
    scorers = [ValueScorer(truth, values, codes) for values in predicted.values()]
    resampled = [bootstrap_scores(scorer, None, resamples, seed, MIN_GROUPS, len(truth)) for scorer in scorers]
    column = scorers[0].columns.index(score)
    values = [float(scores.values[column]) for scores in resampled]
    smallest = smallest or SHARE * max(abs(values[0]), 1e-12)

    def agreement(pair: tuple[int, int]) -> dict[str, Any]:
        first, second = (predicted[names[side]] for side in pair)
        return {
            "first": names[pair[0]],
            "second": names[pair[1]],
            "identical": bool((first == second).all()),
            "only_first_right": None,
            "only_second_right": None,
            "named_differently": int((first != second).sum()),
        }

    def test(pair: tuple[int, int]) -> tuple[float, str]:
        first, second = (predicted[names[side]] for side in pair)
        both = ValueScorer(np.tile(truth, 2), np.concatenate([first, second]), np.concatenate([codes, codes + number]))
        return swap_p(both, column, 2 * len(truth), resamples, seed), f"sign-flip permutation over {unit}"

    support, lower_is_better = Support(len(truth), number, level, grouped), score in LOWER_IS_BETTER
    return {
        "score": score,
        "lower_is_better": lower_is_better,
        "level": level,
        "smallest": smallest,
        "images": len(truth),
        "groups": number,
        "grouped": grouped,
        "reference": None,
        "runs": [
            {"name": name, **value_score(support, scores, score, resamples)}
            for name, scores in zip(names, resampled, strict=True)
        ],
        "comparisons": compare_scored(
            names,
            resampled,
            column,
            max_df=number - 1,
            groups=number,
            unit=unit,
            method=bootstrap_method(unit, within_class=False, resamples=resamples),
            undefined="" if np.isfinite(values).all() else ALL_EQUAL,
            agreement=agreement,
            test=test,
            reference=None,
            lower_is_better=lower_is_better,
            level=level,
            smallest=smallest,
        ),
        "warnings": sample_size_warnings(codes, grouped=grouped),
    }
