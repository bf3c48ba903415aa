"""Importance of hyperparameters: how much of the variation of the validation loss each one explains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

from coverslip.core.errors import UserError
from coverslip.core.registry import nearest

FloatArray = NDArray[np.float64]
MIN_TRIALS = 8  # with fewer, no importance is estimated
USED_STATES = ("finished", "pruned")
RESAMPLES, TREES, MIN_LEAF, POINTS, CELLS = 40, 10, 2, 512, 64


def importance(
    trials: pl.DataFrame,
    keys: Sequence[str] | Mapping[str, Mapping[str, Any]],
    *,
    level: float = 0.95,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Estimate the fraction of the variation of the validation loss that each setting explains on its own.

    A random forest predicts the loss from the settings; functional ANOVA then gives the fraction of its variance that
    is due to each setting alone, averaged over all values of the others. The remainder to 1 is due to interactions.
    Each bootstrap sample of the trials gets its own forest, and the interval is taken over these. A column of random
    numbers is added, and the variance it appears to explain is subtracted. Losses above Tukey's upper fence are
    clipped to it, since one diverged trial would otherwise dominate. The effects are those of the whole forest, not
    the mean over its trees: a tree of few trials is mostly noise, which would appear as interactions. The intervals
    cover the random choice of trials, not the bias of the forest: the importance of a narrow optimum is
    underestimated.

    Args:
        trials: a row per trial with ``state``, ``validation_loss`` and a column per key. Finished and pruned trials
            are used, a pruned trial with its lowest loss so far.
        keys: key -> ``kind`` ("float", "int" or "choice"), ``log``, ``low``, ``high``, ``choices``, as in the study's
            file: every value of the space has the same weight. Or names alone: every value is weighted by how often
            it was tried, which in a search favors good values.
        level: level of the intervals, between 0 and 1.
        seed: random seed of the resampling and of the trees.

    Returns:
        ``key``, ``value``, ``low``, ``high`` (0 to 1), the most important first. A key with one tried value has 0
        without limits (None). Empty with fewer than eight usable trials, or if all losses are equal.

    Raises:
        UserError: a key has no column.

    Reference: Hutter, Hoos & Leyton-Brown, An Efficient Approach for Assessing Hyperparameter Importance, ICML 2014;
    Geurts, Ernst & Wehenkel, Extremely Randomized Trees, Machine Learning 63(1), 2006.

    >>> rng = np.random.default_rng(0)
    >>> lr, dropout = 10 ** rng.uniform(-5, 0, 60), rng.uniform(0, 0.5, 60)
    >>> loss = 0.3 + 0.1 * (np.log10(lr) + 2.5) ** 2 + 0.02 * rng.normal(size=60)
    >>> table = pl.DataFrame({"state": "finished", "validation_loss": loss, "lr": lr, "dropout": dropout})
    >>> [(row["key"], round(row["value"], 1)) for row in importance(table, ["lr", "dropout"])]
    [('lr', 1.0), ('dropout', 0.0)]
    """
    for name in ("state", "validation_loss", *keys):
        if name not in trials.columns:
            raise UserError(f"the table of trials has no column {name!r}", nearest(name, trials.columns))
    loss = pl.col("validation_loss").cast(pl.Float64)
    usable = trials.filter(pl.col("state").is_in(USED_STATES) & loss.is_finite().fill_null(False))
    if usable.height < MIN_TRIALS:
        return []
    losses = _clipped(usable.select(loss).to_series().to_numpy())
    if np.ptp(losses) < 1e-12:
        return []
    axes = [_axis(usable[key], keys[key] if isinstance(keys, Mapping) else {}) for key in keys]
    varied = [column for column, axis in enumerate(axes) if np.ptp(axis) > 0]
    shares = np.zeros((RESAMPLES, len(axes)))
    shares[:, varied] = _shares(np.stack([axes[column] for column in varied], axis=1), losses, seed) if varied else 0.0
    tail = (1 - level) / 2
    low, high = np.quantile(shares, (tail, 1 - tail), axis=0)
    rows: list[dict[str, Any]] = []
    for column, key in enumerate(keys):
        value = float(np.clip(shares[:, column].mean(), low[column], high[column]))
        limits = (float(low[column]), float(high[column])) if column in varied else (None, None)
        rows.append({"key": key, "value": value, "low": limits[0], "high": limits[1]})
    return sorted(rows, key=lambda row: -float(row["value"]))


