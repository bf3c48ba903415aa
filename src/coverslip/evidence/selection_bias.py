"""Optimism of a selected score: the effect of the seed, and the agreement of validation and test score."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from coverslip.evidence.intervals import Score, critical_value, format_interval
from coverslip.evidence.repeats import variance_components
from coverslip.evidence.selection import check_trials
from coverslip.evidence.winner import VISIBLE


def seed_effect(right: ArrayLike, groups: ArrayLike | None, *, level: float = 0.95) -> dict[str, Any]:
    """Compare the selected trial with repeats of the same settings with other seeds.

    Args:
        right: whether each image was classified correctly, bool, shape (1 + R, M): the selected trial, then R repeats
            with other seeds on the same images.
        groups: integer group ids, shape (M,); None if each image is its own group.
        level: level of the prediction interval, between 0 and 1.

    Returns:
        ``chosen`` (accuracy of the selected trial); ``mean`` of the repeats (without the selected trial, whose score
        is biased by the selection); ``luck`` (chosen minus mean); ``low`` and ``high`` (t prediction interval for one
        further seed; null for a single repeat or if all are equal); ``spread`` (standard deviation between seeds);
        ``number`` (R); ``of_images`` and ``share_of_seed`` as in `variance_components`; and a ``sentence``.

    Raises:
        ValueError: there is no repeat, or shapes do not match.

    >>> right = np.arange(100) < np.array([[94], [91], [92], [90]])
    >>> for clause in seed_effect(right, None)["sentence"].split("; "):
    ...     print(clause)
    the selected trial has accuracy 0.940
    with 3 other seeds, the same settings have mean accuracy 0.910 (range 0.900 to 0.920)
    0.030 is attributed to the seed
    """
    trials = check_trials(np.zeros(np.shape(right)), right, groups)
    number = len(trials.numbers) - 1
    if number < 1:
        raise ValueError("the effect of the seed requires at least one repeat besides the selected trial")
    scores = trials.hits.sum(axis=1) / trials.counts.sum()
    chosen, others = float(scores[0]), scores[1:]
    components = variance_components(trials.hits[1:], trials.counts)
    mean, spread = components["mean"], components["of_seed"]
    effect, low, high = chosen - mean, None, None
    word = "seed" if number == 1 else "seeds"
    sentence = f"the selected trial has accuracy {chosen:.3f}; "
    sentence += f"with {number} other {word}, the same settings have {'mean ' if number > 1 else ''}accuracy {mean:.3f}"
    if spread:
        half = critical_value(level, number - 1) * spread * float(np.sqrt(1 + 1 / number))
        low, high = max(0.0, mean - half), min(1.0, mean + half)
        sentence += f" (range {others.min():.3f} to {others.max():.3f})"
    sentence += f"; {effect:.3f} is attributed to the seed" if effect >= VISIBLE else "; the seed was not favorable"
    return {
        "chosen": chosen, "mean": mean, "luck": effect, "low": low, "high": high, "level": level, "spread": spread,
        "number": number, "of_images": components["of_images"], "share_of_seed": components["share_of_seed"],
        "sentence": sentence,
    }  # fmt: skip


def selection_sentence(validation: float, expected: float, low: float, high: float, trials: int, test: Score) -> str:
    """Return one sentence that compares the validation score, its correction for selection, and the test score.

    Corrected score and test score agree if the interval of their difference contains 0. Its half-width is the root of
    the summed squared distances to the limits (Zou & Donner, Statistics in Medicine 27(10), 2008).

    Args:
        validation: accuracy of the selected trial on the images used for selection.
        expected: accuracy corrected for selection, from `assess_winner`.
        low: lower confidence limit of ``expected``.
        high: upper confidence limit of ``expected``.
        trials: number of trials that the selection was made from.
        test: test accuracy of the run that was trained with the selected settings.

    >>> test = Score(value=0.915, low=0.881, high=0.938, level=0.95, method="", images=412, groups=96)
    >>> for clause in selection_sentence(0.94, 0.921, 0.898, 0.943, 50, test).split("; "):
    ...     print(clause)
    validation accuracy 0.940
    expected after selection among 50 trials: 0.921 [0.898, 0.943]
    test accuracy 0.915 [0.881, 0.938], consistent with this expectation
    """
    selection = f" after selection among {trials:,} trials" if trials > 1 else ""
    sentence = f"validation accuracy {validation:.3f}; expected{selection}: {expected:.3f} [{low:.3f}, {high:.3f}]; "
    sentence += f"test accuracy {format_interval(test)}"
    value, test_low, test_high = test["value"], test["low"], test["high"]
    if value is None or test_low is None or test_high is None:
        return sentence
    if value - expected > np.hypot(value - test_low, high - expected):
        return f"{sentence}, higher than expected: the test images are easier"
    if expected - value > np.hypot(test_high - value, expected - low):
        return (
            f"{sentence}, lower than expected: the test images are harder, or the search overfitted the validation set"
        )
    return f"{sentence}, consistent with this expectation"
