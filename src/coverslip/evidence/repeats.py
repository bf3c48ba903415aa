"""Repeated training: variation of a score between folds and seeds, compared with sampling variation of test images."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from coverslip.evidence.intervals import critical_value

FloatArray = NDArray[np.float64]
NO_SPREAD = 1e-12


def fold_interval(scores: FloatArray, tested: float, trained: float, level: float = 0.95) -> dict[str, Any]:
    """Return the mean score of a cross-validation with the corrected resampled t interval.

    The models of different folds share most of their training images, so their scores are correlated and the usual
    standard error is far too small. The variance factor is therefore increased from 1 / R to 1 / R + tested / trained.

    Args:
        scores: score of each fold (folds x repeats), or difference between two models, shape (R,), finite.
        tested: number of images tested per fold, above 0; with groups, the number of groups.
        trained: number of images trained on per fold, above 0, in the same unit.
        level: confidence level, between 0 and 1.

    Returns:
        ``mean``, ``low``, ``high``, ``level``, ``spread`` (standard deviation), ``least``, ``most``, ``number``,
        ``method``. Limits are null, with a ``reason``, for a single fold or if all folds have the same score.

    Raises:
        ValueError: there is no score; NaN or infinity; ``tested`` or ``trained`` is not above 0.

    References:
        Nadeau & Bengio, Machine Learning 52(3), 2003; for repeated folds Bouckaert & Frank, PAKDD 2004.

    >>> result = fold_interval(np.array([0.90, 0.92, 0.88, 0.91, 0.89]), tested=20, trained=80)
    >>> round(result["mean"], 3), round(result["low"], 3), round(result["high"], 3)  # plain t interval: 0.880 to 0.920
    (0.9, 0.871, 0.929)
    """
    if not tested > 0 or not trained > 0:
        raise ValueError(f"tested and trained must be above 0, not {tested} and {trained}")
    method = f"corrected resampled t over {len(scores)} folds (Nadeau & Bengio)"
    return _mean_with_interval(scores, 1 / max(1, len(scores)) + tested / trained, level, method, "fold")


def seed_interval(scores: FloatArray, level: float = 0.95) -> dict[str, Any]:
    """Return the mean score over seeds with its t interval.

    The interval covers other seeds on the same images only, not other images.

    Args:
        scores: score of each seed on the same test images, shape (R,).
        level: confidence level, between 0 and 1.

    Returns:
        As `fold_interval`.

    Raises:
        ValueError: there is no score; NaN or infinity.

    >>> seed_interval(np.array([0.9, 0.9, 0.9]))["reason"]
    'all seeds have the same score'
    """
    return _mean_with_interval(scores, 1 / max(1, len(scores)), level, f"t over {len(scores)} seeds", "seed")


def _mean_with_interval(scores: FloatArray, factor: float, level: float, method: str, unit: str) -> dict[str, Any]:
    """Return mean and t interval; ``factor`` times the variance of the scores is the variance of the mean."""
    scores = _check(scores)
    number, mean = len(scores), float(scores.mean())
    spread = float(scores.std(ddof=1)) if number > 1 else None
    result: dict[str, Any] = {
        "mean": mean, "low": None, "high": None, "level": level, "spread": spread, "least": float(scores.min()),
        "most": float(scores.max()), "number": number, "method": method,
    }  # fmt: skip
    if spread is None:
        return result | {"reason": f"the variance cannot be estimated from a single {unit}"}
    if spread < NO_SPREAD:
        return result | {"reason": f"all {unit}s have the same score"}
    half = float(critical_value(level, number - 1) * spread * np.sqrt(factor))
    return result | {"low": mean - half, "high": mean + half}


def variance_components(hits: FloatArray, counts: FloatArray) -> dict[str, Any]:
    """Return the standard deviation of an accuracy between seeds and its standard error over test groups.

    Args:
        hits: correctly classified images per seed and group, shape (R, G), or any other sums whose total divided by
            the number of images is the score.
        counts: images per group, shape (G,), above 0.

    Returns:
        ``mean`` over seeds; ``of_seed``, standard deviation between seeds on these images (null for one seed);
        ``of_images``, standard error of the score of one seed over groups (root mean of the variances of all seeds;
        null for one group); ``share_of_seed``, proportion of the seed in the sum of both variances, 0 to 1 (null if
        undefined); and a ``sentence``.

    Raises:
        ValueError: shapes do not match; NaN or infinity; a group without images.

    Reference: Bouthillier et al., Accounting for Variance in Machine Learning Benchmarks, MLSys 2021.

    >>> hits = np.array([[9.0, 5.0, 10.0, 8.0], [9.0, 6.0, 10.0, 8.0]])
    >>> variance_components(hits, np.full(4, 10.0))["sentence"]
    'standard deviation due to the seed: 0.018; due to the choice of test images: 0.097: mostly the test images'
    """
    hits, counts = np.asarray(hits, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    if hits.ndim != 2 or counts.shape != hits.shape[1:] or not hits.size:
        raise ValueError(f"hits must have shape (seeds, groups) and counts (groups,), not {hits.shape}, {counts.shape}")
    if not np.isfinite(hits).all() or not (counts > 0).all():
        raise ValueError("hits must be finite numbers, and counts above 0")
    seeds, groups = hits.shape
    scores = hits.sum(axis=1) / counts.sum()
    of_seed = float(scores.std(ddof=1)) if seeds > 1 else None
    of_images = None
    if groups > 1:
        residuals = hits - scores[:, None] * counts
        variance = groups / (groups - 1) * (residuals**2).sum(axis=1) / counts.sum() ** 2
        of_images = float(np.sqrt(variance.mean()))
    result: dict[str, Any] = {"mean": float(scores.mean()), "of_seed": of_seed, "of_images": of_images}
    if of_seed is None or of_images is None:
        sentence = "separating the effects of seed and test images requires at least two seeds and two groups"
        return result | {"share_of_seed": None, "sentence": sentence}
    if of_seed + of_images < NO_SPREAD:
        return result | {"share_of_seed": None, "sentence": "the score varies neither with the seed nor between groups"}
    share = of_seed**2 / (of_seed**2 + of_images**2)
    larger = (
        "mostly the seed"
        if share > 2 / 3
        else "mostly the test images"
        if share < 1 / 3
        else "both to a similar degree"
    )
    sentence = f"standard deviation due to the seed: {of_seed:.3f}; due to the choice of test images: {of_images:.3f}"
    return result | {"share_of_seed": share, "sentence": f"{sentence}: {larger}"}


def compare_seeds(first: FloatArray, second: FloatArray, level: float = 0.95) -> dict[str, Any]:
    """Compare two training methods over seeds on the same test images.

    Args:
        first: score of each seed of the first method, higher is better, shape (R1,).
        second: score of each seed of the second method, shape (R2,).
        level: confidence level, between 0 and 1.

    Returns:
        ``difference`` of the means (second minus first) with Welch's t interval over seeds (null, with a ``reason``,
        for one seed or without variation); ``one_seed``, standard deviation of the difference between single seeds
        (null for one seed); ``second_ahead``, proportion of seed pairs in which the second method is ahead, ties
        counting one half; and a ``sentence``. The result applies to these test images only.

    Raises:
        ValueError: there is no score; NaN or infinity.

    References:
        Welch, Biometrika 34(1-2), 1947; for the proportion of pairs Bouthillier et al., MLSys 2021.

    >>> compare_seeds(np.array([0.80, 0.82, 0.81]), np.array([0.83, 0.81, 0.84]))["sentence"]
    'mean difference (second minus first): 0.017; second ahead in 83 % of seed pairs; SD for single seeds: 0.018'
    """
    first, second = _check(first), _check(second)
    difference = float(second.mean() - first.mean())
    ahead = float((second[:, None] > first).mean() + (np.abs(second[:, None] - first) < NO_SPREAD).mean() / 2)
    result: dict[str, Any] = {"difference": difference, "low": None, "high": None, "level": level, "one_seed": None}
    result["second_ahead"] = ahead
    sentence = (
        f"mean difference (second minus first): {difference:.3f}; second ahead in {ahead * 100:.0f} % of seed pairs"
    )
    if min(len(first), len(second)) < 2:
        reason = "the variance cannot be estimated from a single seed"
        return result | {"reason": reason, "sentence": f"{sentence}; with one seed each, the variance is unknown"}
    variances = [float(scores.var(ddof=1)) for scores in (first, second)]
    result["one_seed"] = float(np.sqrt(sum(variances)))
    if result["one_seed"] < NO_SPREAD:
        return result | {"reason": "all seeds have the same score", "sentence": f"{sentence}; the seed has no effect"}
    numbers = [len(scores) for scores in (first, second)]
    errors = [variance / number for variance, number in zip(variances, numbers, strict=True)]
    # Welch-Satterthwaite degrees of freedom
    df = sum(errors) ** 2 / sum(error**2 / (number - 1) for error, number in zip(errors, numbers, strict=True))
    half = critical_value(level, df) * float(np.sqrt(sum(errors)))
    result |= {"low": difference - half, "high": difference + half}
    return result | {"sentence": f"{sentence}; SD for single seeds: {result['one_seed']:.3f}"}


def _check(scores: FloatArray) -> FloatArray:
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 1 or len(scores) == 0 or not np.isfinite(scores).all():
        raise ValueError(f"scores must be finite numbers of shape (R,), R at least 1, not {scores.shape}")
    return scores