def _clipped(losses: FloatArray) -> FloatArray:
    """Clip losses at the upper fence (Tukey, Exploratory Data Analysis, 1977)."""
    lower, upper = np.quantile(losses, (0.25, 0.75))
    return np.asarray(np.minimum(losses, upper + 1.5 * (upper - lower)) if upper > lower else losses)


def _axis(column: pl.Series, dimension: Mapping[str, Any]) -> FloatArray:
    """Return the position of each trial on the axis of a key, from 0 to 1; choices are evenly spaced."""
    kind = dimension.get("kind")
    numeric = kind in ("float", "int") or (column.dtype.is_numeric() and kind != "choice")
    if not numeric:
        codes = column.cast(pl.String).rank("dense").fill_null(0).to_numpy()
        return np.asarray((np.unique(codes, return_inverse=True)[1] + 0.5) / len(np.unique(codes)))
    values = column.cast(pl.Float64).to_numpy().astype(np.float64)
    if dimension.get("low") is None or dimension.get("high") is None:
        ranks = stats.rankdata(np.nan_to_num(values, nan=float(np.nanmedian(values)))) - 0.5
        return np.asarray(ranks / len(values) if np.ptp(ranks) > 0 else np.zeros(len(values)))
    low, high = float(dimension["low"]), float(dimension["high"])
    if dimension.get("log"):
        values, low, high = np.log(values), np.log(low), np.log(high)
    positions = (values - low) / (high - low) if high > low else np.zeros(len(values))
    return np.asarray(np.clip(np.nan_to_num(positions, nan=0.5), 0, 1))


def _shares(points: FloatArray, losses: FloatArray, seed: int) -> FloatArray:
    """Return the fraction of the variance due to each of D axes in each bootstrap sample, shape (RESAMPLES, D).

    Args:
        points: positions of T trials on D axes, shape (T, D), values in 0..1.
        losses: shape (T,).
        seed: random seed.
    """
    from sklearn.tree import ExtraTreeRegressor  # grown one by one: scikit-learn's forest takes twice as long

    rng, (trials, axes) = np.random.default_rng(seed), points.shape
    evaluation_points = rng.random((POINTS, axes + 1), dtype=np.float32)
    shares = np.zeros((RESAMPLES, axes))
    for number in range(RESAMPLES):
        drawn = rng.integers(0, trials, trials)
        # The last column is random: the variance it explains is that of noise.
        sample = np.column_stack([points, rng.random(trials)])[drawn].astype(np.float32)
        effects, predicted = np.zeros((axes + 1, CELLS)), np.zeros(POINTS)
        for start in range(TREES):
            regressor = ExtraTreeRegressor(min_samples_leaf=MIN_LEAF, random_state=number * TREES + start)
            tree = regressor.fit(sample, losses[drawn], check_input=False).tree_
            effects += tree_effects(tree, axes + 1)
            predicted += tree.predict(evaluation_points).reshape(-1)
        main_effects = effects.var(axis=1)
        # With a finite number of points, the total variance may come out below the sum of the main effects.
        total = max(float(predicted.var()), float(main_effects.sum()))
        if total > 0:
            shares[number] = np.maximum(0, main_effects[:axes] - main_effects[axes]) / total
    return shares


def tree_effects(tree: Any, axes: int, cells: int = CELLS) -> FloatArray:
    """Return the prediction of a regression tree along each axis, averaged over all values of the other axes.

    Args:
        tree: ``tree_`` of a scikit-learn tree that was fitted on values in 0..1.
        axes: number of axes D.
        cells: number of equal cells C per axis.

    Returns:
        Predictions at the centers of the cells, shape (D, C).
    """
    low, high, values = _leaves(tree, axes)
    sizes = high - low
    others = sizes.prod(axis=1, keepdims=True) / sizes * values[:, None]
    centers = (np.arange(cells) + 0.5) / cells
    inside = (low[:, :, None] < centers) & (centers <= high[:, :, None])  # (leaves, D, C)
    return np.asarray(np.einsum("la,lac->ac", others, inside))


def _leaves(tree: Any, axes: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the boxes of a tree's L leaves, low and high (L, D), and their predictions (L,)."""
    left, right, axis, cut = tree.children_left, tree.children_right, tree.feature, tree.threshold
    low, high = np.zeros((tree.node_count, axes)), np.ones((tree.node_count, axes))
    for node in range(tree.node_count):  # parents come before their children
        if left[node] >= 0:
            for child in (left[node], right[node]):
                low[child], high[child] = low[node], high[node]
            high[left[node], axis[node]] = low[right[node], axis[node]] = cut[node]
    leaf = left < 0
    return low[leaf], high[leaf], tree.value[leaf].reshape(-1)
