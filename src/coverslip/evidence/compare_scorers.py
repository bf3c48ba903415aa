"""Paired differences of one score between models of any task that were tested on the same images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coverslip.evidence.bootstrap import Scorer, bootstrap_scores
from coverslip.evidence.classification import sample_size_warnings
from coverslip.evidence.compare import compare_scored
from coverslip.evidence.intervals import MIN_GROUPS
from coverslip.evidence.paired import swap_p
from coverslip.evidence.score_specs import score_spec
from coverslip.evidence.support import Support, bootstrap_method

IntArray = NDArray[np.int64]
Pair = tuple[int, int]
SHARE = 0.1  # smallest difference of interest, relative to the score of the first model


def compare_scorers(
    names: Sequence[str],
    scorers: Sequence[Scorer],
    both: Callable[[int, int], Scorer],
    different: Callable[[int, int], int],
    codes: IntArray,
    *,
    grouped: bool,
    score: str,
    column: str = "",
    undefined: str,
    smallest: float | None,
    level: float,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """Return paired differences of one score between models; see `coverslip.evidence.compare.compare`.

    Args:
        names: names of M models.
        scorers: scores of each model on the same groups.
        both: numbers of two models -> scores of the images of both, those of the second in groups G..2G-1.
        different: numbers of two models -> number of images with different predictions.
        codes: group ids of the images, shape (N,), values in 0..G-1.
        grouped: False if each image is its own group.
        score: name of the score.
        column: its column in the scorers; by default its name.
        undefined: why the score can be undefined.
        smallest: smallest difference of interest; by default a tenth of the score of the first model.
        level: confidence level, between 0 and 1.
        resamples: number of bootstrap resamples and of permutations.
        seed: random seed of both.
    """
    images, number, unit = len(codes), int(codes.max()) + 1, "groups" if grouped else "images"
    place = scorers[0].columns.index(column or score)
    resampled = [bootstrap_scores(scorer, None, resamples, seed, MIN_GROUPS, images) for scorer in scorers]
    values = [float(scores.values[place]) for scores in resampled]
    smallest = smallest or SHARE * max(abs(values[0]), 1e-12)

    def agreement(pair: Pair) -> dict[str, Any]:
        count = different(*pair)
        return {
            "first": names[pair[0]],
            "second": names[pair[1]],
            "identical": count == 0,
            "only_first_right": None,
            "only_second_right": None,
            "named_differently": count,
        }

    def test(pair: Pair) -> tuple[float, str]:
        return swap_p(both(*pair), place, 2 * images, resamples, seed), f"sign-flip permutation over {unit}"

    support, lower_is_better = Support(images, number, level, grouped), score_spec(score).lower_is_better
    return {
        "score": score,
        "lower_is_better": lower_is_better,
        "level": level,
        "smallest": smallest,
        "images": images,
        "groups": number,
        "grouped": grouped,
        "reference": None,
        "runs": [
            {"name": name, **support.resampled_score(scores, column or score, resamples, undefined)}
            for name, scores in zip(names, resampled, strict=True)
        ],
        "comparisons": compare_scored(
            names,
            resampled,
            place,
            max_df=number - 1,
            groups=number,
            unit=unit,
            method=bootstrap_method(unit, within_class=False, resamples=resamples),
            undefined="" if np.isfinite(values).all() else undefined,
            agreement=agreement,
            test=test,
            reference=None,
            lower_is_better=lower_is_better,
            level=level,
            smallest=smallest,
        ),
        "warnings": sample_size_warnings(codes, grouped=grouped),
    }
