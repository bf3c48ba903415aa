"""What the best of many trials is worth: its score corrected for having been chosen, and its lead over the default.

The best of 50 trials is the best partly by luck, and its score on the images that chose it is too high by that luck.
So the choice is repeated on resamples of the groups, and each group is scored by the trials that were chosen without
it. Their mean is what a trial chosen in this way can be expected to reach on new images.

What this cannot see: that a search was steered by the same images, and, where only the best epoch of each trial is
given, that they chose this epoch. `benchmarks/winner.py` measures how much luck that leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from coverslip.evidence.basis import proportion
from coverslip.evidence.choosing import check_resampling, check_trials, mean_limits
from coverslip.evidence.intervals import FEWEST_GROUPS, Score, format_interval

RIVALS = 5  # trials listed that won resamples too
NO_SPREAD = "both show the same difference in every group, which is no certainty"
SHOWN = 5e-4  # an accuracy is shown with three decimals


@dataclass(frozen=True)
class Winner:
    """The best of T trials on validation, and what choosing it was worth.

    Attributes:
        number: of the trial with the lowest mean log loss, of equal ones the first.
        trials: how many could be chosen.
        accuracy, log_loss: of that trial on the images that chose it; no interval of these would be honest.
        corrected, corrected_log_loss: what a trial chosen like this can be expected to reach on new images.
        chosen: (number, share of the resamples in which it was the best), the most frequent first, five at most.
        sentence: this in plain words.
    """

    number: int
    trials: int
    accuracy: Score
    log_loss: Score
    corrected: Score
    corrected_log_loss: Score
    chosen: tuple[tuple[int, float], ...]
    sentence: str

    @property
    def luck(self) -> float | None:
        """Accuracy that choosing only seemed to gain; None where it cannot be told."""
        return _less(self.accuracy, self.corrected)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values, for the study's file."""
        return {
            "number": self.number,
            "trials": self.trials,
            "accuracy": self.accuracy,
            "corrected": self.corrected,
            "luck": self.luck,
            "log_loss": self.log_loss,
            "corrected_log_loss": self.corrected_log_loss,
            "log_loss_luck": _less(self.corrected_log_loss, self.log_loss),
            "chosen": [{"number": number, "share": share} for number, share in self.chosen],
            "sentence": self.sentence,
        }


