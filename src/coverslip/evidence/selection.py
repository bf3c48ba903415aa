"""Resampled selection of the best of many trials, each group scored by the trials selected without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from coverslip.evidence.intervals import MIN_GROUPS, Interval, bca_interval, critical_value, effective_df
from coverslip.evidence.resampling import weight_blocks
from coverslip.evidence.support import Support

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class TrialSums:
    """Log loss and accuracy of T trials (or epochs of trials) on the same images, summed over G groups.

    Attributes:
        numbers: trial number of each row, length T; a trial may have several rows.
        losses: sum of log losses, shape (T, G); infinity throughout for a trial with a loss that is not finite.
        hits: number of correctly classified images, shape (T, G).
        counts: number of images, shape (G,), above 0.
        grouped: False if each image is its own group.
    """

    numbers: tuple[int, ...]
    losses: FloatArray
    hits: FloatArray
    counts: FloatArray
    grouped: bool

    @property
    def usable(self) -> BoolArray:
        """Whether each row has finite losses and can be selected, shape (T,)."""
        return np.asarray(np.isfinite(self.losses).all(axis=1))

    @property
    def best(self) -> int:
        """Row of the lowest mean log loss; the first of equal ones."""
        return int(self.losses.sum(axis=1).argmin())

    def is_best(self, row: int) -> bool:
        """Return whether a row has the lowest loss, up to rounding (losses may have been summed in float32)."""
        totals = self.losses.sum(axis=1)
        return bool(totals[row] <= totals.min() + 1e-5 * abs(totals.min()))

    def support(self, level: float) -> Support:
        """Return the sample that the scores are computed from."""
        return Support(int(self.counts.sum()), len(self.counts), level, self.grouped)

    def rows_of(self, row: int) -> BoolArray:
        """Return which rows are usable and belong to the same trial as ``row``, shape (T,)."""
        return np.asarray([number == self.numbers[row] for number in self.numbers] & self.usable)

    def left_out(self, candidates: BoolArray, resamples: int, seed: int) -> FloatArray:
        """Return in how many resamples each row was the best and each group was not drawn, shape (T, G).

        The same seed gives the same resamples, whatever the candidates.

        Args:
            candidates: rows that can be selected, shape (T,).
            resamples: number of resamples of the groups.
            seed: random seed.

        Reference: Tsamardinos, Greasidou & Borboudakis, Machine Learning 107(12), 2018.
        """
        rows = np.flatnonzero(candidates)
        losses, counts = self.losses[rows], np.zeros(self.losses.shape)
        for weights in weight_blocks(np.zeros(len(self.counts), np.int64), resamples, seed, max(self.losses.shape)):
            selected = rows[(losses @ weights).argmin(axis=0)]
            for row in np.unique(selected):
                counts[row] += (weights[:, selected == row] == 0).sum(axis=1)
        return counts

    def expected(self, sums: FloatArray, left_out: FloatArray) -> FloatArray:
        """Return the mean of ``sums``, shape (T, G), over the rows selected without each group, shape (G,)."""
        return np.asarray((left_out * np.where(left_out > 0, sums, 0.0)).sum(axis=0) / left_out.sum(axis=0))


def check_trials(
    losses: ArrayLike, right: ArrayLike, groups: ArrayLike | None, numbers: Sequence[int] | None = None
) -> TrialSums:
    """Validate the results of trials on M images and sum them over groups.

    Args:
        losses: log losses, shape (T, M).
        right: whether each image was classified correctly, bool, shape (T, M).
        groups: integer group ids, shape (M,); None if each image is its own group.
        numbers: trial numbers, length T; by default 0 to T - 1.

    Raises:
        ValueError: shapes do not match; there is no trial, no image or no trial with finite losses.
    """
    loss, correct = np.asarray(losses, dtype=np.float64), np.asarray(right)
    if loss.ndim != 2 or not loss.size or correct.shape != loss.shape:
        raise ValueError(f"losses and right must both have shape (trials, images), not {loss.shape}, {correct.shape}")
    trials, images = loss.shape
    trial_numbers = tuple(range(trials)) if numbers is None else tuple(int(number) for number in numbers)
    if len(trial_numbers) != trials:
        raise ValueError(f"numbers must be {trials} trial numbers, not {len(trial_numbers)}")
    group_ids = np.arange(images) if groups is None else np.asarray(groups)
    if group_ids.shape != (images,):
        raise ValueError(f"groups must have shape ({images},), not {group_ids.shape}")
    _, codes, counts = np.unique(group_ids, return_inverse=True, return_counts=True)
    order = np.argsort(codes, kind="stable")
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    finite = np.isfinite(loss).all(axis=1)
    if not finite.any():
        raise ValueError("no trial has finite losses")
    sums = [np.add.reduceat(values[:, order], starts, axis=1) for values in (loss, correct.astype(np.float64))]
    sums[0][~finite] = np.inf
    return TrialSums(trial_numbers, sums[0], sums[1], counts.astype(np.float64), grouped=len(counts) < images)


def check_resampling(level: float, resamples: int) -> None:
    """Raise a ValueError if ``level`` is not between 0 and 1 or there are fewer than 100 resamples."""
    if not 0 < level < 1 or resamples < 100:
        raise ValueError(f"level must lie between 0 and 1 and resamples be at least 100, not {level} and {resamples}")


def mean_interval(
    sums: FloatArray,
    counts: FloatArray,
    level: float,
    resamples: int,
    seed: int,
    at_least: FloatArray | None = None,
) -> Interval | None:
    """Return the BCa interval of a mean over images by resampling groups.

    Args:
        sums: sums per group, shape (G,).
        counts: images per group, shape (G,), above 0.
        level: confidence level, between 0 and 1.
        resamples: number of resamples.
        seed: random seed of the resamples.
        at_least: sums of a reference, shape (G,); the interval is made at least as wide as the variation of the
            reference between groups requires. An average over many trials varies less than the single trial that will
            be used.

    Returns:
        (low, high); None for fewer than 5 groups, or if all groups have the same mean.
    """
    value, influence = _mean_and_influence(sums, counts)
    if len(counts) < MIN_GROUPS or np.ptp(influence) < 1e-12:
        return None
    blocks = weight_blocks(np.zeros(len(counts), np.int64), resamples, seed, len(counts))
    resampled = np.concatenate([(sums @ weights) / (counts @ weights) for weights in blocks])
    critical = critical_value(level, effective_df(influence, len(counts) - 1))
    if at_least is not None:
        _, reference = _mean_and_influence(at_least, counts)
        stretch = max(1.0, float(np.linalg.norm(reference) / np.linalg.norm(influence)))
        resampled = value + (resampled - value) * stretch
    return bca_interval(value, resampled, influence, critical)


def _mean_and_influence(sums: FloatArray, counts: FloatArray) -> tuple[float, FloatArray]:
    """Return the mean over images and the influence of each group on it, shape (G,)."""
    value = float(sums.sum() / counts.sum())
    return value, np.asarray((sums - value * counts) / counts.sum())
