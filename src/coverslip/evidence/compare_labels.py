"""Paired differences between models of several labels on the same test images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coverslip.evidence.compare_scorers import compare_scorers
from coverslip.evidence.multilabel import ONE_SIDED, OVERALL, LabelScorer
from coverslip.evidence.resampling import group_ids

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]


def compare_labels(
    members: BoolArray,
    probabilities: Mapping[str, FloatArray],
    predicted: Mapping[str, BoolArray],
    groups: NDArray[np.integer[Any]] | None,
    *,
    score: str = "macro_f1",
    smallest: float | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """Return paired differences of one score between models that predicted labels of the same images.

    Args:
        members: true labels, shape (N, L).
        probabilities: model name -> probabilities, shape (N, L), for at least two models.
        predicted: model name -> predicted labels, shape (N, L).
        groups: integer group ids, shape (N,); None if each image is its own group.
        score: one of `coverslip.evidence.multilabel.OVERALL`.
        smallest: smallest difference of interest; by default a tenth of the score of the first model.
        level: confidence level, between 0 and 1.
        resamples: number of bootstrap resamples and of permutations.
        seed: random seed of both.

    Returns:
        As `coverslip.evidence.compare.compare`.

    Raises:
        ValueError: fewer than two models, or an unknown score.
    """
    if len(probabilities) < 2 or score not in OVERALL:
        raise ValueError(f"a comparison requires two models and one of {', '.join(OVERALL)}, not {score!r}")
    codes, names = group_ids(groups, len(members)), list(probabilities)
    number = int(codes.max()) + 1

    def both(first: int, second: int) -> LabelScorer:
        rows = [np.concatenate([by[names[first]], by[names[second]]]) for by in (probabilities, predicted)]
        return LabelScorer(
            np.tile(members, (2, 1)), rows[0], rows[1].astype(bool), np.concatenate([codes, codes + number])
        )

    def different(first: int, second: int) -> int:
        unequal = [(by[names[first]] != by[names[second]]).any(axis=1) for by in (probabilities, predicted)]
        return int(np.logical_or(*unequal).sum())

    return compare_scorers(
        names,
        [LabelScorer(members, probabilities[name], predicted[name], codes) for name in names],
        both,
        different,
        codes,
        grouped=groups is not None,
        score=score,
        undefined=ONE_SIDED,
        smallest=smallest,
        level=level,
        resamples=resamples,
        seed=seed,
    )
