"""Recalibration of probabilities: adjustment to other class frequencies, and temperature scaling.

If classes were rebalanced for training, apply `correct_priors` first, then `fit_temperature`, on the logits of images
that were not used for training (cross-fitted logits for a head). All temperatures of the package are fitted here.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from coverslip.core.errors import UserError

FloatArray = NDArray[np.float64]
TEMPERATURES = (0.05, 20.0)  # search range
PRIOR_WEIGHT = 2.0  # pseudo-observations at a temperature of 1; `benchmarks/temperature.py` compares others


def correct_priors(
    probabilities: NDArray[np.floating[Any]], assumed: NDArray[np.floating[Any]], target: NDArray[np.floating[Any]]
) -> FloatArray:
    """Adjust probabilities to class frequencies that differ from those of training.

    Args:
        probabilities: shape (N, K), rows sum to 1.
        assumed: class frequencies in training, shape (K,), 0 or more (equal if classes were rebalanced).
        target: class frequencies where the model is used, shape (K,), 0 or more; 0 excludes a class.

    Returns:
        Adjusted probabilities, shape (N, K), rows sum to 1. A row whose entire probability was excluded becomes
        ``target``.

    Raises:
        ValueError: shapes do not match; frequencies are negative, infinite or all 0; a class with ``assumed`` 0 has a
            positive ``target``.

    Reference: Saerens, Latinne & Decaestecker, Neural Computation 14(1), 2002, equation 2.4.

    >>> correct_priors(np.array([[0.5, 0.5]]), np.array([0.5, 0.5]), np.array([0.9, 0.1]))
    array([[0.9, 0.1]])
    """
    rows, old, new = (np.asarray(array, dtype=np.float64) for array in (probabilities, assumed, target))
    if rows.ndim != 2 or old.shape != rows.shape[1:] or new.shape != rows.shape[1:]:
        raise ValueError(f"assumed and target must have shape {rows.shape[1:]}, not {old.shape} and {new.shape}")
    if not np.isfinite([old, new]).all() or min(old.min(), new.min()) < 0 or min(old.sum(), new.sum()) == 0:
        raise ValueError("class frequencies must be 0 or more, and not all 0")
    if (new[old == 0] > 0).any():
        raise ValueError("a class with frequency 0 in training cannot have a positive target frequency")
    old, new = old / old.sum(), new / new.sum()
    adjusted = rows * np.divide(new, old, out=np.zeros_like(new), where=old > 0)
    total = adjusted.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(adjusted, total, out=np.tile(new, (len(rows), 1)), where=total > 0))


def softmax(logits: NDArray[np.floating[Any]], temperature: float = 1.0) -> NDArray[np.float64]:
    """Return softmax(logits / temperature), float64 (N, K), rows sum to 1, for logits of shape (N, K).

    >>> softmax(np.array([[0.0, 0.0]])).tolist()
    [[0.5, 0.5]]
    """
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)  # avoids overflow of exp
    powers = np.exp(scaled)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def fit_temperature(
    logits: NDArray[np.floating[Any]], labels: NDArray[np.integer[Any]], groups: Iterable[Hashable] | None = None
) -> float:
    """Return the temperature that logits are divided by before the softmax.

    The temperature T minimizes, over the N images::

        mean_i CE(softmax(logits_i / T), label_i) + PRIOR_WEIGHT * log(T) ** 2 / (2 * M)

    M is the number of groups, or N where ``groups`` is not given. The second term is a normal prior on log T with mean
    0 and variance ``1 / PRIOR_WEIGHT``. Its influence decreases as 1 / M. The information of one image about log T, at
    T = 1, is the variance of its logits under its own probabilities, so the prior weighs as much as ``PRIOR_WEIGHT``
    images whose logits have a variance of 1. Without a prior, T tends to 0 where every image is classified correctly,
    and the probabilities tend to 1, whatever the number of images.

    The prior is relative to groups because images of one group tend to be correct or wrong together, which makes an
    estimate from N images as uncertain as one from fewer.

    Args:
        logits: floating point, shape (N, K), of images that were not used for training.
        labels: true class ids, shape (N,), values in 0..K-1.
        groups: group of each image, length N. By default each image is its own group.

    Returns:
        T in 0.05 to 20. A temperature above 1 means that the uncalibrated probabilities are overconfident.

    Raises:
        UserError: the logits contain NaN or infinity.
        ValueError: there is no image; shapes do not match; labels are out of range.

    References:
        Guo, Pleiss, Sun & Weinberger, On calibration of modern neural networks, ICML 2017 (the first term);
        Gelman, Jakulin, Pittau & Su, A weakly informative default prior distribution for logistic and other
        regression models, Annals of Applied Statistics 2(4), 2008 (why separable data need a prior). The weight was
        chosen by simulation, see ``benchmarks/results/temperature.md``.

    >>> labels = np.arange(24) % 2
    >>> separable = 2.0 * np.eye(2)[labels]  # every image is correct, with a probability of 0.88, 0.98 afterwards
    >>> round(fit_temperature(separable, labels), 2)
    0.48
    """
    values, truth = np.asarray(logits, dtype=np.float64), np.asarray(labels)
    if values.ndim != 2 or len(values) == 0 or truth.shape != values.shape[:1]:
        raise ValueError(f"logits must have shape (N, K) and labels (N,), not {values.shape} and {truth.shape}")
    if not np.issubdtype(truth.dtype, np.integer) or truth.min() < 0 or truth.max() >= values.shape[1]:
        raise ValueError(f"labels must be integers from 0 to {values.shape[1] - 1}")
    not_finite = int((~np.isfinite(values).all(axis=1)).sum())
    if not_finite:
        raise UserError(
            f"the logits of {not_finite} of {len(values)} images contain NaN or infinity",
            "train again with a lower learning rate or a stronger penalty",
        )
    group_ids = range(len(values)) if groups is None else list(groups)
    if len(group_ids) != len(values):
        raise ValueError(f"groups must have length {len(values)}, not {len(group_ids)}")
    rows = np.arange(len(values))

    def loss(temperature: float) -> float:
        return -float(log_softmax(values / temperature, axis=1)[rows, truth].mean())

    return best_temperature(loss, len(set(group_ids)))


def best_temperature(loss: Callable[[float], float], groups: int) -> float:
    """Return the temperature with the smallest loss plus the prior of `fit_temperature`.

    Args:
        loss: temperature -> mean negative log-likelihood of the images.
        groups: number of groups M.
    """
    weight = PRIOR_WEIGHT / groups

    def penalized(log_temperature: float) -> float:
        return float(weight * log_temperature**2 / 2 + loss(float(np.exp(log_temperature))))

    low, high = np.log(TEMPERATURES)
    grid = np.linspace(low, high, 13)  # the loss can have two minima: start from the lower one
    best = int(np.argmin([penalized(log_temperature) for log_temperature in grid]))
    bounds = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    return float(np.exp(minimize_scalar(penalized, bounds=bounds, method="bounded").x))
