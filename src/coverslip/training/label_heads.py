"""Linear heads for several labels per image: one logistic regression per label, with one L2 penalty for all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from scipy.special import expit
from torch import Tensor

from coverslip.core.errors import UserError
from coverslip.core.progress import SILENT, Progress
from coverslip.data.split import assign_splits
from coverslip.training.fitted_head import FittedHead
from coverslip.training.heads import CROSS_FIT_STEPS, FINAL_STEPS, FOLDS, L2_VALUES, HalfWhitening
from coverslip.training.stacked_heads import fit_stacked_heads

HEADS = 320  # per stack: two columns each, as many as a stack of softmax heads has

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


def fit_label_heads(
    features: npt.NDArray[np.floating],
    members: BoolArray,
    strata: npt.NDArray[np.int64],
    groups: Sequence[str],
    names: Sequence[str],
    *,
    views: int = 1,
    validation: tuple[npt.NDArray[np.floating], BoolArray] | None = None,
    l2_values: Sequence[float] = L2_VALUES,
    folds: int = FOLDS,
    seed: int = 0,
    progress: Progress = SILENT,
) -> FittedHead:
    """Fit a logistic regression with an L2 penalty to frozen features for each label.

    The steps are those of `coverslip.training.heads.fit_head`. All labels share the penalty with the smallest held-out
    log loss, averaged over labels.

    Args:
        features: float (views * N, D): all images in view 0, then all in view 1, and so on.
        members: whether each of the N images has each label, bool (N, L).
        strata: strata of the images, which folds balance, int64 (N,).
        groups: group names of the N images; a group is never in both sides of a fold.
        names: names of the L labels, for messages.
        views: number of views per image.
        validation: features (M, D) and labels (M, L) of the validation set.
        l2_values: penalties to choose from.
        folds: number of folds of the cross-fitting.
        seed: random seed of the folds.
        progress: receives the stages and their steps.

    Returns:
        The heads, whose outputs are the L logits. ``history`` has the columns step, train_loss and validation_loss, log
        losses averaged over labels; ``penalties`` the columns l2 and log_loss.

    Raises:
        UserError: every training image has a label, or none has it; or all images belong to one group.
    """
    _check(members, groups, names)
    whitening = HalfWhitening.fit(features)
    inputs, number = whitening.transform(features), len(members)
    fold = assign_splits(strata, groups, np.ones(min(folds, len(set(groups)))), seed)
    held_out = _cross_fit(inputs, members, fold, views, l2_values, progress)
    losses = [label_log_loss(logits, members) for logits in held_out]
    best = int(np.argmin(losses))
    watched = None if validation is None else (whitening.transform(validation[0]), validation[1])
    rows: list[dict[str, float | None]] = []
    with progress.stage("fitting the heads", FINAL_STEPS, "steps") as stage:

        def record(step: int, weight: Tensor, bias: Tensor) -> None:
            stage.advance()
            row: dict[str, float | None] = {"step": step, "validation_loss": None}
            row["train_loss"] = label_log_loss(_logits(inputs[:number], weight, bias), members)
            if watched is not None:
                row["validation_loss"] = label_log_loss(_logits(watched[0], weight, bias), watched[1])
            rows.append(row)

        labels = torch.from_numpy(np.tile(members, (views, 1)).astype(np.int64))
        heads = members.shape[1]
        weights = torch.ones(len(inputs), heads)
        penalties = torch.full((heads,), l2_values[best])
        fitted = fit_stacked_heads(inputs, labels, weights, penalties, 2, steps=FINAL_STEPS, callback=record)
        stage.advance(FINAL_STEPS - len(rows))  # converged early
    weight, bias = _contrast(fitted.weight, fitted.bias)
    own_weight, own_bias = whitening.to_feature_space(weight, bias)
    schema = {"step": pl.Int64, "train_loss": pl.Float64, "validation_loss": pl.Float64}
    table = pl.DataFrame({"l2": list(l2_values), "log_loss": losses})
    history = pl.DataFrame(rows, schema=schema)
    return FittedHead(own_weight, own_bias, float(l2_values[best]), history, table, held_out[best])


def label_log_loss(logits: npt.NDArray[np.floating[Any]], members: BoolArray) -> float:
    """Return the mean negative log-likelihood of labels, (N, L), for logits (N, L)."""
    signed = np.where(members, logits, -logits)
    return float(np.logaddexp(0, -signed.astype(np.float64)).mean())


def label_probabilities(logits: npt.NDArray[np.floating[Any]], temperatures: FloatArray) -> FloatArray:
    """Return the probability of each label, float64 (N, L), of logits (N, L) divided by temperatures (L,)."""
    return np.asarray(expit(np.asarray(logits, np.float64) / temperatures))


def _check(members: BoolArray, groups: Sequence[str], names: Sequence[str]) -> None:
    counts = members.sum(axis=0)
    for name, count in zip(names, counts.tolist(), strict=True):
        if count in (0, len(members)):
            has = "every image" if count else "no image"
            raise UserError(
                f"{has} of the train set has the label {name!r}, so it cannot be learned",
                f"add images {'without' if count else 'with'} this label, or leave the label out",
            )
    if len(set(groups)) < 2:
        raise UserError(
            "all training images belong to one group, so no penalty can be chosen on other groups",
            "add images of other leaves (patients, slides) to the train set",
        )


def _cross_fit(
    inputs: Tensor,
    members: BoolArray,
    fold: npt.NDArray[np.int64],
    views: int,
    l2_values: Sequence[float],
    progress: Progress,
) -> npt.NDArray[np.float32]:
    """Return the held-out logits of every penalty, float32 (S, N, L), of the first view."""
    number, count = members.shape
    parts, penalties = np.unique(fold), len(l2_values)
    held_out = np.empty((penalties, number, count), np.float32)
    outside = np.tile(fold, views)[:, None] != parts  # (views * N, folds)
    size = max(1, HEADS // (len(parts) * penalties))  # labels per stack
    with progress.stage("cross-fitting penalties", -(-count // size) * CROSS_FIT_STEPS, "steps") as stage:
        for start in range(0, count, size):
            chosen = members[:, start : start + size]
            # heads of a stack: label, then penalty, then fold
            labels = np.repeat(np.tile(chosen, (views, 1)), penalties * len(parts), axis=1).astype(np.int64)
            weights = np.tile(outside, (1, chosen.shape[1] * penalties)).astype(np.float32)
            values = np.tile(np.repeat(l2_values, len(parts)), chosen.shape[1])
            fitted = fit_stacked_heads(
                inputs,
                torch.from_numpy(labels),
                torch.from_numpy(weights),
                torch.from_numpy(values.astype(np.float32)),
                2,
                steps=CROSS_FIT_STEPS,
                callback=lambda *_: stage.advance(),
            )
            stage.advance(CROSS_FIT_STEPS - len(fitted.losses) + 1)  # converged early
            shape = chosen.shape[1], penalties, len(parts)
            weight, bias = _contrast(fitted.weight, fitted.bias)
            for index, part in enumerate(parts):
                rows = np.flatnonzero(fold == part)
                own = weight.view(-1, *shape)[..., index].flatten(1), bias.view(*shape)[..., index].flatten()
                logits = (inputs[rows] @ own[0] + own[1]).view(len(rows), *shape[:2]).permute(2, 0, 1)
                held_out[:, rows, start : start + chosen.shape[1]] = logits.numpy()
    return held_out


def _contrast(weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logistic regressions, (R, H) and (H,), of softmax heads of two classes, (H, R, 2) and (H, 2)."""
    return (weight[..., 1] - weight[..., 0]).T.contiguous(), bias[:, 1] - bias[:, 0]


def _logits(inputs: Tensor, weight: Tensor, bias: Tensor) -> npt.NDArray[np.float32]:
    own_weight, own_bias = _contrast(weight, bias)
    return np.asarray((inputs @ own_weight + own_bias).numpy())
