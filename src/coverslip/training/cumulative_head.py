"""A cumulative-link head on frozen features, with its L2 penalty and temperature chosen inside the training set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from scipy.optimize import minimize
from scipy.special import expit

from coverslip.core.errors import UserError
from coverslip.core.progress import SILENT, Progress
from coverslip.data.split import assign_splits
from coverslip.training.fitted_head import FittedHead
from coverslip.training.heads import FOLDS, L2_VALUES, HalfWhitening

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Inputs = npt.NDArray[np.float32]
CROSS_FIT_STEPS, FINAL_STEPS = 40, 120
CROSS_FIT_GAIN, FINAL_GAIN = 1e-5, 1e-8  # relative decrease of the loss below which a fit ends; ranking needs less
LEAST_GAP = 1e-3  # between neighboring thresholds; a level without images would let its gap vanish


@dataclass(slots=True)
class CumulativeLink:
    """Parameters of a proportional-odds model: the logit of a level above k is ``inputs @ weight - thresholds[k]``.

    Attributes:
        weight: float64 (R,).
        thresholds: in ascending order, float64 (K - 1,).
    """

    weight: FloatArray
    thresholds: FloatArray

    def scores(self, inputs: Inputs) -> FloatArray:
        """Return the score of each image, float64 (N,), of inputs (N, R)."""
        return np.asarray(inputs @ self.weight.astype(np.float32), np.float64)

    def logits(self, inputs: Inputs) -> FloatArray:
        """Return cumulative logits, float64 (N, K - 1), of inputs (N, R)."""
        return np.asarray(self.scores(inputs)[:, None] - self.thresholds)


def fit_cumulative_head(
    features: npt.NDArray[np.floating],
    levels: IntArray,
    groups: Sequence[str],
    count: int,
    *,
    views: int = 1,
    validation: tuple[npt.NDArray[np.floating], IntArray] | None = None,
    l2_values: Sequence[float] = L2_VALUES,
    folds: int = FOLDS,
    seed: int = 0,
    progress: Progress = SILENT,
) -> FittedHead:
    """Fit a proportional-odds model of ordered levels with an L2 penalty to frozen features.

    The steps are those of `coverslip.training.heads.fit_head`: half-whiten the features, choose the penalty with the
    smallest held-out log loss by cross-fitting over groups, and fit the head to all training images with it. The
    penalty multiplies half the squared norm of the weights; thresholds are not penalized.

    Args:
        features: float (views * N, D): all images in view 0, then all in view 1, and so on.
        levels: levels of the N images, values in 0..K-1.
        groups: group names of the N images; a group is never in both sides of a fold.
        count: number of levels K.
        views: number of views per image.
        validation: features (M, D) and M levels of the validation set, scored after each step.
        l2_values: penalties to choose from.
        folds: number of folds of the cross-fitting.
        seed: random seed of the folds.
        progress: receives the stages and their steps.

    Returns:
        The head, whose outputs are the K - 1 cumulative logits. ``history`` has the columns step, train_loss,
        validation_loss and validation_accuracy; ``penalties`` the columns l2, log_loss and accuracy.

    Raises:
        UserError: the training images have fewer than two levels, or belong to one group.

    Reference: McCullagh, Journal of the Royal Statistical Society B 42(2), 1980.
    """
    if len(set(groups)) < 2 or len(np.unique(levels)) < 2:
        raise UserError(
            f"the train set has {len(np.unique(levels))} of the ordered classes in {len(set(groups))} groups, so no "
            "penalty can be chosen by cross-fitting",
            "add images of other classes and groups to the train set",
        )
    whitening = HalfWhitening.fit(features)
    inputs = whitening.transform(features).numpy()
    repeated, number = np.tile(levels, views), len(levels)
    fold = assign_splits(levels, groups, np.ones(min(folds, len(set(groups)))), seed)
    held_out = np.empty((len(l2_values), number, count - 1))
    parts = np.unique(fold)
    with progress.stage("cross-fitting penalties", len(parts) * len(l2_values), "fits") as stage:
        for part in parts:
            rows, held, start = np.tile(fold, views) != part, np.flatnonzero(fold == part), None
            others, known = inputs[rows], repeated[rows]
            for index in np.argsort(l2_values)[::-1]:  # each fit starts from that with the next larger penalty
                start = minimize_loss(others, known, count, l2_values[index], CROSS_FIT_STEPS, CROSS_FIT_GAIN, start)
                held_out[index, held] = start.logits(inputs[held])
                stage.advance()
    losses = [log_loss(logits, levels) for logits in held_out]
    accuracies = [float(((logits > 0).sum(axis=1) == levels).mean()) for logits in held_out]
    best = int(np.argmin(losses))
    watched = None
    if validation is not None:
        watched = whitening.transform(validation[0]).numpy(), np.asarray(validation[1])
    history: list[dict[str, float | None]] = []
    with progress.stage("fitting the head", FINAL_STEPS, "steps") as stage:

        def record(model: CumulativeLink) -> None:
            stage.advance()
            row: dict[str, float | None] = {"step": len(history) + 1, "validation_loss": None}
            row |= {"train_loss": log_loss(model.logits(inputs[:number]), levels), "validation_accuracy": None}
            if watched is not None:
                logits = model.logits(watched[0])
                row["validation_loss"] = log_loss(logits, watched[1])
                row["validation_accuracy"] = float(((logits > 0).sum(axis=1) == watched[1]).mean())
            history.append(row)

        model = minimize_loss(inputs, repeated, count, l2_values[best], FINAL_STEPS, FINAL_GAIN, None, record)
        stage.advance(FINAL_STEPS - len(history))  # converged early
    weight, bias = whitening.to_feature_space(
        torch.from_numpy(np.tile(model.weight[:, None], count - 1).astype(np.float32)),
        torch.from_numpy(-model.thresholds.astype(np.float32)),
    )
    schema = {"step": pl.Int64} | dict.fromkeys(("train_loss", "validation_loss", "validation_accuracy"), pl.Float64)
    penalties = pl.DataFrame({"l2": list(l2_values), "log_loss": losses, "accuracy": accuracies})
    frame = pl.DataFrame(history, schema=schema)
    return FittedHead(weight, bias, float(l2_values[best]), frame, penalties, held_out[best].astype(np.float32))


def minimize_loss(
    inputs: Inputs,
    levels: IntArray,
    count: int,
    l2: float,
    steps: int,
    gain: float,
    start: CumulativeLink | None = None,
    callback: Callable[[CumulativeLink], None] | None = None,
) -> CumulativeLink:
    """Return the model with the smallest penalized mean log loss, by L-BFGS.

    Args:
        inputs: float32 (N, R).
        levels: int (N,), values in 0..K-1.
        count: number of levels K.
        l2: L2 penalty of the weights.
        steps: maximum number of steps.
        gain: relative decrease of the loss in a step below which the fit ends.
        start: where to start; None for weights of 0 and the thresholds of the frequencies.
        callback: called with the model after every step.
    """
    width = inputs.shape[1]
    if start is None:
        shares = np.cumsum(np.bincount(levels, minlength=count) + 0.5)[:-1] / (len(levels) + 0.5 * count)
        start = CumulativeLink(np.zeros(width), np.log(shares / (1 - shares)))

    def unpack(x: FloatArray) -> CumulativeLink:
        return CumulativeLink(x[:width], x[width] + np.concatenate([[0.0], np.cumsum(np.exp(x[width + 1 :]))]))

    def loss(x: FloatArray) -> tuple[float, FloatArray]:
        model = unpack(x)
        value, slope, threshold_slope = _loss_and_slopes(model.scores(inputs), model.thresholds, levels)
        weight_gradient = inputs.T @ slope.astype(np.float32) + l2 * model.weight
        later = np.cumsum(threshold_slope[::-1])[::-1]  # a threshold moves with the gaps below it
        gradient = np.concatenate([weight_gradient, later[:1], later[1:] * np.exp(x[width + 1 :])])
        return value + 0.5 * l2 * float(model.weight @ model.weight), gradient

    gaps = np.log(np.maximum(np.diff(start.thresholds), LEAST_GAP))
    x = np.concatenate([start.weight, start.thresholds[:1], gaps])
    bounds = [(None, None)] * (width + 1) + [(np.log(LEAST_GAP), None)] * (count - 2)
    result = minimize(
        loss,
        x,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": steps, "ftol": gain},
        callback=None if callback is None else lambda x: callback(unpack(x)),
    )
    return unpack(result.x)


def log_loss(logits: FloatArray, levels: IntArray) -> float:
    """Return the mean negative log-likelihood of levels (N,) for cumulative logits (N, K - 1)."""
    lower, upper = _neighbors(logits, levels)
    return float(-_log_likelihood(lower, upper).mean())


def _neighbors(logits: FloatArray, levels: IntArray) -> tuple[FloatArray, FloatArray]:
    """Return the logits of a level at or above, and of one above, the true level, each (N,)."""
    ends = np.full((len(logits), 1), np.inf)
    padded, rows = np.concatenate([ends, logits, -ends], axis=1), np.arange(len(logits))
    return padded[rows, levels], padded[rows, levels + 1]


def _log_likelihood(lower: FloatArray, upper: FloatArray) -> FloatArray:
    """Return log(sigmoid(lower) - sigmoid(upper)), (N,), without cancellation; ``lower`` is above ``upper``."""
    return np.asarray(-np.logaddexp(0, -lower) - np.logaddexp(0, upper) + np.log1p(-np.exp(upper - lower)))


def _loss_and_slopes(
    score: FloatArray, thresholds: FloatArray, levels: IntArray
) -> tuple[float, FloatArray, FloatArray]:
    """Return the mean log loss, its slope in each score (N,), and its slope in each threshold (K - 1,)."""
    lower, upper = _neighbors(score[:, None] - thresholds, levels)
    ratio = np.exp(upper - lower)  # a function of the gap between two thresholds
    common = ratio / (1 - ratio)
    lower_slope, upper_slope = expit(-lower) + common, -expit(upper) - common
    number = len(score)
    slope = -(lower_slope + upper_slope) / number
    count = len(thresholds)
    at_lower = np.bincount(np.where(levels > 0, levels - 1, count), weights=lower_slope, minlength=count + 1)[:count]
    at_upper = np.bincount(levels, weights=upper_slope, minlength=count + 1)[:count]
    return float(-_log_likelihood(lower, upper).mean()), slope, (at_lower + at_upper) / number
