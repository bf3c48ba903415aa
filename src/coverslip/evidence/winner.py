"""The best of many trials: its validation score corrected for selection bias, and its lead over another trial.

The best of 50 trials is partly the best by chance, so its score on the images that selected it is too high (selection
bias). To correct it, the selection is repeated on resamples of the groups, and each group is scored by the trials that
were selected without it. The mean estimates the score of a trial selected in this way on new images.

The correction does not account for a search that was guided by the same images, nor, if only the best epoch of each
trial is given, for the selection of the epoch. `benchmarks/winner.py` measures the bias that remains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from coverslip.evidence.intervals import MIN_GROUPS, Score, format_interval
from coverslip.evidence.selection import check_resampling, check_trials, mean_interval
from coverslip.evidence.support import proportion_score

MAX_LISTED = 5  # trials listed that were selected in some resample
NO_SPREAD = "the difference is the same in every group, so its variance cannot be estimated"
VISIBLE = 5e-4  # an accuracy is shown with three decimals


@dataclass(frozen=True)
class Winner:
    """The trial with the best validation score among T trials.

    Attributes:
        number: number of the trial with the lowest mean log loss; the first of equal ones.
        trials: number of trials that could be selected.
        accuracy: accuracy of the trial on the images that selected it, without an interval, because it is biased.
        log_loss: log loss of the trial on the images that selected it, likewise.
        corrected: expected accuracy on new images of a trial selected in this way.
        corrected_log_loss: expected log loss on new images.
        chosen: (trial number, proportion of resamples in which it was selected), the most frequent first, at most
            five.
        sentence: summary in one sentence.
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
    def selection_bias(self) -> float | None:
        """Accuracy minus corrected accuracy; None if there is no corrected accuracy."""
        return _difference(self.accuracy, self.corrected)

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values for ``study.json``."""
        return {
            "number": self.number,
            "trials": self.trials,
            "accuracy": self.accuracy,
            "corrected": self.corrected,
            "luck": self.selection_bias,
            "log_loss": self.log_loss,
            "corrected_log_loss": self.corrected_log_loss,
            "log_loss_luck": _difference(self.corrected_log_loss, self.log_loss),
            "chosen": [{"number": number, "share": share} for number, share in self.chosen],
            "sentence": self.sentence,
        }


def assess_winner(
    losses: ArrayLike,
    right: ArrayLike,
    groups: ArrayLike | None,
    numbers: Sequence[int],
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Winner:
    """Return the best trial with its score corrected for selection bias.

    Resamples contain fewer different groups than the data, so the corrected score is slightly pessimistic. Its
    interval over groups is computed like that of a test score.

    Args:
        losses: log losses of T finished trials on M validation images, shape (T, M). A trial with a NaN or infinite
            loss is never selected and not counted.
        right: whether each trial classified each image correctly, bool, shape (T, M).
        groups: integer group ids, shape (M,); None if each image is its own group.
        numbers: trial numbers, length T. A trial may have several rows, one per epoch; the selection of the epoch is
            then corrected for as well.
        level: confidence level, between 0 and 1.
        resamples: number of resamples of the groups, at least 100.
        seed: random seed of the resamples.

    Returns:
        A `Winner`. With a single trial there is no selection, and the corrected scores equal its own. With a single
        group there is no corrected score; with fewer than 5 groups it has no interval.

    Raises:
        ValueError: shapes do not match; there is no trial, no image or no trial with finite losses.

    Reference: Tsamardinos, Greasidou & Borboudakis, Machine Learning 107(12), 2018 (BBC-CV). The mean is taken over
    groups first, as in the leave-one-out bootstrap of Efron & Tibshirani, Journal of the American Statistical
    Association 92(438), 1997; the interval is then about a quarter narrower than that from percentiles of left-out
    scores.

    >>> margins = 1 + np.random.default_rng(0).normal(size=(50, 200))  # 50 trials, all with true accuracy 0.841
    >>> result = assess_winner(np.log1p(np.exp(-margins)), margins > 0, None, range(50))
    >>> round(result.accuracy["value"], 3), format_interval(result.corrected)
    (0.885, '0.847 [0.787, 0.892]')
    """
    trials = check_trials(losses, right, groups, numbers)
    check_resampling(level, resamples)
    support, best, usable = trials.support(level), trials.best, trials.usable
    number = len({trials.numbers[row] for row in np.flatnonzero(usable)})
    reason = "the trial was selected on the same images"
    accuracy, log_loss = (
        support.score(float(sums[best].sum() / support.images), None, "mean", reason)
        for sums in (trials.hits, trials.losses)
    )
    chosen = {trials.numbers[best]: 1.0}
    if usable.sum() == 1:
        hits, loss, method = trials.hits[best], trials.losses[best], ""
    elif support.groups == 1:
        hits, loss, method = None, None, ""
    else:
        left_out = trials.left_out(usable, resamples, seed)
        hits, loss = trials.expected(trials.hits, left_out), trials.expected(trials.losses, left_out)
        method = ", each group scored by the trials selected without it"
        chosen = dict.fromkeys(trials.numbers, 0.0)
        for trial, share in zip(trials.numbers, left_out.sum(axis=1) / left_out.sum(), strict=True):
            chosen[trial] += float(share)
    if hits is None or loss is None:
        corrected = corrected_loss = support.score(None, None, "", "a single group cannot be resampled")
    else:
        corrected = proportion_score(hits, trials.counts, level, grouped=support.grouped, note=method)
        few = support.groups < MIN_GROUPS
        corrected_loss = support.score(
            float(loss.sum() / support.images),
            mean_interval(loss, trials.counts, level, resamples, seed + 1, at_least=trials.losses[best]),
            f"BCa bootstrap over {support.unit}, {resamples} resamples{method}",
            support.too_few_groups(support.groups) if few else "the loss is the same in every group",
        )
    listed = sorted(((n, share) for n, share in chosen.items() if share > 0), key=lambda entry: -entry[1])[:MAX_LISTED]
    return Winner(
        number=trials.numbers[best],
        trials=number,
        accuracy=accuracy,
        log_loss=log_loss,
        corrected=corrected,
        corrected_log_loss=corrected_loss,
        chosen=tuple(listed),
        sentence=_winner_sentence(trials.numbers[best], number, accuracy, corrected, alone=usable.sum() == 1),
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
    """Return the paired difference of two trials over groups, corrected for selection if the first is the winner.

    If ``a`` is the best of all rows, it was selected on these images, and its plain lead is biased upwards. Then, in
    each group, ``b`` is compared with the trials selected without that group, as in `assess_winner`. Any other two
    trials are compared as if they had been chosen in advance.

    Args:
        losses: as for `assess_winner`, of all finished trials, not only of the two.
        right: likewise.
        groups: likewise.
        a: row of the first trial, usually the best.
        b: row of the second trial, usually the default.
        numbers: trial numbers, length T, if trials have several rows, one per epoch; then the selection of the epoch
            is corrected for in both trials.
        names: names of the two trials; by default "trial A" and "trial B" with their numbers.
        level: as for `assess_winner`.
        resamples: likewise.
        seed: likewise.

    Returns:
        ``first``, ``second`` (names); ``difference``, ``low``, ``high`` of the accuracies (first minus second);
        ``log_loss`` with the same three keys, where negative values favor the first; ``better`` (a name; null if
        neither score distinguishes them, or both disagree); ``corrected`` (whether for selection); ``images``,
        ``groups``, ``level``, ``method``; ``reason`` (why there are no limits, else empty); and a ``sentence``.

    Raises:
        ValueError: as `assess_winner`; a row does not exist or has losses that are not finite.

    >>> margins = 1 + np.random.default_rng(0).normal(size=(50, 200))
    >>> losses = np.log1p(np.exp(-margins))
    >>> best = int(losses.mean(axis=1).argmin())
    >>> result = compare_trials(losses, margins > 0, None, best, 0, names=("the best", "the default"))
    >>> for clause in result["sentence"].split(": "):
    ...     print(clause)
    the best is not distinguishable from the default
    accuracy +0.017 [-0.044, +0.094], log loss +0.001 [-0.060, +0.059]
    """
    trials = check_trials(losses, right, groups, numbers)
    check_resampling(level, resamples)
    for row in (a, b):
        if not 0 <= row < len(trials.numbers) or not trials.usable[row]:
            raise ValueError(f"row {row} does not exist or has losses that are not finite ({len(trials.numbers)} rows)")
    first, second = names or (f"trial {trials.numbers[a]}", f"trial {trials.numbers[b]}")
    support = trials.support(level)
    corrected = trials.is_best(a) and a != b and support.groups > 1
    reason = "both are the same trial" if a == b else ""
    if not reason and support.groups < MIN_GROUPS:
        reason = support.too_few_groups(support.groups)
    candidates = [trials.usable if corrected else trials.rows_of(a), trials.rows_of(b)]
    left_out = [
        trials.left_out(rows, resamples, seed) if rows.sum() > 1 and support.groups > 1 else None for rows in candidates
    ]
    differences: list[dict[str, float | None]] = []
    for sums in (trials.hits, trials.losses):
        first_sums, second_sums = (
            sums[row] if counts is None else trials.expected(sums, counts)
            for row, counts in zip((a, b), left_out, strict=True)
        )
        gains = first_sums - second_sums
        plain = sums[a] - sums[b]
        limits = None if a == b else mean_interval(gains, trials.counts, level, resamples, seed + 1, plain)
        low, high = limits or (None, None)
        differences.append({"difference": float(gains.sum() / support.images), "low": low, "high": high})
    if not reason and differences[0]["low"] is None and differences[1]["low"] is None:
        reason = NO_SPREAD
    signs = [_significant_sign(differences[0]), -_significant_sign(differences[1])]  # positive: favors the first
    total = 0 if signs[0] * signs[1] < 0 else sum(signs)
    result: dict[str, Any] = {"first": first, "second": second, **differences[0], "log_loss": differences[1]}
    return result | {
        "better": (first if total > 0 else second) if total else None,
        "corrected": corrected,
        "images": support.images,
        "groups": support.groups,
        "level": level,
        "method": f"paired BCa bootstrap over {support.unit}, {resamples} resamples"
        + (", each group scored by the trials selected without it" if corrected else ""),
        "reason": reason,
        "sentence": _comparison_sentence(result, signs, reason),
    }


def _winner_sentence(number: int, trials: int, accuracy: Score, corrected: Score, *, alone: bool) -> str:
    if alone:
        return f"only trial {number} was available, so there is no selection bias: {format_interval(corrected)}"
    among = f"the best of {trials:,}" if trials > 1 else "at its best epoch"
    sentence = f"trial {number}, {among}, has validation accuracy {accuracy['value']:.3f}"
    bias = _difference(accuracy, corrected)
    if bias is None:
        return f"{sentence}; its selection bias cannot be estimated: {corrected['reason']}"
    sentence += f"; corrected for selection bias, {format_interval(corrected)} is expected on new images"
    if bias >= VISIBLE:
        return f"{sentence}: the estimated bias is {bias:.3f}"
    return f"{sentence}: no bias was found"


def _comparison_sentence(result: dict[str, Any], signs: list[int], reason: str) -> str:
    first, second = result["first"], result["second"]
    if reason:
        return f"{first} and {second} cannot be compared: {reason}"
    clauses = []
    for name, score in (("accuracy", result), ("log loss", result["log_loss"])):
        limits = "(no interval)" if score["low"] is None else f"[{score['low']:+.3f}, {score['high']:+.3f}]"
        clauses.append(f"{name} {score['difference']:+.3f} {limits}")
    verdicts = {1: f"better than {second}", -1: f"worse than {second}", 0: f"not distinguishable from {second}"}
    if signs[0] == signs[1]:
        verdict = verdicts[signs[0]]
    else:
        verdict = f"{verdicts[signs[1]]} in log loss and {verdicts[signs[0]].replace(f' {second}', ' it')} in accuracy"
    return f"{first} is {verdict}: {', '.join(clauses)}"


def _significant_sign(difference: dict[str, float | None]) -> int:
    """Return 1 or -1 if the interval lies above or below 0, and 0 if it contains 0 or is missing."""
    low, high = difference["low"], difference["high"]
    if low is None or high is None or low <= 0 <= high:
        return 0
    return 1 if low > 0 else -1


def _difference(first: Score, second: Score) -> float | None:
    """Return the first value minus the second; None if one of them is missing."""
    if first["value"] is None or second["value"] is None:
        return None
    return first["value"] - second["value"]
