"""All scores of predicted values on a test set with confidence intervals over groups: the contents of ``test.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coverslip.evidence.bootstrap import BootstrapScores, bootstrap_scores
from coverslip.evidence.classification import sample_size_warnings
from coverslip.evidence.intervals import MIN_GROUPS, Score
from coverslip.evidence.regression_scores import SUM_SCORES, ValueScorer
from coverslip.evidence.resampling import group_ids
from coverslip.evidence.subgroups import MAX_VALUES, subgroup_warning, value_names
from coverslip.evidence.support import Support, proportion_score

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Groups = NDArray[np.integer[Any]]
SCORES = (*SUM_SCORES, "spearman")
AVERAGED = ("r2", "concordance", "spearman")  # scores without unit, which can be averaged over targets
ALL_EQUAL = "the true or the predicted values are all equal"
BASELINE_SCORES = ("mae", "rmse", "concordance")


def regression_evidence(
    truth: FloatArray,
    predicted: FloatArray,
    groups: Groups | None,
    names: Sequence[str],
    *,
    low: FloatArray | None = None,
    high: FloatArray | None = None,
    baselines: Mapping[str, FloatArray] | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """Return the scores of predicted values with confidence intervals over groups, as stored in ``test.json``.

    All scores are resampled over groups (BCa bootstrap with Student's t), except the coverage of prediction intervals,
    which is a proportion. With fewer than 5 groups there is no interval. The result does not depend on the order of
    the rows.

    Args:
        truth: true values, shape (N, T).
        predicted: predicted values, shape (N, T).
        groups: integer group ids of any value, shape (N,); None if each image is its own group.
        names: names of the T targets.
        low: lower ends of the prediction intervals, shape (N, T); None without intervals.
        high: upper ends.
        baselines: values predicted by simple rules, shape (N, T), by name.
        level: confidence level, between 0 and 1.
        resamples: number of bootstrap resamples.
        seed: random seed of the bootstrap.

    Returns:
        Plain Python values without NaN: ``images``, ``groups``, ``grouped``, ``level``, ``scores``, ``targets`` (name
        -> scores and baselines), ``target_names`` and ``warnings``. The scores are mean absolute error ``mae``,
        ``rmse``, ``r2``, ``bias`` (mean of predicted minus true), ``loa_low`` and ``loa_high`` (limits of agreement),
        ``concordance`` (Lin's coefficient), ``spearman``, and ``coverage`` and ``interval_width`` of prediction
        intervals. With several targets, ``scores`` has the means of those without unit. The ``difference`` of a
        baseline is its MAE minus that of the model on the same images.

    Raises:
        ValueError: there is no image, shapes do not match, or a value is NaN or infinite.

    References:
        Bland & Altman, Lancet 327(8476), 1986 (limits of agreement); Lin, Biometrics 45(1), 1989 (concordance).

    >>> truth = np.linspace(0, 1, 40)[:, None]
    >>> evidence = regression_evidence(truth, truth + 0.1, None, ["share"], resamples=200)
    >>> round(evidence["scores"]["bias"]["value"], 3), round(evidence["scores"]["spearman"]["value"], 3)
    (0.1, 1.0)
    """
    truth, predicted = _checked(truth, names), _checked(predicted, names)
    if truth.shape != predicted.shape:
        raise ValueError(f"truth has shape {truth.shape}, but predicted {predicted.shape}")
    codes = group_ids(groups, len(truth))
    order = np.lexsort((*predicted.T, *truth.T, codes))  # sums do not depend on the order of the rows
    grouped, codes = groups is not None, codes[order]
    rows = {name: _checked(values, names)[order] for name, values in (baselines or {}).items()}
    bounds = None if low is None or high is None else (np.asarray(low)[order], np.asarray(high)[order])
    truth, predicted = truth[order], predicted[order]
    targets: dict[str, Any] = {}
    for index, name in enumerate(names):
        targets[name] = _target_evidence(
            truth[:, index],
            predicted[:, index],
            codes,
            grouped,
            None if bounds is None else (bounds[0][:, index], bounds[1][:, index]),
            {rule: values[:, index] for rule, values in rows.items()},
            (level, resamples, seed),
        )
    scores = targets[names[0]]["scores"]
    if len(names) > 1:
        scores = _averages(truth, predicted, codes, grouped, (level, resamples, seed))
    number = int(codes.max()) + 1
    return {
        "images": len(truth),
        "groups": number,
        "grouped": grouped,
        "level": level,
        "scores": scores,
        "targets": targets,
        "target_names": list(names),
        "warnings": sample_size_warnings(codes, grouped=grouped),
    }


def value_subgroups(
    truth: FloatArray,
    predicted: FloatArray,
    groups: Groups | None,
    values: Sequence[str | float | None],
    names: Sequence[str],
    *,
    level: float = 0.95,
    resamples: int = 1000,
) -> dict[str, Any]:
    """Return MAE and bias of the first target for each value of a column of the table, with intervals over groups.

    Args:
        truth: true values, shape (N, T).
        predicted: predicted values, shape (N, T).
        groups: integer group ids, shape (N,); None if each image is its own group.
        values: column values, length N; many different numbers are divided at their quartiles.
        names: names of the T targets.
        level: confidence level, between 0 and 1.
        resamples: number of bootstrap resamples.

    Returns:
        As `coverslip.evidence.subgroups.subgroup_scores`, with ``mae`` and ``bias`` in place of the accuracies, and
        without a test.
    """
    texts = value_names(values)
    unique, codes, counts = np.unique(texts, return_inverse=True, return_counts=True)
    if len(unique) > MAX_VALUES:
        raise ValueError(f"the column has {len(unique)} different values; at most {MAX_VALUES} are supported")
    entries = []
    for code in np.argsort(-counts, kind="stable"):
        rows = codes == code
        evidence = regression_evidence(
            truth[rows][:, :1],
            predicted[rows][:, :1],
            None if groups is None else np.asarray(groups)[rows],
            names[:1],
            level=level,
            resamples=resamples,
        )
        entry = {"value": str(unique[code]), "images": evidence["images"], "groups": evidence["groups"]}
        entry |= {name: evidence["scores"][name] for name in ("mae", "bias")}
        unit = "images" if groups is None else "groups"
        entries.append(entry | {"warning": subgroup_warning(evidence["groups"], unit)})
    reason = "differences between subgroups of a regression are not tested"
    return {"values": entries, "p": None, "reason": reason, "says": ""}


def _target_evidence(
    truth: FloatArray,
    predicted: FloatArray,
    groups: IntArray,
    grouped: bool,
    bounds: tuple[FloatArray, FloatArray] | None,
    baselines: Mapping[str, FloatArray],
    settings: tuple[float, int, int],
) -> dict[str, Any]:
    """Return ``scores`` and ``baselines`` of one target; rows are sorted, groups are 0..G-1."""
    means = {
        f"difference {rule}": np.abs(values - truth) - np.abs(predicted - truth) for rule, values in baselines.items()
    }
    if bounds is not None:
        means["interval_width"] = bounds[1] - bounds[0]
    scores = _scores(truth, predicted, groups, grouped, means, settings)
    if bounds is not None:
        inside = (bounds[0] <= truth) & (truth <= bounds[1])
        hits, counts = (
            np.bincount(groups, weights=weights).astype(np.float64) for weights in (inside, np.ones(len(truth)))
        )
        scores["coverage"] = proportion_score(hits, counts, settings[0], grouped=grouped)
    rules = {}
    for rule, values in baselines.items():
        found = _scores(truth, values, groups, grouped, {}, settings)
        rules[rule] = {name: found[name] for name in BASELINE_SCORES}
        rules[rule]["difference"] = scores.pop(f"difference {rule}")
    return {"scores": scores, "baselines": rules}


def _scores(
    truth: FloatArray,
    predicted: FloatArray,
    groups: IntArray,
    grouped: bool,
    means: dict[str, FloatArray],
    settings: tuple[float, int, int],
) -> dict[str, Score]:
    level, resamples, seed = settings
    scorer = ValueScorer(truth, predicted, groups, means)
    number = len(scorer.sums)
    resampled = bootstrap_scores(scorer, None, resamples, seed, MIN_GROUPS, len(truth))
    support = Support(len(truth), number, level, grouped)
    return {name: support.resampled_score(resampled, name, resamples, ALL_EQUAL) for name in scorer.columns}


def _averages(
    truth: FloatArray, predicted: FloatArray, groups: IntArray, grouped: bool, settings: tuple[float, int, int]
) -> dict[str, Score]:
    """Return the means over targets of the scores without unit, resampled together."""
    level, resamples, seed = settings
    scorers = [ValueScorer(truth[:, index], predicted[:, index], groups) for index in range(truth.shape[1])]
    found = [bootstrap_scores(scorer, None, resamples, seed, MIN_GROUPS, len(truth)) for scorer in scorers]
    mean = BootstrapScores(
        found[0].columns,
        np.mean([scores.values for scores in found], axis=0),
        np.mean([scores.resampled for scores in found], axis=0),
        np.mean([scores.influence for scores in found], axis=0),
    )
    support = Support(len(truth), len(scorers[0].sums), level, grouped)
    return {name: support.resampled_score(mean, name, resamples, ALL_EQUAL) for name in AVERAGED}


def _checked(values: FloatArray, names: Sequence[str]) -> FloatArray:
    array = np.asarray(values, np.float64)
    if array.ndim != 2 or array.shape[1] != len(names) or not len(array):
        raise ValueError(f"values must have shape (N, {len(names)}) with at least one row, not {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"the values of {int((~np.isfinite(array)).any(axis=1).sum())} images are NaN or infinite")
    return array
