"""Several seeds and folds: what a score owes to chance in training, and what to the images that tested it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from coverslip.evidence.intervals import quantile

FloatArray = NDArray[np.float64]
NO_SPREAD = 1e-12


def fold_interval(scores: FloatArray, tested: float, trained: float, level: float = 0.95) -> dict[str, Any]:
    """Mean score of a cross-validation with the corrected resampled t interval.

    The folds' models share most of their training images, so their scores are no independent repeats: the usual
    standard error is far too small. Its variance is enlarged from 1 / R to 1 / R + tested / trained.

    Args:
        scores: (R,) score, or difference between two models, of each fold (folds x repeats); NaN is refused.
        tested: images tested in a fold, above 0; with groups, count groups.
        trained: images trained on in a fold, above 0, counted the same way.
        level: for example 0.95.

    Returns:
        ``mean``, ``low``, ``high``, ``spread`` (standard deviation), ``least``, ``most``, ``number``, ``method``;
        limits null with a ``reason`` for one fold, or where all folds have the same score.

    Raises:
        ValueError: no score; NaN or infinity; a number of images that is not above 0.

    Reference: Nadeau & Bengio, Machine Learning 52(3), 2003; for repeated folds Bouckaert & Frank, PAKDD 2004.

    >>> told = fold_interval(np.array([0.90, 0.92, 0.88, 0.91, 0.89]), tested=20, trained=80)
    >>> round(told["mean"], 3), round(told["low"], 3), round(told["high"], 3)       # a plain t interval: 0.880 to 0.920
    (0.9, 0.871, 0.929)
    """
    if not tested > 0 or not trained > 0:
        raise ValueError(f"tested and trained must be above 0, not {tested} and {trained}")
    method = f"corrected resampled t over {len(scores)} folds (Nadeau & Bengio)"
    return _mean_with_limits(scores, 1 / max(1, len(scores)) + tested / trained, level, method, "fold")


def seed_interval(scores: FloatArray, level: float = 0.95) -> dict[str, Any]:
    """Mean score over seeds with its t interval: what more seeds on the same images would give, and no more.

    Args:
        scores: (R,) score of each seed on the same test images.
        level: for example 0.95.

    Returns:
        As `fold_interval`.

    Raises:
        ValueError: no score; NaN or infinity.

    >>> seed_interval(np.array([0.9, 0.9, 0.9]))["reason"]
    'every seed gave the same score'
    """
    return _mean_with_limits(scores, 1 / max(1, len(scores)), level, f"t over {len(scores)} seeds", "seed")


def _mean_with_limits(scores: FloatArray, share: float, level: float, method: str, unit: str) -> dict[str, Any]:
    scores = _checked(scores)
    number, mean = len(scores), float(scores.mean())
    spread = float(scores.std(ddof=1)) if number > 1 else None
    told: dict[str, Any] = {
        "mean": mean, "low": None, "high": None, "level": level, "spread": spread, "least": float(scores.min()),
        "most": float(scores.max()), "number": number, "method": method,
    }  # fmt: skip
    if spread is None:
        return told | {"reason": f"one {unit} shows no spread"}
    if spread < NO_SPREAD:
        return told | {"reason": f"every {unit} gave the same score"}
    half = float(quantile(level, number - 1) * spread * np.sqrt(share))
    return told | {"low": mean - half, "high": mean + half}


def seeds_beside_images(hits: FloatArray, counts: FloatArray) -> dict[str, Any]:
    """How far an accuracy would move with another seed, and with other test images.

    Args:
        hits: (R, G) images of each group that the model of each seed named correctly; any sum of a score whose mean
            over images is the score will do.
        counts: (G,) images of each group, above 0.

    Returns:
        ``mean`` (over seeds), ``of_seed`` (standard deviation between seeds on these images, null for one seed),
        ``of_images`` (standard error of one seed's score over groups, mean of the seeds' variances), and
        ``share_of_seed`` (the seed's part of the sum of both variances, 0 to 1) and a plain ``sentence``. Null
        values for one group.

    Raises:
        ValueError: shapes that do not agree; NaN or infinity; a group without images.

    Reference: Bouthillier et al., Accounting for Variance in Machine Learning Benchmarks, MLSys 2021.

    >>> hits = np.array([[9.0, 5.0, 10.0, 8.0], [9.0, 6.0, 10.0, 8.0]])
    >>> seeds_beside_images(hits, np.full(4, 10.0))["sentence"]
    'another seed moves the score by about 0.018, other test images by about 0.097: mostly the images'
    """
    hits, counts = np.asarray(hits, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    if hits.ndim != 2 or counts.shape != hits.shape[1:] or not hits.size:
        raise ValueError(f"hits must be (seeds, groups) and counts (groups,), not {hits.shape} and {counts.shape}")
    if not np.isfinite(hits).all() or not (counts > 0).all():
        raise ValueError("hits must be finite numbers, and counts above 0")
    seeds, groups = hits.shape
    scores = hits.sum(axis=1) / counts.sum()
    of_seed = float(scores.std(ddof=1)) if seeds > 1 else None
    of_images = None
    if groups > 1:
        rest = hits - scores[:, None] * counts
        variance = groups / (groups - 1) * (rest**2).sum(axis=1) / counts.sum() ** 2
        of_images = float(np.sqrt(variance.mean()))
    told: dict[str, Any] = {"mean": float(scores.mean()), "of_seed": of_seed, "of_images": of_images}
    if of_seed is None or of_images is None or of_seed + of_images < NO_SPREAD:
        lacking = "two seeds and two groups" if of_seed is None or of_images is None else "some difference"
        return told | {"share_of_seed": None, "sentence": f"what seed and images contribute takes {lacking} to tell"}
    share = of_seed**2 / (of_seed**2 + of_images**2)
    mostly = "mostly the seed" if share > 2 / 3 else "mostly the images" if share < 1 / 3 else "both alike"
    moved = f"another seed moves the score by about {of_seed:.3f}, other test images by about {of_images:.3f}"
    return told | {"share_of_seed": share, "sentence": f"{moved}: {mostly}"}


def seed_share(first: FloatArray, second: FloatArray, level: float = 0.95) -> dict[str, Any]:
    """How much of the difference between two ways of training is the seed.

    Args:
        first: (R1,) score of each seed, higher is better, on the same test images.
        second: (R2,) likewise, of the other way.
        level: for example 0.95.

    Returns:
        ``difference`` of the means (second less first) with Welch's t interval over seeds (null with a ``reason`` for
        one seed, or without spread), ``one_seed`` (standard deviation of a difference between single seeds, null for
        one seed), ``second_ahead`` (share of the pairs of seeds in which the second is ahead, a tie a half), and a
        ``sentence``. It speaks of these test images only.

    Raises:
        ValueError: no score; NaN or infinity.

    Reference: Welch, Biometrika 34(1-2), 1947; for the share of pairs Bouthillier et al., MLSys 2021.

    >>> seed_share(np.array([0.80, 0.82, 0.81]), np.array([0.83, 0.81, 0.84]))["sentence"]
    'the second is ahead by 0.017 on average, and in 83 % of the pairs of seeds; one seed moves the difference by 0.018'
    """
    first, second = _checked(first), _checked(second)
    difference = float(second.mean() - first.mean())
    ahead = float((second[:, None] > first).mean() + (np.abs(second[:, None] - first) < NO_SPREAD).mean() / 2)
    told: dict[str, Any] = {"difference": difference, "low": None, "high": None, "level": level, "one_seed": None}
    told["second_ahead"] = ahead
    said = f"the second is ahead by {difference:.3f} on average, and in {ahead * 100:.0f} % of the pairs of seeds"
    if min(len(first), len(second)) < 2:
        return told | {"reason": "one seed shows no spread", "sentence": f"{said}; one seed each cannot tell more"}
    parts = [float(each.var(ddof=1)) for each in (first, second)]
    told["one_seed"] = float(np.sqrt(sum(parts)))
    if told["one_seed"] < NO_SPREAD:
        return told | {"reason": "every seed gave the same score", "sentence": f"{said}; the seed changes nothing"}
    errors = [part / len(each) for part, each in zip(parts, (first, second), strict=True)]
    freedom = sum(errors) ** 2 / sum(e**2 / (len(s) - 1) for e, s in zip(errors, (first, second), strict=True))
    half = quantile(level, freedom) * float(np.sqrt(sum(errors)))
    told |= {"low": difference - half, "high": difference + half}
    return told | {"sentence": f"{said}; one seed moves the difference by {told['one_seed']:.3f}"}


def _checked(scores: FloatArray) -> FloatArray:
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 1 or len(scores) == 0 or not np.isfinite(scores).all():
        raise ValueError(f"scores must be a row of finite numbers, at least one, not {scores.shape}")
    return scores
