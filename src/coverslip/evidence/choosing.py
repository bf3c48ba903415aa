"""Choosing the best of many trials again and again: which win on resamples, and how they do on what was left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from coverslip.evidence.basis import Basis
from coverslip.evidence.intervals import FEWEST_GROUPS, Limits, bca, freedom_of_spread, quantile
from coverslip.evidence.resampling import weight_blocks

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Trials:
    """What T trials (or epochs of trials) made of the same images, as sums of the G groups of these.

    Attributes:
        numbers: T trial numbers; a trial may have several rows.
        losses: (T, G) sum of log losses; infinity throughout where a trial has a loss that is no number.
        hits: (T, G) images named correctly.
        counts: (G,) images, above 0.
        grouped: false where each image is its own group.
    """

    numbers: tuple[int, ...]
    losses: FloatArray
    hits: FloatArray
    counts: FloatArray
    grouped: bool

    @property
    def usable(self) -> BoolArray:
        """(T,) which trials have finite losses; only these can be chosen."""
        return np.asarray(np.isfinite(self.losses).all(axis=1))

    @property
    def best(self) -> int:
        """The place of the lowest mean log loss, of equal ones the first."""
        return int(self.losses.sum(axis=1).argmin())

    def is_best(self, place: int) -> bool:
        """Whether this trial was chosen by its loss, be the sum of it rounded otherwise elsewhere."""
        totals = self.losses.sum(axis=1)
        return bool(totals[place] <= totals.min() + 1e-5 * abs(totals.min()))

    def basis(self, level: float) -> Basis:
        """What the scores rest on."""
        return Basis(int(self.counts.sum()), len(self.counts), level, self.grouped)

    def rows_of(self, place: int) -> BoolArray:
        """(T,) the usable rows of the trial that has this one."""
        return np.asarray([number == self.numbers[place] for number in self.numbers] & self.usable)

    def left_out(self, among: BoolArray, resamples: int, seed: int) -> FloatArray:
        """(T, G) in how many resamples a row was the best among these, and the group was not drawn.

        The same seed gives the same resamples, whatever the rows.

        Reference: Tsamardinos, Greasidou & Borboudakis, Machine Learning 107(12), 2018.
        """
        places = np.flatnonzero(among)
        losses, found = self.losses[places], np.zeros(self.losses.shape)
        for weights in weight_blocks(np.zeros(len(self.counts), np.int64), resamples, seed, max(self.losses.shape)):
            picks = places[(losses @ weights).argmin(axis=0)]
            for place in np.unique(picks):
                found[place] += (weights[:, picks == place] == 0).sum(axis=1)
        return found

    def expected(self, sums: FloatArray, left_out: FloatArray) -> FloatArray:
        """(G,) mean of the (T, G) sums of each group over the rows that were chosen without it."""
        return np.asarray((left_out * np.where(left_out > 0, sums, 0.0)).sum(axis=0) / left_out.sum(axis=0))


def check_trials(
    losses: ArrayLike, right: ArrayLike, groups: ArrayLike | None, numbers: Sequence[int] | None = None
) -> Trials:
    """Check what trials said of M images, and add it up by groups.

    Args:
        losses: (T, M) floats.
        right: (T, M) bool.
        groups: (M,) integers; None where each image stands for itself.
        numbers: T trial numbers; 0 to T - 1 unless given.

    Raises:
        ValueError: shapes that do not agree, no trial, no image, no trial with finite losses.
    """
    loss, hit = np.asarray(losses, dtype=np.float64), np.asarray(right)
    if loss.ndim != 2 or not loss.size or hit.shape != loss.shape:
        raise ValueError(f"losses and right must both be (trials, images), not {loss.shape} and {hit.shape}")
    trials, images = loss.shape
    names = tuple(range(trials)) if numbers is None else tuple(int(number) for number in numbers)
    if len(names) != trials:
        raise ValueError(f"numbers must be {trials} trial numbers, not {len(names)}")
    of_group = np.arange(images) if groups is None else np.asarray(groups)
    if of_group.shape != (images,):
        raise ValueError(f"groups must be a number for each of {images} images, not {of_group.shape}")
    _, place, counts = np.unique(of_group, return_inverse=True, return_counts=True)
    order = np.argsort(place, kind="stable")
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    finite = np.isfinite(loss).all(axis=1)
    if not finite.any():
        raise ValueError("no trial has finite losses")
    sums = [np.add.reduceat(each[:, order], starts, axis=1) for each in (loss, hit.astype(np.float64))]
    sums[0][~finite] = np.inf
    return Trials(names, sums[0], sums[1], counts.astype(np.float64), grouped=len(counts) < images)


def check_resampling(level: float, resamples: int) -> None:
    """Refuse a level that is no share, and fewer than 100 resamples, with a ValueError."""
    if not 0 < level < 1 or resamples < 100:
        raise ValueError(f"level is {level} and resamples {resamples}: a share, and at least 100, are needed")


def mean_limits(
    sums: FloatArray,
    counts: FloatArray,
    level: float,
    resamples: int,
    seed: int,
    at_least: FloatArray | None = None,
) -> Limits | None:
    """BCa interval of a mean over images, by resampling groups.

    Args:
        sums: (G,) of each group.
        counts: (G,) images of each group, above 0.
        level: for example 0.95.
        resamples: how many.
        seed: of the resamples.
        at_least: (G,) other sums; the interval is made no narrower than their spread between groups demands.

    Returns:
        (low, high), or None under five groups, and where all groups show the same.
    """
    value, moves = _moves(sums, counts)
    if len(counts) < FEWEST_GROUPS or np.ptp(moves) < 1e-12:
        return None
    blocks = weight_blocks(np.zeros(len(counts), np.int64), resamples, seed, len(counts))
    drawn = np.concatenate([(sums @ weights) / (counts @ weights) for weights in blocks])
    width = quantile(level, freedom_of_spread(moves, len(counts) - 1))
    if at_least is not None:
        _, other = _moves(at_least, counts)
        stretch = max(1.0, float(np.linalg.norm(other) / np.linalg.norm(moves)))
        drawn = value + (drawn - value) * stretch
    return bca(value, drawn, moves, width)


def _moves(sums: FloatArray, counts: FloatArray) -> tuple[float, FloatArray]:
    """The mean over images, and (G,) how it moves with the weight of each group."""
    value = float(sums.sum() / counts.sum())
    return value, np.asarray((sums - value * counts) / counts.sum())