def winner(
    losses: ArrayLike,
    right: ArrayLike,
    groups: ArrayLike | None,
    numbers: Sequence[int],
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Winner:
    """The best trial, and its score corrected for having been chosen.

    Resamples choose from fewer different groups than there are, so the corrected score is, if anything, a little too
    low. Its interval over groups is made as that of a test set.

    Args:
        losses: (T, M) log loss of each of M validation images by each of T finished trials. A trial with a NaN or
            infinite loss is never the best, and does not count.
        right: (T, M) bool, whether the trial named the image correctly.
        groups: (M,) integers; None where each image stands for itself.
        numbers: T trial numbers. A trial may have several rows, one an epoch: then the choice of the epoch is corrected
            for as well.
        level: of the intervals.
        resamples: of the groups, at least 100.
        seed: of the resamples.

    Returns:
        A `Winner`. Of one trial nothing was chosen, and the corrected scores are its own. One group cannot be resampled
        and gives no corrected score; under five groups there is no interval.

    Raises:
        ValueError: shapes that do not agree, no trial, no image, no trial with finite losses.

    Reference: Tsamardinos, Greasidou & Borboudakis, Machine Learning 107(12), 2018 (BBC-CV). The mean is taken over
    groups first, as in the leave-one-out bootstrap of Efron & Tibshirani, Journal of the American Statistical
    Association 92(438), 1997, which makes the interval about a quarter narrower than the percentiles of the left-out
    scores.

    >>> margins = 1 + np.random.default_rng(0).normal(size=(50, 200))      # 50 trials, all equally good: 0.841
    >>> told = winner(np.log1p(np.exp(-margins)), margins > 0, None, range(50))
    >>> round(told.accuracy["value"], 3), format_interval(told.corrected)
    (0.885, '0.847 [0.787, 0.892]')
    """
    trials = check_trials(losses, right, groups, numbers)
    check_resampling(level, resamples)
    basis, best, usable = trials.basis(level), trials.best, trials.usable
    number = len({trials.numbers[place] for place in np.flatnonzero(usable)})
    plain, plain_loss = (
        basis.score(float(sums[best].sum() / basis.images), None, "mean", "the same images chose the trial")
        for sums in (trials.hits, trials.losses)
    )
    chosen = {trials.numbers[best]: 1.0}
    if usable.sum() == 1:
        hits, lost, method = trials.hits[best], trials.losses[best], ""
    elif basis.groups == 1:
        hits, lost, method = None, None, ""
    else:
        left_out = trials.left_out(usable, resamples, seed)
        hits, lost = trials.expected(trials.hits, left_out), trials.expected(trials.losses, left_out)
        method = ", each group by the trials chosen without it"
        chosen = dict.fromkeys(trials.numbers, 0.0)
        for each, share in zip(trials.numbers, left_out.sum(axis=1) / left_out.sum(), strict=True):
            chosen[each] += float(share)
    if hits is None or lost is None:
        corrected = corrected_loss = basis.score(None, None, "", "one group cannot be resampled")
    else:
        corrected = proportion(hits, trials.counts, level, grouped=basis.grouped, note=method)
        corrected_loss = basis.score(
            float(lost.sum() / basis.images),
            mean_limits(lost, trials.counts, level, resamples, seed + 1, at_least=trials.losses[best]),
            f"BCa bootstrap over {basis.unit}, {resamples} resamples{method}",
            basis.too_few(basis.groups) if basis.groups < FEWEST_GROUPS else "every group shows the same",
        )
    return Winner(
        number=trials.numbers[best],
        trials=number,
        accuracy=plain,
        log_loss=plain_loss,
        corrected=corrected,
        corrected_log_loss=corrected_loss,
        chosen=tuple(sorted(((n, s) for n, s in chosen.items() if s > 0), key=lambda each: -each[1])[:RIVALS]),
        sentence=_winner_sentence(trials.numbers[best], number, plain, corrected, alone=usable.sum() == 1),
    )


def compare_trials(
    losses: ArrayLike,
    right: ArrayLike,
    groups: ArrayLike | None,
    a: int,
    b: int,
    *,
    numbers: Sequence[int] | None = None,
    names: tuple[str, str] | None = None,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Whether one trial is better than another: paired, over groups, and honest about the choice.

    Where ``a`` is the best of all rows, these images chose it and its plain lead would flatter it. Then each group
    compares ``b`` with the trials that were chosen without that group, as in `winner`. Any other two are compared
    as if they had been named beforehand.

    Args:
        losses, right, groups: as for `winner`: of all finished trials, not only of the two.
        a, b: their rows; usually the best and the default.
        numbers: T trial numbers, where trials have several rows, one an epoch: then both are compared as trials whose
            epoch is chosen, and not with the luck of that.
        names: what to call them; "trial A" and "trial B" with their numbers unless given.
        level, resamples, seed: as for `winner`.

    Returns:
        ``first``, ``second`` (names); ``difference``, ``low``, ``high`` of the accuracies, first less second;
        ``log_loss`` with the same three, where under 0 favors the first; ``better`` (a name, or null where neither
        score tells them apart, or both disagree), ``corrected`` (whether for the choice), ``images``, ``groups``,
        ``level``, ``method``, ``reason`` (why there are no limits, else empty) and a plain ``sentence``.

    Raises:
        ValueError: as `winner`; a row that does not exist or whose losses are no numbers.

    >>> margins = 1 + np.random.default_rng(0).normal(size=(50, 200))
    >>> losses = np.log1p(np.exp(-margins))
    >>> best = int(losses.mean(axis=1).argmin())
    >>> told = compare_trials(losses, margins > 0, None, best, 0, names=("the best", "the default"))
    >>> for part in told["sentence"].split(": "):
    ...     print(part)
    the best is not distinguishable from the default
    accuracy +0.017 [-0.044, +0.094], log loss +0.001 [-0.060, +0.059]
    """
    trials = check_trials(losses, right, groups, numbers)
    check_resampling(level, resamples)
    for row in (a, b):
        if not 0 <= row < len(trials.numbers) or not trials.usable[row]:
            raise ValueError(f"row {row} is not one with finite losses among {len(trials.numbers)}")
    first, second = names or (f"trial {trials.numbers[a]}", f"trial {trials.numbers[b]}")
    basis = trials.basis(level)
    corrected = trials.is_best(a) and a != b and basis.groups > 1
    reason = "they are one trial" if a == b else ""
    if not reason and basis.groups < FEWEST_GROUPS:
        reason = basis.too_few(basis.groups)
    sides = [trials.usable if corrected else trials.rows_of(a), trials.rows_of(b)]
    chosen = [trials.left_out(side, resamples, seed) if side.sum() > 1 and basis.groups > 1 else None for side in sides]
    shown: list[dict[str, float | None]] = []
    for sums in (trials.hits, trials.losses):
        one, other = (
            sums[row] if left_out is None else trials.expected(sums, left_out)
            for row, left_out in zip((a, b), chosen, strict=True)
        )
        gains = one - other
        limits = None if a == b else mean_limits(gains, trials.counts, level, resamples, seed + 1, sums[a] - sums[b])
        low, high = limits or (None, None)
        shown.append({"difference": float(gains.sum() / basis.images), "low": low, "high": high})
    if not reason and shown[0]["low"] is None and shown[1]["low"] is None:
        reason = NO_SPREAD
    signs = [_side(shown[0]), -_side(shown[1])]  # above 0 where it favors the first
    total = 0 if signs[0] * signs[1] < 0 else sum(signs)
    told: dict[str, Any] = {"first": first, "second": second, **shown[0], "log_loss": shown[1]}
    return told | {
        "better": (first if total > 0 else second) if total else None,
        "corrected": corrected,
        "images": basis.images,
        "groups": basis.groups,
        "level": level,
        "method": f"paired BCa bootstrap over {basis.unit}, {resamples} resamples"
        + (", each group by the trials chosen without it" if corrected else ""),
        "reason": reason,
        "sentence": _compared_sentence(told, signs, reason),
    }


def _winner_sentence(number: int, trials: int, plain: Score, corrected: Score, *, alone: bool) -> str:
    if alone:
        return f"only trial {number} could be chosen, so there is no luck in it: {format_interval(corrected)}"
    among = f"the best of {trials:,}" if trials > 1 else "at its best epoch"
    said = f"validation says {plain['value']:.3f} for trial {number}, {among}"
    luck = _less(plain, corrected)
    if luck is None:
        return f"{said}; how much of it is luck cannot be told: {corrected['reason']}"
    said += f"; {format_interval(corrected)} is to be expected on new images"
    return f"{said}: about {luck:.3f} is the luck of choosing" if luck >= SHOWN else f"{said}: choosing was no luck"


def _compared_sentence(told: dict[str, Any], sides: list[int], reason: str) -> str:
    first, second = told["first"], told["second"]
    if reason:
        return f"{first} and {second} cannot be compared: {reason}"
    numbers = []
    for name, one in (("accuracy", told), ("log loss", told["log_loss"])):
        spread = "(no interval)" if one["low"] is None else f"[{one['low']:+.3f}, {one['high']:+.3f}]"
        numbers.append(f"{name} {one['difference']:+.3f} {spread}")
    words = {1: f"better than {second}", -1: f"worse than {second}", 0: f"not distinguishable from {second}"}
    if sides[0] == sides[1]:
        verdict = words[sides[0]]
    else:
        verdict = f"{words[sides[1]]} in log loss and {words[sides[0]].replace(f' {second}', ' it')} in accuracy"
    return f"{first} is {verdict}: {', '.join(numbers)}"


def _side(shown: dict[str, float | None]) -> int:
    """1 above 0, -1 under it, 0 where it cannot be told."""
    low, high = shown["low"], shown["high"]
    if low is None or high is None or low <= 0 <= high:
        return 0
    return 1 if low > 0 else -1


def _less(one: Score, other: Score) -> float | None:
    """One value less another."""
    return None if one["value"] is None or other["value"] is None else one["value"] - other["value"]
