"""Which settings the validation loss depended on, and how sure that is."""

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
FEWEST = 8  # trials under which nothing can be told
JUDGED = ("finished", "pruned")
RESAMPLES, TREES, LEAF, POINTS, CELLS = 40, 10, 2, 512, 64


def importance(
    trials: pl.DataFrame,
    keys: Sequence[str] | Mapping[str, Mapping[str, Any]],
    *,
    level: float = 0.95,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Share of the variation of the validation loss that each setting explains on its own.

    A forest learns the loss from the settings; functional ANOVA then says how much of what it learnt is due to each
    setting alone, averaged over all values of the others. The rest of 1 is what settings do together. Each resample of
    the trials gets a forest of its own, and the interval is over these. A column of pure chance is learnt from too, and
    what it seems to explain is taken off. Losses far above the rest (Tukey's fence) count as the fence, or one diverged
    trial would be all that mattered. The effects are those of the whole forest, not the mean over its trees: a tree of
    few trials is mostly chance, and its chance would pass for settings that act together. The intervals speak of which
    trials happened to be made; a forest is also a little coarse, and what a narrow valley explains comes out too small.

    Args:
        trials: a row a trial with ``state``, ``validation_loss`` and a column a key. Finished and pruned trials count;
            a pruned one with the loss that it had come to.
        keys: as in the study's file, key -> ``kind`` ("float", "int" or "choice"), ``log``, ``low``, ``high``,
            ``choices``, so that every value of the space counts alike; or names alone: then every value counts as
            often as it was tried, which for a search means mostly good ones.
        level: of the intervals.
        seed: of the resamples and the trees.

    Returns:
        ``key``, ``value``, ``low``, ``high`` (0 to 1), the most important first. A key of which one value was tried
        has 0 and null limits. Empty where fewer than eight trials can be judged, or where all losses are equal.

    Raises:
        UserError: a key without a column.

    Reference: Hutter, Hoos & Leyton-Brown, An Efficient Approach for Assessing Hyperparameter Importance, ICML 2014;
    Geurts, Ernst & Wehenkel, Extremely Randomized Trees, Machine Learning 63(1), 2006.

    >>> chance = np.random.default_rng(0)
    >>> rate, dropout = 10 ** chance.uniform(-5, 0, 60), chance.uniform(0, 0.5, 60)
    >>> loss = 0.3 + 0.1 * (np.log10(rate) + 2.5) ** 2 + 0.02 * chance.normal(size=60)
    >>> table = pl.DataFrame({"state": "finished", "validation_loss": loss, "lr": rate, "dropout": dropout})
    >>> [(each["key"], round(each["value"], 1)) for each in importance(table, ["lr", "dropout"])]
    [('rate', 1.0), ('dropout', 0.0)]
    """
    for name in ("state", "validation_loss", *keys):
        if name not in trials.columns:
            raise UserError(f"the table of trials has no column {name!r}", nearest(name, trials.columns))
    loss = pl.col("validation_loss").cast(pl.Float64)
    judged = trials.filter(pl.col("state").is_in(JUDGED) & loss.is_finite().fill_null(False))
    if judged.height < FEWEST:
        return []
    losses = _fenced(judged.select(loss).to_series().to_numpy())
    if np.ptp(losses) < 1e-12:
        return []
    axes = [_axis(judged[key], keys[key] if isinstance(keys, Mapping) else {}) for key in keys]
    varied = [place for place, axis in enumerate(axes) if np.ptp(axis) > 0]
    shares = np.zeros((RESAMPLES, len(axes)))
    shares[:, varied] = _shares(np.stack([axes[place] for place in varied], axis=1), losses, seed) if varied else 0.0
    tail = (1 - level) / 2
    low, high = np.quantile(shares, (tail, 1 - tail), axis=0)
    rows: list[dict[str, Any]] = []
    for place, key in enumerate(keys):
        known = place in varied
        value = float(np.clip(shares[:, place].mean(), low[place], high[place]))
        limits = (float(low[place]), float(high[place])) if known else (None, None)
        rows.append({"key": key, "value": value, "low": limits[0], "high": limits[1]})
    return sorted(rows, key=lambda row: -float(row["value"]))


def _fenced(losses: FloatArray) -> FloatArray:
    """Losses above the upper fence are put on it (Tukey, Exploratory Data Analysis, 1977)."""
    lower, upper = np.quantile(losses, (0.25, 0.75))
    return np.asarray(np.minimum(losses, upper + 1.5 * (upper - lower)) if upper > lower else losses)


def _axis(column: pl.Series, about: Mapping[str, Any]) -> FloatArray:
    """Where each trial lies on a key's axis from 0 to 1; a choice that was tried lies in the middle of its share."""
    numeric = about.get("kind") in ("float", "int") or (column.dtype.is_numeric() and about.get("kind") != "choice")
    if not numeric:
        codes = column.cast(pl.String).rank("dense").fill_null(0).to_numpy()
        return np.asarray((np.unique(codes, return_inverse=True)[1] + 0.5) / len(np.unique(codes)))
    values = column.cast(pl.Float64).to_numpy().astype(np.float64)
    if about.get("low") is None or about.get("high") is None:
        ranks = stats.rankdata(np.nan_to_num(values, nan=float(np.nanmedian(values)))) - 0.5
        return np.asarray(ranks / len(values) if np.ptp(ranks) > 0 else np.zeros(len(values)))
    low, high = float(about["low"]), float(about["high"])
    if about.get("log"):
        values, low, high = np.log(values), np.log(low), np.log(high)
    places = (values - low) / (high - low) if high > low else np.zeros(len(values))
    return np.asarray(np.clip(np.nan_to_num(places, nan=0.5), 0, 1))


def _shares(points: FloatArray, losses: FloatArray, seed: int) -> FloatArray:
    """(RESAMPLES, D) share of each of D axes in each resample of the (T, D) points."""
    from sklearn.tree import ExtraTreeRegressor  # grown one by one: scikit-learn's forest takes twice as long

    chance, (trials, axes) = np.random.default_rng(seed), points.shape
    anywhere = chance.random((POINTS, axes + 1), dtype=np.float32)
    found = np.zeros((RESAMPLES, axes))
    for number in range(RESAMPLES):
        drawn = chance.integers(0, trials, trials)
        seen = np.column_stack([points, chance.random(trials)])[drawn].astype(np.float32)
        effects, said = np.zeros((axes + 1, CELLS)), np.zeros(POINTS)
        for start in range(TREES):
            grown = ExtraTreeRegressor(min_samples_leaf=LEAF, random_state=number * TREES + start)
            tree = grown.fit(seen, losses[drawn], check_input=False).tree_
            effects += tree_effects(tree, axes + 1)
            said += tree.predict(anywhere).reshape(-1)
        alone = effects.var(axis=1)
        whole = max(float(said.var()), float(alone.sum()))  # of so many points it may come out smaller
        if whole > 0:
            found[number] = np.maximum(0, alone[:axes] - alone[axes]) / whole
    return found


def tree_effects(tree: Any, axes: int, cells: int = CELLS) -> FloatArray:
    """What a regression tree says along each axis, averaged over all values of the other axes.

    Args:
        tree: ``tree_`` of a fitted scikit-learn tree that saw values from 0 to 1.
        axes: D.
        cells: C equal stretches into which an axis is cut.

    Returns:
        (D, C) in the middle of each stretch.
    """
    low, high, values = _leaves(tree, axes)
    sizes = high - low
    others = sizes.prod(axis=1, keepdims=True) / sizes * values[:, None]
    middles = (np.arange(cells) + 0.5) / cells
    inside = (low[:, :, None] < middles) & (middles <= high[:, :, None])  # (leaves, D, C)
    return np.asarray(np.einsum("la,lac->ac", others, inside))


def _leaves(tree: Any, axes: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The boxes of a tree's L leaves, low and high (L, D), and what it says in each (L,)."""
    left, right, axis, cut = tree.children_left, tree.children_right, tree.feature, tree.threshold
    low, high = np.zeros((tree.node_count, axes)), np.ones((tree.node_count, axes))
    for node in range(tree.node_count):  # parents come before their children
        if left[node] >= 0:
            for child in (left[node], right[node]):
                low[child], high[child] = low[node], high[node]
            high[left[node], axis[node]] = low[right[node], axis[node]] = cut[node]
    leaf = left < 0
    return low[leaf], high[leaf], tree.value[leaf].reshape(-1)
