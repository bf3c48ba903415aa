"""How much of a good number was luck: the seed's, and that of having been chosen, held against the test set."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from coverslip.evidence.choosing import check_trials
from coverslip.evidence.intervals import Score, format_interval, quantile
from coverslip.evidence.repeats import seeds_beside_images
from coverslip.evidence.winner import SHOWN


def repeat_spread(right: ArrayLike, groups: ArrayLike | None, *, level: float = 0.95) -> dict[str, Any]:
    """How much of the winner's score is its seed: the winner beside the same settings with other seeds.

    Args:
        right: (1 + R, M) bool: the trial that was chosen, then R repeats of it with other seeds, on the same images.
        groups: (M,) integers; None where each image stands for itself.
        level: of the interval.

    Returns:
        ``chosen`` (accuracy of the winner), ``mean`` of the repeats (the winner's own score is not among them, since
        it was chosen), ``luck`` (chosen less mean), ``low`` and ``high`` (within which one more seed falls: t, null
        for one repeat or where all are equal), ``spread`` (standard deviation), ``number`` (R), ``of_images`` and
        ``share_of_seed`` as `seeds_beside_images` says, and a ``sentence``.

    Raises:
        ValueError: no repeat, or shapes that do not agree.

    >>> right = np.arange(100) < np.array([[94], [91], [92], [90]])
    >>> repeat_spread(right, None)["sentence"]
    '0.940 was chosen; with 3 other seeds its settings reach 0.910 (0.900 to 0.920): 0.030 of it was the seed'
    """
    trials = check_trials(np.zeros(np.shape(right)), right, groups)
    number = len(trials.numbers) - 1
    if number < 1:
        raise ValueError("the spread of seeds needs at least one repeat beside the trial that was chosen")
    scores = trials.hits.sum(axis=1) / trials.counts.sum()
    chosen, others = float(scores[0]), scores[1:]
    seeds = seeds_beside_images(trials.hits[1:], trials.counts)
    mean, spread = seeds["mean"], seeds["of_seed"]
    luck, low, high = chosen - mean, None, None
    word = "seed" if number == 1 else "seeds"
    said = f"{chosen:.3f} was chosen; with {number} other {word} its settings reach {mean:.3f}"
    if spread:
        half = quantile(level, number - 1) * spread * float(np.sqrt(1 + 1 / number))
        low, high = max(0.0, mean - half), min(1.0, mean + half)
        said += f" ({others.min():.3f} to {others.max():.3f})"
    said += f": {luck:.3f} of it was the seed" if luck >= SHOWN else ": the seed was no luck"
    return {
        "chosen": chosen, "mean": mean, "luck": luck, "low": low, "high": high, "level": level, "spread": spread,
        "number": number, "of_images": seeds["of_images"], "share_of_seed": seeds["share_of_seed"],
        "sentence": said,
    }  # fmt: skip


def luck_sentence(validation: float, expected: float, low: float, high: float, trials: int, test: Score) -> str:
    """What validation promised, what was to be expected, and what the test set says, in one sentence.

    Expectation and test agree where the interval of their difference holds 0 (the square root of the squared distances
    to the limits; Zou & Donner, Statistics in Medicine 27(10), 2008).

    Args:
        validation: accuracy of the winner on the images that chose it.
        expected, low, high: the corrected accuracy and its limits, from `winner`.
        trials: among which it was chosen.
        test: accuracy of the run that trained it again.

    >>> test = Score(value=0.915, low=0.881, high=0.938, level=0.95, method="", images=412, groups=96)
    >>> for part in luck_sentence(0.94, 0.921, 0.898, 0.943, 50, test).split("; "):
    ...     print(part)
    validation said 0.940
    after choosing among 50, 0.921 [0.898, 0.943] was to be expected
    the test set says 0.915 [0.881, 0.938], as expected
    """
    chosen = f"after choosing among {trials:,}, " if trials > 1 else ""
    said = f"validation said {validation:.3f}; {chosen}{expected:.3f} [{low:.3f}, {high:.3f}] was to be expected; "
    said += f"the test set says {format_interval(test)}"
    value, least, most = test["value"], test["low"], test["high"]
    if value is None or least is None or most is None:
        return said
    if value - expected > np.hypot(value - least, high - expected):
        return f"{said}, more than expected: its images are easier"
    if expected - value > np.hypot(most - value, expected - low):
        return f"{said}, less than expected: its images are harder, or the search followed the validation images"
    return f"{said}, as expected"
