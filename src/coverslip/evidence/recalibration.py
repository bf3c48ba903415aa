"""Two repairs of probabilities: for another prevalence of the classes, and for a model too sure (or unsure) of itself.

Where classes were re-balanced for training, `correct_priors` comes first, then `fit_temperature`, on scores of
pictures that trained nothing (cross-fitted ones for a head).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from coverslip.errors import UserError

FloatArray = NDArray[np.float64]
TEMPERATURES = (0.05, 20.0)


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
    scores: NDArray[np.floating[Any]],
    labels: NDArray[np.integer[Any]],
    weights: NDArray[np.floating[Any]] | None = None,
) -> float:
    """The temperature by which held-out scores are best divided: smallest log loss, with a mild pull towards 1.

    The pull (a normal prior on the logarithm, of standard deviation 1) weighs as little as one picture. It matters
    where the pictures alone cannot say: if all are right, no temperature would be low enough.

    Args:
        scores: (N, K), before the softmax, of pictures that trained nothing.
        labels: (N,) integers, 0 to K - 1.
        weights: (N,), 0 or more, not all 0; only their ratios count.

    Returns:
        0.05 to 20; over 1 where the model was too sure of itself.

    Raises:
        UserError: the scores hold NaN or infinity.
        ValueError: no picture, shapes that do not agree, labels or weights out of range.

    Reference: Guo, Pleiss, Sun & Weinberger, On calibration of modern neural networks, ICML 2017.
    """
    held, truth = np.asarray(scores, dtype=np.float64), np.asarray(labels)
    if held.ndim != 2 or len(held) == 0 or truth.shape != held.shape[:1]:
        raise ValueError(f"scores must be (N, K) and labels (N,), not {held.shape} and {truth.shape}")
    if not np.issubdtype(truth.dtype, np.integer) or truth.min() < 0 or truth.max() >= held.shape[1]:
        raise ValueError(f"labels must be integers from 0 to {held.shape[1] - 1}")
    broken = int((~np.isfinite(held).all(axis=1)).sum())
    if broken:
        raise UserError(
            f"the model gives infinite scores (or none) for {broken} of {len(held)} pictures",
            "train again with a lower learning rate or a stronger penalty",
        )
    share = np.ones(len(held)) if weights is None else np.asarray(weights, dtype=np.float64)
    if share.shape != truth.shape or not np.isfinite(share).all() or share.min() < 0 or share.sum() == 0:
        raise ValueError("weights must be (N,), 0 or more, and not all 0")
    rows = np.arange(len(held))

    def loss(log: float) -> float:
        mean = -float(log_softmax(held / np.exp(log), axis=1)[rows, truth] @ share) / float(share.sum())
        return mean + log**2 / (2 * len(held))

    low, high = np.log(TEMPERATURES)
    return float(np.exp(minimize_scalar(loss, bounds=(low, high), method="bounded").x))
