"""Two repairs of probabilities: for another prevalence of the classes, and for a model too sure (or unsure) of itself.

Where classes were re-balanced for training, `correct_priors` comes first, then `fit_temperature`, on the logits of
images that trained nothing (cross-fitted ones for a head). Every temperature of the package is fitted here.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from coverslip.core.errors import UserError

FloatArray = NDArray[np.float64]
TEMPERATURES = (0.05, 20.0)
PRIOR_WEIGHT = 2.0  # pseudo-observations at a temperature of 1; `benchmarks/temperature.py` compares others


def correct_priors(
    probabilities: NDArray[np.floating[Any]], assumed: NDArray[np.floating[Any]], wanted: NDArray[np.floating[Any]]
) -> FloatArray:
    """Probabilities for another prevalence of the classes than the one that training assumed.

    Args:
        probabilities: (N, K), rows sum to 1.
        assumed: (K,) shares of the classes as training saw them (1 / K where classes were re-balanced).
        wanted: (K,) shares where the model is to be used; 0 rules a class out.

    Returns:
        (N, K), rows sum to 1. A row whose whole probability was ruled out becomes ``wanted``: nothing else is known.

    Raises:
        ValueError: shapes that do not agree, negative or infinite shares, or a class that is wanted and was never
            assumed.

    Reference: Saerens, Latinne & Decaestecker, Neural Computation 14(1), 2002, equation 2.4.

    >>> correct_priors(np.array([[0.5, 0.5]]), np.array([0.5, 0.5]), np.array([0.9, 0.1]))
    array([[0.9, 0.1]])
    """
    rows, old, new = (np.asarray(each, dtype=np.float64) for each in (probabilities, assumed, wanted))
    if rows.ndim != 2 or old.shape != rows.shape[1:] or new.shape != rows.shape[1:]:
        raise ValueError(f"assumed and wanted must be {rows.shape[1:]}, not {old.shape} and {new.shape}")
    if not np.isfinite([old, new]).all() or min(old.min(), new.min()) < 0 or min(old.sum(), new.sum()) == 0:
        raise ValueError("shares of classes must be 0 or more, and not all 0")
    if (new[old == 0] > 0).any():
        raise ValueError("a class that training assumed never to occur cannot be wanted")
    old, new = old / old.sum(), new / new.sum()
    moved = rows * np.divide(new, old, out=np.zeros_like(new), where=old > 0)
    total = moved.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(moved, total, out=np.tile(new, (len(rows), 1)), where=total > 0))


def fit_temperature(
    logits: NDArray[np.floating[Any]], labels: NDArray[np.integer[Any]], groups: Iterable[Hashable] | None = None
) -> float:
    """Fit the temperature that logits are divided by before the softmax.

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
        logits: (N, K), floating point, finite, of images that were not used for training.
        labels: (N,), integers from 0 to K - 1.
        groups: (N,), the group of each image. By default each image is its own group.

    Returns:
        T, from 0.05 to 20. Above 1, the probabilities of the logits as they come are overconfident.

    Raises:
        UserError: the logits hold NaN or infinity.
        ValueError: no image, shapes that do not agree, or labels out of range.

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
    held, truth = np.asarray(logits, dtype=np.float64), np.asarray(labels)
    if held.ndim != 2 or len(held) == 0 or truth.shape != held.shape[:1]:
        raise ValueError(f"logits must be (N, K) and labels (N,), not {held.shape} and {truth.shape}")
    if not np.issubdtype(truth.dtype, np.integer) or truth.min() < 0 or truth.max() >= held.shape[1]:
        raise ValueError(f"labels must be integers from 0 to {held.shape[1] - 1}")
    broken = int((~np.isfinite(held).all(axis=1)).sum())
    if broken:
        raise UserError(
            f"the model gives infinite logits (or none) for {broken} of {len(held)} images",
            "train again with a lower learning rate or a stronger penalty",
        )
    own = range(len(held)) if groups is None else list(groups)
    if len(own) != len(held):
        raise ValueError(f"groups must be ({len(held)},), not ({len(own)},)")
    weight, rows = PRIOR_WEIGHT / len(set(own)), np.arange(len(held))

    def loss(log: float) -> float:
        return float(weight * log**2 / 2 - log_softmax(held / np.exp(log), axis=1)[rows, truth].mean())

    low, high = np.log(TEMPERATURES)
    grid = np.linspace(low, high, 13)  # the sum can have two minima: the grid leads to the lower one
    best = int(np.argmin([loss(log) for log in grid]))
    bounds = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))
