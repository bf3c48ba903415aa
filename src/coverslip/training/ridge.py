"""Ridge regression on frozen features, with its L2 penalty chosen by cross-fitting over groups inside the training set.

All penalties of all folds are solved exactly: each fold needs one eigendecomposition, from which the solution for
every penalty follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import torch

from coverslip.core.errors import UserError
from coverslip.core.progress import SILENT, Progress
from coverslip.data.split import assign_splits
from coverslip.training.fitted_head import FittedHead
from coverslip.training.heads import HalfWhitening

# The largest penalties predict nearly the mean of the target: the right answer where features say nothing.
RIDGE_VALUES = tuple(10.0**exponent for exponent in np.arange(-4, 3.01, 0.5).tolist())
FloatArray = npt.NDArray[np.float64]


def fit_ridge(
    features: npt.NDArray[np.floating],
    values: FloatArray,
    groups: Sequence[str],
    strata: npt.NDArray[np.int64],
    *,
    views: int = 1,
    validation: tuple[npt.NDArray[np.floating], FloatArray] | None = None,
    l2_values: Sequence[float] = RIDGE_VALUES,
    folds: int = 5,
    seed: int = 0,
    progress: Progress = SILENT,
) -> FittedHead:
    """Fit a linear regression with an L2 penalty to frozen features.

    The penalty multiplies the squared norm of the weights on half-whitened features (`HalfWhitening`), relative to the
    mean squared error. The penalty with the smallest held-out squared error is chosen; of several targets, with the
    smallest mean of the errors relative to the variance of each target.

    Args:
        features: float (views * N, D): all images in view 0, then all in view 1, and so on.
        values: targets of the N images, float64 (N, T).
        groups: group names of the N images; a group is never in both sides of a fold.
        strata: strata of the N images, which folds balance, int64 (N,).
        views: number of views per image.
        validation: features (M, D) and targets (M, T) of the validation set.
        l2_values: penalties to choose from.
        folds: number of folds of the cross-fitting.
        seed: random seed of the folds.
        progress: receives the stages and their steps.

    Returns:
        The head. ``history`` has one row with the columns step, train_loss and validation_loss: mean squared errors
        relative to the variance of the training targets, averaged over targets; validation_loss is null without
        validation set. ``penalties`` has the columns l2 and squared_error, the cross-fitted relative squared error.

    Raises:
        UserError: all images belong to one group, so that no prediction could be held out.
    """
    if len(set(groups)) < 2:
        raise UserError(
            "all training images belong to one group, so no penalty can be chosen on other groups",
            "add images of other leaves (patients, slides) to the train set",
        )
    whitening = HalfWhitening.fit(features)
    inputs = whitening.transform(features).numpy().astype(np.float64)
    number, center = len(values), values.mean(axis=0)
    spread = values.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    standardized = (values - center) / scale
    fold = assign_splits(strata, groups, np.ones(min(folds, len(set(groups)))), seed)
    held_out, errors = _cross_fit(inputs, standardized, fold, views, l2_values, progress)
    best = int(np.argmin(errors))
    sums = _Sums.of(inputs, np.tile(standardized, (views, 1)))
    weight, bias = sums.solve(l2_values[best : best + 1])
    weight, bias = weight[0], bias[0]
    train_loss = float(np.mean((inputs[:number] @ weight + bias - standardized) ** 2))
    validation_loss = None
    if validation is not None:
        held = whitening.transform(validation[0]).numpy().astype(np.float64)
        validation_loss = float(np.mean((held @ weight + bias - (validation[1] - center) / scale) ** 2))
    own_weight, own_bias = whitening.to_feature_space(
        torch.from_numpy((weight * scale).astype(np.float32)),
        torch.from_numpy((bias * scale + center).astype(np.float32)),
    )
    history = pl.DataFrame(
        {"step": [1], "train_loss": [train_loss], "validation_loss": [validation_loss]},
        schema={"step": pl.Int64, "train_loss": pl.Float64, "validation_loss": pl.Float64},
    )
    penalties = pl.DataFrame({"l2": list(l2_values), "squared_error": errors.tolist()})
    return FittedHead(own_weight, own_bias, float(l2_values[best]), history, penalties, held_out[best] * scale + center)


@dataclass(frozen=True, slots=True)
class _Sums:
    """Sums over rows from which ridge regressions follow.

    Attributes:
        count: number of rows.
        inputs: sum of the inputs, (R,).
        targets: sum of the targets, (T,).
        gram: inputs' inputs, (R, R).
        products: inputs' targets, (R, T).
    """

    count: float
    inputs: FloatArray
    targets: FloatArray
    gram: FloatArray
    products: FloatArray

    @classmethod
    def of(cls, inputs: FloatArray, targets: FloatArray) -> _Sums:
        return cls(len(inputs), inputs.sum(axis=0), targets.sum(axis=0), inputs.T @ inputs, inputs.T @ targets)

    def without(self, other: _Sums) -> _Sums:
        return _Sums(
            self.count - other.count,
            self.inputs - other.inputs,
            self.targets - other.targets,
            self.gram - other.gram,
            self.products - other.products,
        )

    def solve(self, l2_values: Sequence[float]) -> tuple[FloatArray, FloatArray]:
        """Return weights (S, R, T) and biases (S, T) of each of S penalties."""
        mean, target_mean = self.inputs / self.count, self.targets / self.count
        covariance = self.gram / self.count - np.outer(mean, mean)
        products = self.products / self.count - np.outer(mean, target_mean)
        variances, directions = np.linalg.eigh(covariance)
        rotated = directions.T @ products
        shrunk = np.maximum(variances, 0.0)[None, :] + np.asarray(l2_values)[:, None]
        weights = np.einsum("rk,skt->srt", directions, rotated[None] / shrunk[:, :, None])
        return weights, target_mean - np.einsum("r,srt->st", mean, weights)


def _cross_fit(
    inputs: FloatArray,
    targets: FloatArray,
    fold: npt.NDArray[np.int64],
    views: int,
    l2_values: Sequence[float],
    progress: Progress,
) -> tuple[FloatArray, FloatArray]:
    """Return held-out predictions of every penalty, (S, N, T), and their mean squared errors, (S,)."""
    number, repeated = len(targets), np.tile(targets, (views, 1))
    total, fold_of_row = _Sums.of(inputs, repeated), np.tile(fold, views)
    held_out = np.empty((len(l2_values), number, targets.shape[1]))
    folds = np.unique(fold)
    with progress.stage("cross-fitting penalties", len(folds), "folds") as stage:
        for index in folds:
            rows, held = fold_of_row == index, np.flatnonzero(fold == index)
            weights, biases = total.without(_Sums.of(inputs[rows], repeated[rows])).solve(l2_values)
            held_out[:, held] = np.einsum("nr,srt->snt", inputs[held], weights, optimize=True) + biases[:, None]
            stage.advance()
    return held_out, np.asarray(((held_out - targets) ** 2).mean(axis=(1, 2)))
